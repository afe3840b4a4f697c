"""Chapter 1 in a real JupyterLab, started as `make lab` starts it, in a real browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from watching import Watched, watch

from course_utils import set_up

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
CHAPTER = "01_audio_io_and_features.ipynb"
# A cell whose code is hidden shows no number; the last cell shows one.
ALL_RAN = r"""
() => {
  const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
    .map(prompt => prompt.innerText.trim());
  const ran = text => /^\[\d+\]:?$/.test(text);
  return prompts.length > 20 && ran(prompts.at(-1)) && prompts.every(text => !text || ran(text));
}
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running JupyterLab on copies of the notebooks; its address, with the token."""
    folder = tmp_path_factory.mktemp("my_work")
    settings = tmp_path_factory.mktemp("jupyter")
    set_up.copy_notebooks(REPOSITORY / "notebooks", folder)
    # All cells at once in the page: the tests look at outputs that are far below.
    tracker = settings / "lab" / "@jupyterlab" / "notebook-extension"
    tracker.mkdir(parents=True)
    (tracker / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}', "utf-8")
    environment = dict(
        os.environ,
        COURSE_WORK=str(folder),
        JUPYTER_PREFER_ENV_PATH="1",
        JUPYTER_CONFIG_DIR=str(settings / "config"),
        JUPYTER_DATA_DIR=str(settings / "data"),
        JUPYTER_RUNTIME_DIR=str(settings / "runtime"),
        JUPYTERLAB_SETTINGS_DIR=str(settings / "lab"),
        JUPYTERLAB_WORKSPACES_DIR=str(settings / "workspaces"),
    )
    command = set_up.lab_command(sys.executable, folder)
    command += ["--no-browser", "--ServerApp.port=0", "--ServerApp.port_retries=0"]
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


@pytest.fixture(scope="module")
def lab(address: str, chromium: Browser) -> Iterator[Watched]:
    """Chapter 1, opened; the outputs that it was saved with removed, all cells run."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    watched = watch(context.new_page())
    page = watched.page
    page.goto(address.replace("/lab?", f"/lab/tree/{CHAPTER}?"))
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.get_by_text("Python 3 (ipykernel) | Idle").first.wait_for()
    choose(page, "Edit", "Clear Outputs of All Cells")
    page.wait_for_function("document.querySelectorAll('.jp-Notebook audio').length === 0")
    choose(page, "Run", "Run All Cells")
    page.wait_for_function(ALL_RAN)
    dialog = page.locator(".jp-Dialog")
    assert dialog.count() == 0, dialog.first.inner_text()
    yield watched
    context.close()


def test_pictures_and_sounds_appear(lab: Watched) -> None:
    page = lab.page
    assert page.locator(".jp-RenderedImage img").count() >= 5
    assert page.locator(".jp-Notebook audio").count() >= 5
    page.wait_for_function(
        "[...document.querySelectorAll('.jp-Notebook audio')].every(a => a.duration > 0.05)"
    )
    assert page.locator(".jp-OutputArea-output[data-mime-type*='error']").count() == 0


def test_a_slider_draws_anew(lab: Watched) -> None:
    page = lab.page
    page.wait_for_selector(".jp-CodeCell .widget-slider", state="attached")
    cell = page.locator(".jp-CodeCell", has=page.locator(".widget-slider")).first
    picture = cell.locator(".jupyter-widgets img").first
    before = picture.get_attribute("src")
    handle = cell.locator(".noUi-handle").first
    handle.focus()
    handle.press("ArrowRight")
    page.wait_for_function(
        "before => ![...document.querySelectorAll('.jupyter-widgets img')]"
        ".some(image => image.src === before)",
        arg=before,
    )


def test_a_hidden_solution_opens(lab: Watched) -> None:
    page = lab.page
    hidden = page.locator(".jp-CodeCell", has=page.locator(".jp-InputPlaceholder"))
    assert hidden.count() >= 3
    page.locator(".jp-InputPlaceholder").first.click()
    page.wait_for_function(
        "[...document.querySelectorAll('.jp-CodeCell .cm-content')]"
        ".some(text => text.innerText.includes('assert checks.ch01.ex1'))"
    )


def test_nothing_is_asked_of_another_host(lab: Watched, address: str) -> None:
    host = address.split("/lab")[0].removeprefix("http://")
    other = [url for url in lab.requests if not re.match(rf"(http|ws)://{host}/|data:|blob:", url)]
    assert not other
    assert not lab.complaints
