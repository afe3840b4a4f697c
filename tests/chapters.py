"""A chapter that is run in a kernel, as a test wants it, and what it printed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from set_up import calm_threads

CHAPTERS = sorted((Path(__file__).parents[1] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
NAMES = [path.stem[:2] for path in CHAPTERS]


def tags(cell: Any) -> set[str]:
    return set(cell.metadata.get("tags", []))


def run(chapter: Path, work: Path, threads: int, without: str = "none", **more: str) -> list[Any]:
    """Run a chapter without the cells of one tag and without FSDD; return its cells.

    `more` are variables of the kernel's environment.
    """
    notebook = nbformat.read(chapter, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if without not in tags(cell)]
    work.mkdir()
    hidden = ("FSDD_DIR", "PEOPLE_DIR", "MPLBACKEND")
    environment = {name: text for name, text in os.environ.items() if name not in hidden}
    environment |= {"COURSE_WORK": str(work), "PYDEVD_DISABLE_FILE_VALIDATION": "1", **more}
    environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    calm_threads(environment)  # two chapters at a time on two cores: their threads must not spin
    resources = {"metadata": {"path": str(work)}}
    client = NotebookClient(notebook, timeout=500, kernel_name="python3", resources=resources)
    client.execute(env=environment)
    return list(notebook.cells)


def printed(cells: list[Any]) -> dict[str, str]:
    """What each cell printed; times, paths and addresses of objects differ from run to run."""
    found = {}
    for cell in cells:
        if cell.cell_type != "code" or {"check", "timing", "solution"} & tags(cell):
            continue
        text = "".join(output.get("text", "") for output in cell.outputs)
        text += "".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs)
        found[cell.id] = re.sub(r"0x[0-9a-f]+", "0x", text)
    return found
