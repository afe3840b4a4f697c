"""The set-up, run as a reader runs it: real processes on a copy of the course.

Most tests use a small course: the real script, with a package that has no dependencies and builds
itself, so that a whole set-up needs a few seconds and no network.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from jupyter_client import BlockingKernelClient, find_connection_file
from jupyter_client.manager import start_new_kernel

import set_up

REPOSITORY = Path(__file__).resolve().parents[1]
SET_UP_FILES = ("tools/set_up.py", "course_utils/__init__.py", "course_utils/language.py")
SET_UP_FILES += ("pyproject.toml", "constraints.txt")
PYTHON = getattr(sys, "_base_executable", None) or sys.executable
posix_only = pytest.mark.skipif(os.name == "nt", reason="uses shell scripts and signals")

# Builds an editable package with nothing but the standard library.
BACKEND = """
import pathlib, zipfile
INFO = "course_utils-1.0.0.dist-info"
def _wheel(folder):
    name = "course_utils-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        wheel.writestr("course_utils.pth", str(pathlib.Path.cwd()))
        wheel.writestr(INFO + "/METADATA",
            "Metadata-Version: 2.1\\nName: course-utils\\nVersion: 1.0.0\\nProvides-Extra: dev\\n")
        wheel.writestr(INFO + "/WHEEL",
            "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(INFO + "/RECORD", "")
    return name
def build_editable(folder, config_settings=None, metadata_directory=None):
    return _wheel(folder)
def build_wheel(folder, config_settings=None, metadata_directory=None):
    return _wheel(folder)
"""


class Course:
    """A copy of the course's set-up in a folder of its own, with its own package index."""

    def __init__(self, folder: Path, index: Path) -> None:
        self.folder = folder
        self.venv = folder / ".venv"
        self.stamp = self.venv / "course_stamp.json"
        self.log = folder / "build" / "set_up.log"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "COURSE_"))}
        self.environment = kept | {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(index),
            "PIP_NO_CACHE_DIR": "1",
        }

    def command(self, *arguments: str) -> list[str]:
        return [PYTHON, str(self.folder / "tools" / "set_up.py"), *arguments]

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the set-up script to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
        )

    def run_with(self, lines: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same after ``lines`` of Python that stand in for another machine."""
        folder = str(self.folder / "tools")
        code = f"import sys; sys.path.insert(0, {folder!r}); import set_up\n{lines}\n"
        code += f"sys.exit(set_up.main({list(arguments)!r}))"
        return subprocess.run(
            [PYTHON, "-c", code],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
        )


def assert_refused(result: subprocess.CompletedProcess[str], course: Course, *words: str) -> None:
    """One sentence with ``words``, status 2, nothing half made."""
    sentence = result.stderr.strip()
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in sentence and len(sentence.splitlines()) == 1, sentence
    for word in words:
        assert word in sentence
    assert not course.venv.exists()


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that serves as package index; it holds a stand-in for setuptools alone."""
    import zipfile

    folder = tmp_path_factory.mktemp("index")
    info = "setuptools-80.0.0.dist-info"
    with zipfile.ZipFile(folder / "setuptools-80.0.0-py3-none-any.whl", "w") as wheel:
        metadata = "Metadata-Version: 2.1\nName: setuptools\nVersion: 80.0.0\n"
        wheel.writestr(f"{info}/METADATA", metadata)
        tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", tag)
        wheel.writestr(f"{info}/RECORD", "")
    return folder


@pytest.fixture
def course(tmp_path: Path, index: Path) -> Course:
    """The small course, in a folder whose name is not an easy one."""
    folder = tmp_path / "my 100% course 语音"
    for name in ("course_utils", "notebooks", "tools"):
        (folder / name).mkdir(parents=True)
    shutil.copy(REPOSITORY / "tools" / "set_up.py", folder / "tools")
    for name in ("paths.py", "errors.py", "language.py", "__init__.py"):
        shutil.copy(REPOSITORY / "course_utils" / name, folder / "course_utils")
    (folder / "backend.py").write_text(BACKEND, encoding="utf-8")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        encoding="utf-8",
    )
    (folder / "constraints.txt").write_text("", encoding="utf-8")
    return Course(folder, index)


# ------------------------------------------------------------------ which Python


def fake_python(folder: Path, version: tuple[int, int], **facts: object) -> list[str]:
    """A program that answers the set-up's questions as a Python with these facts would."""
    answer = {
        "version": version,
        "cpython": True,
        "free_threaded": False,
        "bits": 64,
        "intel_mac": False,
        "venv": True,
    }
    script = folder / f"python_{version[0]}_{version[1]}"
    script.write_text(f"#!/bin/sh\necho '{json.dumps(answer | facts)}'\n", encoding="utf-8")
    script.chmod(0o755)
    return [str(script)]


