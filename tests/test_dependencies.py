"""One list of dependencies: what pyproject, the constraints and environment.yml say agrees."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import doctor
import set_up

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONSTRAINTS = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINS = {canonicalize_name(n): v for n, v in (x.split("==") for x in CONSTRAINTS if "==" in x)}
CONDA = yaml.safe_load((REPOSITORY / "environment.yml").read_text(encoding="utf-8"))
# On one platform only: CUDA's libraries and compiler, and terminals of Windows.
FREE = re.compile(r"nvidia-.*|cuda-.*|triton|pywinpty|colorama|appnope|pywin32|setuptools")


def requirements() -> list[Requirement]:
    texts = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    return [Requirement(text) for text in texts]


def test_constraints_are_plain_exact_versions() -> None:
    pins = [line for line in CONSTRAINTS if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", pin) for pin in pins)
    assert len(PINS) == len(pins)
    assert not [name for name in PINS if FREE.fullmatch(name)]


@pytest.mark.parametrize("requirement", requirements(), ids=lambda item: item.name)
def test_each_dependency_is_a_range_with_a_tested_version(requirement: Requirement) -> None:
    assert "==" not in str(requirement.specifier), "exact versions belong into constraints.txt"
    assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)])


def test_each_tested_version_runs_on_the_first_python_of_the_range() -> None:
    """Debian's own 3.11 and Ubuntu's 3.12 stay at early releases; a pin may not ask for more."""
    first = "{}.{}.0".format(*set_up.OLDEST)
    too_new = []
    for name in PINS:
        try:
            needed = metadata.metadata(name)["Requires-Python"]
        except metadata.PackageNotFoundError:  # of another platform or Python
            continue
        if needed and first not in SpecifierSet(needed):
            too_new.append(f"{name} {PINS[name]} needs Python {needed}")
    assert too_new == []


def test_whatever_the_dependencies_bring_along_is_pinned() -> None:
    seen: set[str] = set()
    waiting = {canonicalize_name(item.name) for item in requirements()}
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.add(canonicalize_name(requirement.name))
        waiting -= seen
    assert not [name for name in sorted(seen) if name not in PINS and not FREE.fullmatch(name)]


def test_conda_takes_the_same_list() -> None:
    pip = next(item["pip"] for item in CONDA["dependencies"] if isinstance(item, dict))
    assert pip == ["-c constraints.txt", "-e .[dev]"]
    plain = [item for item in CONDA["dependencies"] if isinstance(item, str)]
    assert sorted(re.split("[<>=]", item)[0] for item in plain) == ["ffmpeg", "pip", "python"]
    assert CONDA["channels"] == ["conda-forge", "nodefaults"]


def test_all_places_allow_the_same_pythons() -> None:
    allowed = SpecifierSet(PROJECT["requires-python"])
    oldest, newest = set_up.OLDEST, set_up.NEWEST
    for minor in range(6, 30):
        assert allowed.contains(f"3.{minor}.1") == (oldest <= (3, minor) <= newest)
    assert [oldest, newest] == [doctor.OLDEST, doctor.NEWEST]
    python = next(x for x in CONDA["dependencies"] if str(x).startswith("python"))
    assert SpecifierSet(python.removeprefix("python")) == allowed
    binder = yaml.safe_load((REPOSITORY / ".binder/environment.yml").read_text(encoding="utf-8"))
    exact = binder["dependencies"][0]
    assert re.fullmatch(r"python=3\.\d+", exact) and allowed.contains(exact.split("=")[1] + ".1")


def imported_packages() -> set[str]:
    """Top-level modules that the course's own Python files import, tests included."""
    modules = set()
    for folder in ("course_utils", "tools", "book", "data", "tests"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    modules |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    modules.add(node.module.split(".")[0])
    return modules - set(sys.stdlib_module_names)


def test_all_that_is_imported_is_declared() -> None:
    """A package that arrives only because another brings it along may be gone tomorrow."""
    declared = {canonicalize_name(item.name) for item in requirements()}
    # Only making the sounds again needs these.
    text = (REPOSITORY / "data" / "requirements-voices.txt").read_text(encoding="utf-8")
    for_voices = {name.lower() for name in re.findall(r"^(\w+)==", text, re.M)}
    providers = metadata.packages_distributions()
    own = {path.stem for path in REPOSITORY.rglob("*.py") if ".venv" not in path.parts}
    own |= {"course_utils", "tests", "benchmarks", "faults"}
    missing = {
        module
        for module in imported_packages() - own - for_voices
        if not declared & {canonicalize_name(name) for name in providers.get(module, [])}
    }
    assert not missing


# ------------------------------------------------------------------ whole installations


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the course without what git ignores, as a fresh clone would be."""
    ignored = shutil.ignore_patterns(
        ".git", ".venv", "my_work", "build", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis"
    )
    folder = tmp_path / "clone"
    shutil.copytree(REPOSITORY, folder, ignore=ignored)
    return folder


def run(command: list[str], folder: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("COURSE_WORK", "VIRTUAL_ENV")}
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8"
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout


def remove(folder: Path) -> None:
    """5 GB, which pytest would keep for three runs."""
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fresh_clone_needs_one_command(request: pytest.FixtureRequest) -> None:
    """In CI the course itself is the fresh clone: `make test` has just set it up."""
    fresh = "CI" in os.environ and set_up.STAMP.exists()
    folder = REPOSITORY if fresh else request.getfixturevalue("clone")
    base = getattr(sys, "_base_executable", None) or sys.executable
    command = [base, "tools/set_up.py"]
    if not fresh:
        run([*command, "install"], folder)
    assert "The course can run." in run([*command, "doctor"], folder)
    assert (folder / ".venv" / "course_stamp.json").exists()
    python = str(folder / set_up.venv_python().relative_to(REPOSITORY))
    installed = json.loads(run([python, "-m", "pip", "list", "--format", "json"], folder))
    versions = {canonicalize_name(p["name"]): p["version"].split("+")[0] for p in installed}
    assert not {n: v for n, v in versions.items() if n in PINS and PINS[n] != v}
    assert run([*command, "install"], folder) == ""  # the second run installs nothing
    if not fresh:
        remove(folder)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_pip_part_of_environment_yml_as_written(clone: Path) -> None:
    """conda writes these lines into a requirements file beside environment.yml and runs pip.

    The packages of the environment that runs this test are there already, to be kept or refused.
    """
    lines = next(item["pip"] for item in CONDA["dependencies"] if isinstance(item, dict))
    (clone / "condaenv.requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    run([sys.executable, "-m", "venv", "fresh"], clone)
    python = str(clone / "fresh" / set_up.venv_python().relative_to(set_up.VENV))
    where = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    (there,) = run([python, "-c", where], clone).splitlines()
    (Path(there) / "packages.pth").write_text(sysconfig.get_paths()["purelib"], encoding="utf-8")
    run([python, "-m", "pip", "install", "-q", "-r", "condaenv.requirements.txt"], clone)
    assert "The course can run." in run([python, "-m", "course_utils", "doctor"], clone)
    remove(clone)
