"""The book opened from a folder, with the network cut: mathematics, search, accessibility."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext
from watching import violations, watch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

REPOSITORY = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((REPOSITORY / "notebooks").glob("[0-9][0-9]_*.ipynb"))
PAGES = [f"notebooks/{path.stem}" for path in CHAPTERS]
PAGES += ["index", "glossary", "package", "datasheet", "results", "authors"]
PAGES += [f"instructor/{name}" for name in ("plan", "questions", "assignments", "errors")]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("website") / "book"
    script = REPOSITORY / "tools" / "make_book.py"
    result = subprocess.run(
        [sys.executable, str(script), "--to", str(folder)], capture_output=True, encoding="utf-8"
    )
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_accessible(
    name: str, book: Path, offline: BrowserContext, axe: str
) -> None:
    watched = watch(offline.new_page())
    page = watched.page
    page.goto((book / f"{name}.html").as_uri())
    page.wait_for_function("window.MathJax === undefined || MathJax.startup?.promise")
    page.evaluate("window.MathJax && MathJax.startup.promise")
    allowed = (book.as_uri(), "data:")
    assert [url for url in watched.requests if not url.startswith(allowed)] == []
    assert watched.complaints == []
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    if name.startswith("notebooks/"):
        assert page.locator("article mjx-container svg").count() >= 1
        widths = page.evaluate(
            "[...document.querySelectorAll('article img')].map(image => image.naturalWidth)"
        )
        assert min(widths) > 100
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = violations(page, axe)
    assert not found, "\n".join(found)


def test_a_solution_opens(book: Path, offline: BrowserContext) -> None:
    page = watch(offline.new_page()).page
    page.goto((book / f"{PAGES[0]}.html").as_uri())
    solution = page.locator("div.cell.tag_solution").first
    code = solution.locator("pre").first
    assert not code.is_visible()
    solution.locator("summary").click()
    code.wait_for(state="visible")
    assert "level_db_solution" in code.inner_text()


def test_the_search_finds_a_word(book: Path, offline: BrowserContext) -> None:
    watched = watch(offline.new_page())
    page = watched.page
    page.goto((book / "search.html").as_uri() + "?q=spectrogram")
    page.wait_for_selector("#search-results li a")
    links = page.locator("#search-results li a").evaluate_all("all => all.map(a => a.href)")
    assert any("01_audio" in link for link in links)
    assert all(url.startswith((book.as_uri(), "data:")) for url in watched.requests)


def test_it_prints_without_menus(book: Path, offline: BrowserContext) -> None:
    page = watch(offline.new_page()).page
    page.goto((book / f"{PAGES[0]}.html").as_uri())
    page.emulate_media(media="print")
    for selector in (".bd-sidebar-primary", ".bd-header-article", "audio"):
        assert not page.locator(selector).first.is_visible()
    assert page.locator("h1").evaluate_all("all => all.some(title => title.offsetHeight > 0)")
    assert page.locator("article h2").first.is_visible()
    assert page.pdf()[:5] == b"%PDF-"
