"""The Chinese edition is whole, up to date, and says what the English one says.

Tone cannot be proved; what a machine gets wrong can: numbers, formulas, links, spacing, and words
that no lecturer would use.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import autocorrect_py
import pytest
from bs4 import BeautifulSoup
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

import chinese_edition as edition
import make_book
import messages
from course_utils import language

REPOSITORY = Path(__file__).resolve().parents[1]
CHAPTERS = edition.chapters()
HAN = re.compile(r"[\u4e00-\u9fff]")
# Words that are wrong here, each with those in which it may stand.
FORBIDDEN = {
    "步进": ("逐步进行", "讲义作“步进”", "“步进”"),
    "笔记": ("笔记本",),
    "正确率": (),
    "您": (),
    "图层": (),
    "此外": (),
    "值得注意的是": (),
    "对于": (),
    "噪音": (),
    "该网络": (),
    "简单地说": (),
    "众所周知": (),
    "让我们": (),
    "进行": ("逐步进行", "利用 padding 来进行卷积填充", "进行滑动叠加", "然后进行"),
    "内核": ("内核重启", "重启内核", "Jupyter"),
    "过度拟合": (),
}
# Four Latin words in a row are English that was forgotten; names and titles of works are not.
NAMES = r"[A-Z][\w.'-]*|of|and|the|in|to|for|et|al|vs|by|on|a|an"


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem[:2])
def chapter(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def blocks(chapter: Path) -> list[edition.Block]:
    return edition.blocks(edition.text_of(chapter).read_text(encoding="utf-8"))


@pytest.fixture
def pairs(chapter: Path, blocks: list[edition.Block]) -> list[tuple[str, edition.Block]]:
    """The English and the block of each Markdown cell."""
    english = {cell["id"]: edition.source(cell) for cell in edition.read(chapter)["cells"]}
    return [(english[block.cell], block) for block in blocks if block.kind == "cell"]


@pytest.fixture
def in_chinese():
    language.use("zh")
    yield
    language.use("")


def plain(text: str) -> str:
    """The text without code, formulas and addresses."""
    text = re.sub(r"```.*?```|\$\$.*?\$\$", " ", text, flags=re.DOTALL)
    return re.sub(r"`[^`]*`|\$[^$\n]+\$|\]\([^)]*\)|<!--.*?-->|<[^>]+>", " ", text)


def formulas(text: str) -> Counter[str]:
    text = re.sub(r"```.*?```|`[^`]*`", " ", text, flags=re.DOTALL)
    found = re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", text, flags=re.DOTALL)
    return Counter(re.sub(r"\\text\{[^}]*\}|\s", "", "".join(pair)) for pair in found)


def numerals(text: str) -> Counter[str]:
    """Numbers as digits: 2.5 billion and 25 亿 are the same."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", plain(text))
    found = Counter()
    scale = {"亿": 1e8, "万": 1e4, "billion": 1e9, "million": 1e6, "thousand": 1e3}
    for number, unit in re.findall(
        r"(?<![\w.])(\d+(?:\.\d+)?)\s?(亿|万|billion|million|thousand)?", text
    ):
        found[f"{float(number) * scale.get(unit, 1):g}"] += 1
    return found


def parts(text: str) -> dict[str, object]:
    """What a translation must keep: how many headings, items and rows; which code, links."""
    return {
        "headings": len(re.findall(r"^#+ ", text, flags=re.MULTILINE)),
        "items": len(re.findall(r"^\s*(?:[-*]|\d+\.) ", text, flags=re.MULTILINE)),
        "rows": len(re.findall(r"^\|", text, flags=re.MULTILINE)),
        "code": Counter(re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)),
        "fences": re.findall(r"```.*?```", text, flags=re.DOTALL),
        "links": Counter(re.findall(r"\]\(([^)]*)\)", text)),
        "formulas": formulas(text),
    }


def test_each_cell_is_translated_once_in_order_and_up_to_date(chapter, blocks):
    assert list(edition.problems(edition.read(chapter), blocks, chapter)) == []


