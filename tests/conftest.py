"""Set-up that every test shares. Environment variables come first: torch reads them on import."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

# One thread a process: two test processes share the machine, and trained numbers depend on it.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
# No windows here; not by MPLBACKEND, with which the notebooks' kernels would draw no picture below
# their cells.
matplotlib.use("Agg")
os.environ.pop("MPLBACKEND", None)
# Tests compare English sentences; the Chinese notebooks choose their language themselves.
os.environ.pop("COURSE_LANG", None)
# Debugger's warning about frozen modules, printed by every kernel.
os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
# Tests never write into a student's my_work. One folder for each test process.
_WORK = tempfile.TemporaryDirectory(prefix="course_work_", ignore_cleanup_errors=True)
os.environ["COURSE_WORK"] = _WORK.name
# What a shell starts in the background ignores Ctrl-C; the tests send it to themselves and others.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",  # in containers everybody is root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)

# The same inputs in every run: a student's `make test` must not fail by chance.
# No deadlines: on a busy machine a right answer may be slow.
settings.register_profile(
    "course", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
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


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Twelve people who say ten digits, in two families."""
    from sounds import write

    folder = tmp_path / "people"
    folder.mkdir()
    rows = ["file,language,speaker,family,part,sha256"]
    for person in range(12):
        for digit in range(10):
            name = f"p{person:02d}_{digit}.wav"
            write(folder / name, seed=10 * person + digit)
            rows.append(f"people/{name},en,p{person:02d},{'ab'[person % 2]},train,0")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def takes(tmp_path: Path) -> Path:
    """Three people who say ten digits four times."""
    from sounds import write

    folder = tmp_path / "takes"
    folder.mkdir()
    for person in ("ann", "bob", "eve"):
        for digit in range(10):
            for take in range(4):
                write(folder / f"{digit}_{person}_{take}.wav", seed=take)
    return folder


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[..., Browser]]:
    """A function that starts Chromium, with further arguments.

    Without Chromium tests are skipped; in CI that is a failure. Playwright's event loop blocks
    those of other tests in the same process, so it ends with the module.
    """
    from playwright.sync_api import sync_playwright

    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        reason = "Chromium is not installed (Debian: apt install chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        yield lambda *more: playwright.chromium.launch(
            executable_path=path, args=[*CHROMIUM_ARGUMENTS, *more]
        )


@pytest.fixture(scope="module")
def chromium(launch: Callable[..., Browser]) -> Iterator[Browser]:
    """A running Chromium."""
    browser = launch()
    yield browser
    browser.close()


@pytest.fixture
def offline(chromium: Browser) -> Iterator[BrowserContext]:
    """A context of 1280 x 720 pixels whose network is cut."""
    context = chromium.new_context(viewport={"width": 1280, "height": 720}, offline=True)
    yield context
    context.close()


# Files that take minutes, the longest first: if they came last, one of two processes would wait.
LONGEST = ("test_notebooks.py", "test_chinese.py", "test_student_edition.py", "test_browser_lab.py")
LONGEST += ("test_whole_sounds.py", "test_numbers_hold.py", "test_browser_chinese.py")
LONGEST += ("test_browser_widgets.py", "test_processes.py", "test_set_up.py", "test_machines.py")
LONGEST += ("08_dataset_and_dataloader.ipynb", "06_lenet.ipynb", "04_classification.ipynb")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST)

    items.sort(key=place)


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
