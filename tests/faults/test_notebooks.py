"""Chapters on a hub without a network, and chapters whose cells are run again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
RUNNER = Path(__file__).with_name("run_notebook.py")
CHAPTERS = sorted((REPOSITORY / "notebooks").glob("[0-9][0-9]_*.ipynb"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# Everything but one folder can only be read; there is no network but the loopback address.
HUB = """
mount --make-rprivate /
mount --bind "$1" "$1"
mount -o remount,ro,bind /
ip link set lo up
if touch "$2/written" 2>/dev/null; then echo 'a plain write works in the course'; exit 3; fi
cd "$3"
shift 3
exec "$@"
"""
PROOF = """
import errno, socket
try:
    socket.create_connection(("192.0.2.1", 80), timeout=5)
except OSError as error:
    print(error.errno == errno.ENETUNREACH)
"""


def hub_environment(home: Path) -> dict[str, str]:
    """A home with spaces and Chinese characters, a locale of ASCII, no COURSE_WORK."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COURSE_", "JUPYTER", "MPL", "LC_", "PYTEST", "XDG_"))
    }
    return environment | {
        "HOME": str(home),
        "TMPDIR": str(home.parent / "tmp"),
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "OMP_NUM_THREADS": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a student; shared by the chapters, as it is in life."""
    top = tmp_path_factory.mktemp("hub")
    home = top / "家 of O'Neil" / "王 小明"
    for folder in (home / "another place", home.parent / "tmp"):
        folder.mkdir(parents=True)
    return home


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem[:2])
def test_a_chapter_runs_in_a_read_only_course_without_a_network(
    chapter, home, private_mounts, tell
):
    where = (home.parents[1], REPOSITORY, home / "another place")
    environment = hub_environment(home)
    proof = private_mounts(HUB, *where, sys.executable, "-c", PROOF, env=environment)
    assert proof.stdout == "True\n", f"there is a network: {proof.stdout}{proof.stderr}"
    command = (sys.executable, RUNNER, "once", chapter)
    result = private_mounts(HUB, *where, *command, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    assert int(result.stdout) > 10
    written = {path.name for path in home.iterdir() if not path.name.startswith(".")}
    assert written <= {"speech-course", "another place"}
    assert not list((home / "another place").iterdir())
    hidden = sorted(path.name for path in home.iterdir() if path.name.startswith("."))
    tell(
        int(result.stdout),
        f"each cell ran; all that was written is in speech-course, and in {', '.join(hidden)} "
        "by Jupyter and matplotlib",
    )


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem[:2])
def test_a_chapter_survives_a_restart_in_its_middle_and_each_cell_twice(chapter, tmp_path, tell):
    (tmp_path / "here").mkdir()
    environment = os.environ | {"COURSE_WORK": str(tmp_path / "work"), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, str(RUNNER), "restart", str(chapter)],
        cwd=tmp_path / "here",
        env=environment,
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert not list((tmp_path / "here").iterdir())
    tell(int(result.stdout), "each cell ran as it should, in a kernel of its own or twice in one")
