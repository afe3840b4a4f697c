"""Run the fault tests and write what they found to book/faults.md; messages to book/messages.md.

Usage: python tests/faults/write_pages.py            both pages; the tests take a quarter of an hour
       python tests/faults/write_pages.py messages   the page of messages alone
       python tests/faults/write_pages.py A.xml …    the page of faults from pytest's reports
"""

from __future__ import annotations

import ast
import os
import platform
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
REPORT = REPOSITORY / "build" / "faults.xml"
FAULTS, MESSAGES = REPOSITORY / "book" / "faults.md", REPOSITORY / "book" / "messages.md"
# The files here; each is a section of the page.
SECTIONS = {
    "test_sound_files": "Sound files",
    "test_whole_sounds": "Sounds that other programs made",
    "test_data_folders": "Folders of recordings",
    "test_processes": "Processes that are killed or interrupted",
    "test_machines": "Machines",
    "test_notebooks": "Notebooks",
    "test_trust": "Trust",
}
ELSEWHERE = {
    "test_whole_sounds": {"test_audio.py": "antiphase|no_whole_number"},
    "test_sound_files": {
        "test_audio.py": "every_kind|channels_stay|any_sample|streamed|metadata|content_decides|"
        "odd_names|bad_|cut_anywhere|symlink|too_long|not_written_over|full_disk|never_written",
        "test_pictures.py": "absurd",
    },
    "test_data_folders": {
        "test_recordings.py": "other_things|bad_files|break_off|without_sound|old_name|"
        "take_without|wrong_name|manifest|table_that_is_none",
        "test_splits.py": "impossible|one_speaker|unknown_split",
        "test_cache.py": "bad_files|damaged_cache|goes_away|cache_that_cannot|full_disk|"
        "changed_recording|replaced_before",
    },
    "test_processes": {
        "test_training.py": "ctrl_c",
        "test_checkpoints.py": "full_disk|cannot_be_written|damaged_checkpoint",
        "test_recogniser.py": "truncated_model",
        "test_cli.py": "kill_9|killed_rank|ctrl_c|stopped_is_no|closed_ends|nobody_reads",
        "test_download.py": "two_downloads|broken_connection|hangs|truncated|ctrl_c",
        "test_set_up.py": "killed|two_set_ups|full_disk|half_made",
        "test_execute_notebooks.py": "failing",
    },
    "test_machines": {
        "test_set_up.py": "unfit|real_old|no_network|write_permission|moved|keeps_its_index"
        "|stay_outside|without_a_home|colon|refused|without_chmod",
        "test_recordings.py": "spawned",
        "test_training.py": "do_not_fit|is_no_number",
        "test_devices.py": "unusable|fewer_cards|mps|disagree|agree_on",
        "test_paths.py": "tilde|without_a_home|knows_no_permissions",
        "test_doctor.py": "broken_torch|unwritable",
    },
    "test_notebooks": {"test_student_edition.py": "prints_what|work_is_never"},
    "test_trust": {
        "test_recogniser.py": "run_code|no_model",
        "test_cli.py": "holds_code",
        "test_download.py": "malicious|too_many|without_end|tampered|zip_leads|damaged_archive",
        "test_set_up.py": "loopback|with_a_token",
    },
}
# What speaks to students from outside the package.
TOOLS = ("command_line", "doctor", "download", "experiment", "export_onnx", "set_up")
NOT_TRIED = """\
## What was not tried

- The pinned packages (`constraints.txt`) were not compared with a database of known
  vulnerabilities: the services that hold one could not be reached from the machine on which these
  tests ran. Where there is a network, `pip-audit -r constraints.txt` does it.
- Cuts that cannot be known, because nothing in the file tells how long it was: WAV, AIFF, AU and
  W64 written through a pipe; MP3 without a Xing or Info frame, and one frame of an MP3 with it;
  FLAC written through a pipe, where it is cut between two frames; IRCAM, PAF, PVF and XI; up to
  nine bytes of a VOC. Such files are read as far as they go.
- Windows and macOS: tests that need signals, permissions or mounts of Linux are skipped there,
  and say so.
"""


