"""Check this machine for the course: one table, with a cure beside each row that needs one.

Only the standard library is imported here. The packages are imported in a process of their own,
so that even one that takes the interpreter down with it becomes a row of the table.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from course_utils.language import translate

REPOSITORY = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 11), (3, 14)
PATIENCE = 600  # seconds: a busy machine is slow, not broken
DEMO_SAMPLES = 65_328  # what the shapes printed in chapter 1 rest on

REINSTALL = "run `make lab` again, or `python tools/set_up.py install`"
REMAKE = "delete the folder .venv, then " + REINSTALL
RESTORE = "restore the files: `git checkout -- data`, or unpack the course's archive again"

# Packages of the `dev` list without which `make test` can't run, but the chapters can.
OPTIONAL = ("nbval", "pytest")
# Packages that are imported by another name than the one they are installed by.
MODULES = {"pillow": "PIL", "jupyter-client": "jupyter_client", "ipython": "IPython"}


@dataclass(frozen=True)
class Row:
    """A line of the table. ``status`` is ok, note (something optional is amiss) or FAIL."""

    status: str
    check: str
    found: str
    cure: str = ""


def ok(check: str, found: str) -> Row:
    """A row that needs no cure."""
    return Row("ok", check, found)


def note(check: str, found: str, cure: str) -> Row:
    """A row about something without which the course still runs."""
    return Row("note", check, found, cure)


def fail(check: str, found: str, cure: str) -> Row:
    """A row about something without which the course can't run."""
    return Row("FAIL", check, found, cure)


def check_python() -> list[Row]:
    """The version of the Python that runs this."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return [ok("Python", version)]
    return [fail("Python", version, "use Python 3.11 to 3.14; `make lab` looks for one")]


def tested_versions(constraints: Path | None = None) -> dict[str, str]:
    """Version of each package in the tested set, by lower-case name.

    Example:
        >>> tested_versions()["torch"]
        '2.11.0'
    """
    path = constraints or REPOSITORY / "constraints.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    pins = (line.split(";")[0].strip().split("==") for line in lines if "==" in line)
    return {_normal(name): version for name, version in pins}


def required_packages() -> list[str]:
    """Requirements of the course, such as ``torch>=2.6``, as pyproject.toml lists them."""
    import tomllib

    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    return list(tomllib.loads(text)["project"]["dependencies"])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _inside(requirement: str, version: str) -> bool:
    """Whether ``version`` is in the range of ``requirement``; true where that can't be told."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return True
    return Requirement(requirement).specifier.contains(version, prereleases=True)


# Runs in a process of its own: one JSON line when an import starts, one when it ended.
_IMPORTER = """
import importlib, json, sys
for name in sys.argv[1:]:
    print(json.dumps([name, None]), flush=True)
    try:
        importlib.import_module(name)
        problem = ""
    except BaseException as error:
        problem = f"{type(error).__name__}: {error}"
    print(json.dumps([name, problem]), flush=True)
"""


def import_problems(names: list[str]) -> dict[str, str]:
    """Import each of ``names`` apart from this process; what went wrong by name, or ``""``."""
    problems: dict[str, str] = {}
    left = list(names)
    while left:
        result = subprocess.run(
            [sys.executable, "-c", _IMPORTER, *left],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
        )
        seen = {}
        for line in result.stdout.decode(errors="replace").splitlines():
            if line.startswith('["'):  # a package may print when it is imported
                name, problem = json.loads(line)
                seen[name] = problem
        for name, problem in seen.items():
            problems[name] = (
                f"the process died with status {result.returncode}" if problem is None else problem
            )
        left = [name for name in left if name not in seen]
        if not seen:
            return problems | {name: "Python itself did not start" for name in left}
    return problems


