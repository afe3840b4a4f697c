"""What goes into a deck, without a browser: core cells only, and nothing that must be fetched."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup

import make_slides

REPOSITORY = Path(__file__).resolve().parents[1]
TOOLS = REPOSITORY / "tools"
CHAPTERS = sorted((REPOSITORY / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def cell(kind: str, source: str, slide: str, *tags: str, outputs: Any = ()) -> dict[str, Any]:
    metadata = {"slideshow": {"slide_type": slide}, "tags": list(tags)}
    return {"cell_type": kind, "source": source, "metadata": metadata, "outputs": list(outputs)}


def test_an_output_that_answers_begins_a_page() -> None:
    printed = {"output_type": "stream", "name": "stdout", "text": "the answer\n"}
    cells = [
        cell("markdown", "## What comes out?", "slide"),
        cell("code", "print(answer)", "-", "core", "hide-output", outputs=[printed, printed]),
        cell("code", "assert answer", "-", "check"),
        cell("code", "print(answer)", "-", "core", outputs=[printed]),
    ]
    (section,) = make_slides.chapter({"cells": cells})["sections"]
    kinds = [[block["kind"] for block in page["blocks"]] for page in section["pages"]]
    assert kinds == [["text", "code"], ["output", "output", "code", "output"]]


def test_long_code_goes_on_on_another_page() -> None:
    code = "\n".join([f"a{n} = {n}" for n in range(9)] + [""] + [f"b{n} = {n}" for n in range(9)])
    assert [len(piece.split("\n")) for piece in make_slides.pieces(code)] == [9, 9]
    assert make_slides.pieces("a = 1\n\nb = 2") == ["a = 1\n\nb = 2"]
    assert [len(p.split("\n")) for p in make_slides.pieces("x = 1\n" * 25 + "y")] == [12, 12, 2]
    (section,) = make_slides.chapter({"cells": [cell("code", code, "slide", "core")]})["sections"]
    assert [len(page["blocks"]) for page in section["pages"]] == [1, 1]


def test_slide_types_make_sections_pages_and_notes() -> None:
    printed = {"output_type": "stream", "name": "stdout", "text": "<3>\n"}
    cells = [
        cell("markdown", "# Title\n\n| | |\n|---|---|\n| a | b |", "slide"),
        cell("code", "secret = 1", "skip"),
        cell("code", "print('<3>')", "subslide", outputs=[printed]),
        cell("markdown", "[next](06_lenet.ipynb)", "fragment"),
        cell("markdown", "*For the teacher, 7 min.* Ask.", "notes", "teacher"),
        cell("markdown", "## More", "slide"),
        cell("code", "answer = 2", "-", "solution"),
        cell("markdown", "*For the teacher, 5 min.* Wait.", "notes", "teacher"),
    ]
    deck = make_slides.chapter({"cells": cells})
    assert [section["title"] for section in deck["sections"]] == ["Title", "More"]
    assert [note["minutes"] for note in deck["notes"]] == [7, 5]
    first, second = deck["sections"]
    assert [page["note"] for page in first["pages"]] == [0, 0]
    assert [page["note"] for page in second["pages"]] == [1]
    assert "<thead>" not in first["pages"][0]["blocks"][1]["html"]
    code, output, text = first["pages"][1]["blocks"]
    assert (code["kind"], output["kind"], text["kind"]) == ("code", "output", "text")
    assert "&lt;3&gt;" in output["html"] and text["fragment"]
    assert 'href="06_lenet.html"' in text["html"]
    assert "secret" not in str(deck) and "answer" not in str(deck)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_deck_needs_no_other_file(path: Path, tmp_path: Path) -> None:
    slides = make_slides.make(path, tmp_path)
    text = slides.read_text(encoding="utf-8")
    page = BeautifulSoup(re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL), "html.parser")
    for tag in page.find_all(src=True):
        assert tag["src"].startswith("data:")
    assert [tag["href"] for tag in page.find_all("link")] == ["data:,"]
    assert not re.search(r"@import|url\((?!['\"]?data:)", "".join(map(str, page.find_all("style"))))
    assert not re.search(r"\bimport\(", text)
    assert slides.stat().st_size < 8 * 2**20


def test_every_core_cell_is_shown_and_no_other() -> None:
    for path in CHAPTERS:
        notebook = nbformat.read(path, as_version=4)
        deck = make_slides.chapter(notebook)
        shown = sum(
            block["kind"] == "code" and not block["continued"]
            for section in deck["sections"]
            for page in section["pages"]
            for block in page["blocks"]
        )
        wanted = [
            cell
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
            if cell["cell_type"] == "code"
            and cell["metadata"]["slideshow"]["slide_type"] not in ("skip", "notes")
        ]
        assert shown == len(wanted)
        assert all("core" in cell["metadata"]["tags"] for cell in wanted)


def test_an_unknown_chapter_is_one_sentence() -> None:
    result = subprocess.run(
        [sys.executable, str(TOOLS / "make_slides.py"), "99"], capture_output=True, encoding="utf-8"
    )
    assert result.returncode == 2
    assert result.stderr.strip() == "No notebook fits '99': give a file or a number like 03."
