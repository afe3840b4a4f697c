"""Chapters 1 and 8 in a real JupyterLab, started as `make lab` starts it, in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
import torch
from lab import HUB, run_all, running
from nbformat import v4
from playwright.sync_api import Browser, Locator, Page
from watching import Watched

import set_up
from course_utils import audio
from course_utils.paths import data_path

# Chapter 8 trains for minutes, on a slow machine for many.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

REPOSITORY = Path(__file__).resolve().parents[2]
CHAPTER_1, CHAPTER_8 = "01_audio_io_and_features.ipynb", "08_dataset_and_dataloader.ipynb"
FORM = "form.ipynb"  # nothing but the form that records
DEVICES = "--use-fake-device-for-media-stream"
SPOKEN = "espeak20_7.wav"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student's work folder: the notebooks, and recordings of three other people."""
    folder = tmp_path_factory.mktemp("my_work")
    set_up.copy_notebooks(REPOSITORY / "notebooks", folder)
    cell = v4.new_code_cell(
        "from course_utils import recorder\nrecorder.record(lambda path: print('heard', path.name))"
    )
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook = v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
    nbformat.write(notebook, folder / FORM)
    (folder / "recordings").mkdir()
    for name, voice, take in (
        ("ann", "slt01", ""),
        ("bo", "rms01", ""),
        ("bo", "rms02", "_take2"),
        ("cy", "ked01", ""),
    ):
        for digit in range(10):
            shutil.copy(
                data_path("digits_en", f"{voice}_{digit}.wav"),
                folder / "recordings" / f"{name}_{digit}{take}.wav",
            )
    return folder