def check_packages() -> list[Row]:
    """Each required package: installed, in range, as tested, and can be imported."""
    tested = tested_versions()
    requirements = {re.split(r"[<>=!~;\[ ]", item)[0]: item for item in required_packages()}
    requirements |= {name: name for name in OPTIONAL}
    problems = import_problems([MODULES.get(name, name) for name in requirements])
    rows = []
    for name, requirement in requirements.items():
        bad = note if name in OPTIONAL else fail
        known = tested.get(_normal(name), "?")
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            # Only `make lab` starts JupyterLab: on Colab and in VS Code others run the chapters.
            missing = note if name == "jupyterlab" else bad
            rows.append(missing(name, "not installed", REINSTALL))
            continue
        if problem := problems[MODULES.get(name, name)]:
            first = problem.splitlines()[0][:160]
            rows.append(bad(name, f"{version}, but importing it fails: {first}", REMAKE))
        elif not _inside(requirement, version):
            rows.append(bad(name, f"{version}, outside {requirement}", REINSTALL))
        elif version.split("+")[0] != known:
            rows.append(note(name, f"{version}, tested with {known}", REINSTALL))
        else:
            rows.append(ok(name, f"{version}, as tested"))
    return rows


def check_course() -> list[Row]:
    """The package itself, imported from elsewhere than the course's folder."""
    code = "import course_utils; print(course_utils.__file__)"
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, cwd=folder, timeout=PATIENCE
        )
    if result.returncode:
        return [fail("course_utils", "can't be imported in a notebook", REINSTALL)]
    found = Path(result.stdout.decode(errors="replace").strip()).resolve().parents[1]
    if found != REPOSITORY:
        return [fail("course_utils", f"is another copy, in {found}", REINSTALL)]
    return [ok("course_utils", "this copy of the course")]


