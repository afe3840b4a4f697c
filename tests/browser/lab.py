"""JupyterLab as `make lab` starts it, and a notebook that is run in it."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page
from watching import Watched, watch

import set_up

TRAINING = 2_000_000  # milliseconds
HUB = "hub.test"  # a name for this computer that browsers do not trust as they trust localhost
# A cell whose code is hidden, such as a solution, shows no number.
ALL_RAN = r"""
() => {
  const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
    .map(prompt => prompt.innerText.trim()).filter(text => text);
  return prompts.length && prompts.every(text => /^\[\d+\]:?$/.test(text));
}
"""


@contextlib.contextmanager
def running(folder: Path, settings: Path) -> Iterator[str]:
    """Run JupyterLab on a folder; yield its address, with the token."""
    # All cells at once in the page: the tests look at outputs that are far below.
    tracker = settings / "lab" / "@jupyterlab" / "notebook-extension"
    tracker.mkdir(parents=True)
    (tracker / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}', "utf-8")
    environment = dict(
        set_up.lab_environment(),
        COURSE_WORK=str(folder),
        JUPYTER_CONFIG_DIR=str(settings / "config"),
        JUPYTER_DATA_DIR=str(settings / "data"),
        JUPYTER_RUNTIME_DIR=str(settings / "runtime"),
        JUPYTERLAB_SETTINGS_DIR=str(settings / "lab"),
        JUPYTERLAB_WORKSPACES_DIR=str(settings / "workspaces"),
    )
    command = set_up.lab_command(sys.executable, folder)
    command += ["--no-browser", "--ServerApp.port=0", "--ServerApp.port_retries=0"]
    command += [f"--ServerApp.local_hostnames={HUB}"]  # for the test of plain HTTP
    log = settings / "log.txt"
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    try:
        found = None
        deadline = time.monotonic() + 120
        while not found and time.monotonic() < deadline:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            found = re.search(
                r"http://127\.0\.0\.1:\d+/lab\?token=\w+", log.read_text(encoding="utf-8")
            )
            time.sleep(0.5)
        assert found, log.read_text(encoding="utf-8")
        yield found[0]
    finally:
        process.terminate()
        process.wait(timeout=60)


def choose(page: Page, menu: str, entry: str) -> None:
    """Choose an entry of JupyterLab's menu."""
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.get_by_role("menuitem", name=entry, exact=True).click()


def run_all(browser: Browser, address: str, notebook: str) -> Watched:
    """Open a notebook, remove the outputs that it was saved with, and run all cells."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    watched = watch(context.new_page())
    page = watched.page
    # reset: or the notebooks of earlier tests would be opened again beside it
    page.goto(address.replace("/lab?", f"/lab/tree/{notebook}?reset&"))
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.get_by_text("Python 3 (ipykernel) | Idle").first.wait_for()
    choose(page, "Edit", "Clear Outputs of All Cells")
    page.wait_for_function("document.querySelectorAll('.jp-Notebook audio').length === 0")
    choose(page, "Run", "Run All Cells")
    page.wait_for_function(ALL_RAN, timeout=TRAINING)
    dialog = page.locator(".jp-Dialog")
    assert dialog.count() == 0, dialog.first.inner_text()
    return watched
