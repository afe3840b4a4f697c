"""Run a notebook as a student might: once; or half, then again from the top with each cell twice.

A cell that takes longer than 5 s, a training, is run once: impatience has its limits. Run again,
random numbers differ, so the proofs (tag `check`), which no student has, are left out.

Usage: python run_notebook.py once|restart NOTEBOOK   (in the folder where the kernel shall start)
"""

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

LONG = 5.0  # seconds


def run(notebook: NotebookNode, cells: list[int], times: int) -> int:
    """Run cells in a kernel of their own, each so many times in a row; return how many ran."""
    count = 0
    client = NotebookClient(notebook, timeout=240, kernel_name="python3")
    with client.setup_kernel():
        for number in cells:
            for _ in range(times):
                begun = time.monotonic()
                client.execute_cell(notebook.cells[number], number)
                count += 1
                if time.monotonic() - begun > LONG:
                    break
    return count


def main() -> None:
    """Run the notebook; print how many cells ran. A cell that fails ends this with its error."""
    manner, path = sys.argv[1:]
    notebook = nbformat.read(Path(path), as_version=4)
    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    if manner == "restart":
        code = [i for i in code if "check" not in notebook.cells[i].metadata.get("tags", [])]
    if manner == "once":
        count = run(notebook, code, times=1)
    else:
        count = run(notebook, code[: len(code) // 2], times=1) + run(notebook, code, times=2)
    print(count)


if __name__ == "__main__":
    main()
