"""A recogniser as one web page, in a real browser whose network is cut."""

from __future__ import annotations

import base64
import functools
import http.server
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from playwright.sync_api import Browser, Page, expect
from sounds import clips_and_edges
from watching import violations, watch

from course_utils import audio, export_page, models, training
from course_utils.export_page import save_page
from course_utils.paths import data_path
from course_utils.recogniser import Recogniser
from course_utils.recordings import SpokenWords

pytestmark = pytest.mark.slow
ANSWER = 30_000  # milliseconds; a busy machine is slow
DEVICES = "--use-fake-device-for-media-stream"
ASK = """
(text) => {
  const samples = numbersOf(text);
  const started = performance.now();
  const { word, place, probabilities } = recognise(samples, model);
  return { word, place, probabilities, milliseconds: performance.now() - started };
}
"""
POOLS = """
([values, networks]) => {
  for (const layer of networks.flat())
    for (const name of ["weights", "bias"]) if (layer[name]) layer[name] = numbersOf(layer[name]);
  return predict({ values, shape: [1, 40, 48] }, networks);
}
"""
# Tries three ways out, and says which were taken and what the policy blocked.
SENDING = """
async () => {
  const ways = [
    () => fetch("https://example.org/"),
    () => new Promise((done, failed) => {
      const image = new Image();
      image.onload = done;
      image.onerror = () => failed(new Error("blocked"));
      image.src = "https://example.org/";
    }),
    () => new Promise((done, failed) => {
      const socket = new WebSocket("wss://example.org/");
      socket.onopen = done;
      socket.onerror = () => failed(new Error("blocked"));
    }),
  ];
  const blocked = [];
  addEventListener("securitypolicyviolation", (event) => blocked.push(event.effectiveDirective));
  const sent = [];
  for (const way of ways) await way().then(() => sent.push(String(way)), () => null);
  await new Promise((done) => setTimeout(done, 500)); // the browser may tell of them later
  return { sent, blocked };
}
"""


def train(folder: str, recipe: str, epochs: int, every: int) -> Recogniser:
    """A recogniser that has heard some of the shipped speakers: not good, but no coin either."""
    data = SpokenWords(data_path(folder), "speaker_digit")
    chosen = [i for i, name in enumerate(data.speakers) if hash_of(name) % every == 0]
    settings = replace(training.RECIPES[recipe], epochs=epochs)
    features = data.pictures(n_mels=settings.n_mels, n_frames=settings.n_frames)[chosen]
    training.seed_everything(0)
    model = settings.network(classes=len(data.words))
    training.fit(model, features, data.labels[chosen], recipe=settings, device="cpu")
    model.eval()
    return Recogniser(model, list(data.words), settings, {"epochs": epochs})


def hash_of(name: str) -> int:
    return sum(map(ord, name))


@pytest.fixture(scope="module")
def english() -> Recogniser:
    return train("digits_en", "cnn", epochs=8, every=4)


@pytest.fixture(scope="module")
def mandarin() -> Recogniser:
    return train("digits_zh", "lenet", epochs=30, every=2)


