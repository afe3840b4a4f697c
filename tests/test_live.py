"""What counts as a live front end, asked in real kernels that different programs start."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbformat import v4

from course_utils import plots, recorder

# A cell that says whether the course shows what only a live front end can use.
ASK = """
from IPython.utils.capture import capture_output
from course_utils import plots
with capture_output() as captured:
    plots.interactive(lambda x: None, x=(0, 2))
shown = bool(captured.outputs)
print(shown)
"""
# What servers, VS Code, Colab and Kaggle set, and what their kernels' children inherit.
FOREIGN = {
    "JPY_SESSION_NAME": "08.ipynb",
    "VSCODE_PID": "1",
    "VSCODE_CWD": "/",
    "COLAB_RELEASE_TAG": "release-colab",
    "KAGGLE_KERNEL_RUN_TYPE": "Interactive",
}


@pytest.fixture
def plain(monkeypatch):
    """None of these variables here and in the kernels that this process starts."""
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def inherited(monkeypatch):
    """All of them."""
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def notebook():
    """A notebook with one cell, which asks."""
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    return v4.new_notebook(cells=[v4.new_code_cell(ASK)], metadata={"kernelspec": kernel})


def test_a_front_end_that_can_answer_is_live(plain):
    """A cell as JupyterLab, VS Code and Colab send it; none of their variables is needed."""
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        for can_answer in (True, False, True):
            said = []
            client.execute_interactive(
                ASK,
                allow_stdin=can_answer,
                output_hook=lambda message, said=said: said.append(message["content"].get("text")),
                timeout=500,
            )
            assert f"{can_answer}\n" in said
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_nbclient_is_not_live(inherited, notebook):
    """Nor papermill and nbconvert, which run cells by it."""
    NotebookClient(notebook, timeout=500).execute()
    assert "False\n" in [output.get("text") for output in notebook.cells[0].outputs]


@pytest.mark.slow
def test_nbval_is_not_live(inherited, notebook, tmp_path):
    notebook.cells[0].source += "assert not shown"
    nbformat.write(notebook, tmp_path / "asks.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, "--rootdir", str(tmp_path), str(tmp_path / "asks.ipynb")],
        capture_output=True,
        encoding="utf-8",
        env=dict(os.environ),
    )
    assert "1 passed" in run.stdout, run.stdout + run.stderr


@pytest.mark.parametrize("variables", ["plain", "inherited"])
@pytest.mark.parametrize("live, count", [(True, 2), (False, 0), (None, 0)])
def test_the_sliders_and_the_form_need_somebody_who_can_answer(
    live, count, variables, monkeypatch, tmp_path, request
):
    """None: plain Python, in which no notebook runs."""
    request.getfixturevalue(variables)
    shown = []
    message = {"content": {"allow_stdin": live}}
    shell = None if live is None else SimpleNamespace(parent_header=message)
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr("IPython.display.display", shown.append)
    monkeypatch.setattr("ipywidgets.interact", lambda draw, **sliders: shown.append(sliders))
    recorder.record(print)
    plots.interactive(print, n_fft=(64, 2048, 64))
    assert len(shown) == count
