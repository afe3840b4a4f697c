"""The book: whole, linked, without the teacher's notes; and the instructor's kit."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

import make_book
import mark_submission as mark
from command_line import parser
from course_utils import models, training
from course_utils.recogniser import Recogniser

REPOSITORY = Path(__file__).resolve().parents[1]
BOOK, TOOLS = REPOSITORY / "book", REPOSITORY / "tools"
CHAPTERS = sorted((REPOSITORY / "notebooks").glob("[0-9][0-9]_*.ipynb"))
KIT = BOOK / "instructor"
# Words in brackets that are no terms.
NO_TERMS = {"常见错误", "小结", "练习", "猜一猜", "讲义", "参考答案"}
# What the notes write, other names of a term, and words that are no terms of the field.
NO_TERMS |= {"滑动叠加", "取对数", "图例", "图形", "算法", "原始参数", "最终参数", "目标是概率值"}
NO_TERMS |= {"目标是类别", "卷积步进", "网络", "小型卷积网络", "也叫丢弃法", "丢弃法"}
NO_TERMS |= {"暂退法", "汇聚", "余弦定理", "提升高频能量", "抑制低频能量", "倒谱均值归一化"}
NO_TERMS |= {"梅尔", "梳状", "正交归一"}
NO_TERMS |= {"海森矩阵"}


# ------------------------------------------------------------------ glossary and docstrings


def glossary_rows(folder: Path = BOOK) -> list[tuple[str, str]]:
    text = (folder / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| (.+?) \| .+ \|$", text, flags=re.MULTILINE)
    return [row for row in rows if row[0] != "English"]


def test_each_term_of_the_glossary_is_introduced_by_a_chapter() -> None:
    text = (BOOK / "glossary.md").read_text(encoding="utf-8")
    _, missing = make_book.glossary(text, CHAPTERS)
    assert not missing
    names = [row[0] for row in glossary_rows()]
    assert names == sorted(names, key=str.lower) and len(set(names)) == len(names)


def test_each_term_in_brackets_stands_in_the_glossary() -> None:
    """Chinese words in brackets within prose; headings name sections, not only terms."""
    terms = {term for row in glossary_rows() for term in row[1].split("、")} | NO_TERMS
    known = {re.sub(r"[\sA-Za-z0-9`*-]+", "", term) for term in terms}
    unknown = []
    for path in CHAPTERS:
        for text, number, _ in make_book.introductions([path]):
            prose = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
            for bracket in re.findall(r"[(（]([^()（）]*[\u4e00-\u9fff][^()（）]*)[)）]", prose):
                for word in re.split(r"[、，,;]", bracket):
                    term = re.sub(r"[\sA-Za-z0-9`*-]+", "", word)
                    term = term.strip("'_:.")
                    if term and term not in known:
                        unknown.append((path.stem[:2], number, term))
    assert not unknown


def test_a_term_links_to_its_first_section(tmp_path: Path) -> None:
    rows = "| English | 中文 | meaning |\n|---|---|---|\n| frame | 帧 | a piece |\n| x | 无 | y |"
    text, missing = make_book.glossary(rows, CHAPTERS)
    assert "| frame | 帧 | a piece | {ref}`1.4 <01-1-4-" in text
    assert missing == ["x"] and "| x |" not in text


def test_the_chinese_glossary_has_the_same_terms() -> None:
    assert glossary_rows(REPOSITORY / "zh") == glossary_rows()


@pytest.mark.parametrize(
    ("text", "english", "term", "given"),
    [
        ("这叫声带（vocal folds）。", "vocal folds", "声带", True),
        ("这叫**权重共享**（weight sharing）。", "shared weights", "权重共享", True),
        ("## 5.7 池化", "pooling", "池化", True),
        ("## 完整的神经网络", "neural network", "神经网络", True),
        ("即波形 `waveform`", "waveform", "波形", True),
        ("**Adam**（自适应矩估计）", "Adam", "自适应矩估计", True),
        ("FFT（快速傅里叶变换）", "fast Fourier transform (FFT)", "快速傅里叶变换", True),
        ("`SGD`（gradient descent，梯度下降）", "gradient descent", "梯度下降", True),
        ("## 4.1 交叉熵", "entropy", "熵", False),
        ("交叉熵（cross-entropy）", "entropy", "熵", False),
        ("100 轮（round）之后", "epoch", "轮", False),
        ("滑动平均 `m`", "moving average", "滑动平均", False),
    ],
)
def test_a_term_stands_beside_its_english_name_or_in_a_heading(
    text: str, english: str, term: str, given: bool
) -> None:
    assert make_book.introduces_in_chinese(text, english, term, ["交叉熵"]) is given


def test_the_page_of_the_package_names_each_module() -> None:
    text = (BOOK / "package.md").read_text(encoding="utf-8")
    named = re.findall(r"automodule:: course_utils\.(\w+)$", text, flags=re.MULTILINE)
    there = {path.stem for path in (REPOSITORY / "course_utils").glob("*.py")}
    assert set(named) == there - {"__init__", "__main__", "cli"}
    assert len(set(named)) == len(named)


# ------------------------------------------------------------------ the website


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("website") / "book"
    result = subprocess.run(
        [sys.executable, str(TOOLS / "make_book.py"), "--to", str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "WARNING" not in result.stdout + result.stderr
    return folder


@pytest.fixture(scope="module")
def pages(book: Path) -> dict[Path, BeautifulSoup]:
    paths = [path for path in book.rglob("*.html") if "_static" not in path.parts]
    return {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in paths}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_it_holds_all_parts(book: Path) -> None:
    for path in CHAPTERS:
        assert (book / "notebooks" / f"{path.stem}.html").exists()
    for name in ("glossary", "package", "recogniser", "datasheet", "results", "authors", "search"):
        assert (book / f"{name}.html").exists()
    for name in ("plan", "questions", "assignments", "errors"):
        assert (book / "instructor" / f"{name}.html").exists()
    package = (book / "package.html").read_text(encoding="utf-8")
    assert "course_utils.audio.load" in package and "Raises" in package
    assert "Args:" not in package, "a docstring that isn't in Google's style"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_its_recogniser_says_how_it_does_on_voices_that_it_never_heard(book: Path) -> None:
    text = (book / "recogniser_page.html").read_text(encoding="utf-8")
    model = json.loads(BeautifulSoup(text, "html.parser").find(id="model").string)
    assert model["hosted"] is True and model["card"]["people"] >= 5
    assert model["card"]["accuracy"] > 0.8


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_link_is_broken(book: Path, pages: dict[Path, BeautifulSoup]) -> None:
    identifiers = {
        path: {tag["id"] for tag in page.find_all(id=True)} for path, page in pages.items()
    }
    broken = []
    for path, page in pages.items():
        for tag in page.find_all(["a", "img", "script", "link", "source", "audio"]):
            target = tag.get("href") or tag.get("src")
            if not target or target.startswith(("data:", "mailto:")):
                continue
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                assert tag.name == "a", f"{path.name} loads {target}"
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            known = identifiers.get(file)
            if not file.exists() or (anchor and known is not None and anchor not in known):
                broken.append(f"{path.relative_to(book)}: {target}")
    assert not broken, "\n".join(sorted(set(broken))[:20])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_notes_are_left_out_and_solutions_are_hidden(book: Path) -> None:
    for chapter in CHAPTERS:
        page = BeautifulSoup(
            (book / "notebooks" / f"{chapter.stem}.html").read_text(encoding="utf-8"),
            "html.parser",
        )
        assert "For the teacher" not in page.get_text()
        solutions = page.select("div.cell.tag_solution")
        assert len(solutions) >= 3
        for solution in solutions:
            hidden = solution.select_one("details")
            assert hidden is not None and not hidden.has_attr("open")
        answers = page.select("div.cell.tag_hide-output")
        assert answers and all(answer.select_one("details") for answer in answers)
        assert not page.select("div.cell.tag_check")
        assert "accepts(" not in page.get_text()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_picture_has_a_text_alternative(pages: dict[Path, BeautifulSoup]) -> None:
    count = 0
    for path, page in pages.items():
        for image in page.select("article img"):
            count += 1
            assert len(image.get("alt", "").split()) >= 4, f"{path.name}: {str(image)[:120]}"
    assert count >= 3 * len(CHAPTERS)


# ------------------------------------------------------------------ the instructor's kit


def test_six_questions_a_chapter_one_of_them_a_prediction() -> None:
    text = (KIT / "questions.md").read_text(encoding="utf-8")
    for number in range(1, 9):
        part = re.search(rf"^## Chapter {number}\b.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert part is not None
        questions = re.findall(rf"^\*\*{number}\.(\d)", part[0], flags=re.MULTILINE)
        assert questions == list("123456")
        assert len(re.findall("Predict before you run", part[0])) == 1
        assert part[0].count("*Answer.*") == 6


def sections(chapter: Path) -> list[str]:
    """The numbers of a chapter's sections."""
    cells = json.loads(chapter.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells)
    return re.findall(r"^## (\d\.\d+) ", text, flags=re.MULTILINE)


