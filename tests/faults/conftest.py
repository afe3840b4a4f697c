"""What the fault tests share: processes that are bounded, unprivileged or killed, and figures.

Each test says in its name what was tried. `tell` stores how often it was tried and what happened
as properties of pytest's JUnit report, from which `write_pages.py` makes `book/faults.md`.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fault_tools import speak

REPOSITORY = Path(__file__).resolve().parents[2]
# Before anything a child process does: it may take 1 GB more than it has after its imports.
BOUNDED = """
import resource, sys
from pathlib import Path
import numpy, torch
from course_utils import audio, features, pictures
from course_utils.errors import AudioError, CourseError, DataError, TrainingError
from course_utils.recogniser import Recogniser
from course_utils.recordings import SpokenWords
def bound(extra=10**9):
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
        limit = pages * resource.getpagesize() + extra
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
bound()
before = peak()
"""


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Store how often a fault was tried and what was found, for the page of faults."""

    def store(tried: int, found: str) -> None:
        record_property("tried", tried)
        record_property("found", found)

    return store


@pytest.fixture
def run_bounded() -> Callable[..., str]:
    """Run lines of Python in a process whose memory is bounded; return what they print."""

    def run(lines: str, *arguments: object, quiet: bool = False) -> str:
        command = [sys.executable, "-c", BOUNDED + lines, *map(str, arguments)]
        result = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, encoding="utf-8", errors="replace"
        )
        assert result.returncode == 0, f"{result.returncode}: {result.stderr[-2000:]}"
        assert not quiet or "Traceback" not in result.stderr, result.stderr[-2000:]
        return result.stdout

    return run


def _folder_for_everybody() -> Path:
    """Make a folder that every user can reach; pytest's own are for their owner alone."""
    for place in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        folder = Path(tempfile.mkdtemp(dir=place))
        folder.chmod(0o755)
        if os.geteuid() or all(above.stat().st_mode & 0o001 for above in folder.parents):
            return folder
        folder.rmdir()
    pytest.skip("no folder for temporary files here can be reached by another user")


@pytest.fixture
def run_as_nobody(tmp_path: Path) -> Callable[[str], str]:
    """Run lines of Python as a user without rights; `locked` there is a folder that proves it.

    This environment and the course may lie in a home that another user can't read. So packages are
    imported first, and the course's own, which reads itself, stands in a folder for everybody.
    """
    folder = _folder_for_everybody()
    shutil.copytree(REPOSITORY / "course_utils", folder / "course" / "course_utils")
    subprocess.run(["chmod", "-R", "a+rX", str(folder / "course")], check=True)

    def run(lines: str) -> str:
        (folder / "locked").mkdir(exist_ok=True)
        (folder / "locked").chmod(0o555)
        start = (
            "import os, sys, warnings; from pathlib import Path\n"
            "folder = Path(sys.argv[1]); locked = folder / 'locked'\n"
            "sys.path.insert(0, str(folder / 'course'))\n"
            "import matplotlib.pyplot, torch, IPython.display\n"
            "from course_utils import audio, cache, paths, pictures, plots, recordings\n"
            "from course_utils.errors import AudioError, CourseError, DataError, FolderError\n"
            "pictures.picture_and_word(torch.rand(1, 8000), 8000)\n"  # imports what it needs
            "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "try: (locked / 'probe').touch()\n"
            "except PermissionError: print('a plain write fails')\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", start + lines, str(folder)],
            capture_output=True,
            encoding="utf-8",
            cwd=folder,
            env=os.environ | {"HOME": "/nonexistent", "TMPDIR": str(folder.parent)},
        )
        assert result.returncode == 0, result.stderr
        first, _, rest = result.stdout.partition("\n")
        assert first == "a plain write fails", "this test would prove nothing"
        return rest

    run.folder = folder  # type: ignore[attr-defined]
    yield run
    for path in folder.rglob("*"):
        path.chmod(0o755)
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.fixture
def private_mounts() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a shell script that may mount things that nobody else sees; skip where that can't be."""
    probe = ["unshare", "-m", "-n", "sh", "-c", "ip link set lo up"]
    if sys.platform != "linux" or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("this user may make no namespaces: needs root on Linux, unshare and ip")

    def run(script: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        command = ["unshare", "-m", "-n", "sh", "-euc", script, "sh", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, encoding="utf-8", **options)

    return run


@pytest.fixture
def kill_at_random_moments() -> Callable[..., int]:
    """Start some work again and again in a process, and kill -9 it; return how often it died."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("needs fork, to start hundreds of processes that have torch already")

    def run(work: Callable[[], object], kills: int, longest: float, seed: int = 0) -> int:
        chance, done = random.Random(seed), 0
        while done < kills:
            process = multiprocessing.get_context("fork").Process(target=work)
            process.start()
            time.sleep(chance.uniform(0, longest))
            process.kill()
            process.join()
            done += process.exitcode == -9
            if process.exitcode != -9:
                longest *= 0.8  # it ended first: be quicker
            assert process.exitcode in (0, -9), "the work itself failed"
        return done

    return run


@pytest.fixture
def class_folder(tmp_path: Path) -> Path:
    """Six people who say ten digits each."""
    folder = tmp_path / "class"
    folder.mkdir()
    for person in range(6):
        for digit in range(10):
            speak(folder / f"p{person}_{digit}.wav", digit, seed=10 * person + digit)
    return folder
