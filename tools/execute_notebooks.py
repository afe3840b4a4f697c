"""Run notebooks from top to bottom and save their outputs, the same way on every machine.

``python tools/execute_notebooks.py`` runs all chapters; file names or numbers choose some:
``python tools/execute_notebooks.py 03`` or ``... notebooks/03_*.ipynb``. ``make notebooks`` calls
this. A notebook is replaced in one step and only when every cell ran, so stopping this at any
moment leaves each file either as it was or complete.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import os
import re
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from PIL import Image

from course_utils.errors import CourseError
from course_utils.paths import write_whole

REPOSITORY = Path(__file__).resolve().parents[1]
NOTEBOOKS = REPOSITORY / "notebooks"
CELL_TIMEOUT = 120  # seconds; no cell of the course may take over 20
# What a front end or an editor adds to a cell and no reader needs.
NOISE_IN_CELL = ("execution", "collapsed", "scrolled", "ExecuteTime", "jupyter.outputs_hidden")
WIDGET_TYPES = (
    "application/vnd.jupyter.widget-view+json",
    "application/vnd.jupyter.widget-state+json",
)


def find_notebooks(names: Sequence[str], folder: Path = NOTEBOOKS) -> list[Path]:
    """Files for ``names``: paths, or chapter numbers such as ``03``; none means all chapters.

    Raises:
        FileNotFoundError: a name fits no notebook.
    """
    if not names:
        return sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    found = []
    for name in names:
        path = Path(name)
        matches = [path] if path.is_file() else sorted(folder.glob(f"{name}*.ipynb"))
        if not matches:
            raise FileNotFoundError(f"No notebook fits {name!r}: give a file or a number like 03.")
        found += matches
    return found


def check_outputs(paths: Sequence[Path]) -> None:
    """Refuse chapters whose outputs are gone, as nbstripout and Clear All Outputs leave them.

    Such a chapter has cells without an execution count, or not one output.

    Raises:
        CourseError: names them and says how the outputs come back.
    """
    emptied = []
    for path in paths:
        cells = [
            cell
            for cell in nbformat.read(path, as_version=4).cells
            if cell.cell_type == "code" and cell.source.strip()
        ]
        uncounted = any(cell.execution_count is None for cell in cells)
        if uncounted or (cells and not any(cell.outputs for cell in cells)):
            emptied.append(path.name)
    if emptied:
        raise CourseError(
            f"The outputs of {', '.join(emptied)} are missing: get back what was saved with "
            "`git checkout -- notebooks`, or run your own changes with `make notebooks`."
        )


def add_cell_ids(notebook: nbformat.NotebookNode) -> None:
    """Give every cell without a usable id one made from its place and text, always the same."""
    seen: set[str] = set()
    for index, cell in enumerate(notebook.cells):
        if not cell.get("id") or cell["id"] in seen:
            text = f"{index}\n{cell.cell_type}\n{cell.source}"
            cell["id"] = hashlib.sha256(text.encode()).hexdigest()[:8]
        seen.add(cell["id"])


def clean(notebook: nbformat.NotebookNode) -> None:
    """Remove from ``notebook``, in place, all that differs between two equal runs.

    That is times of execution, widget state, what editors add, the versions of Python and of the
    kernel. What is left of a live widget is its static text or picture. ``stdout`` written in
    pieces is joined, because the pieces depend on timing.
    """
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    kept = {key: notebook.metadata[key] for key in ("title", "authors") if key in notebook.metadata}
    notebook.metadata = nbformat.from_dict(
        kept
        | {
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {
                "file_extension": ".py",
                "mimetype": "text/x-python",
                "name": "python",
                "pygments_lexer": "ipython3",
            },
        }
    )
    for cell in notebook.cells:
        for key in NOISE_IN_CELL:
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell.outputs = _clean_outputs(cell.outputs)


def _clean_outputs(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    kept: list[nbformat.NotebookNode] = []
    for output in outputs:
        for kind in WIDGET_TYPES:
            output.get("data", {}).pop(kind, None)
        if output.output_type in ("display_data", "execute_result") and not output.data:
            continue
        stream = output.output_type == "stream"
        if stream and kept and kept[-1].output_type == "stream" and kept[-1].name == output.name:
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def describe_pictures(notebook: nbformat.NotebookNode) -> None:
    """Give each picture the text alternative from its cell's metadata, and reduce it to 64 colours.

    ``metadata.alt`` of a cell is a list in the order of its pictures.

    Raises:
        RuntimeError: a cell has more or fewer text alternatives than pictures, or an empty one.
    """
    for cell in notebook.cells:
        pictures = [o for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
        pictures = [o for o in pictures if "alt" not in o.metadata.get("image/png", {})]
        texts = cell.metadata.get("alt", [])
        if len(texts) != len(pictures) or not all(text.strip() for text in texts):
            raise RuntimeError(
                f"cell {cell.id} draws {len(pictures)} pictures and its metadata.alt has "
                f"{len(texts)} text alternatives: write one for each."
            )
        for output, text in zip(pictures, texts, strict=True):
            output.data = {"image/png": with_few_colours(output.data["image/png"])}
            output.data["text/plain"] = text
            output.metadata = {"image/png": {"alt": text}}


def with_few_colours(png: str) -> str:
    """A PNG, given and returned in base64, with 64 colours: a third of the size."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    # Maximum coverage keeps the rare colours of a colour bar.
    reduced = picture.quantize(64, Image.Quantize.MAXCOVERAGE)
    saved = io.BytesIO()
    reduced.save(saved, format="png", optimize=True)
    return base64.b64encode(saved.getvalue()).decode("ascii")