@dataclass
class Row:
    """A line of a table: what was tried, how often, in how many cases, and what happened."""

    name: str
    tried: int = 0
    passed: int = 0
    skipped: int = 0
    failed: int = 0
    found: tuple[str, ...] = ()


def sentence(name: str) -> str:
    """Turn the name of a test into the sentence that it is.

    >>> sentence("test_a_wav_cut_anywhere_is_refused")
    'A wav cut anywhere is refused'
    """
    words = name.removeprefix("test_").replace("_", " ")
    return words[:1].upper() + words[1:]


def rows(reports: list[Path]) -> dict[tuple[str, str], Row]:
    """Return a row for each test of a fault in JUnit reports, by file and name.

    Of a case that is in several reports, the last one counts.
    """
    result: dict[tuple[str, str], Row] = {}
    cases = {
        (case.get("classname"), case.get("name")): case
        for report in reports
        for case in ElementTree.parse(report).iter("testcase")
    }
    for case in cases.values():
        file = case.get("classname", "").rpartition(".")[2]
        name = case.get("name", "").partition("[")[0]
        if not any(belongs((file, name), section) for section in SECTIONS):
            continue  # reports of all tests hold others too
        row = result.setdefault((file, name), Row(sentence(name)))
        if case.find("failure") is not None or case.find("error") is not None:
            row.failed += 1
        elif case.find("skipped") is not None:
            row.skipped += 1
        else:
            row.passed += 1
            properties = {p.get("name"): p.get("value", "") for p in case.iter("property")}
            row.tried += int(properties.get("tried") or 1)
            found = properties.get("found")
            if found and found not in row.found:
                row.found += (found,)
    return result


def what_happened(row: Row) -> str:
    """Return the last column: what the test stored, and how many of its cases passed."""
    shown = [*row.found] if len(row.found) <= 3 else [*row.found[:2], row.found[-1]]
    parts = ["; ".join(shown)] if shown else ["as said"]
    if row.skipped:
        parts.append(f"{row.skipped} not possible on this machine")
    if row.failed:
        parts.append(f"**{row.failed} failed**")
    return "; ".join(parts) if row.passed else parts[-1]


def page(results: dict[tuple[str, str], Row]) -> str:
    """Return the page of faults as Markdown."""
    kills = sum(row.tried for (_, name), row in results.items() if "kill_9" in name)
    total = sum(row.tried for row in results.values())
    failed = sum(row.failed for row in results.values())
    import soundfile
    import torch

    lines = [
        "# What was done to break the course",
        "",
        "Each line is a test in `tests/`, its name turned into a sentence. The figures were made "
        "by the tests and written by `python tests/faults/write_pages.py`.",
        "",
        f"{total:,} faults were tried in {len(results)} tests; {failed} cases failed. "
        f"Processes were killed with `kill -9` {kills} times or more. Machine: "
        f"{platform.system()}, {os.cpu_count()} processors, Python {platform.python_version()}, "
        f"torch {torch.__version__.partition('+')[0]}, "
        f"libsndfile {soundfile.__libsndfile_version__}.",
        "",
    ]
    for file, title in SECTIONS.items():
        lines += [f"## {title}", "", "| What was tried | Times | What happened |", "|---|---|---|"]
        mine = [(key, row) for key, row in results.items() if belongs(key, file)]
        for _, row in sorted(mine, key=lambda item: item[0][0] != file):
            cells = (row.name, f"{row.tried:,}", what_happened(row))
            lines.append("| " + " | ".join(escaped(cell) for cell in cells) + " |")
        lines.append("")
    return "\n".join([*lines, NOT_TRIED])


def belongs(key: tuple[str, str], section: str) -> bool:
    """Whether a test is shown in a section: it is of its file, or is named in ELSEWHERE."""
    file, name = key
    pattern = ELSEWHERE[section].get(f"{file}.py")
    return file == section or bool(pattern and re.search(pattern, name))


