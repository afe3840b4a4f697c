"""`make notebooks`: saved outputs are complete, the same each time, and never half written."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

SCRIPT = Path(__file__).resolve().parents[1] / "tools" / "execute_notebooks.py"


def write(path: Path, *sources: str, tags: tuple[str, ...] = ()) -> Path:
    cells = [new_code_cell(source, metadata={"tags": list(tags)}) for source in sources]
    notebook = new_notebook(cells=[new_markdown_cell("# A title"), *cells])
    for cell in notebook.cells:
        del cell["id"]
    notebook.nbformat_minor = 4
    notebook.metadata = {
        "jupytext": {"formats": "ipynb"},
        "widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}}},
        "language_info": {"name": "python", "version": "3.9.1"},
        "kernelspec": {"name": "gone", "display_name": "gone", "language": "python"},
    }
    nbformat.write(notebook, path, version=nbformat.NO_CONVERT)
    return path


def execute(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8")


def test_outputs_are_saved_without_what_differs_between_runs(tmp_path: Path) -> None:
    path = write(
        tmp_path / "01_a.ipynb",
        "import os, sys, warnings\nprint('one', flush=True)\nprint('two', flush=True)",
        "print(os.environ['OMP_NUM_THREADS'], os.getcwd(), os.environ['COURSE_WORK'])\n"
        "warnings.warn('mind')",
        "import ipywidgets\nipywidgets.IntSlider()",
    )
    assert execute(path).returncode == 0
    first = path.read_bytes()
    notebook = nbformat.read(path, as_version=4)
    assert [cell.execution_count for cell in notebook.cells[1:]] == [1, 2, 3]
    assert notebook.cells[1].outputs == [new_output("stream", name="stdout", text="one\ntwo\n")]
    assert notebook.cells[2].outputs[0].text == "1 my_work my_work\n"
    assert notebook.cells[2].outputs[1].text.startswith("cell:2: UserWarning: mind")
    assert notebook.metadata.keys() == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    for word in (b"widget-view", b"iopub", b"3.9.1", str(Path.home()).encode() + b"/"):
        assert word not in first
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert len({cell.id for cell in notebook.cells}) == 4
    assert first.endswith(b"}\n") and first.startswith(b'{\n "cells"') and b"\r" not in first
    assert execute(path).returncode == 0
    assert path.read_bytes() == first


@pytest.mark.slow
def test_a_failing_cell_is_named_and_the_file_stays(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "02_b.ipynb", "1 + 1"), write(tmp_path / "01_a.ipynb", "1 / 0")
    before = bad.read_bytes()
    result = execute(bad, good)
    assert result.returncode == 1
    assert "01_a.ipynb was not saved" in result.stderr and "ZeroDivisionError" in result.stderr
    assert bad.read_bytes() == before
    assert nbformat.read(good, as_version=4).cells[1].execution_count == 1  # the others still run


@pytest.mark.slow
def test_an_error_that_is_meant_is_saved(tmp_path: Path) -> None:
    path = write(tmp_path / "01_a.ipynb", "1 / 0", tags=("raises-exception",))
    assert execute(path).returncode == 0
    assert nbformat.read(path, as_version=4).cells[1].outputs[0].ename == "ZeroDivisionError"


def test_a_number_that_fits_nothing_is_one_sentence() -> None:
    result = execute("99")
    assert result.returncode == 2
    assert result.stderr.strip() == "No notebook fits '99': give a file or a number like 03."


DRAW = "import matplotlib.pyplot as plt\nplt.plot([0, 1])\nplt.show()"


def describe(path: Path, *texts: str) -> None:
    """Write text alternatives into the metadata of the notebook's last cell."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].metadata["alt"] = list(texts)
    nbformat.write(notebook, path)


@pytest.mark.slow
def test_pictures_get_the_text_alternatives_of_their_cell_and_few_colours(tmp_path: Path) -> None:
    path = write(tmp_path / "01_a.ipynb", f"{DRAW}\nplt.imshow([[0, 1]])\nplt.show()")
    describe(path, "A line that rises.", "Two cells of colour.")
    assert execute(path).returncode == 0
    line, cells = nbformat.read(path, as_version=4).cells[-1].outputs
    assert line.metadata["image/png"]["alt"] == line.data["text/plain"] == "A line that rises."
    assert cells.metadata["image/png"]["alt"] == "Two cells of colour."
    picture = Image.open(io.BytesIO(base64.b64decode(line.data["image/png"])))
    assert len(picture.getcolors()) <= 64


@pytest.mark.slow
def test_a_picture_without_a_text_alternative_is_not_saved(tmp_path: Path) -> None:
    path = write(tmp_path / "01_a.ipynb", DRAW)
    for texts in ([], ["A line.", "Another."], [" "]):
        describe(path, *texts)
        before = path.read_bytes()
        result = execute(path)
        assert result.returncode == 1 and "metadata.alt" in result.stderr
        assert path.read_bytes() == before
