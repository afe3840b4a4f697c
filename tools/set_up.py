"""Make the course's environment, then start JupyterLab or the tests: ``make`` calls this.

A script of the standard library only, in the language of Python 3.6, so that an old Python gets a
sentence instead of a syntax error: ``python3 tools/set_up.py lab``.

The environment is the folder ``.venv``. A stamp file in it, written last, says for which course
files and which Python it is complete. No stamp means that a set-up was interrupted: the
environment is made again.
"""

import argparse
import ast
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, Iterator, List, MutableMapping, Optional, Tuple

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(1, str(REPOSITORY))  # behind this folder, whose names win
from course_utils import language  # noqa: E402  (of the standard library only)

VENV = REPOSITORY / ".venv"
STAMP = VENV / "course_stamp.json"
MARKER = VENV / "made_by_the_course"
LOG = REPOSITORY / "build" / "set_up.log"
OLDEST, NEWEST = (3, 11), (3, 14)
GIB = 2**30

# What each command runs in the environment, from the top folder of the course. The quick tests
# and the slow ones share nothing: the marker `slow` decides, and the notebooks carry no marker.
# The Chinese notebooks run only where they are asked for: their code is that of the English ones.
_PYTEST = ["-m", "pytest", "-c", "pyproject.toml", "-n", "2", "--dist", "loadfile"]
# In the order of tests/conftest.py, which puts the longest files first.
_PYTEST += ["--no-loadscope-reorder", "-ra", "--durations=15"]
_NBVAL = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout", "500"]
TASKS = {
    "test": _PYTEST + _NBVAL + ["-m", "not slow", "tests", "notebooks", "--ignore=notebooks/zh"],
    "test-all": _PYTEST + ["-m", "slow", "tests"],
    "notebooks": ["tools/execute_notebooks.py"],
    "student": ["tools/make_student_edition.py"],
    "slides": ["tools/make_slides.py"],
    "book": ["tools/make_book.py"],
    "doctor": ["-m", "course_utils", "doctor"],
}

# Where the notebooks of each edition are: `make lab EDITION=zh` is the course in Chinese.
EDITIONS = {"en": "notebooks", "zh": "notebooks/zh"}
TRANSLATED = ("student", "slides", "book")

# Written into the environment: no request to another host when JupyterLab opens.
LAB_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}
}

# Settings of the user by which Python and pytest would load other things than the course's, or run
# its tests another way.
FOREIGN = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONOPTIMIZE", "PYTHONWARNINGS")
# Settings of pip that install elsewhere than into the environment, or nothing at all.
ELSEWHERE = ("user", "target", "prefix", "root", "python", "dry-run", "no-deps")

# Runs in every Python that is found; old ones must understand it.
_PROBE = """
import json, platform, struct, sys, sysconfig
from importlib.util import find_spec
print(json.dumps({
    "version": sys.version_info[:2],
    "cpython": platform.python_implementation() == "CPython",
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "bits": 8 * struct.calcsize("P"),
    "intel_mac": sys.platform == "darwin" and platform.machine() == "x86_64",
    "venv": bool(find_spec("venv") and find_spec("ensurepip")),
}))
"""


class SetUpError(Exception):
    """What went wrong and its cure, in one sentence for the reader."""

    def __str__(self) -> str:
        return language.translate(super().__str__())


def say(text: str) -> None:
    """Print a line at once, also where output is a pipe, in the language of the course."""
    print("\n".join(map(language.translate, text.split("\n"))), flush=True)


# ------------------------------------------------------------------ a Python that fits