def only(*commands: list[str]) -> str:
    return f"set_up.candidates = lambda: iter({list(commands)!r})"


@posix_only
@pytest.mark.parametrize(
    ("version", "facts", "words"),
    [
        ((3, 9), {}, ("Python 3.9 is too old", "3.11 to 3.14", "PYTHON=")),
        ((3, 15), {}, ("Python 3.15 is too new", "3.11 to 3.14", "PYTHON=")),
        ((3, 12), {"venv": False}, ("venv", "sudo apt install python3.12-venv")),
        ((3, 12), {"bits": 32}, ("64-bit",)),
        ((3, 14), {"free_threaded": True}, ("ordinary 64-bit CPython",)),
        ((3, 12), {"intel_mac": True}, ("Intel Macs", "Binder")),
    ],
)
def test_unfit_python_gets_one_sentence(
    course: Course, tmp_path: Path, version: tuple[int, int], facts: dict, words: tuple[str, ...]
) -> None:
    result = course.run_with(only(fake_python(tmp_path, version, **facts)), "lab")
    assert_refused(result, course, *words)


@posix_only
def test_the_closest_python_is_the_one_spoken_of(course: Course, tmp_path: Path) -> None:
    old, bare = fake_python(tmp_path, (3, 8)), fake_python(tmp_path, (3, 13), venv=False)
    assert_refused(course.run_with(only(old, bare), "test"), course, "python3.13-venv")


@pytest.mark.slow
@posix_only
def test_a_python_that_fits_is_found_beside_others(course: Course, tmp_path: Path) -> None:
    broken = tmp_path / "shim"
    broken.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    broken.chmod(0o755)
    others = [str(broken)], fake_python(tmp_path, (3, 9)), fake_python(tmp_path, (3, 15))
    result = course.run_with(only(*others, [PYTHON]), "install")
    assert result.returncode == 0, result.stderr
    assert course.stamp.exists()


def real_old_pythons() -> list[str]:
    """Pythons from 3.6 to 3.10 on this machine, the ones in pyenv included."""
    found = []
    for minor in range(6, 11):
        path = shutil.which(f"python3.{minor}")
        pyenv = sorted((Path.home() / ".pyenv/versions").glob(f"3.{minor}.*/bin/python3"))
        found += [str(path) for path in [*pyenv, path] if path and set_up.probe([str(path)])][:1]
    return found


@posix_only
def test_real_old_pythons_get_the_sentence(course: Course, tmp_path: Path) -> None:
    """The script itself must be understood by them, or they would answer with a SyntaxError."""
    pythons = real_old_pythons()
    if not pythons:
        pytest.skip("no Python from 3.6 to 3.10 on this machine")
    for python in pythons:
        result = subprocess.run(
            [python, str(course.folder / "tools" / "set_up.py"), "lab"],
            env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
            capture_output=True,
            encoding="utf-8",
        )
        assert_refused(result, course, "is too old for this course")


