"""The student edition: no answers, runs from top to bottom, and nobody's work is lost."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import chapters
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPT = REPOSITORY / "tools" / "make_student_edition.py"
CHAPTERS = sorted((REPOSITORY / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def make(folder: Path) -> str:
    result = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)], capture_output=True, encoding="utf-8"
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def cells(path: Path) -> list[dict]:
    return list(json.loads(path.read_text(encoding="utf-8"))["cells"])


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def edition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("edition") / "student"
    make(folder)
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A course with one chapter and the script, so that several runs are quick."""
    course = tmp_path / "course"
    (course / "tools").mkdir(parents=True)
    (course / "notebooks").mkdir()
    for name in (SCRIPT.name, "set_up.py"):
        shutil.copy(SCRIPT.with_name(name), course / "tools")
    shutil.copy(CHAPTERS[0], course / "notebooks" / "01_a.ipynb")
    return course


def run_small(course: Path) -> str:
    result = subprocess.run(
        [sys.executable, str(course / "tools" / SCRIPT.name)], capture_output=True, encoding="utf-8"
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_only_answers_outputs_and_notes_are_missing(chapter: Path, edition: Path) -> None:
    full, student = cells(chapter), cells(edition / "notebooks" / chapter.name)
    away = {"solution", "teacher", "check"}
    removed = [c for c in full if away & set(c["metadata"].get("tags", []))]
    assert len(removed) >= 7, "three solutions and four notes at least"
    kept = [cell for cell in full if cell not in removed]
    for ours, theirs in zip(kept, student, strict=True):
        for key in ("cell_type", "id", "metadata", "source"):
            assert ours[key] == theirs[key]
        if theirs["cell_type"] == "code":
            assert theirs["outputs"] == [] and theirs["execution_count"] is None
    text = json.dumps(student)
    for cell in removed:
        assert json.dumps("".join(cell["source"]))[1:-1] not in text


def test_what_a_student_needs_is_there_and_no_answers_are(edition: Path) -> None:
    names = {path.relative_to(edition).as_posix() for path in edition.rglob("*") if path.is_file()}
    assert {"data/demo1.wav", "data/manifest.csv", "course_utils/audio.py", "Makefile"} <= names
    assert {"pyproject.toml", "constraints.txt", "README.md", "tests/conftest.py"} <= names
    assert len([name for name in names if re.fullmatch(r"data/.*\.wav", name)]) > 1000
    assert not [name for name in names if "instructor" in name or "__pycache__" in name]
    tools = {name for name in names if name.startswith("tools/")}
    scripts = {"set_up.py", "doctor.py", "command_line.py", "experiment.py", "download.py"}
    scripts |= {"export_onnx.py", "few_voices.py"}
    assert tools == {f"tools/{name}" for name in scripts | {"fsdd_sha256.txt"}}
    assert not [name for name in names if name.startswith("tests/") and "conftest" not in name]


def test_its_tools_need_no_tool_that_is_left_out(edition: Path) -> None:
    ours = {path.stem for path in SCRIPT.parent.glob("*.py")}
    for script in (edition / "tools").glob("*.py"):
        for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
            needed = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                needed = [str(node.module)]
            for name in ours.intersection(needed):
                assert (edition / "tools" / f"{name}.py").exists(), f"{script.name} needs {name}"


def test_links_of_its_readme_lead_somewhere(edition: Path) -> None:
    text = (edition / "README.md").read_text(encoding="utf-8")
    assert "## Start" in text and "## For instructors" not in text
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (edition / target).exists(), target


def test_the_archive_holds_the_same_files(edition: Path) -> None:
    with zipfile.ZipFile(edition.with_suffix(".zip")) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        notebook = f"student/notebooks/{CHAPTERS[0].name}"
        assert archive.read(notebook) == (edition / "notebooks" / CHAPTERS[0].name).read_bytes()
    given = json.loads((edition / ".given.json").read_text(encoding="utf-8"))
    assert names == [f"student/{name}" for name in sorted(given, key=lambda n: Path(n).parts)]


@pytest.mark.slow
def test_a_second_run_changes_nothing(small: Path) -> None:
    run_small(small)
    archive = small / "build" / "student.zip"
    before = digest(archive)
    assert "beside" not in run_small(small)
    assert digest(archive) == before
    assert len(list((small / "build" / "student" / "notebooks").iterdir())) == 1


@pytest.mark.slow
def test_work_is_never_replaced(small: Path) -> None:
    run_small(small)
    folder = small / "build" / "student" / "notebooks"
    mine = folder / "01_a.ipynb"
    given = mine.read_bytes()
    mine.write_text("my work", encoding="utf-8")
    said = run_small(small)
    assert "was worked on" in said and "01_a_update.ipynb" in said
    assert mine.read_text(encoding="utf-8") == "my work"
    assert (folder / "01_a_update.ipynb").read_bytes() == given
    run_small(small)
    assert len(list(folder.iterdir())) == 2, "the same one is not laid beside twice"

    (folder / "01_a_update.ipynb").write_text("my work too", encoding="utf-8")
    run_small(small)
    assert (folder / "01_a_update.ipynb").read_text(encoding="utf-8") == "my work too"
    assert (folder / "01_a_update2.ipynb").read_bytes() == given


@pytest.mark.slow
def test_what_nobody_touched_follows_the_course(small: Path) -> None:
    run_small(small)
    source = small / "notebooks" / "01_a.ipynb"
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace("You will be able to", "You will learn to"), encoding="utf-8")
    assert "beside" not in run_small(small)
    copy = small / "build" / "student" / "notebooks" / "01_a.ipynb"
    assert "You will learn to" in copy.read_text(encoding="utf-8")
    (small / "build" / "student" / ".given.json").unlink()
    source.write_text(text, encoding="utf-8")
    assert "was worked on" in run_small(small), "without a record, nothing is taken for untouched"
    assert "You will learn to" in copy.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_it_prints_what_the_chapter_prints(chapter: Path, edition: Path, tmp_path: Path) -> None:
    """With two threads: the chapter with its proofs, which must hold; the edition without them."""
    with_proofs = chapters.run(chapter, tmp_path / "with", threads=2)
    given = edition / "notebooks" / chapter.name
    own = {"PYTHONPATH": str(edition)}  # the edition's package and sounds
    without = chapters.run(given, tmp_path / "without", threads=2, **own)
    assert chapters.printed(with_proofs) == chapters.printed(without)
