"""Open a sound file for libsndfile, or say in a sentence why it can't be read.

libsndfile shortens many a file that was cut off without a word, guesses the length of an MP3, and
has one message for whatever is no sound.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import soundfile

from course_utils import mpeg
from course_utils.errors import AudioError

LARGEST_MP3 = 2**30  # bytes
UNKNOWN = 2**62  # samples or more: libsndfile's number where nothing tells it
MAX_COUNT = 60_000_000  # samples; more stand for a length that was not known
STREAMED = 0x7F00_0000  # or more bytes are promised by who did not know the length
UNRECOGNISED = 1  # libsndfile's code for it; larger ones tell what is wrong with a known format
MPEG = mpeg.START.pattern + rb"|RIFF.{4}WAVEfmt .{4}[\x50\x55]\0"
MAX_RATE = 1_000_000  # in Hz; no recorder has more, but a damaged header may say so
# What libsndfile's log says of lengths: of the sound in bytes, as promised and as found; of the
# whole file; in samples; of CAF, the bytes of a sample in all channels and those of the sound.
LENGTHS = re.compile(
    r"^ *(?:data|SSND|BODY|Data Size|Data length|riff|Riff size) *:? (\d+) \(?should be (\d+)", re.M
)
WHOLE = re.compile(r"^(?:RIFF|RIFX|FORM) *: (\d+)(?: \(should be (\d+))?", re.M)
COUNTS = re.compile(r"^ *(?:Frames|Cols) *: (\d+)", re.M)
CAF = re.compile(r"^  Bytes / packet +: (\d+).*?^data : (\d+)$", re.M | re.S)
VOC = re.compile(r"^Length : (\d+).*^ (?:Extended II|Sound Data) : (\d+)", re.M | re.S)
CONVERT = "convert it with `ffmpeg -i {name} {wav}`, or save it as WAV where it was made"
# What the first bytes say of a file that libsndfile cannot read, and the cure.
UNREADABLE = {
    start: f"{kind}, which libsndfile cannot read: {CONVERT}"
    for start, kind in {
        rb".{4}ftyp": "an M4A or MP4 file",
        rb"\x1aE\xdf\xa3": "a WebM or Matroska file",
        rb"0&\xb2u": "a WMA file",
        rb"#!AMR": "an AMR file",
        rb"\xff[\xf0\xf1\xf8\xf9]|ADIF": "an AAC file",
        rb"OggS.{24}Speex": "a Speex file",
        rb"OggS.{24}\x7fFLAC": "an Ogg file with FLAC inside",
        rb"wvpk|MAC |MP\+|MPCK|FLV|RIFF.{4}AVI ": "a kind of sound or film",
    }.items()
} | {
    rb"(\xef\xbb\xbf)?\s*[<{[][\t\n\r -~]{6}": "a web page or a text, not sound: download it again",
    rb"\xff\xfe|\xfe\xff|\xef\xbb\xbf": "a text, not sound: download the sound again",
    rb"\x89PNG|\xff\xd8\xff|GIF8": "a picture, not sound: name a sound file",
    rb"PK\x03\x04|BZh|\xfd7zXZ|7z\xbc|Rar!": "an archive, not sound: unpack it, name a file in it",
    rb"\x1f\x8b": "packed by gzip, not sound: unpack it with `gunzip` and name what it holds",
    rb"%PDF": "a PDF document, not sound: name a sound file",
    rb"version https://git-lfs": "a note of Git LFS, not sound: fetch that with `git lfs pull`",
    rb"\x02?#!SILK": "a SILK file, which few programs read: record it again as WAV",
    rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xfd][\x00-\x0f]": "an MP3 in free format, which browsers do "
    "not play: write it again with a usual bit rate",
}


class Sound(soundfile.SoundFile):
    """A sound that is read in one go: soundfile seeks after each read, which fails at times."""

    is_mpeg = property(lambda self: "MPEG" in self.subtype)

    def seekable(self) -> bool:
        """Keep soundfile from it; `seek` works."""
        return False

    def count(self) -> int:
        """Return the samples of each channel; a FLAC that came through a pipe is read for it."""
        if self.frames < UNKNOWN:
            return int(self.frames)
        frames = 0
        while block := len(self.read(2**16, dtype="float32", always_2d=True)):
            frames += block
        self.seek(0)
        return frames


@contextlib.contextmanager
def open_sound(path: Path) -> Iterator[Sound]:
    """Open a sound file that is whole.

    Args:
        path: the file. What it holds decides how it is read, not its extension.
    Yields:
        the open sound; nothing that its decoder writes to standard error is seen meanwhile.
    Raises:
        AudioError: if the file is none, cut off, no sound, or cannot be read while it is open.

    Taught in chapter 1.
    """
    opened = False
    try:
        _check_is_file(path)
        # Without a buffer, for libsndfile gets the descriptor.
        with path.open("rb", buffering=0) as file, _open(path, file) as sound:
            opened = True
            _check_whole(path, sound)
            with mpeg.quiet() if sound.is_mpeg else contextlib.nullcontext():
                yield sound
    except (soundfile.LibsndfileError, RuntimeError, OSError, ValueError) as error:
        raise AudioError(_why_unreadable(path, error, opened)) from None


def _check_is_file(path: Path) -> None:
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise AudioError(f"{path} is a folder: name one of the files in it.")
    if not stat.S_ISREG(found.st_mode):
        raise AudioError(f"{path} is a device or a pipe: name a sound file.")
    if found.st_size == 0:
        raise AudioError(f"{path.name} is empty (0 bytes): copy or download it again.")


def _open(path: Path, file: BinaryIO) -> Sound:
    beginning = _beginning(file)
    if not re.match(MPEG, beginning, re.DOTALL):
        file.seek(0)
        try:
            # By its descriptor, for soundfile prints what goes wrong inside Python's file objects.
            return Sound(file if os.name == "nt" else file.fileno(), closefd=False)
        except soundfile.LibsndfileError as error:
            if error.code != UNRECOGNISED or _foreign(beginning):
                raise
    if path.stat().st_size > LARGEST_MP3:
        raise AudioError(f"{path.name} is no sound that can be read, or too large a one: cut it.")
    file.seek(0)
    content = mpeg.tidy(path.name, file.read())
    if content is None:
        raise ValueError  # becomes a sentence in open_sound
    return Sound(io.BytesIO(content))


def _beginning(file: BinaryIO) -> bytes:
    """Return the first bytes behind the tags that may stand before any kind of sound."""
    at = 0
    while True:
        file.seek(at)
        beginning = file.read(1024)
        if beginning[:3] != b"ID3" or len(beginning) < 10:
            return beginning
        a, b, c, d = beginning[6:10]
        at += 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if beginning[5] & 16 else 0)


def _check_whole(path: Path, sound: Sound) -> None:
    if sound.samplerate > MAX_RATE:
        raise AudioError(
            f"{path.name} is damaged, for its header tells a sample rate of "
            f"{sound.samplerate} Hz: copy or download it again."
        )
    for missing in _missing(path, sound, sound.extra_info):
        raise AudioError(f"{path.name} is cut off: {missing}; copy or download it again.")


def _missing(path: Path, sound: Sound, log: str) -> Iterator[str]:
    """Compare what is there with what the file promises, by libsndfile's log and by itself."""
    for promised, held in LENGTHS.findall(log):
        # Where the file as a whole has its length, nothing is lost: this number alone is wrong.
        whole = [int(held) < int(told) <= int(there or told) for told, there in WHOLE.findall(log)]
        if int(held) < int(promised) < STREAMED and not any(whole):
            yield f"its header promises {promised} bytes of sound and {held} are there"
    counts = [int(count) for count in COUNTS.findall(log)]
    counts += [(int(told) - 4) // max(int(size), 1) for size, told in CAF.findall(log)]
    if sound.format == "NIST":
        counts += map(int, re.findall(rb"sample_count -i (\d+)", path.read_bytes()[:1024]))
    for count in counts:
        if sound.frames < count < MAX_COUNT:
            yield f"its header promises {count} samples and {sound.frames} are there"
    for length, block in VOC.findall(log):
        if int(length) < int(block) + 30:
            yield f"it promises a block of {block} bytes"
        if int(length) > int(block) + 50:
            raise ValueError  # libsndfile would take the heads of further blocks for sound
    if sound.format == "OGG":
        content = path.read_bytes()
        page = content[content.rfind(b"OggS\0") :]
        if not (len(page) > 27 and page[5] & 4 and len(page) >= 27 + sum(page[26 : 27 + page[26]])):
            yield "its last page is not there"
        kinds = [kind[0] & 2 for kind in re.findall(rb"OggS\0(.)", content, re.DOTALL)]
        if sorted(kinds, reverse=True) != kinds:
            raise ValueError  # a sound begins behind another; libsndfile would read the first


def _why_unreadable(path: Path, error: Exception, opened: bool) -> str:
    if isinstance(error, FileNotFoundError):
        here = Path.cwd()
        return f"{path} does not exist: check the name and the folder ({here} is where you are)."
    if isinstance(error, PermissionError):
        return f"{path} may not be read: change its permissions, or copy it to your own folder."
    if isinstance(error, OSError) and error.errno is not None:
        return f"{path} cannot be opened ({error.strerror}): check its name."
    if isinstance(error, ValueError) and "null" in str(error):
        return f"{path.name!r} is no file name, for it holds a null character: choose another."
    ending = "-converted.wav" if path.suffix.lower() == ".wav" else ".wav"
    names = {"name": _for_ffmpeg(path.name), "wav": _for_ffmpeg(path.stem + ending)}
    beginning = b""
    with contextlib.suppress(OSError), path.open("rb") as file:
        beginning = _beginning(file)
    if found := _foreign(beginning):
        kind, _, cure = found.format(**names).partition(": ")
        return f"{path.name} is {kind}: {cure}."
    if opened or getattr(error, "code", 1) > UNRECOGNISED:
        return (
            f"{path.name} is damaged, cut off, or made so that libsndfile cannot read it: copy or "
            f"download it again, or {CONVERT.format(**names)}."
        )
    return (
        f"{path.name} is damaged or not a sound that can be read: use WAV, FLAC or MP3, "
        "or copy it again."
    )


def _foreign(beginning: bytes) -> str | None:
    """Return what a file that libsndfile cannot read is, and the cure, if its beginning tells."""
    found = (told for start, told in UNREADABLE.items() if re.match(start, beginning, re.DOTALL))
    return next(found, None)


def _for_ffmpeg(name: str) -> str:
    """Return a file name as a shell needs it, and so that it is no option and no protocol."""
    return shlex.quote(f"./{name}" if name.startswith("-") or ":" in name else name)
