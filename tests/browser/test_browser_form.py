"""The form of recorder.js in a real browser, with recorder.py behind it and no JupyterLab."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect
from watching import Watched, watch

from course_utils import recorder
from course_utils.paths import data_path

pytestmark = pytest.mark.slow
ANSWER = 30_000  # milliseconds; a busy machine is slow

ADDRESS = "http://127.0.0.1/"  # the browser trusts it; nothing is asked of the network
DEVICES = "--use-fake-device-for-media-stream"  # a microphone that beeps
SPOKEN = data_path("digits_en", "espeak20_7.wav")
OFFER = "or choose a file, which does the same."
# What anywidget gives to the form: the traits of the widget, and messages to and from Python.
PAGE = """
<!doctype html><meta charset="utf-8"><title>form</title><main></main>
<script type="module">
import form from "./recorder.js";
const traits = TRAITS;
const listeners = {};
const model = {
  get: (name) => traits[name],
  on: (event, listener) => (listeners[event] = listener),
  send: async (content, _, buffers = []) => {
    const bytes = buffers.map((buffer) => Array.from(new Uint8Array(buffer)));
    const [sentences, last] = await toPython(content, bytes);
    traits.last = last;
    listeners["change:last"]();
    sentences.forEach((sentence) => listeners["msg:custom"]({ sentence }));
  },
};
form.render({ model, el: document.querySelector("main") });
</script>
"""
# Keeps every stream and recorder that the form gets, so that a test can look at them.
KEEP = """
window.streams = [];
window.recorders = [];
const devices = navigator.mediaDevices;
const ask = devices?.getUserMedia.bind(devices);
if (ask) devices.getUserMedia = async (wish) => {
  streams.push(await ask(wish));
  return streams.at(-1);
};
const Recorder = window.MediaRecorder;
window.MediaRecorder = class extends Recorder {
  constructor(...options) {
    super(...options);
    recorders.push(this);
  }
};
"""
SLOW_PERMISSION = """
const kept = devices.getUserMedia;
devices.getUserMedia = async (wish) => {
  await new Promise((resolve) => (window.allow = resolve));
  return kept(wish);
};
"""
# Runs after the form has heard that a file is chosen, and before the file is decoded.
CHANGE_NAME = """
document.addEventListener("change", (event) => {
  if (event.target.type === "file") document.querySelector("input").value = "bo";
});
"""
STOP_AT_ONCE = """
const start = MediaRecorder.prototype.start;
MediaRecorder.prototype.start = function () {
  start.call(this);
  setTimeout(() => document.querySelector("button").click());
};
"""
TRACKS = "streams.flatMap(stream => stream.getTracks().map(track => track.readyState))"


@dataclass
class Form:
    """An open form: its page, its parts, and the folder in which Python keeps recordings."""

    watched: Watched
    folder: Path

    @property
    def page(self) -> Page:
        return self.watched.page

    @property
    def speaker(self) -> Locator:
        return self.page.locator("input").first

    @property
    def word(self) -> Locator:
        return self.page.locator("select")

    @property
    def button(self) -> Locator:
        return self.page.locator("button").first

    def fill(self, speaker: str, word: str) -> None:
        """Write into the form who speaks and which word."""
        self.speaker.fill(speaker)
        self.word.select_option(word)

    def choose(self, file: Path) -> None:
        """Choose a file in place of the microphone."""
        self.page.locator("input[type=file]").set_input_files(file)

    def says(self, sentence: str) -> None:
        """Check that the form says a sentence, or comes to say it."""
        expect(self.page.get_by_role("status")).to_contain_text(sentence, timeout=ANSWER)

    def kept(self) -> list[str]:
        """The names of the recordings that Python keeps."""
        return sorted(path.name for path in self.folder.iterdir())

    def is_closed(self) -> bool:
        """Whether the microphone was opened and no track of it runs any more."""
        return set(self.page.evaluate(TRACKS)) == {"ended"}


@pytest.fixture(scope="module")
def browser(launch: Callable[..., Browser]) -> Iterator[Browser]:
    """Chromium with a microphone that beeps, which contexts may use if they are told so."""
    browser = launch(DEVICES, "--deny-permission-prompts")
    yield browser
    browser.close()


def open_form(context: BrowserContext, folder: Path, script: str, address: str = ADDRESS) -> Form:
    """Open the form; a script runs before it, after what keeps the streams."""
    kept = recorder.Recorder(folder, lambda path: None)
    answers: list[str] = []
    kept.send = lambda message: answers.append(message["sentence"])  # type: ignore[method-assign]

    def to_python(content: dict[str, str], buffers: list[list[int]]) -> tuple[list[str], str]:
        answers.clear()
        kept._receive(kept, content, [bytes(buffer) for buffer in buffers])
        return answers, kept.last

    names = ("words", "rate", "seconds", "max_seconds", "place", "last", "texts")
    traits = json.dumps({name: getattr(kept, name) for name in names if kept.has_trait(name)})

    def answer(route: Route) -> None:
        if route.request.url.endswith("recorder.js"):
            path = Path(recorder.__file__).with_name("recorder.js")
            route.fulfill(path=path, content_type="text/javascript")
        else:
            route.fulfill(body=PAGE.replace("TRAITS", traits), content_type="text/html")

    watched = watch(context.new_page())
    watched.page.set_default_timeout(ANSWER)
    watched.page.expose_function("toPython", to_python)
    watched.page.add_init_script(KEEP + script)
    watched.page.route("**/*", answer)
    watched.page.goto(address)
    watched.page.locator("main p").first.wait_for()
    return Form(watched, folder)


@pytest.fixture
def form(browser: Browser, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Form]:
    """A form that may use the microphone; the parameter is a script that runs before it."""
    context = browser.new_context(permissions=["microphone"])
    form = open_form(context, tmp_path, getattr(request, "param", ""))
    yield form
    assert not form.watched.complaints
    context.close()


def before(script: str) -> pytest.MarkDecorator:
    """Let a script run before the form."""
    return pytest.mark.parametrize("form", [script], indirect=True, ids=[""])


def test_a_recording_is_kept_and_the_microphone_closed(form: Form) -> None:
    form.fill("mei", "7")
    form.button.click()
    form.says("Kept as mei_7.wav.")
    samples, rate = soundfile.read(form.folder / "mei_7.wav")
    assert rate == 16000 and len(samples) > 1.5 * rate
    assert np.abs(samples).max() > 0.01  # the beep
    assert form.is_closed()


def test_a_name_counts_as_it_stood_when_record_was_pressed(form: Form) -> None:
    form.fill("mei", "7")
    form.button.click()
    form.says("Speak now.")
    form.fill("bo", "3")  # the next one, who is in a hurry
    form.says("Kept as")
    assert form.kept() == ["mei_7.wav"]


@before(SLOW_PERMISSION)
def test_a_name_counts_as_it_stood_before_the_browser_asked_for_permission(form: Form) -> None:
    form.fill("mei", "7")
    form.button.click()
    form.page.wait_for_function("!!window.allow")
    form.fill("bo", "3")
    form.page.evaluate("allow()")
    form.says("Kept as")
    assert form.kept() == ["mei_7.wav"]


@before(CHANGE_NAME)
def test_a_name_counts_as_it_stood_when_a_file_was_chosen(form: Form) -> None:
    form.fill("mei", "7")
    form.choose(SPOKEN)
    form.says("Kept as")
    assert form.speaker.input_value() == "bo"
    assert form.kept() == ["mei_7.wav"]


@before(STOP_AT_ONCE)
def test_a_recording_of_nothing_says_so(form: Form) -> None:
    form.fill("mei", "7")
    form.button.click()
    form.says(f"The recording holds no sound: record again, {OFFER}")
    assert form.kept() == [] and form.is_closed()


def test_a_second_take_has_the_same_speaker(form: Form) -> None:
    form.fill("mei", "7")
    form.choose(SPOKEN)
    form.says("Kept as mei_7.wav.")
    form.choose(SPOKEN)
    form.says("Kept as mei_7_take2.wav.")


@before("delete window.MediaRecorder;")
def test_a_browser_that_cannot_record_says_so_and_opens_no_microphone(form: Form) -> None:
    form.says(f"This browser cannot record: use a newer one, {OFFER}")
    assert form.button.is_disabled()
    form.fill("mei", "7")
    form.choose(SPOKEN)
    form.says("Kept as mei_7.wav.")
    assert form.page.evaluate("streams.length") == 0


@pytest.mark.parametrize(
    "form, sentence",
    [
        (
            "MediaRecorder = class { constructor() { throw new DOMException('', 'Odd'); } };",
            f"The microphone does not work (Odd): close other programs that use it, {OFFER}",
        ),
        (
            "MediaRecorder.prototype.start = () => { throw new DOMException('', 'Odd'); };",
            f"The microphone does not work (Odd): close other programs that use it, {OFFER}",
        ),
        (
            "MediaRecorder = class { constructor() {"
            " throw new DOMException('', 'NotSupportedError'); } };",
            f"This browser cannot record: use a newer one, {OFFER}",
        ),
    ],
    ids=["made", "started", "not supported"],
    indirect=["form"],
)
def test_a_recorder_that_fails_says_so_and_closes_the_microphone(form: Form, sentence: str) -> None:
    form.fill("mei", "7")
    form.button.click()
    form.says(sentence)
    assert form.is_closed()
    assert form.button.is_enabled() and form.button.inner_text() == "Record"
    form.choose(SPOKEN)
    form.says("Kept as mei_7.wav.")


def taken_away(form: Form, take_away: Callable[[], object]) -> None:
    """Take the microphone away while it records, and check what the form says and does."""
    form.fill("mei", "7")
    form.button.click()
    form.says("Speak now.")
    form.page.wait_for_timeout(500)  # so that there is sound that could be kept
    take_away()
    form.says("The microphone was taken away while it recorded: record again, " + OFFER)
    assert form.kept() == []
    assert form.is_closed()
    assert form.button.is_enabled() and form.button.inner_text() == "Record"


def test_a_microphone_that_is_forbidden_in_the_middle(form: Form) -> None:
    """The browser itself ends the track, as it does where a device is unplugged."""
    context = form.page.context
    taken_away(form, context.clear_permissions)
    context.grant_permissions(["microphone"])
    form.button.click()
    form.says("Kept as mei_7.wav.")


@pytest.mark.parametrize(
    "script",
    [
        "track.stop(); track.dispatchEvent(new Event('ended'))",
        "track.dispatchEvent(new Event('ended'))",
        "track.stop(); recorder.stop()",  # the recorder hears of it before the track
        "recorder.dispatchEvent(new Event('error'))",
    ],
    ids=["track stopped", "track alone says it", "recorder alone says it", "recorder fails"],
)
def test_a_microphone_that_is_taken_away_in_the_middle(form: Form, script: str) -> None:
    known = "const track = streams[0].getTracks()[0], recorder = recorders[0];"
    taken_away(form, lambda: form.page.evaluate(f"() => {{ {known} {script} }}"))


def stereo(path: Path, left: float, right: float) -> Path:
    """Write a second of a tone in stereo, at the amplitudes given."""
    tone = np.sin(2 * math.pi * 440 * np.arange(48000) / 48000)
    soundfile.write(path, np.stack([left * tone, right * tone], axis=1), 48000, "PCM_16")
    return path


@pytest.mark.parametrize(
    "left, right, amplitude",
    [(0.3, -0.3, 0.3), (0.3, -0.29, 0.3), (-0.2, 0.21, 0.21), (0.3, 0.3, 0.3), (0.3, 0.1, 0.2)],
)
def test_stereo_is_never_silence(
    form: Form,
    tmp_path_factory: pytest.TempPathFactory,
    left: float,
    right: float,
    amplitude: float,
) -> None:
    form.fill("mei", "7")
    form.choose(stereo(tmp_path_factory.mktemp("stereo") / "a.wav", left, right))
    form.says("Kept as mei_7.wav.")
    samples, _ = soundfile.read(form.folder / "mei_7.wav")
    middle = samples[2000:-2000]
    level = 20 * math.log10(max(1e-9, math.sqrt(2 * np.mean(middle**2))) / amplitude)
    assert abs(level) < 1, f"{level:.1f} dB"


@pytest.mark.parametrize(
    "arguments, address, sentence",
    [
        (["--deny-permission-prompts", DEVICES], ADDRESS, "The microphone is not allowed: "),
        (["--disable-audio-input", "--use-fake-ui-for-media-stream"], ADDRESS, "no microphone: "),
        ([], "http://hub.test/", "This page may not use the microphone: "),
    ],
    ids=["no permission", "no microphone", "plain HTTP"],
)
def test_without_a_microphone_the_upload_does_the_same(
    arguments: list[str],
    address: str,
    sentence: str,
    launch: Callable[..., Browser],
    tmp_path: Path,
) -> None:
    browser = launch(*arguments)
    form = open_form(browser.new_context(), tmp_path, "", address)
    form.fill("mei", "7")
    if form.button.is_enabled():
        form.button.click()
    form.says(sentence)
    form.says(OFFER)
    form.choose(SPOKEN)
    form.says("Kept as mei_7.wav.")
    assert not form.watched.complaints
    browser.close()
