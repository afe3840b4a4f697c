"""Set-up that every test shares. Environment variables come first: torch reads them on import."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# One thread a process: two test processes share the machine, and trained numbers depend on it.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"
# Debugger's warning about frozen modules, printed by every kernel.
os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
# Tests never write into a student's my_work. One folder for each test process.
_WORK = tempfile.TemporaryDirectory(prefix="course_work_", ignore_cleanup_errors=True)
os.environ["COURSE_WORK"] = _WORK.name
# What a shell starts in the background ignores Ctrl-C; the tests send it to themselves and others.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]

# The same inputs in every run: a student's `make test` must not fail by chance.
settings.register_profile("course", derandomize=True)
settings.load_profile("course")


@pytest.fixture(scope="session")
def repository() -> Path:
    """Top folder of the course's repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def fsdd_dir() -> Path:
    """Folder of real recordings (the files are in its ``recordings``), from ``FSDD_DIR``."""
    folder = os.environ.get("FSDD_DIR")
    if not folder:
        pytest.skip("FSDD_DIR is not set: no real recordings")
    path = Path(folder)
    if not (path / "recordings").is_dir():
        pytest.fail(f"FSDD_DIR is {folder}, which has no folder named recordings.")
    return path


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how long each notebook took, all its cells and the start of its kernel together."""
    seconds: dict[str, float] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            name = getattr(report, "nodeid", "").split("::")[0]
            if name.endswith(".ipynb"):
                seconds[name] = seconds.get(name, 0.0) + getattr(report, "duration", 0.0)
    if seconds:
        terminalreporter.section("time per notebook")
        for name, duration in sorted(seconds.items()):
            terminalreporter.line(f"{duration:7.1f} s  {name}")
        terminalreporter.line(f"{sum(seconds.values()):7.1f} s  together")
