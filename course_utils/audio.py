"""Read, write, convert and play sound: waveforms are float32 tensors [channels, time].

The functions keep the contract of `torchaudio.load` and `torchaudio.save`, but read and write
with libsndfile (through the package soundfile), which is installed everywhere without FFmpeg.
"""

from __future__ import annotations

import base64
import html
import io
import math
import operator
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
import torch

from course_utils.errors import AudioError
from course_utils.language import translate
from course_utils.paths import REPOSITORY, write_whole
from course_utils.sound_files import MAX_RATE, Sound, open_sound

if TYPE_CHECKING:
    from IPython.display import HTML

FORMATS = {".wav": "WAV", ".flac": "FLAC", ".mp3": "MP3"}
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
MAX_VALUES = 60_000_000  # about an hour at 16 kHz, 240 MB as float32
LARGEST = 2.0**32  # floats beyond 32-bit integers are damage; their squares would overflow
MAX_PLAY_SECONDS = 60
# What was loaded as it was named, and the recordings among it with their links resolved. To
# resolve a link costs as much as to read a short clip, so that is left to the next `save`.
_loaded: set[Path] = set()
_read_here: set[Path] = set()
_written_here: set[Path] = set()


def load(path: str | Path, frame_offset: int = 0, num_frames: int = -1) -> tuple[torch.Tensor, int]:
    """Read a sound file: WAV, FLAC, MP3, Ogg and whatever else libsndfile reads.

    Args:
        path: the file. What it holds decides how it is read, not its extension.
        frame_offset: index of the first sample to read.
        num_frames: how many samples of each channel to read; -1 reads to the end.
    Returns:
        the waveform, float32 [channels, time], and its sample rate, an int in Hz. Files of integers
        give values in [-1, 1); floats come as they were stored and may go beyond.
    Raises:
        AudioError: if the file is missing, a folder, empty, cut off, not sound, without samples,
            with samples that are not numbers, or too long to read at once.
    Source:
        the contract of `torchaudio.load`; decoding by libsndfile. Taught in chapter 1.

    >>> from course_utils.paths import data_path
    >>> waveform, sample_rate = load(data_path("demo1.wav"))
    >>> waveform.shape, waveform.dtype, sample_rate
    (torch.Size([1, 65328]), torch.float32, 16000)
    """
    path = Path(path)
    with open_sound(path) as sound:
        frame_offset, wanted = _part(path.name, sound, frame_offset, num_frames)
        if frame_offset:
            sound.seek(frame_offset)
        samples, sample_rate = sound.read(wanted, dtype="float32", always_2d=True), sound.samplerate
        if len(samples) < (1 if sound.is_mpeg else wanted):  # an MP3 may begin with broken frames
            raise AudioError(
                f"{path.name} is cut off: it promises {wanted} samples and holds {len(samples)}; "
                "copy or download it again."
            )
    waveform = torch.from_numpy(np.ascontiguousarray(samples.T))
    _check_values(path.name, waveform)
    _loaded.add(path.absolute())
    return waveform, sample_rate


