"""The Chinese edition in a real browser: JupyterLab, slides and book."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from lab import run_all, running
from playwright.sync_api import Browser, BrowserContext, Page
from watching import watch

import make_slides
import set_up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
REPOSITORY = Path(__file__).resolve().parents[2]
CHAPTER = "05_convolution_and_pooling.ipynb"
# The Chinese signs of a page that its fonts draw as they draw a sign that no font has.
BOXES = """
() => {
  const pen = Object.assign(document.createElement("canvas"), {width: 40, height: 40})
    .getContext("2d", {willReadFrequently: true});
  const drawn = (sign, font) => {
    pen.clearRect(0, 0, 40, 40);
    pen.font = font;
    pen.fillText(sign, 4, 30);
    return pen.getImageData(0, 0, 40, 40).data.join();
  };
  const font = `24px ${getComputedStyle(document.body).fontFamily}`;
  const missing = drawn(String.fromCodePoint(0x10fffd), font);
  const signs = new Set(document.body.textContent.match(/[\\u4e00-\\u9fff]/g));
  return {signs: signs.size, boxes: [...signs].filter((sign) => drawn(sign, font) === missing)};
}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Page]:
    """Chapter 5, as `make lab EDITION=zh` gives it, with a wrong answer to exercise 1, run."""
    work = tmp_path_factory.mktemp("my_work")
    folder = work / "zh"
    set_up.copy_notebooks(REPOSITORY / "notebooks" / "zh", folder)
    notebook = nbformat.read(folder / CHAPTER, as_version=4)
    starter = next(c for c in notebook.cells if "exercise" in c.metadata.get("tags", []))
    assert "return ..." in starter.source
    starter.source = starter.source.replace("return ...", "return waveform")
    nbformat.write(notebook, folder / CHAPTER)
    with running(folder, tmp_path_factory.mktemp("jupyter")) as address:
        watched = run_all(chromium, address, CHAPTER)
        yield watched.page
        watched.page.context.close()


def test_it_opens_runs_and_answers_in_chinese(lab: Page) -> None:
    assert lab.get_by_role("heading", name="5 · 卷积与池化").first.is_visible()
    assert lab.locator(".jp-OutputArea-output[data-mime-type*='error']").count() == 0
    said = lab.locator(".jp-OutputArea-output", has_text="还不对：").first.inner_text()
    assert "回声" in said, said
    assert lab.locator(".jp-OutputArea-output", has_text="题已完成").count() == 1


@pytest.fixture
def with_chinese_font() -> None:
    listed = shutil.which("fc-list") and subprocess.run(
        ["fc-list", ":lang=zh-cn"], capture_output=True, encoding="utf-8"
    )
    if not listed or not listed.stdout.strip():
        pytest.skip("no Chinese font is installed")


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Chinese book."""
    folder = tmp_path_factory.mktemp("chinese") / "book"
    command = [sys.executable, str(REPOSITORY / "tools" / "make_book.py"), "--edition", "zh"]
    made = subprocess.run([*command, "--to", str(folder)], capture_output=True, encoding="utf-8")
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    return folder


def test_no_box_stands_for_a_sign_in_slides_and_book(
    with_chinese_font: None, offline: BrowserContext, book: Path, tmp_path: Path
) -> None:
    slides = make_slides.make(REPOSITORY / "notebooks" / "zh" / CHAPTER, tmp_path, "zh")
    chapter = book / "notebooks" / CHAPTER.replace(".ipynb", ".html")
    for path in (slides, chapter, book / "index.html", book / "glossary.html"):
        page = watch(offline.new_page()).page
        page.goto(path.as_uri())
        assert page.locator("html").get_attribute("lang").lower() == "zh-cn"
        found = page.evaluate(BOXES)
        assert found["signs"] > 100 and found["boxes"] == [], (path.name, found)
        page.close()


def test_the_search_finds_a_chinese_word(offline: BrowserContext, book: Path) -> None:
    page = watch(offline.new_page()).page
    page.goto((book / "search.html").as_uri() + "?q=卷积核")
    page.wait_for_selector("#search-results li a")
