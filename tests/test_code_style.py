"""ruff (lint and format, notebooks included) and mypy pass on the whole course."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = (
    ["ruff", "check"],
    ["ruff", "format", "--check", "--exclude", "*.ipynb"],
    ["ruff", "format", "--check", "--line-length", "80", "notebooks"],  # they are projected
    ["mypy"],
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
