"""Find the frames of an MP3, so that libsndfile reads all of them and nothing else.

An MP3 need not say how long it is. libsndfile then guesses from the first frame and stops at its
guess, and junk before that frame makes it take the file for something else. `tidy` walks from
frame to frame and returns them alone, behind one that tells their number.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

from course_utils.errors import AudioError

START = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]")  # eleven bits that are set, a layer
INFO = re.compile(rb"Xing|Info|VBRI")
RATES = (44100, 48000, 32000)
# In kbit/s, by version (3: MPEG-1, 2: MPEG-2, 0: MPEG-2.5) and layer.
SLOW = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
BIT_RATES = dict.fromkeys([(2, 2), (2, 3), (0, 2), (0, 3)], SLOW) | {
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
SEARCHED = 2**20  # bytes in which the first frame must begin
_quiet_lock = threading.Lock()


def tidy(name: str, content: bytes) -> bytes | None:
    """Return the frames of an MP3 behind one that tells their number, or None if it has none.

    Args:
        name: the file's name, for the sentence.
        content: the bytes of the file, with whatever stands before, between and after its frames.
    Returns:
        the bytes of an MP3 whose length libsndfile knows; of layer II the frames alone.
    Raises:
        AudioError: if frames are missing at the end, or are of more than one kind.

    Taught in chapter 1.
    """
    found, cut = _frames(content)
    frames = [frame for frame in found if not INFO.search(frame[:44])]
    if not frames:
        return None
    if len({_kind(frame) for frame in found}) > 1:
        raise AudioError(
            f"{name} changes its sample rate or its channels in the middle: cut it there, or "
            "convert its parts to WAV one by one."
        )
    info = bytearray(found[0])
    tag = re.search(rb"Xing|Info", info[:44])
    if tag and len(info) >= 64 and info[tag.end() + 3] & 1:
        at = tag.end() + 4
        promised = int.from_bytes(info[at : at + 4], "big")
        # Some writers count the frame that tells the number, too.
        if len(frames) < promised - (0 if cut else 1):
            raise AudioError(
                f"{name} is cut off: it promises {promised} frames of MP3 and holds {len(frames)}; "
                "copy or download it again."
            )
    else:
        info, at = _info(frames[0])
    struct.pack_into(">I", info, at, len(frames))
    return b"".join(frames) if _layer(frames[0]) == 2 else bytes(info) + b"".join(frames)


def _frames(content: bytes) -> tuple[list[bytes], bool]:
    """Return the frames, and whether the last one breaks off."""
    frames: list[bytes] = []
    at = end = 0  # where to look, and where the last frame ended
    while found := START.search(content, at, len(content) if frames else SEARCHED):
        begin = found.start()
        length = frame_length(content[begin : begin + 4])
        if length and (
            (frames and begin == end and _kind(content[begin : begin + 4]) == _kind(frames[-1]))
            or _is_chain(content, begin, 3 if begin and not frames else 2)
        ):
            if begin + length > len(content):
                return frames, True
            frames.append(content[begin : begin + length])
            at = end = begin + length
        else:
            at = begin + 1
    return frames, False


def _is_chain(content: bytes, begin: int, count: int) -> bool:
    """Whether this many frames of one kind begin here, or fewer that reach the very end."""
    kind = _kind(content[begin : begin + 4])
    for _ in range(count):
        length = frame_length(content[begin : begin + 4])
        if not length or _kind(content[begin : begin + 4]) != kind:
            return False
        begin += length
        if begin >= len(content):
            return begin == len(content)
    return True


def _kind(frame: bytes) -> tuple[int, int, bool]:
    """Return version and layer, sample rate, and whether there is one channel."""
    return frame[1] & 0xFE, frame[2] & 0x0C, frame[3] >> 6 == 3


def _layer(header: bytes) -> int:
    return 4 - (header[1] >> 1 & 3)


def frame_length(header: bytes) -> int:
    """Return how many bytes the frame of layer II or III with this header has, 0 if it is none.

    Source:
        ISO/IEC 11172-3, 2.4.2.3 and 2.4.3.1.

    >>> frame_length(bytes.fromhex("fffb9064")), frame_length(b"RIFF")
    (417, 0)
    """
    if len(header) < 4 or not START.match(header):
        return 0
    version, layer, bits, rate = header[1] >> 3 & 3, _layer(header), header[2] >> 4, header[2] >> 2
    if (version, layer) not in BIT_RATES or bits in (0, 15) or rate & 3 == 3:
        return 0
    hertz = RATES[rate & 3] >> {3: 0, 2: 1, 0: 2}[version]
    factor = 72_000 if layer == 3 and version != 3 else 144_000
    return factor * BIT_RATES[version, layer][bits - 1] // hertz + (header[2] >> 1 & 1)


def _info(frame: bytes) -> tuple[bytearray, int]:
    """Return a silent frame of the same kind that tells a number, and where the number goes."""
    header = bytearray(frame[:4])
    header[1] |= 1  # without a checksum
    for bits in range(1, 15):
        header[2] = bits << 4 | frame[2] & 0x0C
        if frame_length(bytes(header)) >= 64:
            break
    wide, mono = frame[1] >> 3 & 3 == 3, frame[3] >> 6 == 3
    beginning = header + bytes((17 if mono else 32) if wide else (9 if mono else 17))
    beginning += b"Xing" + struct.pack(">I", 1)
    return beginning.ljust(frame_length(bytes(header)), b"\0"), len(beginning)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep away from the student what the decoder writes to the process's standard error."""
    with _quiet_lock, contextlib.ExitStack() as undo, Path(os.devnull).open("wb") as nowhere:
        with contextlib.suppress(OSError):  # a program without a console has no standard error
            kept = os.dup(2)
            undo.callback(os.close, kept)
            undo.callback(os.dup2, kept, 2)
            os.dup2(nowhere.fileno(), 2)
        yield