def test_the_notebook_is_what_is_built(chapter, blocks, in_chinese):
    built = edition.build(edition.read(chapter), blocks)
    saved = edition.read(edition.CHINESE / chapter.name)
    assert json.dumps(built, ensure_ascii=False) == json.dumps(saved, ensure_ascii=False), (
        "run `python tools/chinese_edition.py`"
    )


def test_the_code_is_that_of_the_english_chapter(chapter):
    def trees(path):
        cells = [c for c in edition.read(path)["cells"] if c["cell_type"] == "code"]
        sources = [re.sub(r"^\s*[%!].*$", "pass", edition.source(c), flags=re.M) for c in cells]
        return [ast.dump(ast.parse(source)) for source in sources]

    english, chinese = trees(chapter), trees(edition.CHINESE / chapter.name)
    switch = ast.dump(
        ast.parse(
            edition.source(
                [c for c in edition.read(chapter)["cells"] if c["cell_type"] == "code"][1]
            )
            + edition.SWITCH
        )
    )
    assert chinese[1] == switch
    assert english[:1] + english[2:] == chinese[:1] + chinese[2:]


def test_a_translation_keeps_structure_code_formulas_and_links(pairs):
    for english, block in pairs:
        wanted, found = parts(english), parts(block.text)
        for name in wanted:
            if not block.allows(name):
                assert found[name] == wanted[name], f"{block.cell}: {name}\n{block.text[:300]}"


def test_a_translation_keeps_its_numbers(pairs):
    for english, block in pairs:
        if not block.allows("numerals"):
            wanted, found = numerals(english), numerals(block.text)
            assert found == wanted, f"{block.cell}: {wanted - found} missing, {found - wanted} new"


def test_no_english_is_left(pairs):
    for _, block in pairs:
        text = re.sub(r"[(（][^()（）]*[)）]", " ", plain(block.text))
        for run in re.findall(r"(?:[A-Za-z][\w'-]*[ ,]+){3,}[A-Za-z][\w'-]*", text):
            words = re.findall(r"[A-Za-z][\w.'-]*", run)
            if not all(re.fullmatch(NAMES, word) for word in words):
                assert block.allows("english"), f"{block.cell}: {run}"


def test_it_is_as_long_as_chinese_is(chapter, pairs):
    words = sum(len(re.findall(r"[A-Za-z][A-Za-z'-]*", plain(english))) for english, _ in pairs)
    signs = sum(len(HAN.findall(plain(block.text))) for _, block in pairs)
    assert 1.2 <= signs / words <= 2.3, signs / words


def test_no_word_stands_that_a_lecturer_would_not_use(blocks):
    for block in blocks:
        for word, allowed in FORBIDDEN.items():
            text = block.text
            for longer in allowed:
                text = text.replace(longer, "")
            if word in text:
                assert block.allows("words"), f"{block.cell}: {word}"


def test_emphasis_is_rendered(chapter):
    render = MarkdownWithMath(renderer=IPythonRenderer(escape=False)).render
    for cell in edition.read(edition.CHINESE / chapter.name)["cells"]:
        if cell["cell_type"] == "markdown":
            page = BeautifulSoup(render(edition.source(cell)), "html.parser")
            for code in page.find_all(["code", "pre"]):
                code.decompose()
            assert "**" not in page.get_text(), f"{cell['id']}: {page.get_text()[:200]}"


def test_spacing_is_that_of_printed_chinese(blocks):
    for block in blocks:
        text = re.sub(r"```.*?```", "", block.text, flags=re.DOTALL)
        assert not re.search(r"[\u4e00-\u9fff] ?[,;:?!](?=\s|$|[\u4e00-\u9fff])", plain(text)), (
            f"{block.cell}: half-width marks\n{text[:300]}"
        )
        mended = autocorrect_py.format(text)
        if re.sub(r"\s", "", mended) == re.sub(r"\s", "", text) and not block.allows("spacing"):
            assert mended.split() == text.split(), f"{block.cell}:\n{changed(text, mended)}"


