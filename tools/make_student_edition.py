"""Make the student edition: without solutions, outputs, proofs and notes for the teacher.

``make student`` writes ``build/student/`` and ``build/student.zip``. A file in the folder that
somebody has worked on is never replaced: the new one is laid beside it and named on the screen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbconvert.preprocessors import ClearOutputPreprocessor, TagRemovePreprocessor

from course_utils.paths import write_whole
from set_up import EDITIONS

REPOSITORY = Path(__file__).resolve().parents[1]
TARGET = REPOSITORY / "build" / "student"
# What a student needs to set up, run and test the course. tests/conftest.py lets `make test` run
# the notebooks; the other tests and tools, the book and the instructor's kit hold answers.
PARTS = (
    "notebooks/[0-9][0-9]_*.ipynb",
    "course_utils/**/*",
    "tools/set_up.py",
    "tools/doctor.py",
    "tools/command_line.py",
    "tools/experiment.py",
    "tools/few_voices.py",
    "tools/export_onnx.py",
    "tools/download.py",
    "tools/fsdd_sha256.txt",
    "data/**/*",
    "tests/conftest.py",
    "book/images/*",
    "book/jupyterlab.md",
    "book/recogniser.md",
    "book/sheets/*.md",
    "README.md",
    "LICENSE",
    "Makefile",
    "pyproject.toml",
    "constraints.txt",
    "environment.yml",
    ".gitignore",
    ".gitattributes",
)
REMOVED_TAGS = ("solution", "teacher", "check")
# Sections of the README.
FOR_OTHERS = ("For instructors", "For continuous integration", "教师", "持续集成")
RECORD = ".given.json"


def student_notebook(text: str) -> str:
    """The student edition of a notebook, given and returned as the text of its file."""
    notebook = nbformat.reads(text, as_version=4)
    remove = TagRemovePreprocessor(enabled=True, remove_cell_tags=set(REMOVED_TAGS))
    notebook, _ = remove.preprocess(notebook, {})
    notebook, _ = ClearOutputPreprocessor(enabled=True).preprocess(notebook, {})
    return str(nbformat.writes(notebook)) + "\n"


def student_readme(text: str) -> str:
    """README without the sections for other readers, and without its line on the other edition."""
    text = re.sub(r"\A\[[^\n]*\n\n", "", text)
    for title in FOR_OTHERS:
        text = re.sub(rf"^## {title}\n.*?(?=^## |\Z)", "", text, flags=re.MULTILINE | re.DOTALL)
    return text


def edition(repository: Path, language: str = "en") -> Iterator[tuple[str, bytes]]:
    """Yield each file of the student edition of ``repository``: its relative path, its bytes.

    The Chinese one has the Chinese notebooks instead of the English ones, and README in Chinese.
    """
    parts = [*PARTS, "zh/*.md", "zh/sheets/*.md"] if language == "zh" else PARTS
    notebooks = EDITIONS[language]
    parts = [part.replace("notebooks", notebooks) for part in parts]
    paths = {path for part in parts for path in repository.glob(part) if path.is_file()}
    for path in sorted(paths):
        inner = path.relative_to(repository)
        if any(name == "__pycache__" or name.startswith(".") for name in inner.parts[:-1]):
            continue
        if inner.name in (".DS_Store", "Thumbs.db"):
            continue
        content = path.read_bytes()
        if path.suffix == ".ipynb":
            content = student_notebook(content.decode("utf-8")).encode("utf-8")
        elif inner.name == "README.md" and inner.parts[0] in ("README.md", "zh"):
            content = student_readme(content.decode("utf-8")).encode("utf-8")
        yield inner.as_posix(), content


def place_beside(path: Path, content: bytes) -> Path:
    """Write ``content`` beside ``path`` under a free name, if it doesn't lie there already."""
    number = 1
    while True:
        suffix = "_update" if number == 1 else f"_update{number}"
        beside = path.with_name(path.stem + suffix + path.suffix)
        if not beside.exists():
            write_whole(beside, content)
        if beside.read_bytes() == content:
            return beside
        number += 1


def write_folder(files: dict[str, bytes], folder: Path) -> list[Path]:
    """Bring ``folder`` up to date without touching what was changed in it since it was given.

    Returns:
        The files that lie beside changed ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / RECORD
    try:
        given = dict(json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        given = {}  # what lies there is then taken for somebody's work
    beside = []
    for name, content in files.items():
        path, digest = folder / name, hashlib.sha256(content).hexdigest()
        present = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None
        if present in (None, given.get(name)):
            if present != digest:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, content)
        elif present != digest:
            beside.append(place_beside(path, content))
        given[name] = digest
    write_whole(record, (json.dumps(given, indent=1, sort_keys=True) + "\n").encode("utf-8"))
    return beside


def write_zip(files: dict[str, bytes], path: Path) -> None:
    """Write the files into a ZIP archive whose bytes depend on nothing but theirs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(f"student/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # Unix, on every machine
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    temporary.replace(path)


def main() -> int:
    """Make the edition. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Make the student edition of the course.")
    parser.add_argument("folder", nargs="?", type=Path, help="where to write (build/student)")
    parser.add_argument("--edition", choices=sorted(EDITIONS), default="en", help="its language")
    arguments = parser.parse_args()
    folder = arguments.folder
    if folder is None:
        folder = TARGET if arguments.edition == "en" else TARGET.with_name("student-zh")
    folder = folder.resolve()
    try:
        files = dict(edition(REPOSITORY, arguments.edition))
        beside = write_folder(files, folder)
        archive = folder.with_suffix(".zip")
        write_zip(files, archive)
    except OSError as error:
        print(f"The student edition can't be written ({error}).", file=sys.stderr)
        return 2
    for path in beside:
        print(f"The file there was worked on and stays; the new one lies beside it: {path}")
    print(f"The student edition: {folder} and {archive} ({len(files)} files)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