def check_sound_files() -> list[Row]:
    """libsndfile inside soundfile, which reads and writes WAV, FLAC and MP3."""
    code = (
        "import soundfile; "
        "print(soundfile.__libsndfile_version__, 'MP3' in soundfile.available_formats())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=PATIENCE)
    if result.returncode:
        return [fail("libsndfile", "does not load", REMAKE)]
    version, mp3 = result.stdout.decode().split()
    if mp3 != "True":
        return [fail("libsndfile", f"{version}, which has no MP3", REMAKE)]
    return [ok("libsndfile", f"{version}, with MP3")]


def check_ffmpeg() -> list[Row]:
    """FFmpeg and TorchCodec: optional, for ``torchaudio.load`` beside the course's ``load``."""
    cure = "optional: install FFmpeg (apt, brew, conda); only torchaudio.load needs it"
    if shutil.which("ffmpeg") is None:
        return [note("FFmpeg", "not found", cure)]
    problem = import_problems(["torchcodec.decoders"])["torchcodec.decoders"]
    if problem:
        return [note("TorchCodec", "can't use this FFmpeg", cure + ", in a version from 4 to 8")]
    return [ok("FFmpeg", f"used by TorchCodec {metadata.version('torchcodec')}")]


_DEVICE = """
import torch
from course_utils.processes import choose_device
chosen = choose_device().type
seen = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
unused = f" ({seen} is there but cannot compute: it is full, or too old)" if seen else ""
named = {"cuda": f"cuda: {seen}", "cpu": "cpu, which is enough" + unused}
print(named.get(chosen, chosen))
"""


def check_device() -> list[Row]:
    """The device that training would choose; no chapter needs more than the processor."""
    result = subprocess.run([sys.executable, "-c", _DEVICE], capture_output=True, timeout=PATIENCE)
    if result.returncode:
        return [fail("device", "unknown, because torch or the course does not load", REMAKE)]
    return [ok("device", result.stdout.decode(errors="replace").strip())]


def check_data(folder: Path | None = None) -> list[Row]:
    """The sounds that ship with the course, against the checksums in ``manifest.csv``."""
    folder = folder or REPOSITORY / "data"
    return [_check_demo(folder / "demo1.wav"), _check_manifest(folder)]


def _check_demo(path: Path) -> Row:
    try:
        with wave.open(str(path)) as file:
            samples = file.getnframes()
    except (OSError, EOFError, wave.Error) as error:
        return fail("data/demo1.wav", f"can't be read ({type(error).__name__})", RESTORE)
    if samples != DEMO_SAMPLES:
        return fail("data/demo1.wav", f"{samples:,} samples, not {DEMO_SAMPLES:,}", RESTORE)
    return ok("data/demo1.wav", f"{samples:,} samples")


def _check_manifest(folder: Path) -> Row:
    try:
        with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
            digests = {row["file"]: row["sha256"] for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError):
        return fail("data", "no usable data/manifest.csv", RESTORE)
    bad = [name for name, digest in digests.items() if _sha256(folder / name) != digest]
    if bad or not digests:
        example = f", {bad[0]} for one" if bad else ""
        found = f"{len(bad)} of {len(digests):,} files missing or changed{example}"
        return fail("data", found, RESTORE)
    return ok("data", f"{len(digests):,} files, checksums right")


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def check_work_folder() -> list[Row]:
    """The folder that the chapters write to."""
    from course_utils.errors import FolderError
    from course_utils.paths import work_folder

    try:
        return [ok("work folder", str(work_folder()))]
    except FolderError as error:
        return [fail("work folder", str(error), "set COURSE_WORK to a folder of yours")]


def check_kernel() -> list[Row]:
    """The kernel that JupyterLab starts for the chapters is this Python."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError as error:
        return [fail("kernel", f"JupyterLab is not usable ({error})", REINSTALL)]
    try:
        python = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return [fail("kernel", "there is no kernel named python3", REINSTALL)]
    # Jupyter itself puts its own Python for these plain names.
    major, minor = sys.version_info[:2]
    plain = ("python", f"python{major}", f"python{major}.{minor}")
    path = sys.executable if python in plain else python
    # The environments of this Python, not the Python they share: no resolving of links.
    if Path(path).absolute().parent != Path(sys.executable).absolute().parent:
        cure = "`jupyter kernelspec remove python3`, or start JupyterLab by `make lab`"
        return [fail("kernel", f"python3 starts another Python, {path}", cure)]
    return [ok("kernel", "python3 is this Python")]


CHECKS: tuple[Callable[[], list[Row]], ...] = (
    check_python,
    check_packages,
    check_course,
    check_sound_files,
    check_ffmpeg,
    check_device,
    check_data,
    check_work_folder,
    check_kernel,
)


def examine() -> list[Row]:
    """All rows of the table. A check that breaks is a row too, and hides no other."""
    rows = []
    for check in CHECKS:
        try:
            rows += check()
        except Exception as error:  # whatever it is, the other rows are worth having
            name = check.__name__.removeprefix("check_").replace("_", " ")
            rows.append(fail(name, f"the check broke: {type(error).__name__}: {error}", REMAKE))
    return _blame_pythonpath(rows)


def _blame_pythonpath(rows: list[Row]) -> list[Row]:
    """Where packages from elsewhere come before the course's, no new environment helps."""
    elsewhere = os.environ.get("PYTHONPATH")
    if not elsewhere:
        return rows
    cure = f"unset PYTHONPATH ({elsewhere}), whose packages come first, and run the doctor again"
    return [replace(row, cure=cure) if row.cure in (REINSTALL, REMAKE) else row for row in rows]


def table(rows: list[Row]) -> str:
    """The rows as aligned text, each cure on a line of its own below its row.

    Example:
        >>> print(table([Row("ok", "Python", "3.12.1"), Row("note", "FFmpeg", "gone", "get it")]))
        ok    Python  3.12.1
        note  FFmpeg  gone
                      cure: get it
    """
    width = max(len(row.check) for row in rows)
    lines = []
    for row in rows:
        lines.append(f"{row.status:4}  {row.check:{width}}  {translate(row.found)}")
        if row.cure:
            lines.append(f"{'':{6 + width}}  " + translate(f"cure: {row.cure}"))
    return "\n".join(lines)


def main() -> int:
    """Print the table. Returns 1 if the course can't run on this machine, else 0; 130: Ctrl-C."""
    if hasattr(sys.stdout, "reconfigure"):  # any path can be printed, whatever the locale
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        rows = examine()
        failed = sum(row.status == "FAIL" for row in rows)
        end = f"The course can't run: see FAIL ({failed})." if failed else "The course can run."
        print(f"{table(rows)}\n\n{translate(end)}", flush=True)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `head` had enough; Python's own flush at the end must not fail
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
