"""A notebook opened alone (Colab, Kaggle, a hub, VS Code): how it finds the course."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
CHAPTERS = sorted((REPOSITORY / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def code_cells(path: Path, count: int) -> list[nbformat.NotebookNode]:
    """The first cells with code, as they are before they are run."""
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"][:count]
    for cell in cells:
        cell.outputs, cell.execution_count = [], None
    return cells


def test_all_chapters_begin_with_the_same_cell() -> None:
    assert len({code_cells(path, 1)[0].source for path in CHAPTERS}) == 1
    for path in CHAPTERS:
        cell = code_cells(path, 1)[0]
        assert cell.metadata.slideshow.slide_type == "skip", "it would stand in the way in class"
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert len(lines) <= 6 and max(map(len, lines)) <= 80


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem[:2])
def test_it_says_in_one_sentence_that_the_course_is_missing(path: Path, tmp_path: Path) -> None:
    """-S: without the packages that are installed, as if none were."""
    source = code_cells(path, 1)[0].source
    command = [sys.executable, "-I", "-S", "-c", source]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert result.returncode == 1
    kind, _, sentence = result.stderr.splitlines()[-1].partition(": ")
    assert kind == "ImportError" and sentence.endswith(".")
    (section,) = re.findall(r"'(.+)'", sentence)
    assert re.search(rf"^## {section}\b", README, flags=re.MULTILINE)
    there = subprocess.run([sys.executable, "-c", source], capture_output=True, encoding="utf-8")
    assert (there.returncode, there.stdout, there.stderr) == (0, "", "")


# ------------------------------------------------------------------ README's cell


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python with all packages but the course, and a kernel of it, named alone."""
    folder = tmp_path / "elsewhere"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    scripts = "Scripts" if os.name == "nt" else "bin"
    python = folder / scripts / Path(sys.executable).name
    # A path in a .pth file is searched for packages, but not for further .pth files: that is how
    # the course itself is installed here.
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(subprocess.check_output([python, "-c", code], encoding="utf-8").strip())
    (own / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    kernel = tmp_path / "jupyter" / "kernels" / "alone"
    kernel.mkdir(parents=True)
    arguments = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    text = json.dumps({"argv": arguments, "display_name": "alone", "language": "python"})
    (kernel / "kernel.json").write_text(text, encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(kernel.parents[1]))
    return python


@pytest.fixture
def address(tmp_path: Path) -> str:
    """A repository to clone: the course as it stands here."""
    folder = tmp_path / "address"
    ignored = shutil.ignore_patterns(
        ".git", ".venv", "my_work", "build", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis"
    )
    shutil.copytree(REPOSITORY, folder, ignore=ignored)
    identity = ["-c", "user.name=course", "-c", "user.email=course@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "The course"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder.as_uri()


def run(cells: list[nbformat.NotebookNode], folder: Path) -> str:
    """Run cells in a fresh kernel; return what they print."""
    notebook = nbformat.v4.new_notebook(cells=cells)
    environment = {k: v for k, v in os.environ.items() if k not in ("COURSE_WORK", "VIRTUAL_ENV")}
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=300, kernel_name="alone", resources=resources)
    client.execute(env=environment)
    return "".join(o.get("text", "") for cell in cells for o in cell.outputs)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_readmes_cell_brings_the_course_and_leaves_pytorch(
    elsewhere: Path, address: str, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    first = code_cells(CHAPTERS[0], 2)
    with pytest.raises(CellExecutionError, match="Get the course: README"):
        run(first, here)
    assert first[1].execution_count is None, "more errors would hide the sentence"
    listing = [str(elsewhere), "-m", "pip", "list", "--format=freeze"]
    before = set(subprocess.check_output(listing, encoding="utf-8").split())
    (cell,) = re.findall(
        r"^## A notebook alone.*?^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL
    )
    assert cell.count("ADDRESS") == 1
    printed = run([nbformat.v4.new_code_cell(cell.replace("ADDRESS", address))], here)
    assert "ERROR" not in printed
    assert before <= set(subprocess.check_output(listing, encoding="utf-8").split())
    run(code_cells(CHAPTERS[0], 6), here)
    where = nbformat.v4.new_code_cell("from course_utils.paths import *; print(output_path('x'))")
    assert Path(run([where], here).strip()) == here / "speech-course" / "my_work" / "output" / "x"
