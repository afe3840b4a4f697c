"""ruff (lint and format, notebooks included) and mypy pass; one vocabulary; a small package."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = (
    ["ruff", "check"],
    ["ruff", "format", "--check", "--exclude", "*.ipynb"],
    ["ruff", "format", "--check", "--line-length", "80", "notebooks"],  # they are projected
    pytest.param(["mypy"], marks=pytest.mark.slow),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_tool_finds_nothing(command: list[str], repository: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", *command], cwd=repository, capture_output=True, encoding="utf-8"
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_ruff_reads_the_notebooks(repository: Path, tmp_path: Path) -> None:
    """The pass above would mean little for notebooks if ruff left them out."""
    notebook = tmp_path / "01_bad.ipynb"
    notebook.write_text(
        '{"cells": [{"cell_type": "code", "execution_count": null, "id": "a", "metadata": {},'
        ' "outputs": [], "source": ["import os"]}], "metadata": {}, "nbformat": 4,'
        ' "nbformat_minor": 5}',
        encoding="utf-8",
    )
    configuration = repository / "pyproject.toml"
    result = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--config", str(configuration), str(notebook)],
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 1 and "imported but unused" in result.stdout


# --- one vocabulary -----------------------------------------------------------------------------

# What a name was once called, or is called elsewhere. Keywords of other libraries (`lr=0.1` for
# `torch.optim`) and their attributes (`info.samplerate`) stay theirs.
OLD_NAMES = {
    "lr": "learning_rate",
    "sr": "sample_rate",
    "fs": "sample_rate",
    "samplerate": "sample_rate",
    "nfft": "n_fft",
    "hop_len": "hop_length",
    "win_len": "win_length",
    "n_mel": "n_mels",
    "optimiser": "optimizer",
    "optim": "optimizer",
    "SpokenDigits": "SpokenWords",
    "save_model": "Recogniser.save",
    "load_model": "Recogniser.load",
}
# The same in text: prose, docstrings, and what is imported from where.
OLD_TEXT = re.compile(
    r"\boptimisers?\b|\bSpokenDigits\b|\b(?:save|load)_model\b"
    r"|\bcourse_utils[./](?:digits|commands|cli|download|experiment|set_up|doctor)\b"
    r"|course_utils import [^\n]*\b(?:digits|commands|cli|download|experiment|set_up|doctor)\b"
    r"|\bdigits\.(?:pictures|split_\w+|Split)\b"
    r"|\btraining\.(?:augment|evaluate|predict|confusion|wilson_interval|speaker_interval)\b"
    r"|\bfeatures\.(?:log_mel_\w+|find_word)\b",
    re.IGNORECASE,
)
ROOT = Path(__file__).resolve().parents[1]
WRITTEN = [
    *sorted((ROOT / "course_utils").rglob("*.py")),
    *sorted((ROOT / "tools").glob("*.py")),
    *sorted((ROOT / "data").glob("*.py")),
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
]


def cells(path: Path) -> list[tuple[str, bool]]:
    """Return the texts of a file and whether each is Python: a script is one, a notebook many."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return [(text, True)]
    return [
        ("".join(cell["source"]), cell["cell_type"] == "code")
        for cell in json.loads(text)["cells"]
        if "lecture-notes" not in cell.get("metadata", {}).get("tags", [])  # in their own names
    ]


def names_in(code: str) -> set[str]:
    """Return the names that code itself gives or uses, without keywords and attributes."""
    lines = [line for line in code.splitlines() if not line.lstrip().startswith(("%", "!"))]
    found = set()
    for node in ast.walk(ast.parse("\n".join(lines))):
        for field in ("id", "arg", "name", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str) and not isinstance(node, ast.keyword):
                found.add(value)
    return found


def old_names(path: Path) -> list[str]:
    """Return the old names in a file, each with the one that it has today."""
    found = []
    for text, is_code in cells(path):
        found += sorted({match[0] for match in OLD_TEXT.finditer(text)})
        if is_code:
            old = sorted(names_in(text) & OLD_NAMES.keys())
            found += [f"{name} (say {OLD_NAMES[name]})" for name in old]
    return found


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_vocabulary_is_kept(path: Path) -> None:
    assert old_names(path) == []


def test_old_names_would_be_found(tmp_path: Path) -> None:
    script, notebook = tmp_path / "a.py", tmp_path / "a.ipynb"
    code = "from course_utils import digits\ndef f(lr): return lr\ntorch.optim.SGD(w, lr=1)\n"
    script.write_text(f"{code}# the optimiser\ninfo.samplerate\n", encoding="utf-8")
    assert old_names(script) == [
        "course_utils import digits", "optimiser", "lr (say learning_rate)",
    ]  # fmt: skip
    cell = {"cell_type": "code", "source": ["%matplotlib inline\n", "sr = 16000"]}
    prose = {"cell_type": "markdown", "source": "`digits.pictures` gives the sr"}
    notebook.write_text(json.dumps({"cells": [cell, prose]}), encoding="utf-8")
    assert old_names(notebook) == ["sr (say sample_rate)", "digits.pictures"]


# --- a package that one holds in mind -----------------------------------------------------------

# 2,500 lines were aimed at. Sound files of other programs, any words, honest messages, a second
# language and the web page take more; these limits keep the package from growing further unseen.
# Drawings do not count: nobody reads them to understand the course.
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 4040, 40
# Longer functions, their docstrings apart, and why each is one piece.
LONG_FUNCTIONS = {
    "training.fit": "the loop that a teacher reads aloud from its first line to its last",
    "experiment._train_fold": "two trainings that share all but clips, epochs and file",
}


def test_the_package_stays_small() -> None:
    """Without checks and drawings, docstrings and blank lines included."""
    lengths = {
        path.name: len(path.read_text(encoding="utf-8").splitlines())
        for path in sorted((ROOT / "course_utils").glob("*.py"))
        if path.stem != "drawings"
    }
    assert sum(lengths.values()) <= MOST_LINES, lengths


def long_functions(path: Path) -> dict[str, int]:
    """Return the functions of a file that are too long, with their lines without docstrings."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1
            if ast.get_docstring(node) is not None:
                lines -= node.body[0].end_lineno - node.body[0].lineno + 1
            if lines > MOST_LINES_OF_A_FUNCTION:
                found[f"{path.stem}.{node.name}"] = lines
    return found


def test_a_long_function_has_a_reason() -> None:
    """Without the checks, as above."""
    found: dict[str, int] = {}
    for folder in ("course_utils", "tools"):
        for path in sorted((ROOT / folder).glob("*.py")):
            found |= long_functions(path)
    without = {name: lines for name, lines in found.items() if name not in LONG_FUNCTIONS}
    assert without == {}, "shorten them, or give a reason in LONG_FUNCTIONS"
    assert LONG_FUNCTIONS.keys() <= found.keys(), "these are short by now"