def save(path: str | Path, waveform: torch.Tensor, sample_rate: int) -> None:
    """Write a sound file; the extension chooses WAV (16 bit), FLAC (16 bit) or MP3.

    The file appears whole or not at all. Values beyond [-1, 1] are clipped, with a warning.

    Args:
        path: where to write, ending in .wav, .flac or .mp3; its folder must exist.
        waveform: floating-point tensor [channels, time], in [-1, 1].
        sample_rate: int, in Hz.
    Raises:
        AudioError: if the waveform, the rate, the extension or the folder is wrong, the disk is
            full, or a file of the course or one that was read before would be lost.
    Source:
        the contract of `torchaudio.save`; encoding by libsndfile. Taught in chapter 1.

    >>> from course_utils.paths import output_path
    >>> save(output_path("silence.flac"), torch.zeros(1, 16000), 16000)
    >>> load(output_path("silence.flac"))[0].shape
    torch.Size([1, 16000])
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise AudioError(
            f"{path.name} has the extension {path.suffix or '(none)'}: "
            f"end its name in one of {', '.join(FORMATS)}."
        )
    waveform = _check_waveform(waveform, f"{path.name} cannot be written")
    sample_rate = _check_sample_rate(sample_rate)
    try:
        _check_target(path)
        content = _encode(waveform, sample_rate, FORMATS[path.suffix.lower()], path.name)
        write_whole(path, content)
    except OSError as error:
        raise AudioError(
            f"{path} cannot be written ({error.strerror or error}): free some space, or choose a "
            "folder of your own and a shorter name."
        ) from None
    except soundfile.LibsndfileError:
        raise AudioError(
            f"{path.name} cannot hold {waveform.shape[0]} channels at {sample_rate} Hz: save one "
            "or two channels at a usual rate, such as 16000 Hz, as WAV."
        ) from None
    _written_here.add(path.resolve())


def to_mono(waveform: torch.Tensor) -> torch.Tensor:
    """Average the channels of a waveform.

    Where they cancel each other (a cable with swapped wires: antiphase), so that the average keeps
    less than a tenth of the energy it should, the loudest channel is taken instead.

    Args:
        waveform: floating-point tensor [channels, time].
    Returns:
        a tensor [1, time] of the same dtype. One channel alone comes back unchanged.
    Raises:
        AudioError: if the waveform has another form.

    Used in chapter 6.

    >>> to_mono(torch.tensor([[1.0, 0.0], [0.0, 0.5]]))
    tensor([[0.5000, 0.2500]])
    >>> to_mono(torch.tensor([[0.5, -0.5], [-0.5, 0.5]]))
    tensor([[ 0.5000, -0.5000]])
    """
    waveform = _check_waveform(waveform, "The waveform has no channels to average")
    energies = waveform.double().square().sum(dim=1)
    total = waveform.sum(dim=0, keepdim=True)
    # Channels that have nothing to do with each other add their energies.
    if total.double().square().sum() < 0.1 * energies.sum():
        loudest = int(energies.argmax())
        return waveform[loudest : loudest + 1]
    return total / len(waveform)


def resample(waveform: torch.Tensor, sample_rate: int, new_sample_rate: int) -> torch.Tensor:
    """Give a waveform another sample rate, with a low-pass filter against aliasing.

    Args:
        waveform: floating-point tensor [channels, time].
        sample_rate: its rate now, an int in Hz.
        new_sample_rate: the rate it gets, an int in Hz.
    Returns:
        a tensor [channels, ceil(time * new_sample_rate / sample_rate)] of the same dtype.
    Raises:
        AudioError: if the waveform or a rate is wrong.
    Source:
        `torchaudio.functional.resample`, `scipy.signal.resample_poly`. Taught in chapter 1.

    >>> resample(torch.zeros(1, 8000), 8000, 16000).shape
    torch.Size([1, 16000])
    """
    waveform = _check_waveform(waveform, "The waveform cannot be resampled")
    sample_rate = _check_sample_rate(sample_rate)
    new_sample_rate = _check_sample_rate(new_sample_rate)
    if sample_rate == new_sample_rate:
        return waveform
    divisor = math.gcd(sample_rate, new_sample_rate)
    up, down = new_sample_rate // divisor, sample_rate // divisor
    length = -(-waveform.shape[1] * up // down)
    if length * waveform.shape[0] > MAX_VALUES:
        raise AudioError(
            f"Resampling from {sample_rate} Hz to {new_sample_rate} Hz would give {length} "
            "samples: check the two rates."
        )
    if up * down > 1_000_000:  # torchaudio would make a filter of gigabytes
        from scipy.signal import resample_poly

        resampled = torch.from_numpy(resample_poly(waveform.numpy(), up, down, axis=1))
        return resampled.to(waveform.dtype)
    from torchaudio.functional import resample as sinc_resample

    return sinc_resample(waveform, sample_rate, new_sample_rate)


def play(waveform: torch.Tensor, sample_rate: int, label: str = "") -> HTML:
    """Make a player for a waveform, small enough to be saved in a notebook.

    The sound is not made louder: compare levels by ear. Values beyond [-1, 1] are clipped.

    Args:
        waveform: floating-point tensor [channels, time], 60 s at most; of more than two channels
            the average is played.
        sample_rate: int, in Hz. MP3 knows nine rates; another one is resampled to the next.
        label: what is heard, shown above the player and read out by screen readers.
    Returns:
        an `IPython.display.HTML` with an MP3 of constant bit rate inside.
    Raises:
        AudioError: if the waveform or the rate is wrong, or the sound too long.

    Taught in chapter 1.

    >>> player = play(torch.zeros(1, 1600), 16000, "a tenth of a second of silence")
    >>> "audio/mpeg" in player.data
    True
    """
    from IPython.display import HTML

    waveform = _check_waveform(waveform, "The waveform cannot be played")
    sample_rate = _check_sample_rate(sample_rate)
    seconds = waveform.shape[1] / sample_rate
    if seconds > MAX_PLAY_SECONDS:
        raise AudioError(
            f"The waveform lasts {seconds:.0f} s and a notebook should hold {MAX_PLAY_SECONDS} s "
            "at most: play a part, such as waveform[:, : 10 * sample_rate]."
        )
    if waveform.shape[0] > 2:
        waveform = to_mono(waveform)
    if sample_rate not in MP3_RATES:
        new_rate = next((rate for rate in MP3_RATES if rate >= sample_rate), MP3_RATES[-1])
        waveform, sample_rate = resample(waveform, sample_rate, new_rate), new_rate
    mp3 = _encode(waveform.clamp(-1, 1), sample_rate, "MP3", "the sound")
    source = base64.b64encode(mp3).decode("ascii")
    name = html.escape(label or f"sound of {seconds:.2f} s")
    caption = f"<figcaption>{name}</figcaption>" if label else ""
    return HTML(
        f'<figure style="margin:0.3em 0">{caption}<audio controls preload="metadata" '
        f'aria-label="{name}" src="data:audio/mpeg;base64,{source}"></audio></figure>'
    )


def _part(name: str, sound: Sound, frame_offset: int, num_frames: int) -> tuple[int, int]:
    """Return where to begin and how many samples of each channel to read."""
    try:
        frame_offset, num_frames = operator.index(frame_offset), operator.index(num_frames)
        if frame_offset < 0 or num_frames < -1 or num_frames == 0:
            raise TypeError
    except TypeError:
        raise AudioError(
            f"{name} has no samples from {frame_offset!r} on, {num_frames!r} of them: give whole "
            "numbers, a frame_offset of 0 or more and a num_frames of 1 or more, or -1 for all."
        ) from None
    frames = sound.count()
    if frames <= 0:
        raise AudioError(
            f"{name} holds no samples, or its header tells of none: record or download it again."
        )
    if frame_offset >= frames:
        raise AudioError(
            f"{name} has {frames} samples and none from {frame_offset} on: give a smaller "
            "frame_offset."
        )
    rest = frames - frame_offset
    wanted = rest if num_frames == -1 else min(num_frames, rest)
    if wanted * sound.channels > MAX_VALUES:
        raise AudioError(
            f"{name} is too long to read at once ({wanted / sound.samplerate / 60:.0f} minutes, "
            f"{sound.channels} channels): read a part with load(path, frame_offset=…, "
            "num_frames=…)."
        )
    return frame_offset, wanted


def _check_values(name: str, waveform: torch.Tensor) -> None:
    largest = float(waveform.detach().abs().max())  # NaN, if one of the samples is
    if not math.isfinite(largest):
        raise AudioError(
            f"{name} holds samples that are not numbers (NaN or infinity): write it again from "
            "a clean source."
        )
    if largest > LARGEST:
        raise AudioError(
            f"{name} holds samples as large as {largest:.0e}, which are no sound: write it again "
            "with values from -1 to 1."
        )


def _check_waveform(waveform: Any, problem: str) -> torch.Tensor:
    if isinstance(waveform, int | float):
        raise AudioError(
            f"{problem}: it is the number {waveform}; give the waveform first, then its rate."
        )
    if not isinstance(waveform, torch.Tensor):
        raise AudioError(
            f"{problem}: a tensor is needed, not {type(waveform).__name__}; "
            "turn a NumPy array into one with torch.from_numpy(array)."
        )
    if not waveform.is_floating_point():
        raise AudioError(
            f"{problem}: its dtype is {waveform.dtype}, floating point is needed; "
            "divide 16-bit integers by 32768."
        )
    shape = list(waveform.shape)
    if waveform.ndim == 1:
        raise AudioError(f"{problem}: its shape is {shape}; add the channel with unsqueeze(0).")
    if waveform.ndim != 2:
        raise AudioError(f"{problem}: its shape is {shape}; give it the shape [channels, time].")
    if 0 in shape:
        raise AudioError(
            f"{problem}: its shape is {shape}, so it holds no samples; check how it was cut."
        )
    if shape[0] > 64 and shape[0] > shape[1]:
        raise AudioError(
            f"{problem}: its shape {shape} looks like [time, channels]; use waveform.T."
        )
    _check_values("The waveform", waveform)
    return waveform.detach().cpu()


def _check_sample_rate(sample_rate: Any) -> int:
    try:
        rate = operator.index(sample_rate)
    except TypeError:
        rate = 0
    if isinstance(sample_rate, bool) or not 1 <= rate <= MAX_RATE:
        raise AudioError(
            f"The sample rate is {sample_rate!r}: give a whole number of Hz, such as 16000."
        )
    return rate


def _check_target(path: Path) -> None:
    resolved = path.resolve()
    if path.is_dir():
        raise AudioError(f"{path} is a folder: give the file in it a name.")
    if not path.parent.is_dir():
        raise AudioError(f"The folder {path.parent} does not exist: make it first.")
    if resolved.is_relative_to(REPOSITORY / "data"):
        raise AudioError(
            f"{path.name} would change the course's own sounds: save it with "
            "output_path(name) instead."
        )
    while _loaded:
        _read_here.update({_loaded.pop().resolve()} - _written_here)
    if resolved in _read_here and resolved.exists():
        raise AudioError(
            f"{path.name} is a recording that was read before and would be lost: "
            "save under another name."
        )


def _encode(waveform: torch.Tensor, sample_rate: int, kind: str, name: str) -> bytes:
    peak = float(waveform.abs().max())
    if peak > 1.0:
        warnings.warn(
            translate(
                f"{name} reaches {peak:.2f} and was clipped to 1: divide the waveform by its "
                "maximum."
            ),
            stacklevel=3,
        )
    if kind == "MP3" and (sample_rate not in MP3_RATES or waveform.shape[0] > 2):
        raise AudioError(
            f"{name}: MP3 holds 1 or 2 channels at {', '.join(map(str, MP3_RATES))} Hz, not "
            f"{waveform.shape[0]} at {sample_rate} Hz; resample it, or save as WAV."
        )
    # Rounded here: libsndfile would cut the fraction off.
    integers = (waveform.T * 32768).round().clamp(-32768, 32767).to(torch.int16).numpy()
    buffer = io.BytesIO()
    if kind == "MP3":
        soundfile.write(
            buffer,
            integers.astype("int32") << 16,  # libsndfile 1.2.2 garbles 16-bit stereo
            sample_rate,
            format="MP3",
            bitrate_mode="CONSTANT",
            compression_level=0.6,
        )
    else:
        soundfile.write(buffer, integers, sample_rate, format=kind, subtype="PCM_16")
    return buffer.getvalue()