@pytest.fixture(scope="module")
def pages(
    english: Recogniser, mandarin: Recogniser, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a page of each language."""
    folder = tmp_path_factory.mktemp("页 pages")
    save_page(english, folder / "english.html", by="Mei")
    save_page(mandarin, folder / "mandarin.html", hosted=True)
    return folder


def open_page(browser: Browser, address: str, **options: object) -> Page:
    """Open a page in a context of its own, without a network; complaints end the test."""
    context = browser.new_context(offline=True, **options)
    watched = watch(context.new_page())
    page = watched.page
    page.set_default_timeout(ANSWER)
    page.goto(address)
    page.locator("#proof[data-right]").wait_for()
    assert watched.complaints == [] and len(watched.requests) == 1
    return page


@pytest.fixture
def page(chromium: Browser, pages: Path) -> Iterator[Page]:
    page = open_page(chromium, (pages / "english.html").as_uri())
    yield page
    page.context.close()


@pytest.mark.parametrize("name", ["english", "mandarin"])
def test_the_page_hears_what_python_hears(name, chromium, pages, request):
    """Every shipped clip of the test part and 61 edge signals: word, place, probabilities."""
    spoken = request.getfixturevalue(name)
    page = open_page(chromium, (pages / f"{name}.html").as_uri())
    clips = clips_and_edges() if name == "english" else clips_and_edges(every=3)
    assert len(clips) == {"english": 751, "mandarin": 291}[name]
    here = there = 0.0  # seconds
    for samples in clips:
        started = time.perf_counter()
        heard = spoken.recognise(torch.from_numpy(samples)[None], 16000)
        here += time.perf_counter() - started
        answer = page.evaluate(ASK, base64.b64encode(samples.tobytes()).decode())
        there += answer["milliseconds"] / 1000
        difference = np.abs(np.array(answer["probabilities"]) - heard.probabilities.numpy()).max()
        assert difference < 1e-4
        assert answer["word"] == heard.word
        place = [round(100 * heard.start), round(100 * heard.end)]
        assert answer["place"] == (None if heard.word is None else place)
    request.node.user_properties.append(("times_of_python", round(there / here, 2)))
    print(f"{name}: {there / here:.1f} times the time of Python")
    page.context.close()


@pytest.mark.parametrize("grid", [None, (5, 3), (3, 4)])
def test_the_page_pools_as_pytorch_does(page, grid):
    """Over all places, over cells, and over cells that do not divide the 5 x 6 places."""
    torch.manual_seed(0)
    model = models.SmallCNN(grid=grid).eval()
    picture = torch.rand(1, 1, 40, 48) * 4 - 2
    answer = page.evaluate(
        POOLS,
        [picture.flatten().tolist(), export_page._networks(model)],
    )
    expected = models.predict(model, picture)[0].numpy()
    assert np.abs(np.array(answer) - expected).max() < 1e-5


def test_it_says_at_its_start_that_it_computes_what_python_computed(page):
    expect(page.locator("#proof")).to_contain_text("this page computes what Python computed")
    assert (
        page.evaluate(
            "(model.reference.probabilities[3] += 0.01, proof(), document.getElementById('proof')"
            ".dataset.right)"
        )
        == "false"
    )
    expect(page.locator("#proof")).to_contain_text("do not trust its answers")


@pytest.mark.parametrize("ending", ["wav", "mp3", "m4a"])
def test_a_file_that_the_browser_decodes_gives_the_same_word(
    ending, page, english, tmp_path, record_property
):
    """At another rate: the browser resamples in its own way, so probabilities differ a little."""
    worst, different = 0.0, []
    for digit in range(10):
        waveform, _ = audio.load(data_path("digits_en", f"slt01_{digit}.wav"))
        wav = tmp_path / f"{digit}.wav"
        soundfile.write(wav, audio.resample(waveform, 16000, 44100)[0].numpy(), 44100)
        file = wav.with_suffix(f".{ending}")
        if ending != "wav":
            command = ["ffmpeg", "-v", "error", "-i", str(wav), "-b:a", "96k", str(file)]
            subprocess.run(command, check=True)
        page.locator("#answer").evaluate("(element) => (element.textContent = '')")
        page.locator("#file").set_input_files(file)
        expect(page.locator("#answer")).not_to_be_empty(timeout=ANSWER)
        word, probabilities = page.evaluate("[shown.heard.word, shown.heard.probabilities]")
        plain = wav if ending == "m4a" else file  # Python's own reader knows no M4A
        heard = english.recognise(*audio.load(plain))
        difference = np.abs(np.array(probabilities) - heard.probabilities.numpy()).max()
        worst = max(worst, float(difference))
        if word != heard.word:
            different.append((digit, word, heard.word))
    record_property("largest_difference", worst)
    assert different == []
    assert worst < {"wav": 0.02, "mp3": 0.05, "m4a": 0.2}[ending]


def test_a_file_that_is_no_sound_gets_a_sentence(page, tmp_path):
    (tmp_path / "song.mp3").write_bytes(b"no sound at all" * 100)
    page.locator("#file").set_input_files(tmp_path / "song.mp3")
    expect(page.get_by_role("status")).to_contain_text("choose WAV, MP3 or M4A")
    soundfile.write(tmp_path / "long.wav", np.zeros(61 * 8000), 8000)
    page.locator("#file").set_input_files(tmp_path / "long.wav")
    expect(page.get_by_role("status")).to_contain_text("longer than 60 s")


def test_the_page_cannot_send_anything(chromium, pages):
    context = chromium.new_context()  # with a network, if there is one
    page = context.new_page()
    page.goto((pages / "english.html").as_uri())
    answer = page.evaluate(SENDING)
    assert answer["sent"] == []
    # Both fetch and the socket are connections.
    assert sorted(answer["blocked"]) == ["connect-src", "connect-src", "img-src"]
    context.close()


def spoken_file(folder: Path, clip: str) -> Path:
    """A word, with a second before it and after it, for Chromium's microphone."""
    waveform, rate = audio.load(data_path(clip))
    rest = 0.0005 * np.random.default_rng(0).normal(size=rate // 2)
    path = folder / "microphone.wav"
    samples = np.concatenate([rest, waveform[0].numpy(), rest, rest])
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


@pytest.mark.parametrize(
    ("name", "clip"),
    [("english", "digits_en/slt01_7.wav"), ("mandarin", "digits_zh/zh001_8.wav")],
)
@pytest.mark.parametrize("button", ["#record", "#listen"])
def test_a_digit_that_is_said_is_heard(name, clip, button, launch, pages, tmp_path, request):
    word = clip[-5]
    waveform, rate = audio.load(data_path(clip))
    if request.getfixturevalue(name).recognise(waveform, rate).word != word:
        pytest.fail("this recogniser is too bad for the test: choose another clip")
    said = spoken_file(tmp_path, clip)
    browser = launch(DEVICES, f"--use-file-for-fake-audio-capture={said}")
    page = open_page(browser, (pages / f"{name}.html").as_uri(), permissions=["microphone"])
    page.locator(button).click()
    expect(page.locator("#answer")).to_contain_text(f"{word} (heard", timeout=ANSWER)
    if button == "#listen":
        page.locator(button).click()
        expect(page.locator(button)).to_have_text("Listen")
    browser.close()


def test_a_microphone_that_is_denied_or_missing_gets_a_sentence(launch, pages):
    for arguments, sentence in (
        ([DEVICES, "--deny-permission-prompts"], "is not allowed"),
        (["--use-fake-ui-for-media-stream"], "no microphone"),
    ):
        browser = launch(*arguments)
        page = open_page(browser, (pages / "english.html").as_uri())
        for button in ("#record", "#listen"):
            page.locator(button).click()
            expect(page.get_by_role("status")).to_contain_text(sentence)
        browser.close()


@pytest.fixture
def served(pages: Path) -> Iterator[int]:
    """The pages over HTTP; the port."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(pages))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def test_over_http_the_page_works_and_says_why_it_may_not_record(launch, served):
    browser = launch("--host-resolver-rules=MAP school.test 127.0.0.1")
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://school.test:{served}/english.html")
    expect(page.get_by_role("status")).to_contain_text("open it by https")
    expect(page.locator("#record")).to_be_disabled()
    page.locator("#file").set_input_files(data_path("digits_en", "slt01_7.wav"))
    expect(page.locator("#answer")).to_contain_text("heard from")
    browser.close()


def test_a_hosted_page_takes_the_model_of_another_page(chromium, pages):
    page = open_page(chromium, (pages / "mandarin.html").as_uri())
    expect(page.locator("#card")).not_to_contain_text("Mei")
    page.locator("#model-file").set_input_files(pages / "english.html")
    expect(page.locator("#card")).to_contain_text("Mei")
    expect(page.locator("#proof")).to_have_attribute("data-right", "true")
    other = pages / "other.html"
    other.write_text("<p>nothing</p>", encoding="utf-8")
    page.locator("#model-file").set_input_files(other)
    expect(page.get_by_role("status")).to_contain_text("python -m course_utils export")
    expect(page.locator("#card")).to_contain_text("Mei")
    page.context.close()


@pytest.mark.parametrize("language", ["en-GB", "zh-CN"])
def test_everybody_can_use_it_on_a_narrow_screen_with_a_keyboard(language, chromium, pages, axe):
    size = {"width": 360, "height": 740}
    page = open_page(chromium, (pages / "english.html").as_uri(), viewport=size, locale=language)
    title = {"en-GB": "A recogniser of spoken words", "zh-CN": "语音单词识别器"}[language]
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert {"language", "record", "listen", "file"} <= set(reached)
    with page.expect_file_chooser() as chooser:
        page.locator("#file").focus()
        page.keyboard.press("Enter")
    chooser.value.set_files(data_path("digits_en", "slt01_7.wav"))
    expect(page.locator("#answer")).not_to_be_empty()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert violations(page, axe) == []
    page.locator("#language").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).not_to_have_text(title)
    assert violations(page, axe) == []
    page.context.close()