def section_minutes(chapter: Path) -> dict[str, int]:
    """What the teacher's notes say together, by the number of the section that they follow."""
    minutes: dict[str, int] = {}
    section = ""
    for cell in json.loads(chapter.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if heading := re.match(r"## (\d\.\d+) ", text):
            section = heading[1]
        if note := re.match(r"\*For the teacher, (\d+) min", text):
            minutes[section] = minutes.get(section, 0) + int(note[1])
    return minutes


def test_what_the_cut_list_saves_is_what_the_sections_take() -> None:
    minutes = {section: m for path in CHAPTERS for section, m in section_minutes(path).items()}
    rows = re.findall(
        r"^\| (\d\.\d+) (.+?) \| (\d+) min \|",
        (KIT / "plan.md").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    assert len(rows) >= 8
    for section, _, saved in rows:
        assert int(saved) == minutes[section], section


def test_every_section_of_the_plan_is_one_of_its_chapter() -> None:
    there = {section for path in CHAPTERS for section in sections(path)}
    plan = (KIT / "plan.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\d.])(\d\.\d{1,2})\b", plan))
    assert named - there == set()


def test_the_commands_of_the_assignments_are_ones_that_the_course_has() -> None:
    text = (KIT / "assignments.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\.venv/bin/python -m course_utils (.+)$", text, flags=re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert parser().parse_args(command.split()).run
    baseline = parser().parse_args(commands[0].split())
    assert f"--baseline {baseline.out}/model.pt" in text


def test_the_minutes_of_the_plan_are_whole_classes() -> None:
    rows = re.findall(
        r"^\| (\d+) \| (?:chapter|exercises)",
        (KIT / "plan.md").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    assert [int(row) for row in rows] == list(range(1, 13))


def hidden_data(folder: Path) -> Path:
    """Three speakers of the course's data, as somebody's hidden recordings."""
    folder.mkdir()
    for speaker in ("awb01", "awb02", "awb03"):
        for path in sorted((REPOSITORY / "data" / "digits_en").glob(f"{speaker}_*.wav")):
            shutil.copy(path, folder)
    return folder


def submission(folder: Path, **changes: object) -> Path:
    folder.mkdir()
    words = list("0123456789")
    Recogniser(models.LeNet5(), words, training.RECIPES["lenet"]).save(folder / "model.pt")
    card = {
        "claimed_accuracy": 0.12,
        "claimed_interval": [0.05, 0.24],
        "interval_over": "speakers",
        "training_speakers": ["slt18", "kal03"],
        "seeds": [0, 1, 2],
    }
    (folder / "card.json").write_text(json.dumps(card | changes), encoding="utf-8")
    text = "# Data\n\n# Protocol\n\n# Results\n\n# Limits\n"
    (folder / "card.md").write_text(text, encoding="utf-8")
    return folder


def run_mark(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOLS / "mark_submission.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8")


def test_a_submission_is_marked(tmp_path: Path) -> None:
    """A network that was never trained and whose author says so keeps the protocol's points."""
    training.seed_everything(0)
    hidden, honest = hidden_data(tmp_path / "hidden"), submission(tmp_path / "honest")
    result = run_mark(honest, hidden, "--baseline", honest / "model.pt")
    assert result.returncode == 0, result.stderr
    assert "30 clips of 3 speakers" in result.stdout
    assert "15 of 15  protocol" in result.stdout and "15 of 15  seeds" in result.stdout
    assert " 0 of 10  accuracy" in result.stdout, "no better than the same model"
    assert re.search(r"\d+ of 70 points by script", result.stdout)
    assert "lacks the headings" not in result.stdout


def result_of(accuracy: float, interval: tuple[float, float]) -> object:
    return mark.Result(accuracy, interval, 60, ["a", "b"])


@pytest.mark.parametrize(
    ("claim", "over", "points"),
    [
        ([0.70, 0.85], "speakers", 30),  # honest and narrow
        ([0.65, 0.90], "speakers", 25),
        ([0.10, 1.00], "speakers", 20),  # right, and says little
        ([0.81, 0.90], "speakers", 22),  # beside the accuracy, but in agreement
        ([0.95, 0.99], "speakers", 0),
        ([0.70, 0.85], "clips", 0),
    ],
)
def test_the_interval_counts_more_than_the_accuracy(
    claim: list[float], over: str, points: int
) -> None:
    card = {"claimed_interval": claim, "interval_over": over, "training_speakers": ["c"]}
    assert mark.interval(card, result_of(0.8, (0.7, 0.9))).given == points
    assert mark.protocol(card, result_of(0.8, (0.7, 0.9))).given == 15
    assert mark.protocol({"training_speakers": ["a"]}, result_of(0.8, (0.7, 0.9))).given == 0
    better = mark.accuracy(result_of(0.8, (0.7, 0.9)), result_of(0.5, (0.4, 0.6)))
    assert better.given == better.possible == 10


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"claimed_interval": [0.5]}, "two numbers"),
        ({"claimed_interval": [0.5, 0.6], "claimed_accuracy": 0.9}, "lies in its interval"),
        ({"seeds": 3}, "lacks seeds"),
    ],
)
def test_a_bad_card_is_one_sentence(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    result = run_mark(submission(tmp_path / "bad", **changes), tmp_path)
    assert result.returncode == 2 and words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_missing_model_is_one_sentence(tmp_path: Path) -> None:
    hidden, folder = hidden_data(tmp_path / "hidden"), submission(tmp_path / "none")
    (folder / "model.pt").unlink()
    result = run_mark(folder, hidden)
    assert result.returncode == 2 and "model.pt" in result.stderr
    assert "Traceback" not in result.stderr
