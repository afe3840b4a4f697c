"""Each heading, code cell and printed value of the lecture notes has its place in a chapter.

`lecture_notes.csv` is the list: the chapter, what stands in the notes, the cell in which it stands
here, and words or a value that this cell holds.
"""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
NOTEBOOKS = HERE.parents[1] / "notebooks"
LIST = HERE / "lecture_notes.csv"
ROWS = list(csv.DictReader(LIST.read_text(encoding="utf-8").splitlines()))
CHAPTERS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def cells(chapter: Path) -> list[dict[str, Any]]:
    return list(json.loads(chapter.read_text(encoding="utf-8"))["cells"])


def contents(cell: dict[str, Any]) -> str:
    """The text of a cell and of what it printed, with single blanks."""
    text = "".join(cell["source"])
    for output in cell.get("outputs", []):
        text += "\n" + "".join(output.get("text", ""))
        text += "\n" + "".join(output.get("data", {}).get("text/plain", ""))
    return " ".join(text.split())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['chapter']}-{row['item'][:40]}")
def test_what_the_notes_hold_is_there(row):
    (chapter,) = NOTEBOOKS.glob(f"{int(row['chapter']):02}_*.ipynb")
    found = {cell["id"]: contents(cell) for cell in cells(chapter)}
    assert " ".join(row["value"].split()) in found[row["cell"]]


def test_the_list_has_every_chapter():
    assert {int(row["chapter"]) for row in ROWS} == set(range(1, 9))
    assert all(row["value"].strip() for row in ROWS)
    assert len(ROWS) >= 45


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem[:2])
def test_code_of_the_notes_is_quoted_unaltered(chapter):
    """The file of the notes does not belong to the course: `LECTURE_NOTES` names it."""
    quoted = [
        block
        for cell in cells(chapter)
        if "lecture-notes" in cell["metadata"].get("tags", [])
        for block in re.findall(r"```python\n(.*?)```", "".join(cell["source"]), flags=re.DOTALL)
    ]
    assert all(len(block.splitlines()) <= 15 for block in quoted)
    if "LECTURE_NOTES" not in os.environ:
        pytest.skip("LECTURE_NOTES names no file")
    notes = Path(os.environ["LECTURE_NOTES"]).read_text(encoding="utf-8")
    lines = "\n".join(line.rstrip() for line in notes.splitlines())
    for block in quoted:
        assert "\n".join(line.rstrip() for line in block.splitlines()) in lines, block