def escaped(text: str) -> str:
    """Return text that Markdown shows as it stands in a table."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def elsewhere() -> list[str]:
    """Return the node ids of the tests in other files that are named in ELSEWHERE."""
    patterns: dict[str, list[str]] = defaultdict(list)
    for files in ELSEWHERE.values():
        for file, pattern in files.items():
            patterns[file].append(pattern)
    found = []
    for file, alternatives in patterns.items():
        tree = ast.parse((REPOSITORY / "tests" / file).read_text(encoding="utf-8"))
        names = [n.name for n in tree.body if isinstance(n, ast.FunctionDef)]
        tests = [name for name in names if name.startswith("test_")]
        for pattern in "|".join(alternatives).split("|"):
            if not any(re.search(pattern, name) for name in tests):
                raise LookupError(f"{file} has no test named like {pattern}: mend ELSEWHERE.")
        joined = "|".join(alternatives)
        found += [f"tests/{file}::{name}" for name in tests if re.search(joined, name)]
    return found


# Messages ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Message:
    """A message in the source: where, what kind of error, and its text with … for what varies."""

    module: str
    kind: str
    text: str


def messages() -> list[Message]:
    """Return every message that the package and its set-up raise or warn with, from the source."""
    found: dict[Message, None] = {}
    files = set((REPOSITORY / "course_utils").glob("*.py"))
    files |= {path for path in (REPOSITORY / "tools").glob("*.py") if path.stem in TOOLS}
    for path in sorted(files, key=lambda path: path.stem):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        for function in functions.values():
            for node in ast.walk(function):
                call = node.exc if isinstance(node, ast.Raise) else node
                if not isinstance(call, ast.Call) or not call.args:
                    continue
                kind = ast.unparse(call.func)
                if "argparse" in kind:
                    continue  # it puts words of its own around
                if kind == "warnings.warn":
                    kind = "warning"
                elif not (isinstance(node, ast.Raise) and kind.endswith("Error")):
                    continue
                for text in texts(call.args[0], function, functions):
                    if path.stem != "__main__":
                        found[Message(path.stem, kind, text)] = None
    return list(found)


def texts(
    node: ast.expr, function: ast.FunctionDef, functions: dict[str, ast.FunctionDef]
) -> Iterator[str]:
    """Return the texts that an expression can give, with … in the place of what varies."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body, function, functions)
        yield from texts(node.orelse, function, functions)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "format":
            for text in texts(node.func.value, function, functions):
                yield re.sub(r"\{[^}]*\}", "…", text)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == "translate":
            yield from texts(node.args[0], function, functions)
            return
        called = functions.get(node.func.id)
        if called is not None and called is not function:
            for inner in ast.walk(called):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield from texts(inner.value, called, functions)
    elif isinstance(node, ast.Name):
        for inner in ast.walk(function):
            if isinstance(inner, ast.Assign) and ast.unparse(inner.targets[0]) == node.id:
                yield from texts(inner.value, function, functions)


def messages_page() -> str:
    """Return the page of messages as Markdown."""
    lines = [
        "# What the course says when something is wrong",
        "",
        "Every error and warning of `course_utils` and the set-up, collected from the source by "
        "`python tests/faults/write_pages.py messages`. Each is one sentence: what is wrong with "
        "what, and behind a colon or a semicolon the cure. “…” stands for a name or a number.",
        "",
        "| Module | Kind | Message |",
        "|---|---|---|",
    ]
    for message in messages():
        cells = (message.module, message.kind, message.text)
        lines.append("| " + " | ".join(escaped(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the pages; return the exit status of the tests."""
    MESSAGES.write_text(messages_page(), encoding="utf-8")
    if sys.argv[1:] == ["messages"]:
        return 0
    if sys.argv[1:]:
        FAULTS.write_text(page(rows([Path(name) for name in sys.argv[1:]])), encoding="utf-8")
        return 0
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal"]
    command += [
        f"--junitxml={REPORT}",
        "-o",
        "junit_family=xunit1",
        "-p",
        "no:cacheprovider",
        "tests/faults",
        *elsewhere(),
    ]
    status = subprocess.run(command, cwd=REPOSITORY).returncode
    FAULTS.write_text(page(rows([REPORT])), encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