def hide_paths(notebook: nbformat.NotebookNode, work_folder: Path) -> None:
    """Shorten, in place, this machine's own paths in text outputs, warnings and tracebacks.

    They differ from machine to machine, and from run to run: the kernel's file of a cell carries
    a process number.
    """
    names = [
        (str(work_folder), "my_work"),
        (sysconfig.get_path("purelib"), "site-packages"),
        (sysconfig.get_path("stdlib"), "python"),
        (f"{REPOSITORY}{os.sep}", ""),
        (str(REPOSITORY), "."),
        (str(Path.home()), "~"),
    ]

    def shorten(text: str) -> str:
        if "ipykernel_" in text:  # a search through embedded sounds would take a minute
            text = re.sub(r"[^\s'\"]*ipykernel_\d+[/\\]\d+\.py", "cell", text)
        for path, name in names:
            text = text.replace(path, name)
        return text

    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = shorten(output.text)
            elif output.output_type == "error":
                output.evalue = shorten(output.evalue)
                output.traceback = [shorten(line) for line in output.traceback]
            else:
                for kind in [kind for kind in output.data if kind.startswith("text/")]:
                    output.data[kind] = shorten(output.data[kind])


def errors_in(notebook: nbformat.NotebookNode) -> list[str]:
    """One sentence for each error output in a cell that is not tagged ``raises-exception``."""
    return [
        f"cell {cell.get('id')} ended with {output.ename}: {output.evalue}"
        for cell in notebook.cells
        if cell.cell_type == "code" and "raises-exception" not in cell.metadata.get("tags", [])
        for output in cell.outputs
        if output.output_type == "error"
    ]


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that a killed earlier run has left."""
    for leftover in folder.glob(".saving-*.part"):
        leftover.unlink(missing_ok=True)


def kernel_environment(folder: str) -> dict[str, str]:
    """What makes a chapter print the same everywhere.

    One thread, because trained numbers differ between one and two; an own work folder, because a
    student's files must not change what is saved, nor be touched.
    """
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "COURSE_WORK": folder,
        "PYTHONHASHSEED": "0",
        "COURSE_LANG": "en",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    environment.pop("MPLBACKEND", None)  # the kernel draws below its cells
    return environment


def execute(path: Path) -> float:
    """Run the notebook at ``path`` in a fresh kernel and save it. Returns the seconds it took.

    Raises:
        RuntimeError: a cell failed; the file is left as it was.
    """
    remove_leftovers(path.parent)
    notebook = nbformat.read(path, as_version=4)
    add_cell_ids(notebook)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="course_") as folder:
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            record_timing=False,
            store_widget_state=False,
        )
        try:
            client.execute(env=kernel_environment(folder))
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise RuntimeError(f"{path.name} was not saved, a cell failed:\n{error}") from None
    clean(notebook)
    hide_paths(notebook, Path(folder))
    try:
        describe_pictures(notebook)
    except RuntimeError as error:
        raise RuntimeError(f"{path.name} was not saved: {error}") from None
    if errors := errors_in(notebook):
        raise RuntimeError(f"{path.name} was not saved: " + "; ".join(errors))
    nbformat.validate(notebook)
    text = nbformat.writes(notebook, version=nbformat.NO_CONVERT).rstrip("\n") + "\n"
    write_whole(path, text.encode())
    return time.perf_counter() - started


def main(argv: Sequence[str] | None = None) -> int:
    """Execute the notebooks named on the command line; 1 when one failed, the others still run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("notebooks", nargs="*", help="files, or numbers such as 03 (default: all)")
    arguments = parser.parse_args(argv)
    try:
        paths = find_notebooks(arguments.notebooks)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    failed = 0
    for path in paths:
        print(f"{path.name} ...", end=" ", flush=True)
        try:
            seconds = execute(path)
        except RuntimeError as error:
            failed += 1
            print(f"failed\n{error}", file=sys.stderr, flush=True)
        else:
            print(f"{seconds:.1f} s, {path.stat().st_size / 1000:.0f} KB", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
