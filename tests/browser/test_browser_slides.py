"""The decks in a real browser, with the network cut: complete, legible, and nothing overflows."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from watching import Watched, violations, watch

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((REPOSITORY / "notebooks").glob("[0-9][0-9]_*.ipynb"))
# Where each page ends, and what it holds. Fragments are shown before they are measured.
MEASURE = """
Reveal.getSlides().map((slide, number) => {
  const {h, v} = Reveal.getIndices(slide);
  Reveal.slide(h, v, 99);
  const origin = slide.getBoundingClientRect();
  let bottom = 0, right = 0;
  for (const element of slide.querySelectorAll('.block, .block *, .running')) {
    if (element.closest('mjx-assistive-mml')) continue;
    const box = element.getBoundingClientRect();
    if (!box.height) continue;
    bottom = Math.max(bottom, box.bottom - origin.top);
    right = Math.max(right, box.right - origin.left);
  }
  const lines = [...slide.querySelectorAll('.code pre')]
    .flatMap(pre => pre.textContent.split('\\n')).filter(line => line.trim()).length;
  const sizes = [...slide.querySelectorAll('pre')]
    .map(pre => parseFloat(getComputedStyle(pre).fontSize));
  const scales = [...slide.querySelectorAll('.output img')]
    .map(image => image.clientHeight / image.naturalHeight);
  return {
    page: number + 1, bottom, right, lines, scroll: slide.scrollHeight,
    size: Math.min(99, ...sizes), scale: Math.min(99, ...scales),
    text: slide.innerText.trim().slice(0, 60), blocks: slide.querySelectorAll('.block').length,
  };
})
"""


@pytest.fixture(scope="module")
def decks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    script = REPOSITORY / "tools" / "make_slides.py"
    result = subprocess.run(
        [sys.executable, str(script), "--to", str(folder)], capture_output=True, encoding="utf-8"
    )
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module", params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture(scope="module")
def deck(chapter: Path, decks: Path, chromium: Browser) -> Iterator[Watched]:
    context = chromium.new_context(viewport={"width": 1280, "height": 720}, offline=True)
    watched = watch(context.new_page())
    watched.page.goto((decks / f"{chapter.stem}.html").as_uri())
    watched.page.wait_for_function("document.documentElement.dataset.ready")
    yield watched
    context.close()


def test_nothing_overflows_and_all_is_legible(deck: Watched) -> None:
    assert deck.page.evaluate("Reveal.getScale()") == 1, "pixels are those of the projector"
    pages = deck.page.evaluate(MEASURE)
    assert len(pages) >= 15
    faults = []
    for page in pages:
        where = f"page {page['page']} ({page['text']!r})"
        if page["bottom"] > 700 or page["right"] > 1262 or page["scroll"] > 720:
            faults.append(f"{where} reaches {page['bottom']:.0f} down, {page['right']:.0f} right")
        if page["lines"] > 12:
            faults.append(f"{where} has {page['lines']} lines of code")
        if page["size"] < 24:
            faults.append(f"{where} has code of {page['size']} px")
        if page["scale"] * 13.9 < 16:  # 10 points at 100 dots an inch
            faults.append(f"{where} has labels of {page['scale'] * 13.9:.1f} px")
        if not page["blocks"]:
            faults.append(f"{where} is empty")
    assert not faults, "\n".join(faults)


def test_it_asks_for_nothing(deck: Watched) -> None:
    deck.page.evaluate("Reveal.getSlides().forEach((_, i) => Reveal.next())")
    asked = [url for url in deck.requests if not url.startswith(("data:", "blob:"))]
    assert asked == [deck.page.url.split("#")[0]]
    assert not deck.complaints


def test_mathematics_pictures_and_sound_work(deck: Watched, chapter: Path) -> None:
    page = deck.page
    assert page.locator("mjx-container svg").count() >= 1
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert widths and min(widths) > 100
    assert all(page.evaluate("[...document.images].map(image => image.alt.length > 10)"))
    players = page.locator("audio").count()
    if "audio/mpeg" in chapter.read_text(encoding="utf-8"):
        page.wait_for_function(
            "[...document.querySelectorAll('audio')].every(sound => sound.duration > 0.05)"
        )
    else:
        assert players == 0
    colours = page.evaluate(
        "new Set([...document.querySelectorAll('.code span')]"
        ".map(part => getComputedStyle(part).color)).size"
    )
    assert colours >= 4


def test_a_sound_plays(decks: Path, chromium: Browser) -> None:
    context = chromium.new_context(offline=True)
    page = watch(context.new_page()).page
    page.goto((decks / f"{CHAPTERS[0].stem}.html").as_uri())
    page.wait_for_function("document.documentElement.dataset.ready")
    page.evaluate("document.querySelector('audio').play()")
    page.wait_for_function("document.querySelector('audio').currentTime > 0.05")
    context.close()


def test_minutes_of_the_pages_add_up_to_the_chapter(deck: Watched, chapter: Path) -> None:
    first = json.loads(chapter.read_text(encoding="utf-8"))["cells"][0]["source"]
    stated = int(re.search(r"(\d+) minutes in class", "".join(first)).group(1))  # type: ignore[union-attr]
    seconds = deck.page.evaluate(
        "Reveal.getSlides().map(slide => Number(slide.dataset.timing || 0))"
    )
    assert sum(seconds) == 60 * stated
    notes = deck.page.evaluate("Reveal.getSlides().map(slide => Reveal.getSlideNotes(slide) || '')")
    for second, note in zip(seconds, notes, strict=True):
        assert (second > 0) == ("For the teacher" in note)


def test_no_solution_is_in_it(chapter: Path, decks: Path) -> None:
    text = (decks / f"{chapter.stem}.html").read_text(encoding="utf-8")
    text = html.unescape(re.sub(r"<[^>]+>", "", text[text.index("<main") :]))
    cells = json.loads(chapter.read_text(encoding="utf-8"))["cells"]
    solutions = [cell for cell in cells if "solution" in cell["metadata"].get("tags", [])]
    shown = "".join("".join(cell["source"]) for cell in cells if cell not in solutions)
    lines = {line.strip() for cell in solutions for line in cell["source"]}
    own = [line for line in lines if len(line) > 20 and line not in shown]
    assert own
    assert not [line for line in own if line in text]
    assert "assert checks." not in text


def test_it_is_accessible(deck: Watched, axe: str) -> None:
    """All pages at once, as one document: what reveal.js hides, a reader meets later."""
    page = deck.page
    page.evaluate(
        """() => {
          for (const part of document.querySelectorAll('.slides section, .slides .fragment')) {
            part.hidden = false;
            part.removeAttribute('aria-hidden');
            part.classList.add('visible');
            part.style = 'display: block; position: static; opacity: 1; visibility: visible;'
              + 'transform: none; transition: none';
          }
          document.querySelector('.slides').style = 'position: static; display: block; zoom: 1';
          document.querySelectorAll('.slides section.stack > section').forEach(part => {
            part.style.minHeight = '720px'; part.style.height = 'auto';
          });
        }"""
    )
    found = violations(page, axe)
    page.reload()
    page.wait_for_function("document.documentElement.dataset.ready")
    assert not found, "\n".join(found)


PLAIN = """
(() => {
  const plain = Reveal.getSlides().filter(slide =>
    slide.nextElementSibling && !slide.querySelector('.fragment'));
  const {h, v} = Reveal.getIndices(plain.find(slide => Reveal.getIndices(slide).h > 0));
  return [h, v];
})()
"""


def test_the_speaker_sees_notes_and_the_next_page(decks: Path, chromium: Browser) -> None:
    context = chromium.new_context(offline=True)
    watched = watch(context.new_page())
    page = watched.page
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page.goto((decks / f"{CHAPTERS[1].stem}.html").as_uri())
    page.wait_for_function("document.documentElement.dataset.ready")
    # A page that shows all at once, and has another below it.
    h, v = page.evaluate(PLAIN)
    page.evaluate(f"Reveal.slide({h}, {v})")
    with context.expect_page() as opened:
        page.keyboard.press("s")
    speaker = opened.value
    speaker.set_default_timeout(120_000)
    speaker.wait_for_selector("iframe >> nth=1", state="attached")
    speaker.wait_for_function(
        "document.querySelector('.speaker-controls-notes .value').innerText.includes('For the')"
    )
    for name, index in (("current", {"h": h, "v": v}), ("upcoming", {"h": h, "v": v + 1})):
        frame = speaker.query_selector(f"#{name}-slide iframe").content_frame()
        frame.wait_for_function("document.documentElement.dataset.ready")
        assert frame.evaluate("Reveal.getScale()") > 0.2
        shown = frame.evaluate("Reveal.getIndices()")
        assert {"h": shown["h"], "v": shown["v"]} == index
    assert all(url.startswith(("file:", "data:", "about:", "blob:")) for url in asked), asked
    context.close()
