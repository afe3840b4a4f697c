"""Chapters without their outputs make no slides and no book, but a sentence with the cure."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbconvert.preprocessors import ClearOutputPreprocessor

import execute_notebooks
from course_utils.errors import CourseError

REPOSITORY = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((REPOSITORY / "notebooks").glob("[0-9][0-9]_*.ipynb"))
PARTS = ("book", "course_utils", "notebooks", "tools")


def empty(path: Path, keep_counts: bool = False) -> None:
    """What nbstripout does, and JupyterLab's Clear All Outputs; with --keep-count counts stay."""
    notebook = nbformat.read(path, as_version=4)
    counts = [cell.get("execution_count") for cell in notebook.cells]
    notebook, _ = ClearOutputPreprocessor(enabled=True).preprocess(notebook, {})
    if keep_counts:
        for cell, count in zip(notebook.cells, counts, strict=True):
            if cell.cell_type == "code":
                cell.execution_count = count
    nbformat.write(notebook, path)


@pytest.fixture
def course(tmp_path: Path) -> Path:
    folder = tmp_path / "course"
    for part in PARTS:
        ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        shutil.copytree(REPOSITORY / part, folder / part, ignore=ignored)
    return folder


def run(course: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, f"tools/{script}.py", *arguments],
        cwd=course,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


@pytest.mark.parametrize("keep_counts", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize("script", ["make_slides", "make_book"])
def test_emptied_chapters_are_refused_with_the_cure(
    course: Path, script: str, keep_counts: bool
) -> None:
    before = course / "build" / script.removeprefix("make_") / "earlier.html"
    before.parent.mkdir(parents=True)
    before.write_text("made when there were outputs", encoding="utf-8")
    names = [path.name for path in CHAPTERS[2:4]]
    for name in names:
        empty(course / "notebooks" / name, keep_counts)
    result = run(course, script)
    assert result.returncode == 2, result.stdout + result.stderr
    (sentence,) = result.stderr.splitlines()
    assert all(name in sentence for name in names) and CHAPTERS[0].name not in sentence
    assert "`git checkout -- notebooks`" in sentence and "`make notebooks`" in sentence
    assert result.stdout == "" and [path.name for path in before.parent.iterdir()] == [before.name]


@pytest.mark.slow
def test_another_chapter_still_makes_its_slides(course: Path) -> None:
    empty(course / "notebooks" / CHAPTERS[2].name)
    assert run(course, "make_slides", "03").returncode == 2
    assert run(course, "make_slides", "04").returncode == 0
    assert (course / "build" / "slides" / f"{CHAPTERS[3].stem}.html").exists()


def test_a_cell_that_was_not_run_is_refused_and_an_empty_one_is_not(tmp_path: Path) -> None:
    notebook = nbformat.read(CHAPTERS[0], as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(""))
    path = tmp_path / CHAPTERS[0].name
    nbformat.write(notebook, path)
    execute_notebooks.check_outputs([path])
    notebook.cells.append(nbformat.v4.new_code_cell("1 + 1"))
    nbformat.write(notebook, path)
    with pytest.raises(CourseError, match=path.name):
        execute_notebooks.check_outputs([path])


def test_a_notebook_without_code_has_no_outputs_to_miss(tmp_path: Path) -> None:
    path = tmp_path / "prose.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Words")]), path)
    execute_notebooks.check_outputs([path])