def probe(command: List[str]) -> Optional[Dict]:
    """What the Python started by ``command`` can do, or None when it doesn't start."""
    try:
        output = subprocess.run(
            command + ["-c", _PROBE],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=True,
        ).stdout
        return dict(json.loads(output.decode()))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def candidates() -> Iterator[List[str]]:
    """Commands that may start a Python: the one that runs this first, then the newest."""
    # Inside an environment its base, because that environment may be the one to make again.
    yield [getattr(sys, "_base_executable", None) or sys.executable]
    names = ["3.{}".format(minor) for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    for name in names:
        for folder in os.get_exec_path():
            path = shutil.which("python" + name, path=folder)
            if path:
                yield [path]
    home = Path(os.path.expanduser("~"))  # Path.home() fails where no home is known
    pyenv = Path(os.environ.get("PYENV_ROOT", str(home / ".pyenv")))
    uv = home / ".local" / "share" / "uv" / "python"
    mac = Path("/Library/Frameworks/Python.framework")
    for name in names:
        for root, pattern in (
            (pyenv, "versions/{0}.*/bin/python{0}"),
            (uv, "cpython-{0}.*/bin/python{0}"),
            (mac, "Versions/{0}/bin/python{0}"),
            (Path("/opt/homebrew/bin"), "python{0}"),
        ):
            for found in sorted(root.glob(pattern.format(name)), reverse=True):
                yield [str(found)]
    if shutil.which("py"):
        for name in names:
            yield ["py", "-" + name]


def complaint(facts: Dict) -> Optional[str]:
    """Why a Python with these ``facts`` can't carry the course, with the cure; None if it can."""
    version = tuple(facts["version"])
    name = "Python {}.{}".format(*version)
    if not OLDEST <= version <= NEWEST:
        return (
            "{} is too {} for this course, and no Python 3.11 to 3.14 was found beside it: install "
            "one (python.org, or your system's package manager; conda users: README.md) and run "
            "the same command again, or name it: make lab PYTHON=/path/to/python3.13"
        ).format(name, "old" if version < OLDEST else "new")
    if not facts["cpython"] or facts["free_threaded"] or facts["bits"] != 64:
        return (
            "{} was found, but not as ordinary 64-bit CPython, which PyTorch needs: install the "
            "standard 64-bit Python from python.org and run the same command again."
        ).format(name)
    if facts["intel_mac"]:
        return (
            "PyTorch no longer supports Intel Macs, nor an Intel Python on Apple silicon: on Apple "
            "silicon install the arm64 Python from python.org; on an Intel Mac use Binder "
            "(README.md)."
        )
    if not facts["venv"]:
        return (
            "{0} is here without its venv module: on Debian or Ubuntu run 'sudo apt install "
            "python{1}.{2}-venv', elsewhere install Python from python.org, then run the same "
            "command again."
        ).format(name, *version)
    return None


def find_python() -> List[str]:
    """The command that starts a Python which can carry the course.

    Raises:
        SetUpError: there is none; the sentence is about the one that came closest.
    """
    complaints: List[Tuple[bool, int, str]] = []
    for command in candidates():
        facts = probe(command)
        if facts is None:
            continue
        problem = complaint(facts)
        if problem is None:
            return command
        fits = OLDEST <= tuple(facts["version"]) <= NEWEST
        complaints.append((not fits, len(complaints), problem))
    if not complaints:
        raise SetUpError("No working Python was found: install Python 3.13 from python.org.")
    raise SetUpError(min(complaints)[2])


# ------------------------------------------------------------------ the environment


def tidy(environment: MutableMapping[str, str]) -> None:
    """Take out of ``environment`` what would bring other packages or plugins into the course."""
    for name in list(environment):
        if name in FOREIGN or name.startswith("PYTEST_"):
            del environment[name]
    environment["PYTHONNOUSERSITE"] = "1"  # conda's Python looks there; an environment's does not


def venv_python() -> Path:
    """The environment's own Python, there or not."""
    if os.name == "nt":
        return VENV / "Scripts" / "python.exe"
    return VENV / "bin" / "python"


def key() -> str:
    """Digest of all that decides what the environment holds: course files, place, version."""
    digest = hashlib.sha256(str(REPOSITORY).encode("utf-8", "surrogateescape"))
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((REPOSITORY / name).read_bytes())
    return digest.hexdigest()


def version_of(python: Path) -> Optional[str]:
    """Version that ``python`` states, such as ``3.12``, or None when it doesn't start."""
    facts = probe([str(python)])
    return "{}.{}".format(*facts["version"]) if facts else None


def read_stamp() -> Dict:
    """The stamp of the last complete set-up, empty when there is none."""
    try:
        return dict(json.loads(STAMP.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def works() -> bool:
    """Whether the environment was completed once and its Python still starts."""
    stamp = read_stamp()
    return bool(stamp) and version_of(venv_python()) == stamp.get("python")


def up_to_date() -> bool:
    """Whether nothing needs to be installed."""
    return read_stamp().get("key") == key() and works()


def write_stamp() -> None:
    """Declare the environment complete, in one step."""
    text = json.dumps({"key": key(), "python": version_of(venv_python())})
    temporary = STAMP.with_suffix(".tmp")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(str(temporary), str(STAMP))


def check_folder() -> None:
    """Raise SetUpError unless the course's folder can hold an environment and its disk has room."""
    if os.pathsep in str(VENV):
        raise SetUpError(
            "Python makes no environment in a folder whose path has a '{}', as {} has: rename or "
            "move the course and run the same command there.".format(os.pathsep, REPOSITORY)
        )
    try:
        LOG.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=str(REPOSITORY)):
            pass
        with LOG.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise SetUpError(
            "The course can't write in its own folder {} ({}): copy the whole folder to a place "
            "of yours and run the same command there.".format(REPOSITORY, error.strerror)
        ) from None
    _check_chmod()
    # Linux: 5.6 GB of packages, CUDA's included, unless another index gives smaller ones.
    other_index = any(name in os.environ for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"))
    needed = 6.5 if sys.platform.startswith("linux") and not other_index else 2.5
    free = shutil.disk_usage(str(REPOSITORY)).free / GIB
    if free < needed:
        raise SetUpError(
            "The disk of {} has {:.1f} GB left and the environment needs {} GB: free some space "
            "or move the course to another disk.".format(REPOSITORY, free, needed)
        )


def _check_chmod() -> None:
    with tempfile.NamedTemporaryFile(dir=str(REPOSITORY)) as file:
        try:
            os.chmod(file.name, os.stat(file.name).st_mode | 0o111)  # as pip does with programs
        except OSError:
            raise SetUpError(
                "The file system of {} lets no program be made executable (it refuses chmod), and "
                "Python's environments are full of programs: copy the course to another disk and "
                "run the same command there; your notebooks may stay here if you set COURSE_WORK "
                "to this folder.".format(REPOSITORY)
            ) from None


@contextlib.contextmanager
def lock() -> Iterator[int]:
    """Let one set-up at a time work in this folder; yields the lock's file descriptor.

    The system drops the lock when its last holder ends, so a killed set-up leaves none behind.
    """
    with (LOG.parent / "set_up.lock").open("a+") as file:
        for attempt in range(3600):
            try:
                _lock_now(file.fileno())
                break
            except OSError:
                if attempt == 0:
                    say("Another set-up of this folder is running; waiting for it to end ...")
                time.sleep(1)
        else:
            raise SetUpError("Another set-up of this folder has run for an hour: end it first.")
        yield file.fileno()


def _lock_now(descriptor: int) -> None:
    if os.name == "nt":
        import msvcrt

        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_NETWORK = re.compile(
    r"Failed to establish a new connection|Name or service not known|name resolution|getaddrinfo"
    r"|Connection refused|Connection to \S+ timed out|Read timed out|Max retries exceeded"
    r"|Network is unreachable|ProxyError|Connection broken|ConnectTimeout|Cannot connect to proxy"
)


def explain(log: str) -> str:
    """The sentence for a failed installation, from what pip wrote into ``log``."""
    if re.search(r"No space left on device|Errno 28|not enough space", log):
        return (
            "The disk is full: free some space (the environment needs 6.5 GB on Linux, 2.5 GB "
            "elsewhere; 'pip cache purge' gives some back) and run the same command again."
        )
    if re.search(r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerificationError", log):
        return (
            "A secure connection to the package index failed, as it does behind a proxy that "
            "reads traffic: set PIP_CERT to your institution's certificate file and run the same "
            "command again."
        )
    if _NETWORK.search(log):
        return (
            "No connection to the package index: check the network (behind a proxy set "
            "HTTPS_PROXY=http://host:port) and run the same command again."
        )
    if re.search(r"Permission denied|Errno 13|Access is denied|WinError 5", log):
        return (
            "A file of the environment can't be written: close every program that uses it, make "
            "sure that the folder {} is yours, and run the same command again.".format(REPOSITORY)
        )
    errors = [line.split("ERROR: ")[1] for line in log.splitlines() if "ERROR: " in line]
    reason = errors[0].strip() if errors else "pip gave no reason"
    return "Installing the packages failed ({}): read {}, and run the same command again.".format(
        reason, LOG
    )


def pip_environment() -> Dict[str, str]:
    """Variables with all of the user's settings of pip but those that install elsewhere.

    Proxy, index and certificate count, whether they stand in a variable or in a file of pip's. The
    files themselves are passed over, because no variable can take a setting of theirs back.
    """
    variables = ["PIP_" + name.upper().replace("-", "_") for name in ELSEWHERE]
    environment = {name: text for name, text in os.environ.items() if name not in variables}
    listed = subprocess.run(
        [str(venv_python()), "-m", "pip", "config", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env=environment,
    )
    if listed.returncode:  # a file that pip can't read: the installation will say so
        return environment
    from_files = {}
    for line in listed.stdout.decode(errors="replace").splitlines():  # global before install
        match = re.match(r"(?:global|install)\.([\w-]+)=(['\"].*)", line)
        if match and match.group(1) not in ELSEWHERE:
            name = "PIP_" + match.group(1).upper().replace("-", "_")
            from_files[name] = str(ast.literal_eval(match.group(2)))
    return dict(from_files, **dict(environment, PIP_CONFIG_FILE=os.devnull))


def pip_install(arguments: List[str], lock_descriptor: int) -> None:
    """Run pip in the environment, what it prints being shown as it comes.

    Raises:
        SetUpError: pip failed.
    """
    command = [str(venv_python()), "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--no-input", "--log", str(LOG)] + arguments
    start = LOG.stat().st_size if LOG.exists() else 0
    status = subprocess.call(
        command, cwd=str(REPOSITORY), env=pip_environment(), **keep_lock(lock_descriptor)
    )
    if status:
        with LOG.open(encoding="utf-8", errors="replace") as file:
            file.seek(start)
            raise SetUpError(explain(file.read()))


def remove_environment() -> None:
    """Remove an unfinished environment.

    Raises:
        SetUpError: ``.venv`` is no environment, or a program holds its files.
    """
    if not VENV.exists() and not VENV.is_symlink():
        return
    ours = MARKER.exists() or (VENV / "pyvenv.cfg").exists()
    if VENV.is_symlink() or not VENV.is_dir() or not (ours or not any(VENV.iterdir())):
        raise SetUpError(
            "{} is in the way and no Python environment: move it elsewhere and run the same "
            "command again.".format(VENV)
        )
    try:
        MARKER.touch()  # stays to the end: whoever kills this leaves a folder known as ours
        for path in VENV.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(str(path))
            elif path != MARKER:
                path.unlink()
        MARKER.unlink()
        VENV.rmdir()
    except OSError as error:
        raise SetUpError(
            "The unfinished environment {} can't be removed ({}): close every program that uses "
            "it, delete the folder and run the same command again.".format(VENV, error.strerror)
        ) from None


def keep_lock(descriptor: int) -> Dict:
    """Options with which a child keeps the lock: if this is killed, the next run waits for it."""
    return {} if os.name == "nt" else {"pass_fds": (descriptor,)}


def make_environment(python: List[str], lock_descriptor: int) -> None:
    """Make an empty environment with ``python``. Raises SetUpError when that fails."""
    remove_environment()
    version = "{}.{}".format(*(probe(python) or {})["version"])
    say("Making the environment {} with Python {} ...".format(VENV, version))
    VENV.mkdir()
    MARKER.touch()
    result = subprocess.run(
        python + ["-m", "venv", str(VENV)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **keep_lock(lock_descriptor),
    )
    if result.returncode:
        output = " ".join(result.stdout.decode(errors="replace").split())
        remove_environment()
        cure = "install another Python and name it: make lab PYTHON=/path/to/python3.13"
        if "ensurepip is not" in output:
            cure = "on Debian or Ubuntu run 'sudo apt install python{}-venv'".format(version)
        raise SetUpError(
            "Python {} can't make an environment ({}): {}.".format(version, output, cure)
        )


def install() -> None:
    """Make ``.venv`` hold what the course needs. Returns at once when it does already.

    Raises:
        SetUpError: it can't be done; no half-made environment is left behind.
    """
    if up_to_date():
        return
    usable = works()
    python = [] if usable else find_python()
    check_folder()
    with lock() as descriptor:
        if up_to_date():  # another process was faster
            return
        set_aside = VENV / "course_stamp.old"
        if usable:
            say("The course has changed: bringing the environment up to date ...")
            os.replace(str(STAMP), str(set_aside))
        else:
            make_environment(python, descriptor)
        LOG.write_text("", encoding="utf-8")
        try:
            # Small, and needed to build this package: it shows early whether there is a network.
            pip_install(["--quiet", "--retries", "1", "setuptools>=77"], descriptor)
            if not usable:
                say("Installing the packages (Linux: 2.7 GB to download, some minutes) ...")
            pip_install(
                ["--no-build-isolation", "-c", "constraints.txt", "-e", ".[dev]"], descriptor
            )
        except SetUpError:
            # pip installs nothing before everything is downloaded: the old state still stands.
            if usable:
                os.replace(str(set_aside), str(STAMP))
            else:
                remove_environment()
            raise
        settings = VENV / "share" / "jupyter" / "lab" / "settings"
        settings.mkdir(parents=True, exist_ok=True)
        text = json.dumps(LAB_SETTINGS, indent=2) + "\n"
        (settings / "overrides.json").write_text(text, encoding="utf-8")
        write_stamp()
        say("The environment is complete.")


# ------------------------------------------------------------------ the student's copies


def work_folder(python: str) -> Path:
    """The folder for all that is written, as course_utils.paths decides it."""
    code = "from course_utils.paths import work_folder; print(work_folder())"
    environment = dict(os.environ, PYTHONIOENCODING="utf-8:surrogateescape")
    output = subprocess.check_output(
        [python, "-c", code], cwd=str(REPOSITORY), env=environment, stdin=subprocess.DEVNULL
    )
    return Path(output.decode("utf-8", "surrogateescape").rstrip("\r\n"))


def _write_new(path: Path, content: bytes) -> bool:
    """Write a file that must not exist yet, in one step. Returns False when it exists."""
    handle, temporary = tempfile.mkstemp(prefix=".copy_", dir=str(path.parent))
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    try:
        with contextlib.suppress(PermissionError):  # some drives and hubs know no chmod
            os.chmod(temporary, 0o644)
        try:
            os.link(temporary, str(path))  # fails where the file exists; rename would replace it
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            if path.exists():
                return False
            shutil.copyfile(temporary, str(path))
        return True
    finally:
        os.unlink(temporary)


def student_copy(content: bytes) -> bytes:
    """A chapter's file as a student gets it: without outputs, which answer the questions above
    them, and without the cells tagged ``check``, which prove the text to the course's tests."""
    try:
        notebook = json.loads(content.decode("utf-8"))
        cells = [c for c in notebook["cells"] if "check" not in c["metadata"].get("tags", [])]
    except (ValueError, KeyError, TypeError):  # no notebook: Jupyter will say so
        return content
    for cell in cells:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    notebook["cells"] = cells
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def copy_notebooks(source: Path, target: Path) -> List[Path]:
    """Put the chapters in ``source`` beside the student's files in ``target``.

    A chapter without a copy is copied, as ``student_copy`` makes it. Where the course's chapter has
    changed since the student got it, the new one is laid beside as ``<chapter>_update.ipynb`` (then
    ``_update2``, ...), once. Nothing in ``target`` is ever overwritten. ``.given.json`` there
    remembers what was given.

    Returns:
        The files that were added.
    """
    target.mkdir(parents=True, exist_ok=True)
    record = target / ".given.json"
    try:
        given = dict(json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        given = {}
    added = []
    for chapter in sorted(source.glob("[0-9][0-9]_*.ipynb")):
        content = student_copy(chapter.read_bytes())
        digest = hashlib.sha256(content).hexdigest()
        known = given.setdefault(chapter.name, [])
        copy = target / chapter.name
        # Without a record, an existing copy is taken for one of this version.
        if not (copy.exists() and (digest in known or not known)):
            number = 1
            while not _write_new(copy, content):
                if copy.read_bytes() == content:  # by a run that was killed before its record
                    break
                suffix = "_update{}".format("" if number == 1 else number)
                copy = target / (chapter.stem + suffix + ".ipynb")
                number += 1
            else:
                added.append(copy)
        if digest not in known:
            known.append(digest)
    temporary = record.with_suffix(".tmp")
    temporary.write_text(json.dumps(given, indent=1) + "\n", encoding="utf-8")
    os.replace(str(temporary), str(record))
    return added


# ------------------------------------------------------------------ commands


def lab_command(python: str, folder: Path) -> List[str]:
    """The command that starts JupyterLab on ``folder``, reachable from this machine only."""
    command = [python, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1"]
    command.append("--ServerApp.root_dir={}".format(folder))
    display = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if sys.platform.startswith("linux") and not display:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # in containers everybody is root
        command.append("--allow-root")
    return command


def calm_threads(environment: MutableMapping[str, str], platform: str = sys.platform) -> None:
    """Let PyTorch's threads sleep where they wait: on a busy machine spinning costs minutes.

    ``environment`` is changed, unless the user has set how threads wait. It counts for whoever
    imports torch later: the library of threads reads it once, when it is loaded. PyTorch brings
    GNU's library for Linux, others elsewhere.
    """
    if not {"GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY"} & set(environment):
        gnu = platform.startswith("linux")
        environment.update({"GOMP_SPINCOUNT": "1000"} if gnu else {"OMP_WAIT_POLICY": "PASSIVE"})


def lab_environment() -> Dict[str, str]:
    """What JupyterLab gets and hands on to its kernels."""
    # The kernel of this environment before one that the user has installed elsewhere.
    environment = dict(os.environ, JUPYTER_PREFER_ENV_PATH="1")
    calm_threads(environment)
    return environment


def start_lab(python: str, arguments: List[str], edition: str = "en") -> int:
    """Copy new chapters and run JupyterLab until it is stopped. Returns its exit status."""
    try:
        folder = work_folder(python)
        if edition != "en":
            folder = folder / edition
        added = copy_notebooks(REPOSITORY / EDITIONS[edition], folder)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetUpError(
            "Your copies of the notebooks can't be written ({}): set COURSE_WORK to a folder of "
            "yours and run the same command again.".format(error)
        ) from None
    for path in added:
        say("New: {}".format(path))
    say("Your notebooks are in {} and are never overwritten.".format(folder))
    say("JupyterLab starts; open the address with 'token=' that it prints. Ctrl-C twice ends it.")
    command = lab_command(python, folder) + arguments
    if os.name == "nt":
        return subprocess.call(command, env=lab_environment())
    os.execve(command[0], command, lab_environment())


def task(command: str, edition: str) -> List[str]:
    """What a command runs for an edition: the Chinese one tests its own notebooks."""
    found = TASKS[command]
    if edition == "en":
        return found
    if command in TRANSLATED:
        return found + ["--edition", edition]
    folder = EDITIONS[edition]
    return [folder if part == "notebooks" else part for part in found if "--ignore" not in part]


def _install_for(command: str) -> None:
    """Set up for ``command``. A student without a network goes on with last week's packages."""
    try:
        install()
    except SetUpError as error:
        if command != "lab" or not works():
            raise
        say("{}\nUntil then JupyterLab starts with the packages of the last set-up.".format(error))


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    made = argparse.ArgumentParser(
        allow_abbrev=False,
        description="Set up the course, if needed, and run a command in its environment.",
        epilog="What follows the command is passed on, for example to JupyterLab or pytest.",
    )
    made.add_argument("command", choices=["lab", "install"] + sorted(TASKS))
    made.add_argument(
        "--edition",
        choices=sorted(EDITIONS),
        default="en",
        help="the language of the notebooks, pages and messages (en)",
    )
    made.add_argument(
        "--no-venv",
        action="store_true",
        help="use the Python that runs this, for example a conda environment from environment.yml",
    )
    return made


def main(argv: Optional[List[str]] = None) -> int:
    """Run one command. Returns its exit status; 2 after a sentence on what went wrong here."""
    arguments, passed_on = parser().parse_known_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # any path can be printed, whatever the locale
            stream.reconfigure(errors="backslashreplace")
    wished = dict(os.environ)
    tidy(os.environ)
    if arguments.edition != "en":
        os.environ["COURSE_LANG"] = wished["COURSE_LANG"] = arguments.edition
    try:
        if not arguments.no_venv:
            _install_for(arguments.command)
        python = sys.executable if arguments.no_venv else str(venv_python())
        if arguments.command == "install":
            return 0
        if arguments.command == "lab":
            return start_lab(python, passed_on, arguments.edition)
        command = [python] + task(arguments.command, arguments.edition) + passed_on
        # The doctor sees what the user's own shell and editor would hand on.
        environment = wished if arguments.command == "doctor" else None
        return subprocess.call(command, cwd=str(REPOSITORY), env=environment)
    except SetUpError as error:
        print("\n{}".format(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        stopped = "Stopped. The same command goes on from here."
        print("\n" + language.translate(stopped), file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
