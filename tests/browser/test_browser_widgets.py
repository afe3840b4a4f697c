"""What can be moved in each chapter, moved in a real JupyterLab: the picture changes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from lab import run_all, running
from playwright.sync_api import Browser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
CHAPTERS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
NAMES = [path.stem[:2] for path in CHAPTERS]
CHANGED = """
before => ![...document.querySelectorAll('.jupyter-widgets img')]
  .some(image => image.src === before)
"""


def names(cell: Any) -> tuple[set[str], set[str]]:
    """The names that a cell makes, and those that it uses."""
    made, used = set(), set()
    for node in ast.walk(ast.parse(cell.source)):
        if isinstance(node, ast.Name):
            (made if isinstance(node.ctx, ast.Store) else used).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
    return made, used


def needed(cells: list[Any], number: int) -> list[Any]:
    """The cell with this number, the set-up, and whatever makes a name that it needs."""
    kept, wanted = [cells[number]], names(cells[number])[1]
    for cell in reversed(cells[2:number]):
        made, used = names(cell)
        if made & wanted:
            kept.append(cell)
            wanted |= used
    return cells[:2] + kept[::-1]


def shortened(chapter: Path) -> list[Any]:
    """For each cell of a chapter with something to move: a notebook that ends with it."""
    notebook = nbformat.read(chapter, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = []
    for number, cell in enumerate(cells):
        if "widget" in cell.metadata.get("tags", []):
            short = nbformat.v4.new_notebook(metadata=notebook.metadata)
            short.cells = needed(cells, number)
            found.append(short)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("my_work")
    for chapter in CHAPTERS:
        for number, short in enumerate(shortened(chapter)):
            nbformat.write(short, folder / f"{chapter.stem[:2]}_{number}.ipynb")
    return folder


@pytest.fixture(scope="module")
def address(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(folder, tmp_path_factory.mktemp("jupyter")) as found:
        yield found


@pytest.mark.parametrize("name", NAMES)
def test_something_in_the_chapter_can_be_moved(name, folder, address, chromium: Browser):
    notebooks = sorted(path.name for path in folder.glob(f"{name}_*.ipynb"))
    assert notebooks, "the chapter has nothing to move"
    for notebook in notebooks:
        page = run_all(chromium, address, notebook).page
        cell = page.locator(".jp-CodeCell").last
        cell.locator(".widget-interact").wait_for()
        picture = cell.locator(".jupyter-widgets img").first
        picture.wait_for()
        before = picture.get_attribute("src")
        if cell.locator("select").count():
            cell.locator("select").first.select_option(index=1)
        else:
            handle = cell.locator(".noUi-handle").first
            handle.focus()
            handle.press("ArrowRight")
        page.wait_for_function(CHANGED, arg=before)
        assert page.locator(".jp-OutputArea-output[data-mime-type*='error']").count() == 0
        page.context.close()