@pytest.fixture(scope="module")
def address(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running JupyterLab on that folder; its address, with the token."""
    with running(folder, tmp_path_factory.mktemp("jupyter")) as found:
        yield found


@pytest.fixture(scope="module")
def speaking(launch: Callable[..., Browser], tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """Chromium with a microphone into which somebody says the digit of SPOKEN, again and again.

    The pauses are so short that each 2 s hold the whole word, whenever they begin.
    """
    word, sample_rate = audio.load(data_path("digits_en", SPOKEN))
    path = tmp_path_factory.mktemp("microphone") / "digit.wav"
    pause = torch.zeros(1, int(0.5 * sample_rate))
    audio.save(path, torch.cat([pause, word], dim=1), sample_rate)
    return launch(
        DEVICES,
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={path}",
    )


@pytest.fixture(scope="module", params=[CHAPTER_1, CHAPTER_8], ids=["chapter 1", "chapter 8"])
def lab(request: pytest.FixtureRequest, address: str, speaking: Browser) -> Iterator[Watched]:
    """A chapter, opened, all its cells run."""
    watched = run_all(speaking, address, request.param)
    yield watched
    watched.page.context.close()


def test_pictures_and_sounds_appear(lab: Watched) -> None:
    page = lab.page
    assert page.locator(".jp-RenderedImage img").count() >= 5
    assert page.locator(".jp-Notebook audio").count() >= 5
    page.wait_for_function(
        "[...document.querySelectorAll('.jp-Notebook audio')].every(a => a.duration > 0.05)"
    )
    assert page.locator(".jp-OutputArea-output[data-mime-type*='error']").count() == 0


@pytest.mark.parametrize("lab", [CHAPTER_1], indirect=True, ids=["chapter 1"])
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
        r".some(text => /def \w+_solution\(/.test(text.innerText))"
    )


def says(page: Page, sentence: str) -> None:
    """Wait until the form says a sentence."""
    page.locator(".say-a-word [role=status]", has_text=sentence).wait_for()


def form_on(page: Page, speaker: str, word: str) -> Locator:
    """Fill in who speaks and which word; return the form."""
    # The first of two forms. Keys that reach JupyterLab would change the cell.
    form = page.locator(".jp-CodeCell .say-a-word").first
    form.get_by_label("Speaker").fill("")
    form.get_by_label("Speaker").press_sequentially(speaker)
    form.get_by_label("Word").press(word)
    return form


@pytest.mark.parametrize("lab", [CHAPTER_8], indirect=True, ids=["chapter 8"])
def test_a_digit_is_recorded_recognised_and_deleted(lab: Watched, folder: Path) -> None:
    page, digit = lab.page, SPOKEN[-5]
    path = folder / "recordings" / f"mei_{digit}.wav"
    form = form_on(page, "mei", digit)
    assert str(folder / "recordings") in form.inner_text()
    form.get_by_role("button", name="Record").click()
    says(page, f"Kept as {path.name}.")
    waveform, sample_rate = audio.load(path)
    assert sample_rate == 16000 and waveform.shape[1] > 1.5 * sample_rate
    cell = page.locator(".jp-CodeCell", has=page.locator(".say-a-word")).first
    heard = cell.locator(".jupyter-widgets figcaption")
    heard.wait_for()
    assert heard.inner_text().startswith(f"I hear {digit} (")
    cell.locator(".jupyter-widgets img").wait_for()
    page.wait_for_function(
        "document.querySelector('.jp-CodeCell .jupyter-widgets audio').duration > 1.5"
    )
    form.get_by_role("button", name=f"Delete {path.name}").click()
    says(page, f"{path.name} is deleted.")
    assert not path.exists()
    assert form.get_by_role("button", name="Delete").is_disabled()
    assert len(list((folder / "recordings").iterdir())) == 40


@pytest.mark.parametrize("lab", [CHAPTER_8], indirect=True, ids=["chapter 8"])
def test_files_are_decoded_by_the_browser(lab: Watched, folder: Path, tmp_path: Path) -> None:
    page, digit = lab.page, SPOKEN[-5]
    word, sample_rate = audio.load(data_path("digits_en", SPOKEN))
    audio.save(tmp_path / "from a phone.mp3", audio.resample(word, sample_rate, 44100), 44100)
    (tmp_path / "<b>no sound.mp3").write_bytes(b"this is text")
    form = form_on(page, "mei", digit)
    form.locator("input[type=file]").set_input_files(tmp_path / "from a phone.mp3")
    says(page, f"Kept as mei_{digit}.wav.")
    heard = page.locator(".jp-CodeCell .jupyter-widgets figcaption")
    assert heard.inner_text().startswith(f"I hear {digit} (")
    form.locator("input[type=file]").set_input_files(tmp_path / "from a phone.mp3")
    says(page, f"Kept as mei_{digit}_take2.wav.")
    first, again = (
        audio.load(folder / "recordings" / f"mei_{digit}{take}.wav") for take in ("", "_take2")
    )
    assert first[1] == 16000 and torch.equal(first[0], again[0])
    form.locator("input[type=file]").set_input_files(tmp_path / "<b>no sound.mp3")
    says(page, "<b>no sound.mp3 is no sound that this browser can decode")
    form_on(page, "<b>mei</b>", digit)
    form.locator("input[type=file]").set_input_files(tmp_path / "from a phone.mp3")
    says(page, "The speaker's name is '<b>mei</b>': write 40 letters")
    assert form.locator("b").count() == 0


@pytest.mark.parametrize("lab", [CHAPTER_8], indirect=True, ids=["chapter 8"])
def test_a_class_trains_on_its_own_recordings(lab: Watched) -> None:
    text = lab.page.locator(".jp-CodeCell .jp-OutputArea", has_text="never heard").inner_text()
    found = re.search(r"ann, never heard: (\d\.\d\d) before, (\d\.\d\d) after", text)
    assert found and "Done: the model has the weights of epoch" in text
    assert float(found[1]) > 0.5 and float(found[2]) > 0.5


def test_nothing_is_asked_of_another_host(lab: Watched, address: str) -> None:
    host = address.split("/lab")[0].removeprefix("http://")
    other = [url for url in lab.requests if not re.match(rf"(http|ws)://{host}/|data:|blob:", url)]
    assert not other
    assert not lab.complaints


def test_the_form_alone_keeps_what_is_chosen_without_a_microphone(
    launch: Callable[..., Browser], address: str, folder: Path
) -> None:
    """By plain HTTP, as on a hub in a classroom; test_browser_form.py has the other reasons."""
    browser = launch(f"--host-resolver-rules=MAP {HUB} 127.0.0.1")
    watched = run_all(browser, address.replace("127.0.0.1", HUB), FORM)
    page = watched.page
    form = form_on(page, "dee", "3")
    assert form.get_by_role("button", name="Record").is_disabled()
    says(page, "This page may not use the microphone")
    form.locator("input[type=file]").set_input_files(data_path("digits_en", SPOKEN))
    says(page, "Kept as dee_3.wav.")
    page.locator(".jp-OutputArea-output", has_text="heard dee").last.wait_for()
    assert not watched.complaints
    form.get_by_role("button", name="Delete").click()
    says(page, "is deleted")


def test_the_form_alone_keeps_the_name_that_stood_there(
    speaking: Browser, address: str, folder: Path
) -> None:
    watched = run_all(speaking, address, FORM)
    form = form_on(watched.page, "eve", "7")
    form.get_by_role("button", name="Record").click()
    says(watched.page, "Speak now.")
    form_on(watched.page, "fay", "3")
    says(watched.page, "Kept as eve_7.wav.")
    assert (folder / "recordings" / "eve_7.wav").is_file()
    form.get_by_role("button", name="Delete").click()
    says(watched.page, "eve_7.wav is deleted.")
    watched.page.context.close()