def changed(text: str, mended: str) -> str:
    lines = zip(text.split("\n"), mended.split("\n"), strict=False)
    return "\n".join(f"{old}\n  → {new}" for old, new in lines if old != new)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_notebook_runs(chapter, tmp_path):
    """Under nbval, as the English one does."""
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout", "500"]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
        + [str(edition.CHINESE / chapter.name)],
        cwd=REPOSITORY,
        env=os.environ | {"COURSE_WORK": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stdout[-3000:]


def test_what_a_cell_prints_itself_stays_and_what_the_course_says_does_not():
    language.use("zh")
    try:
        assert edition._said("period: 70 samples", 'print("period:", p, "samples")').isascii()
        assert edition._said("epoch   1 of 2: loss 2", 'line.startswith("epoch")').isascii()
        assert HAN.search(edition._said("Not yet: no", "checks.ch05.ex1(echo)"))
        line = "epoch   1 of 5: loss 2.320, validation accuracy 51.7 %"
        assert HAN.search(edition._said(line, "training.Recipe(epochs=5)"))
    finally:
        language.use("en")


def test_the_chapters_introduce_each_term_of_the_glossary():
    text = (REPOSITORY / "zh" / "glossary.md").read_text(encoding="utf-8")
    made, missing = make_book.glossary(text, [edition.CHINESE / path.name for path in CHAPTERS])
    assert not missing
    assert "| 含义 | 小节 |" in made and "introduced in" not in made


# ------------------------------------------------------------------ messages


CATALOGUE = json.loads(messages.CATALOGUE.read_text(encoding="utf-8"))


def test_each_message_of_the_course_is_translated():
    wanted = messages.templates()
    assert set(wanted) - set(CATALOGUE) == set(), "messages without Chinese"
    assert set(CATALOGUE) - set(wanted) == set(), "messages that are no longer said"


def test_a_translation_has_the_places_of_its_message():
    for english, chinese in CATALOGUE.items():
        if chinese:
            places = Counter(language.PLACE.findall(english))
            assert set(language.PLACE.findall(chinese)) == set(places), english
            assert HAN.search(chinese), english


def test_only_what_no_student_reads_has_no_chinese():
    silent = [english for english, chinese in CATALOGUE.items() if not chinese]
    assert len(silent) <= 0.2 * len(CATALOGUE)
    assert not [text for text in silent if text.endswith((".", "?"))], silent


@pytest.mark.slow
def test_every_verdict_is_chinese(in_chinese, capsys, monkeypatch):
    """All wrong answers that the checks are tested with."""
    monkeypatch.syspath_prepend(str(Path(__file__).with_name("checks")))
    for number in range(1, 9):
        cases = importlib.import_module(f"cases_ch0{number}")
        for check, answer, _ in cases.WRONG:
            check(answer)
            said = capsys.readouterr().out
            assert said.startswith("还不对："), said
            rest = re.sub(r"`[^`]*`|出现 \w+：.*", " ", said)  # what Python or PyTorch said
            assert not re.search(r"(?:\b[a-z]{2,} ){3,}", rest), said
        for check, answer in cases.RIGHT:
            check(answer)
            assert capsys.readouterr().out == "正确。\n"


@pytest.mark.slow
def test_errors_and_the_command_line_speak_chinese(tmp_path):
    environment = {"COURSE_LANG": "zh", "PATH": "", "PYTHONIOENCODING": "utf-8"}

    def said(*arguments: str) -> str:
        command = [sys.executable, "-m", "course_utils", *arguments]
        result = subprocess.run(
            command, capture_output=True, encoding="utf-8", env=environment, cwd=REPOSITORY
        )
        return result.stdout + result.stderr

    (tmp_path / "model.pt").write_bytes(b"nothing")
    out = str(tmp_path / "out")
    for arguments in (
        ["recognize", str(tmp_path / "model.pt"), "a.wav"],
        ["train", str(tmp_path), "--layout", "speaker_digit", "--split", "no", "--out", out],
        ["train", str(tmp_path), "--layout", "speaker_digit", "--split", "all", "--out", out],
    ):
        text = said(*arguments)
        assert HAN.search(text) and not re.search(r"(?:\b[a-z]{2,} ){4,}", text), text
    for text in (said("--help"), said("train", "--help"), said("doctor")):
        assert len(HAN.findall(text)) > 60, text


def test_english_stays_english_without_being_asked(monkeypatch):
    monkeypatch.delenv("COURSE_LANG", raising=False)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert language.current() == "en"
    assert language.translate("Right.") == "Right."


# ------------------------------------------------------------------ each test can fail


ENGLISH_CELL = "Look at **3** things: `x`, $a$ and [this](https://a.org)."
CHINESE_CELL = "看 **3** 样东西：`x`、$a$ 和[这个](https://a.org)。"


@pytest.mark.parametrize(
    "broken",
    [
        CHINESE_CELL.replace("3", "4"),
        CHINESE_CELL.replace("](https://a.org)", ""),
        CHINESE_CELL.replace("`x`", "x"),
        CHINESE_CELL.replace("$a$", "$b$"),
    ],
)
def test_a_changed_number_link_code_or_formula_is_found(broken):
    block = edition.Block("cell", "a1", "", "", "", broken)
    checks = (test_a_translation_keeps_its_numbers,)
    checks += (test_a_translation_keeps_structure_code_formulas_and_links,)
    for check in checks:
        check([(ENGLISH_CELL, edition.Block("cell", "a1", "", "", "", CHINESE_CELL))])
    failures = 0
    for check in checks:
        try:
            check([(ENGLISH_CELL, block)])
        except AssertionError:
            failures += 1
    assert failures == 1


def test_english_forbidden_words_and_spacing_are_found():
    for text, check in (
        ("这里 look at the picture once。", lambda b: test_no_english_is_left([("", b)])),
        ("您看。", lambda b: test_no_word_stands_that_a_lecturer_would_not_use([b])),
        ("共3个 samples.", lambda b: test_spacing_is_that_of_printed_chinese([b])),
        ("你好,再见。", lambda b: test_spacing_is_that_of_printed_chinese([b])),
    ):
        with pytest.raises(AssertionError):
            check(edition.Block("cell", "a1", "", "", "", text))


def notebook(text: str) -> dict:
    cell = {"cell_type": "markdown", "id": "a1", "metadata": {}, "source": text}
    return {"cells": [cell], "metadata": {}}


def test_an_edited_english_cell_is_found_and_can_be_accepted(tmp_path, monkeypatch):
    english = tmp_path / "notebooks"
    english.mkdir()
    chapter = english / "01_a.ipynb"
    chapter.write_text(json.dumps(notebook("Hear it.")), encoding="utf-8")
    monkeypatch.setattr(edition, "ENGLISH", english)
    monkeypatch.setattr(edition, "TEXT", tmp_path)
    text = tmp_path / "01_a.md"
    text.write_text(edition.skeleton(notebook("Hear it.")), encoding="utf-8")

    def faults() -> list[str]:
        found = edition.blocks(text.read_text(encoding="utf-8"))
        return list(edition.problems(edition.read(chapter), found, chapter))

    assert "not accepted" in faults()[0]
    text.write_text(text.read_text(encoding="utf-8").replace("Hear it.", "听一听。"), "utf-8")
    edition.accept(["a1"])
    assert faults() == []
    chapter.write_text(json.dumps(notebook("Hear it twice.")), encoding="utf-8")
    assert "+Hear it twice." in faults()[0]
    with pytest.raises(edition.CourseError, match="Chinese has not"):
        edition.accept(["a1"])
    text.write_text(text.read_text(encoding="utf-8").replace("听一听", "听两遍"), "utf-8")
    edition.accept(["a1"])
    assert faults() == []
    chapter.write_text(json.dumps(notebook("Hear it twice, please.")), encoding="utf-8")
    changed = text.read_text(encoding="utf-8").replace(" -->", ' same="politeness" -->')
    text.write_text(changed, encoding="utf-8")
    edition.accept(["a1"])
    assert faults() == []
