"""Say a word: a button that records in the browser and keeps a WAV in the student's own folder.

The browser (`recorder.js`) records, decodes and resamples, because only it can read what it
records (WebM) and what phones record (M4A). It sends 16-bit samples; Python names and keeps them.
"""

from __future__ import annotations

import contextlib
import io
import os
import unicodedata
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets

from course_utils.errors import AudioError, FolderError
from course_utils.paths import work_folder

SAMPLE_RATE = 16000  # in Hz, of every recording that is kept
SECONDS = 2  # how long the button records
MAX_SECONDS = 10  # of an uploaded file: one word, and silence around it
MAX_NAME = 40  # characters
DIGITS = tuple("0123456789")
STYLE = """
.say-a-word { font-size: 16px; line-height: 1.5; color: var(--jp-content-font-color1, #000); }
.say-a-word :is(input, select, button) { font: inherit; margin: 4px 12px 4px 4px; }
.say-a-word button { padding: 4px 16px; cursor: pointer; }
.say-a-word button:disabled { cursor: default; }
.say-a-word p { margin: 4px 0; }
"""


def recordings_folder() -> Path:
    """Return the student's own folder of recordings, and make it if it is missing.

    Returns: an absolute `pathlib.Path`: `recordings` in the work folder, where names have the
        layouts `speaker_digit` and `speaker_word` of `SpokenWords`.
    Raises: FolderError, as `work_folder`, or if the folder cannot be made.

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
        folder: where to keep it.
    Returns: the path of the new file. No file is ever replaced.
    Raises: AudioError, if a name is odd, the recording is empty or longer than 10 s, or the folder
        cannot be written.

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
    path, take = folder / f"{speaker}_{word}.wav", 1
    while not _write_new(path, content.getvalue()):
        take += 1
        path = folder / f"{speaker}_{word}_take{take}.wav"
    return path


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
    """The form in the browser: who speaks, which word, Record, upload, Delete.

    Args:
        folder: where recordings are kept.
        heard: called with the path of each new one.
        words: to choose from.
    Attributes: `output`, an `ipywidgets.Output` that shows what `heard` prints and draws.
    """

    _esm = Path(__file__).with_name("recorder.js")
    _css = STYLE
    rate = traitlets.Int(SAMPLE_RATE).tag(sync=True)
    seconds = traitlets.Int(SECONDS).tag(sync=True)
    max_seconds = traitlets.Int(MAX_SECONDS).tag(sync=True)
    place = traitlets.Unicode().tag(sync=True)
    words = traitlets.List(traitlets.Unicode()).tag(sync=True)
    last = traitlets.Unicode().tag(sync=True)  # the name of the file that Delete would remove

    def __init__(
        self, folder: Path, heard: Callable[[Path], object], words: Sequence[str] = DIGITS
    ) -> None:
        super().__init__(place=str(folder), words=list(words))
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
                samples = bytes(buffers[0]) if buffers else b""
                self._keep(samples, str(content.get("speaker")), str(content.get("word")))
        except AudioError as error:
            self.send({"sentence": str(error)})

    def _keep(self, samples: bytes, speaker: str, word: str) -> None:
        path = save_recording(samples, speaker, word, self.folder)
        self.made.append(path)
        self.last = path.name
        self.send({"sentence": f"Kept as {path.name}."})
        with self.output:
            self.heard(path)

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
        self.send({"sentence": f"{path.name} is deleted."})


def record(heard: Callable[[Path], object], words: Sequence[str] = DIGITS) -> None:
    """Show the form that records a word in a live JupyterLab; elsewhere do nothing.

    Used in chapter 8.

    Args:
        heard: a function that is called with the path of each new recording; what it prints,
            draws and displays appears below the form.
        words: to choose from, such as a recogniser's.
    Raises: FolderError, as `recordings_folder`.

    >>> record(print)
    """
    if "JPY_SESSION_NAME" not in os.environ:  # set by Jupyter's server, not by nbclient or nbval
        return
    from IPython.display import display

    form = Recorder(recordings_folder(), heard, words)
    display(ipywidgets.VBox([form, form.output]))