@pytest.mark.slow
@posix_only
def test_an_old_default_python_uses_a_newer_one_on_the_path(course: Course, tmp_path: Path) -> None:
    pythons = real_old_pythons()
    if not pythons:
        pytest.skip("no Python from 3.6 to 3.10 on this machine")
    major, minor = sys.version_info[:2]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / f"python{major}.{minor}").symlink_to(PYTHON)
    result = subprocess.run(
        [pythons[0], str(course.folder / "tools" / "set_up.py"), "install"],
        env=course.environment | {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(course.stamp.read_text(encoding="utf-8"))["python"] == f"{major}.{minor}"


# ------------------------------------------------------------------ the environment


def test_second_run_installs_nothing(course: Course, tmp_path: Path) -> None:
    first = course.run("install")
    assert first.returncode == 0, first.stderr
    assert "complete" in first.stdout and course.stamp.exists()
    log = course.log.read_bytes()
    empty = tmp_path / "empty"
    empty.mkdir()
    second = course.run("install", PIP_FIND_LINKS=str(empty))  # pip could install nothing
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert course.log.read_bytes() == log


@pytest.mark.slow
def test_no_network_is_one_sentence_and_leaves_nothing(course: Course) -> None:
    del course.environment["PIP_NO_INDEX"], course.environment["PIP_FIND_LINKS"]
    result = course.run("test", PIP_INDEX_URL="http://127.0.0.1:9/simple")
    result.stderr = result.stderr.strip().splitlines()[-1]  # pip's own words stand above
    assert_refused(result, course, "No connection to the package index", "HTTPS_PROXY")


@pytest.mark.slow
def test_half_made_environment_is_made_again(course: Course) -> None:
    assert course.run("install").returncode == 0
    course.stamp.unlink()
    python = set_up.venv_python().relative_to(set_up.VENV)
    (course.venv / python).unlink()
    result = course.run("install")
    assert result.returncode == 0, result.stderr
    assert course.stamp.exists() and set_up.probe([str(course.venv / python)])


@pytest.mark.slow
@posix_only
def test_killed_set_up_is_repaired_by_the_same_command(course: Course) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and never answers
        environment = course.environment | {
            "PIP_INDEX_URL": f"http://127.0.0.1:{server.getsockname()[1]}/simple"
        }
        del environment["PIP_NO_INDEX"], environment["PIP_FIND_LINKS"]
        process = subprocess.Popen(
            course.command("install"),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        server.settimeout(300)
        connection, _ = server.accept()  # pip has begun
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        connection.close()
    assert course.venv.exists() and not course.stamp.exists()
    result = course.run("install")
    assert result.returncode == 0, result.stderr
    assert course.stamp.exists()


def test_a_folder_that_is_no_environment_is_never_removed(course: Course) -> None:
    course.venv.mkdir()
    (course.venv / "thesis.txt").write_text("mine", encoding="utf-8")
    result = course.run("install")
    assert result.returncode == 2
    assert "in the way" in result.stderr and "move it elsewhere" in result.stderr
    assert (course.venv / "thesis.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.slow
def test_moved_course_gets_a_working_environment(course: Course, tmp_path: Path) -> None:
    assert course.run("install").returncode == 0
    course.folder.rename(tmp_path / "moved")
    moved = Course(tmp_path / "moved", Path(course.environment["PIP_FIND_LINKS"]))
    assert moved.run("install").returncode == 0
    python = moved.venv / set_up.venv_python().relative_to(set_up.VENV)
    code = "import course_utils; print(course_utils.__file__)"
    found = subprocess.check_output([str(python), "-c", code], cwd=tmp_path, encoding="utf-8")
    assert "moved" in found


@pytest.mark.slow
def test_changed_list_updates_in_place_or_keeps_what_works(course: Course) -> None:
    assert course.run("install").returncode == 0
    before = course.stamp.read_text(encoding="utf-8")
    (course.folder / "constraints.txt").write_text("# a new line\n", encoding="utf-8")
    failed = course.run("test", PIP_FIND_LINKS=os.devnull, PIP_IGNORE_INSTALLED="1")
    assert failed.returncode == 2 and "Traceback" not in failed.stderr
    assert course.stamp.read_text(encoding="utf-8") == before  # still usable
    result = course.run("install")
    assert result.returncode == 0 and "bringing the environment up to date" in result.stdout
    assert course.stamp.read_text(encoding="utf-8") != before


@pytest.mark.slow
@posix_only
def test_two_set_ups_at_once_take_turns(course: Course) -> None:
    processes = [
        subprocess.Popen(
            course.command("install"),
            env=course.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sum("Making the environment" in output for output in outputs) == 1, outputs
    assert sum("waiting for it to end" in output for output in outputs) == 1, outputs


def test_full_disk_is_noticed_before_anything_is_made(course: Course) -> None:
    lines = "from collections import namedtuple\n"
    lines += "set_up.shutil.disk_usage = lambda path: namedtuple('U', 'free')(10**9)"
    assert_refused(course.run_with(lines, "lab"), course, "has 0.9 GB left", "free some space")


@posix_only
def test_folder_without_write_permission(index: Path) -> None:
    python = shutil.which("python3", path="/usr/bin:/bin")
    if python is None:
        pytest.skip("no Python that another user may run")
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in SET_UP_FILES:
            (folder / part).parent.mkdir(exist_ok=True)
            shutil.copy(REPOSITORY / part, folder / part)
        subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)  # whatever the umask is
        folder.chmod(0o555)
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
        probe = subprocess.run(["touch", str(folder / "x")], capture_output=True, **user)
        assert probe.returncode != 0, "a plain write works there, so this test would prove nothing"
        lines = "import sys; sys.path.insert(0, 'tools'); import set_up; "
        lines += "set_up.find_python = lambda: [sys.executable]; sys.exit(set_up.main(['lab']))"
        result = subprocess.run(
            [python, "-c", lines],
            cwd=folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            **user,
        )
        folder.chmod(0o755)
        assert result.returncode == 2, result.stderr
        assert "can't write in its own folder" in result.stderr and "copy" in result.stderr
        assert "Traceback" not in result.stderr
        assert not (folder / ".venv").exists()


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left", "disk"),
        ("WARNING: Retrying (...) [Errno -3] Temporary failure in name resolution", "HTTPS_PROXY"),
        ("ProxyError('Cannot connect to proxy.', OSError('407'))", "HTTPS_PROXY"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "PIP_CERT"),
        ("ERROR: Could not install ...: [WinError 5] Access is denied: 'x.pyd'", "close every"),
        ("ERROR: No matching distribution found for torch==9", "No matching distribution found"),
        ("", "set_up.log"),
    ],
)
def test_what_pip_says_becomes_a_sentence_with_a_cure(log: str, words: str) -> None:
    sentence = set_up.explain(log)
    assert words in sentence and "\n" not in sentence


# ------------------------------------------------------------------ settings of the machine


def imports_the_course(course: Course) -> bool:
    """Whether the environment has the course's package, and no other."""
    python = course.venv / set_up.venv_python().relative_to(set_up.VENV)
    command = [str(python), "-c", "import course_utils; print(course_utils.__file__)"]
    found = subprocess.run(command, cwd=course.venv, capture_output=True, encoding="utf-8").stdout
    return found.startswith(str(course.folder))


@posix_only
@pytest.mark.slow
def test_a_file_of_pip_keeps_its_index_and_moves_no_package(
    course: Course, tmp_path: Path, index: Path
) -> None:
    """As `pip config set` writes it; the index is named nowhere but in that file."""
    elsewhere, home = tmp_path / "elsewhere", tmp_path / "home"
    settings = home / ".config" / "pip" / "pip.conf"
    settings.parent.mkdir(parents=True)
    lines = ["[global]", "no-index = true", f"find-links = {index}", "user = true"]
    lines += [f"prefix = {elsewhere}", "[install]", f"target = {elsewhere}", "dry-run = true"]
    settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name in ("PIP_CONFIG_FILE", "PIP_NO_INDEX", "PIP_FIND_LINKS", "XDG_CONFIG_HOME"):
        course.environment.pop(name, None)
    result = course.run("install", HOME=str(home))
    assert result.returncode == 0, result.stdout + result.stderr
    assert imports_the_course(course)
    assert not elsewhere.exists() and not (home / ".local").exists()


# What a task finds, in the place of the one that runs the notebooks.
FINDS = """
import os, sys
import course_utils, typing
print("TASK", "PYTHONPATH" in os.environ, course_utils.__file__, typing.__file__)
"""


@posix_only
@pytest.mark.slow
@pytest.mark.parametrize("way", ["make", "script"])
def test_packages_of_a_foreign_pythonpath_stay_outside(
    course: Course, tmp_path: Path, way: str
) -> None:
    if way == "make" and shutil.which("make") is None:
        pytest.skip("make is not installed")
    foreign = tmp_path / "foreign"
    for name in ("course_utils", "pip", "setuptools"):
        (foreign / name).mkdir(parents=True)
        (foreign / name / "__init__.py").write_text("raise SystemExit('foreign')", encoding="utf-8")
    if way == "make":  # a script can't keep this from the Python that it is run by
        (foreign / "typing.py").write_text("raise SystemExit('foreign')", encoding="utf-8")
    shutil.copy(REPOSITORY / "Makefile", course.folder)
    (course.folder / "tools" / "execute_notebooks.py").write_text(FINDS, encoding="utf-8")
    command = ["make", f"PYTHON={PYTHON}"] if way == "make" else course.command()
    result = subprocess.run(
        [*command, "notebooks"],
        cwd=course.folder,
        env=course.environment | {"PYTHONPATH": str(foreign)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"TASK False {course.folder}" in result.stdout
    assert str(foreign) not in result.stdout.split("TASK")[1]


@posix_only
def test_without_a_home_the_set_up_still_speaks() -> None:
    """As somebody whom the system does not know: HOME is not set, and no table names one."""
    python = shutil.which("python3", path="/usr/bin:/bin")
    if os.geteuid() or python is None:
        pytest.skip("needs root, and a Python that another user may run")
    with tempfile.TemporaryDirectory() as name:
        course = Path(name) / "course"
        for part in SET_UP_FILES:
            (course / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / part, course / part)
        subprocess.run(["chmod", "-R", "a+rX", name], check=True)
        lines = f"import sys; sys.path.insert(0, '{course}/tools'); import set_up; "
        lines += "sys._base_executable = sys.executable = '/nowhere/python'; "
        lines += "sys.exit(set_up.main(['lab']))"
        result = subprocess.run(
            [python, "-c", lines],
            env={"PATH": f"{name}/bin"},
            cwd="/",
            capture_output=True,
            encoding="utf-8",
            user=54321,
            group=54321,
            extra_groups=[],
        )
        assert result.stderr.strip().startswith("No working Python was found: install"), (
            result.stderr
        )
        assert result.returncode == 2


@posix_only
def test_a_colon_in_the_path_is_named_as_the_reason(course: Course, tmp_path: Path) -> None:
    course.folder.rename(tmp_path / "week 3: speech")
    course = Course(tmp_path / "week 3: speech", Path(course.environment["PIP_FIND_LINKS"]))
    assert_refused(course.run("lab"), course, "whose path has a ':'", "week 3", "rename or move")


def mounted(source: Path, target: Path) -> Iterator[Path]:
    """A folder seen through a file system that refuses chmod."""
    target.mkdir()
    command = ["bindfs", "--chmod-deny", str(source), str(target)]
    if shutil.which("bindfs") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("bindfs is not installed, or may mount nothing here")
    yield target
    subprocess.run(["fusermount", "-u", str(target)], check=True)


@pytest.fixture
def without_chmod(tmp_path: Path) -> Iterator[Path]:
    """An empty folder on such a file system."""
    (tmp_path / "disk").mkdir()
    yield from mounted(tmp_path / "disk", tmp_path / "no chmod")


DENIED = """
def denied(*_, **__):
    raise PermissionError(1, "Operation not permitted")
set_up.os.chmod = denied
"""


@posix_only
@pytest.mark.parametrize("way", ["simulated", "real"])
def test_a_file_system_without_chmod_is_named_as_the_reason(
    course: Course, request: pytest.FixtureRequest, way: str
) -> None:
    if way == "simulated":
        result = course.run_with(DENIED, "lab")
    else:
        folder = request.getfixturevalue("without_chmod") / "course"
        shutil.copytree(course.folder, folder.parents[1] / "disk" / "course")
        course = Course(folder, Path(course.environment["PIP_FIND_LINKS"]))
        result = course.run("lab")
    assert_refused(result, course, "it refuses chmod", "copy the course", "COURSE_WORK")


def test_an_environment_that_fails_for_another_reason_gets_no_wrong_cure(course: Course) -> None:
    lines = f"set_up.find_python = lambda: [{PYTHON!r}, '-I']\n"
    lines += f"real = set_up.subprocess.run\nfails = [{PYTHON!r}, '-c', 'exit(\"no luck.\")']\n"
    lines += "def run(command, **options):\n"
    lines += "    return real(fails if 'venv' in command else command, **options)\n"
    lines += "set_up.subprocess.run = run"
    result = course.run_with(lines, "lab")
    assert_refused(result, course, "can't make an environment (no luck.): install another Python")
    assert "apt" not in result.stderr


@pytest.fixture
def tested(tmp_path: Path) -> Path:
    """A course with one test, in a folder of which somebody uses pytest otherwise."""
    folder = tmp_path / "above" / "course"
    for name in ("tools", "tests", "notebooks", "course_utils"):
        (folder / name).mkdir(parents=True)
    for part in SET_UP_FILES[:3]:
        shutil.copy(REPOSITORY / part, folder / part)
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    (folder / "tests" / "test_one.py").write_text("def test_one():\n    pass\n", encoding="utf-8")
    (folder.parent / "pytest.ini").write_text("[pytest]\naddopts = --nothing\n", encoding="utf-8")
    (folder.parent / "conftest.py").write_text("raise SystemExit('foreign')", encoding="utf-8")
    plugin = folder.parent / "plugin"
    info = plugin / "foreign-1.0.dist-info"
    info.mkdir(parents=True)
    (plugin / "foreign.py").write_text("raise ImportError('foreign')", encoding="utf-8")
    text = "Metadata-Version: 2.1\nName: foreign\nVersion: 1.0\n"
    (info / "METADATA").write_text(text, encoding="utf-8")
    (info / "entry_points.txt").write_text("[pytest11]\nforeign = foreign\n", encoding="utf-8")
    return folder


@pytest.mark.slow
def test_settings_and_plugins_of_a_foreign_pytest_stay_outside(tested: Path) -> None:
    foreign = {"PYTHONPATH": str(tested.parent / "plugin"), "PYTEST_ADDOPTS": "--nothing"}
    foreign |= {"PYTEST_PLUGINS": "nowhere", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    result = subprocess.run(
        [sys.executable, str(tested / "tools" / "set_up.py"), "test", "--no-venv"],
        cwd=tested.parent,
        env=os.environ | foreign,
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout


# ------------------------------------------------------------------ the student's copies


@pytest.fixture
def chapters(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with two chapters, and a folder to put the copies in."""
    source = tmp_path / "notebooks"
    source.mkdir()
    (source / "01_audio.ipynb").write_text("one", encoding="utf-8")
    (source / "02_linear.ipynb").write_text("two", encoding="utf-8")
    return source, tmp_path / "my_work"


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_new_chapters_are_added_and_edited_ones_stay(chapters: tuple[Path, Path]) -> None:
    source, target = chapters
    added = set_up.copy_notebooks(source, target)
    assert names(added) == ["01_audio.ipynb", "02_linear.ipynb"]
    (target / "01_audio.ipynb").write_text("my answers", encoding="utf-8")
    (source / "03_training.ipynb").write_text("three", encoding="utf-8")
    assert names(set_up.copy_notebooks(source, target)) == ["03_training.ipynb"]
    assert (target / "01_audio.ipynb").read_text(encoding="utf-8") == "my answers"
    assert set_up.copy_notebooks(source, target) == []


def test_changed_chapter_is_laid_beside_once(chapters: tuple[Path, Path]) -> None:
    source, target = chapters
    set_up.copy_notebooks(source, target)
    (target / "01_audio.ipynb").write_text("my answers", encoding="utf-8")
    for number, text in enumerate(("one, mended", "one, mended again")):
        (source / "01_audio.ipynb").write_text(text, encoding="utf-8")
        suffix = "" if number == 0 else str(number + 1)
        assert names(set_up.copy_notebooks(source, target)) == [f"01_audio_update{suffix}.ipynb"]
        assert set_up.copy_notebooks(source, target) == []
    assert (target / "01_audio.ipynb").read_text(encoding="utf-8") == "my answers"
    assert (target / "01_audio_update.ipynb").read_text(encoding="utf-8") == "one, mended"
    (target / "01_audio_update.ipynb").unlink()  # unwanted: it does not come back
    assert set_up.copy_notebooks(source, target) == []


def test_deleted_copy_comes_back_fresh(chapters: tuple[Path, Path]) -> None:
    source, target = chapters
    set_up.copy_notebooks(source, target)
    (target / "02_linear.ipynb").unlink()
    assert names(set_up.copy_notebooks(source, target)) == ["02_linear.ipynb"]


@pytest.mark.parametrize("record", ["", "{broken", "[]"])
def test_lost_record_loses_no_work(chapters: tuple[Path, Path], record: str) -> None:
    source, target = chapters
    set_up.copy_notebooks(source, target)
    (target / "01_audio.ipynb").write_text("my answers", encoding="utf-8")
    (target / ".given.json").write_text(record, encoding="utf-8")
    assert set_up.copy_notebooks(source, target) == []
    assert (target / "01_audio.ipynb").read_text(encoding="utf-8") == "my answers"


@posix_only
@pytest.mark.parametrize("way", ["simulated", "real"])
def test_copies_are_made_where_chmod_is_refused(
    chapters: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    way: str,
) -> None:
    source, target = chapters
    if way == "simulated":

        def denied(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "chmod", denied)
    else:
        target = request.getfixturevalue("without_chmod") / "my_work"
    added = []
    with contextlib.suppress(PermissionError):
        added = set_up.copy_notebooks(source, target)
    assert names(added) == ["01_audio.ipynb", "02_linear.ipynb"]
    assert not list(target.glob(".copy_*"))


def chapter(printed: str, source: str = "print(1)") -> str:
    """The file of a chapter with a proof, whose cell printed something when it was saved."""
    output = {"output_type": "stream", "name": "stdout", "text": printed}
    shown = {"cell_type": "code", "source": source, "metadata": {"tags": ["core"]}}
    shown |= {"outputs": [output], "execution_count": 1}
    proof = {"cell_type": "code", "source": "assert 1 == 1", "metadata": {"tags": ["check"]}}
    proof |= {"outputs": [], "execution_count": 2}
    text = {"cell_type": "markdown", "source": "猜一猜", "metadata": {}}
    return json.dumps({"cells": [text, shown, proof], "metadata": {}, "nbformat": 4})


def test_copies_have_no_outputs_and_no_proofs(chapters: tuple[Path, Path]) -> None:
    source, target = chapters
    (source / "01_audio.ipynb").write_text(chapter("1\n"), encoding="utf-8")
    set_up.copy_notebooks(source, target)
    text = (target / "01_audio.ipynb").read_text(encoding="utf-8")
    assert "猜一猜" in text
    cells = json.loads(text)["cells"]
    assert [cell["source"] for cell in cells] == ["猜一猜", "print(1)"]
    assert cells[1]["outputs"] == [] and cells[1]["execution_count"] is None


def test_a_chapter_that_differs_by_outputs_is_no_update(chapters: tuple[Path, Path]) -> None:
    source, target = chapters
    (source / "01_audio.ipynb").write_text(chapter("0.931\n"), encoding="utf-8")
    set_up.copy_notebooks(source, target)
    (source / "01_audio.ipynb").write_text(chapter("0.932\n"), encoding="utf-8")
    assert set_up.copy_notebooks(source, target) == []
    (source / "01_audio.ipynb").write_text(chapter("2\n", "print(2)"), encoding="utf-8")
    assert names(set_up.copy_notebooks(source, target)) == ["01_audio_update.ipynb"]


# ------------------------------------------------------------------ JupyterLab


def wait_until_it_listens(port: int, seconds: float = 60) -> None:
    for _ in range(round(10 * seconds)):
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.1)
    pytest.fail(f"nobody listens at port {port} after {seconds} s")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """JupyterLab, started as ``make lab`` does in this environment; its address with the token."""
    tmp_path = tmp_path_factory.mktemp("lab")
    work = tmp_path / "my 50% work"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, str(REPOSITORY / "tools" / "set_up.py"), "lab", "--no-venv"]
    process = subprocess.Popen(
        [*command, f"--ServerApp.port={port}", "--no-browser"],
        env=os.environ | {"COURSE_WORK": str(work), "JUPYTER_CONFIG_DIR": str(tmp_path / "conf")},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert process.stdout is not None
    timer = threading.Timer(300, process.kill)
    timer.start()
    lines = []
    address = ""
    for line in process.stdout:
        lines.append(line)
        if f"http://127.0.0.1:{port}/lab?token=" in line:
            address = line.split()[-1]
            break
    drain = threading.Thread(target=process.stdout.read)
    drain.start()
    try:
        assert address, "".join(lines)
        wait_until_it_listens(port)  # the address is printed a moment before
        yield address, work
    finally:
        timer.cancel()
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
        drain.join()


def fetch(url: str) -> str:
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=300) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:  # the address is printed a moment before it answers
            time.sleep(0.5)
    raise AssertionError(f"{url} does not answer")


def test_lab_serves_the_copies_to_this_machine_with_a_token(lab: tuple[str, Path]) -> None:
    address, work = lab
    base, token = address.split("/lab?token=")
    assert len(token) >= 32
    kernels = json.loads(fetch(f"{base}/api/kernelspecs?token={token}"))
    assert kernels["default"] == "python3"
    files = json.loads(fetch(f"{base}/api/contents?token={token}"))["content"]
    chapters = {path.name for path in (REPOSITORY / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    assert {entry["name"] for entry in files} == chapters
    assert {path.name for path in work.glob("*.ipynb")} == chapters
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(f"{base}/api/contents")
    assert refused.value.code == 403


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have 127.0.0.1 alone")
def test_lab_listens_on_the_loopback_address_alone(lab: tuple[str, Path]) -> None:
    port = int(lab[0].split(":")[2].split("/")[0])
    fetch(lab[0].replace("/lab?", "/api?"))
    with socket.create_server(("127.0.0.2", port)):
        pass  # possible only where nobody listens on all addresses


# ------------------------------------------------------------------ threads that wait


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("wish", ["GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY", "OTHER"])
def test_threads_are_calmed_as_the_user_wishes(platform: str, wish: str) -> None:
    environment = {wish: "7"}
    set_up.calm_threads(environment, platform)
    assert environment[wish] == "7"
    added = environment.keys() - {wish}
    wanted = "GOMP_SPINCOUNT" if platform == "linux" else "OMP_WAIT_POLICY"
    assert added == ({wanted} if wish == "OTHER" else set())


def test_the_command_line_calms_threads_before_torch_is_there() -> None:
    code = (
        "import os, sys; import command_line\n"
        "try: command_line.main(['--help'])\n"
        "except SystemExit: print('torch' in sys.modules)\n"
        "print(len({'GOMP_SPINCOUNT', 'OMP_WAIT_POLICY'} & set(os.environ)))\n"
    )
    kept = {name: v for name, v in os.environ.items() if not name.startswith(("GOMP", "OMP"))}
    environment = kept | {"PYTHONPATH": str(REPOSITORY / "tools")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["False", "1"]


def test_a_file_of_ones_own_beside_the_course_hides_no_tool(tmp_path: Path) -> None:
    for name in ("course_utils", "tools"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    (tmp_path / "download.py").write_text("raise SystemExit('mine')", encoding="utf-8")
    code = "import contextlib; from course_utils.__main__ import main\n"
    code += "with contextlib.suppress(SystemExit): main(['--help'])\n"
    code += "import download; print(download.__file__)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == str(tmp_path / "tools" / "download.py"), done.stderr


def answer(client: BlockingKernelClient, code: str) -> str:
    """What a kernel prints when it runs some lines."""
    printed: list[str] = []
    reply = client.execute_interactive(
        code,
        output_hook=lambda message: printed.append(message["content"].get("text", "")),
        timeout=300,
    )
    assert reply["content"]["status"] == "ok", reply["content"]
    return "".join(printed)


def test_a_kernel_of_the_lab_has_calm_threads(lab: tuple[str, Path]) -> None:
    base, token = lab[0].split("/lab?token=")
    request = urllib.request.Request(f"{base}/api/kernels?token={token}", data=b"{}", method="POST")
    with urllib.request.urlopen(request, timeout=300) as reply:
        name = json.loads(reply.read())["id"]
    client = BlockingKernelClient(connection_file=find_connection_file(f"kernel-{name}.json"))
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=300)
        wanted = set_up.lab_environment()
        names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
        found = answer(client, f"import os; print([os.environ.get(name) for name in {names}])")
        assert found.strip() == str([wanted.get(name) for name in names])
        assert any(wanted.get(name) for name in names)
    finally:
        client.stop_channels()


# The first cell of a notebook, which imports PyTorch first; on two processors, as many as threads.
TRAINING = """
import os, time
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
import torch
torch.set_num_threads(2)
torch.manual_seed(0)
x = torch.randn(32, 1, 40, 60)
network = torch.nn.Sequential(
    torch.nn.Conv2d(1, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
    torch.nn.Conv2d(8, 16, 3), torch.nn.BatchNorm2d(16), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
    torch.nn.Flatten(), torch.nn.LazyLinear(10),
)
optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
def seconds(steps):
    begun = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        network(x).square().mean().backward()
        optimizer.step()
    return time.perf_counter() - begun
seconds(5)
"""
FASTER = 3  # times, at the least, than with threads that spin; 8 to 13 were measured


def side_by_side(environment: dict[str, str]) -> float:
    """Seconds that two trainings take, each in a kernel of its own."""
    kernels = [start_new_kernel(kernel_name="python3", env=environment) for _ in range(2)]
    try:
        for _, client in kernels:
            answer(client, TRAINING)
        with ThreadPoolExecutor() as pool:
            both = pool.map(lambda kernel: answer(kernel[1], "print(seconds(20))"), kernels)
            return max(map(float, both))
    finally:
        for manager, client in kernels:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="binds processes to processors")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two processors")
def test_two_trainings_in_notebooks_side_by_side_share_the_machine() -> None:
    """Whatever else runs on it: the same is measured with threads that spin, as they do unasked."""
    free = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # which the tests have set
    calm = {name: value for name, value in set_up.lab_environment().items() if name not in free}
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    spinning = {name: value for name, value in calm.items() if name not in names}
    calmed, spun = side_by_side(calm), side_by_side(spinning)
    print(f"calm {calmed:.2f} s, spinning {spun:.2f} s")
    assert FASTER * calmed < spun, f"calm {calmed:.2f} s, spinning {spun:.2f} s"


# ------------------------------------------------------------------ make


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("target", ["lab", *sorted(set_up.TASKS)])
def test_make_hands_each_command_to_the_script(target: str) -> None:
    result = subprocess.run(
        ["make", "-n", "--no-print-directory", target, "ONLY=03", "ARGS=-x", "EDITION="],
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if "MAKE" not in name},
        capture_output=True,
        encoding="utf-8",
    )
    passed_on = "03" if target == "notebooks" else "-x"
    assert result.stdout.split()[1:] == ["-E", "tools/set_up.py", target, passed_on]


def test_each_test_is_in_one_of_the_two_runs() -> None:
    """Of the same tests one takes those that are slow and the other those that are not."""
    shared = ["-n", "2", "--dist", "loadfile", "tests"]
    chosen = set()
    for command in (set_up.TASKS["test"], set_up.TASKS["test-all"]):
        assert [word for word in command if word in shared] == shared
        last = len(command) - 1 - command[::-1].index("-m")  # the first one names pytest
        chosen.add(command[last + 1])
    assert chosen == {"slow", "not slow"}
    assert "notebooks" in set_up.TASKS["test"] and "notebooks" not in set_up.TASKS["test-all"]


def test_the_chinese_edition_tests_its_own_notebooks() -> None:
    found = set_up.task("test", "zh")
    assert found[-2:] == ["tests", "notebooks/zh"]
    assert set_up.task("book", "zh")[-2:] == ["--edition", "zh"]
