"""README.md promises only what is there: commands, files, chapters."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import set_up
from course_utils import __main__ as command_line

REPOSITORY = Path(__file__).resolve().parents[1]
TEXT = (REPOSITORY / "README.md").read_text(encoding="utf-8")
CI_RUN = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
WORKFLOW = (REPOSITORY / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
    return [line for block in found for line in block.splitlines() if line.strip()]


def test_the_first_two_commands() -> None:
    assert blocks("bash")[:2] == ["make lab", "make test"]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)", TEXT))))
def test_each_make_target_exists(target: str) -> None:
    if target in ("command",):  # the message `make: command not found`
        return
    result = subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True)
    assert result.returncode == 0, result.stderr.decode()


@pytest.mark.parametrize("words", sorted(set(re.findall(r"set_up\.py ([a-z-]+)", TEXT))))
def test_each_command_of_the_script_exists(words: str) -> None:
    assert words in ("lab", "install", *set_up.TASKS)


@pytest.mark.parametrize("words", sorted(set(re.findall(r"-m course_utils ([a-z]+)", TEXT))))
def test_each_sub_command_exists(words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.main([words, "--help"])
    assert ended.value.code == 0


def test_linux_commands_run_in_ci() -> None:
    """`make lab` and the doctor run inside the tests that `make test` runs; the rest by name."""
    called = set(re.findall(r"for target in ([^;]+);", CI_RUN)[0].split())
    for line in blocks("bash"):
        if line.startswith("make "):
            assert line.split()[1] in called | {"lab"}, line
        else:
            assert line == ".venv/bin/python -m course_utils doctor"


def test_the_other_commands_run_in_the_workflow() -> None:
    for line in blocks("powershell"):
        assert line.startswith("py tools/set_up.py ")
    assert "python tools/set_up.py test" in WORKFLOW
    assert "environment-file: environment.yml" in WORKFLOW
    assert "set_up.py test --no-venv" in WORKFLOW


def test_each_link_into_the_repository_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    assert "book/images/overview.svg" in targets
    for target in targets:
        assert (REPOSITORY / target).exists(), target


def test_each_link_within_the_page_leads_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", TEXT, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for anchor in re.findall(r"\]\(#([^)]+)\)", TEXT):
        assert anchor in anchors


def test_each_picture_has_a_text_alternative() -> None:
    alternatives = re.findall(r"!\[([^\]]*)\]", TEXT)
    assert len(alternatives) == 2 and all(len(text) > 60 for text in alternatives)


def test_the_table_names_the_chapters_that_exist() -> None:
    listed = re.findall(r"^\| `(\d\d_\w+\.ipynb)` \|", TEXT, flags=re.MULTILINE)
    assert listed == sorted(path.name for path in (REPOSITORY / "notebooks").glob("*.ipynb"))


def test_no_sentence_is_about_a_missing_file() -> None:
    for name in re.findall(r"`([\w./]+\.(?:py|yml|toml|txt|md))`", TEXT):
        assert (REPOSITORY / name).exists(), name


def test_script_describes_itself() -> None:
    script = str(REPOSITORY / "tools" / "set_up.py")
    output = subprocess.check_output([sys.executable, script, "--help"], encoding="utf-8")
    assert "--no-venv" in output
