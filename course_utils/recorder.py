"""Say a word: a button that records in the browser and keeps a WAV in the student's own folder.

The browser (`recorder.js`) records, decodes and resamples, because only it can read what it
records (WebM) and what phones record (M4A). It sends 16-bit samples; Python names and keeps them.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import unicodedata
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

from course_utils import language
from course_utils.errors import AudioError, FolderError
from course_utils.live import is_live
from course_utils.paths import work_folder

SAMPLE_RATE = 16000  # in Hz, of every recording that is kept
SECONDS = 2  # how long the button records
MAX_SECONDS = 10  # of an uploaded file: one word, and silence around it
MAX_NAME = 40  # characters
DIGITS = tuple("0123456789")


def recordings_folder() -> Path:
    """Return the student's own folder of recordings, and make it if it is missing.

    Returns:
        an absolute path, in the work folder. Names there have the layout `speaker_word`.
    Raises:
        FolderError: as `work_folder`, or if the folder cannot be made.

    >>> recordings_folder().name
    'recordings'
    """
    folder = work_folder() / "recordings"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise FolderError(
            f"{folder} cannot be made ({error.strerror}): move away what is in its place."
        ) from None
    return folder


def save_recording(samples: bytes, speaker: str, word: str, folder: Path) -> Path:
    """Keep a recording as `<speaker>_<word>.wav`; a second take as `<speaker>_<word>_take2.wav`.

    Args:
        samples: 16-bit integers, little-endian, one channel at 16 kHz.
        speaker, word: letters, digits and hyphens.
        folder: where to keep it. No file in it is ever replaced.
    Returns:
        the path of the new file.
    Raises:
        AudioError: if a name is odd, the recording empty or longer than 10 s, or the folder cannot
            be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     takes = [save_recording(bytes(3200), "mei", "7", Path(folder)) for _ in range(2)]
    >>> [path.name for path in takes]
    ['mei_7.wav', 'mei_7_take2.wav']
    """
    speaker, word = _checked_name("speaker's name", speaker), _checked_name("word", word)
    if not samples or len(samples) % 2:
        raise AudioError("The recording holds no sound: record or choose it again.")
    if len(samples) > 2 * MAX_SECONDS * SAMPLE_RATE:
        raise AudioError(f"The recording is longer than {MAX_SECONDS} s: record one word alone.")
    content = io.BytesIO()
    with wave.open(content, "wb") as sound:
        sound.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "not compressed"))
        sound.writeframes(samples)
    further = (f"{speaker}_{word}_take{take}.wav" for take in itertools.count(2))
    paths = (folder / name for name in itertools.chain([f"{speaker}_{word}.wav"], further))
    return next(path for path in paths if _write_new(path, content.getvalue()))


def last_recording(otherwise: Path) -> Path:
    """Return the path of the student's newest recording, or of another one if there is none.

    Args:
        otherwise: the path of a clip that stands in until something was recorded.
    Returns:
        the path of a file for `audio.load`.
    Raises:
        FolderError: as `recordings_folder`.

    >>> last_recording(otherwise=Path("slt_7.wav")).suffix
    '.wav'
    """
    recorded = [path for path in recordings_folder().glob("*.wav") if path.is_file()]
    return max(recorded, key=lambda path: path.stat().st_mtime_ns, default=Path(otherwise))


def _checked_name(what: str, text: str) -> str:
    """Return a name that is safe in a file's name and fits the layout `speaker_word`."""
    name = unicodedata.normalize("NFC", text.strip())
    plain = all(unicodedata.category(sign)[0] in "LMN" or sign == "-" for sign in name)
    if not plain or not name[:1].isalnum() or len(name) > MAX_NAME:
        raise AudioError(
            f"The {what} is {name[:MAX_NAME]!r}: write {MAX_NAME} letters, digits and "
            "hyphens at most, a letter or a digit first."
        )
    return name


def _write_new(path: Path, content: bytes) -> bool:
    """Write a file; return False if there is one of this name. Leave no half of one."""
    try:
        with path.open("xb") as file:  # x: fails where there is a file
            file.write(content)
    except FileExistsError:
        return False
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        raise AudioError(
            f"{path} cannot be written ({error.strerror}): free some space, or set COURSE_WORK "
            "to a folder of your own."
        ) from None
    return True


class Recorder(anywidget.AnyWidget):
    """The form that `record` shows, and `output`, the place for what `heard` prints and draws."""

    _esm = Path(__file__).with_name("recorder.js")
    _css = Path(__file__).with_name("recorder.css")
    rate = traitlets.Int(SAMPLE_RATE).tag(sync=True)
    seconds = traitlets.Int(SECONDS).tag(sync=True)
    max_seconds = traitlets.Int(MAX_SECONDS).tag(sync=True)
    place = traitlets.Unicode().tag(sync=True)
    words = traitlets.List(traitlets.Unicode()).tag(sync=True)
    texts = traitlets.Dict().tag(sync=True)  # each sentence of the form in the reader's language
    last = traitlets.Unicode().tag(sync=True)  # the name of the file that Delete would remove

    def __init__(
        self, folder: Path, heard: Callable[[Path], object], words: Sequence[str] = DIGITS
    ) -> None:
        super().__init__(place=str(folder), words=list(words), texts=texts_of_the_form())
        self.folder, self.heard = folder, heard
        self.made: list[Path] = []
        self.output = ipywidgets.Output()
        self.on_msg(self._receive)

    def _receive(self, _: object, content: dict[str, Any], buffers: list[Any]) -> None:
        """Do what a button asks for, and answer with a sentence."""
        self.output.clear_output()
        try:
            if content.get("do") == "delete":
                self._delete()
            else:
                self._keep(b"".join(buffers), str(content["speaker"]), str(content["word"]))
        except AudioError as error:
            self.send({"sentence": str(error)})

    def _keep(self, samples: bytes, speaker: str, word: str) -> None:
        self.made.append(save_recording(samples, speaker, word, self.folder))
        self.last = self.made[-1].name
        self.send({"sentence": language.translate(f"Kept as {self.last}.")})
        with self.output:
            self.heard(self.made[-1])

    def _delete(self) -> None:
        """Remove the last file that this form made; no other file is ever touched."""
        if not self.made:
            return
        path = self.made[-1]
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise AudioError(
                f"{path} cannot be deleted ({error.strerror}): change its permissions."
            ) from None
        self.made.pop()
        self.last = self.made[-1].name if self.made else ""
        self.send({"sentence": language.translate(f"{path.name} is deleted.")})


def texts_of_the_form() -> dict[str, str]:
    """Return the sentences of `recorder.js` that the catalogue has in the current language.

    >>> texts_of_the_form()
    {}
    """
    if language.current() == "en":
        return {}
    script = Path(__file__).with_name("recorder.js").read_text(encoding="utf-8")
    sentences = re.findall(r'(?:\bt\(|TOO_OLD =\s+)"([^"]+)"', script)
    return {sentence: language.translate(sentence) for sentence in sentences}


def record(heard: Callable[[Path], object], words: Sequence[str] = DIGITS) -> None:
    """Show the form that records a word in a live notebook; elsewhere do nothing.

    Args:
        heard: called with the path of each new recording; what it shows appears below the form.
        words: to choose from, such as a recogniser's.
    Raises:
        FolderError: as `recordings_folder`.
    Used in chapters 1 and 8.

    >>> record(print)
    """
    if not is_live():
        return
    from IPython.display import display

    form = Recorder(recordings_folder(), heard, words)
    display(ipywidgets.VBox([form, form.output]))
