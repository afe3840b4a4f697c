"""Checks of chapter 7: mel filters, pitch, normalising each bin, describing a word."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from course_utils import audio
from course_utils.checks.exercise import as_number, as_tensor, close, exercise, explain
from course_utils.paths import data_path


def _to_mel(hz: Any) -> Any:
    return 2595 * np.log10(1 + np.asarray(hz, dtype=float) / 700)


def _to_hz(mel: Any) -> Any:
    return 700 * (10 ** (mel / 2595) - 1)


def _mel_centres(n_mels: int, f_min: float, f_max: float) -> np.ndarray:
    return _to_hz(np.linspace(_to_mel(f_min), _to_mel(f_max), n_mels + 2)[1:-1])


@exercise(reference=_mel_centres)
def ex1(answer: Callable[..., Any]) -> Iterator[str | None]:
    """Check `mel_centres(n_mels, f_min, f_max)`: where HTK's filters are centred, in Hz."""
    for n_mels, f_min, f_max in ((10, 0.0, 8000.0), (40, 60.0, 4000.0)):
        given = as_tensor(answer(n_mels, f_min, f_max), "the centres in Hz")
        case = f"n_mels {n_mels}, f_min {f_min:.0f}, f_max {f_max:.0f}"
        if given.shape != (n_mels,):
            yield (
                f"these are {n_mels + 2} edges: leave out the first and the last ({case})."
                if given.shape == (n_mels + 2,)
                else f"the shape is {list(given.shape)} where [{n_mels}] is wanted: one for each "
                "filter."
            )
        right = _mel_centres(n_mels, f_min, f_max)
        otherwise = (
            f"the first centre is {given[0]:.1f} Hz where HTK's scale gives {right[0]:.1f} "
            f"({case}): make n_mels + 2 equal steps in mel and go back to Hz; 2595 goes with the "
            "base 10, 1127 with the base e."
        )
        yield explain(given, right, _centre_hints(n_mels, f_min, f_max), otherwise, 2e-5)


def _centre_hints(n_mels: int, f_min: float, f_max: float) -> dict[str, Any]:
    right = _mel_centres(n_mels, f_min, f_max)
    edges = np.array([f_min, *right, f_max])
    case = f"n_mels {n_mels}, f_min {f_min:.0f}, f_max {f_max:.0f}"
    return {
        "your centres lie at equal steps in Hz: "
        "make the steps in mel, then go back to Hz.": np.linspace(f_min, f_max, n_mels + 2)[1:-1],
        "these are mels: go back to Hz with 700 * (10 ** (m / 2595) - 1).": _to_mel(right),
        "every centre is 700 Hz too high: subtract the 1 when you go back to Hz.": right + 700,
        "these centres are right to 1 Hz: leave them unrounded.": (
            np.round(right),
            np.floor(right),
            np.ceil(right),
        ),
        "your centres fall: give the lowest first.": right[::-1],
        "these are the edges on one side: filter j has its tip on edge j + 1.": (
            edges[:-2],
            edges[2:],
        ),
        "these lie half-way between two edges in Hz: the tip of filter j is edge j + 1.": (
            (edges[:-2] + edges[2:]) / 2
        ),
        "these are the centres of Slaney's scale: the task asks for HTK's.": (
            _slaney_centres(n_mels, f_min, f_max)
        ),
        "your first and last centres lie on f_min and f_max, but these are edges: make n_mels + 2 "
        "steps and leave out the two ends.": (
            _to_hz(np.linspace(_to_mel(f_min), _to_mel(f_max), n_mels))
        ),
        f"you begin at 0 Hz: begin at f_min ({case}).": _mel_centres(n_mels, 0.0, f_max),
        f"you end at 8,000 Hz: end at f_max ({case}).": _mel_centres(n_mels, f_min, 8000.0),
    }


def _slaney_centres(n_mels: int, f_min: float, f_max: float) -> np.ndarray:
    low, high = [
        3 * f / 200 if f < 1000 else 15 + 27 * math.log(f / 1000, 6.4) for f in (f_min, f_max)
    ]
    mel = np.linspace(low, high, n_mels + 2)[1:-1]
    return np.where(mel < 15, 200 * mel / 3, 1000 * 6.4 ** ((mel - 15) / 27))


def _cepstrum(frame: np.ndarray) -> np.ndarray:
    spectrum = np.abs(np.fft.rfft(frame * np.hanning(len(frame))))
    return np.fft.irfft(np.log(spectrum + 1e-6 * spectrum.max()))


def _pitch_hz(frame: np.ndarray, sample_rate: int) -> float:
    first, last = sample_rate // 400, sample_rate // 60
    return float(sample_rate / (first + _cepstrum(frame)[first : last + 1].argmax()))


def _vowel(pitch: float, sample_rate: int) -> np.ndarray:
    """A frame [1024] of harmonics under an envelope with hills near 600, 1,700 and 2,600 Hz."""
    harmonics = np.arange(1, int(0.48 * sample_rate / pitch))[:, None]
    hz = harmonics * pitch
    envelope = sum(np.exp(-(((hz - hill) / 250) ** 2)) for hill in (600, 1700, 2600)) + 0.03
    phase = 2 * np.pi * hz * np.arange(1024) / sample_rate + harmonics**2
    return (envelope * np.cos(phase)).sum(axis=0) / 10


@exercise(reference=_pitch_hz)
def ex2(answer: Callable[[np.ndarray, int], Any]) -> Iterator[str | None]:
    """Check `pitch_hz(frame, sample_rate)`: the pitch of a voiced frame, in Hz."""
    for pitch in (110, 150, 210, 300):
        frame = _vowel(pitch, 16000)
        given = as_number(answer(frame, 16000), "the pitch in Hz")
        otherwise = (
            f"{given:.0f} Hz is not the pitch of a voice at {pitch:.0f} Hz: is there a logarithm "
            "before the second transform, and is the beginning of the search added to the index?"
        )
        yield explain(given, pitch, _pitch_hints(given, pitch, frame), otherwise, 0.05)
    for pitch, sample_rate in ((125, 8000), (250, 8000), (110, 32000)):
        given = as_number(answer(_vowel(pitch, sample_rate), sample_rate), "the pitch in Hz")
        otherwise = (
            f"at 16,000 Hz your answer is right, and at {sample_rate:,} Hz it is not: use the "
            "sample_rate that is given, and search from sample_rate // 400 to sample_rate // 60."
        )
        yield explain(given, pitch, {}, otherwise, 0.05)


def _pitch_hints(given: float, pitch: float, frame: np.ndarray) -> dict[str, Any]:
    without_offset = 16000 / (16000 / pitch - 40)
    place = int(_cepstrum(frame)[60:401].argmax())  # where 60 and 400 are taken for indices
    return {
        f"{given} is no pitch: does your range of indices begin at 0?": (
            not math.isfinite(given) or given <= 0
        ),
        f"{given:.0f} Hz is too high: the search begins at sample_rate // 400, so add that to the "
        "place of the peak in the part that you searched.": close(given, without_offset, 0.02),
        f"{given:.0f} is the period in samples, not the pitch: divide sample_rate (16000) by "
        "it.": 16000 / pitch,
        f"{given:.4f} is the period in seconds: the pitch in Hz is 1 divided by it.": 1 / pitch,
        f"{given:.0f} looks like a bin of the Fourier transform: turn it into Hz.": (
            1024 / 16000 * pitch
        ),
        f"{given:.0f} Hz is above any voice: in the cepstrum small indices hold the envelope, so "
        "begin to search at sample_rate / 400; in the spectrum the strongest harmonic need not be "
        "the first.": given > 400,
        f"{given:.0f} Hz is wrong for a voice at {pitch} Hz: 60 and 400 are frequencies, not "
        "indices; search from sample_rate // 400 to sample_rate // 60.": (
            16000 / (60 + place),
            16000 / max(place, 1),
        ),
        f"{given:.0f} Hz is an octave or more too low: the first high peak is at one period.": (
            pitch / 2,
            pitch / 3,
        ),
        **{
            f"{given:.0f} Hz is harmonic {number} of the voice: the strongest harmonic need not be "
            "the first; look at the spacing of the comb.": number * pitch
            for number in (2, 3)
        },
    }


def _normalise(levels: torch.Tensor) -> torch.Tensor:
    centred = levels - levels.mean(dim=-1, keepdim=True)
    return centred / centred.std(dim=-1, keepdim=True).clamp(min=1e-5)


SIZES = {
    "must match": "the sizes do not match: keep the axis that you average over with keepdim=True.",
    "Dimension out of range": (
        "the shape may be [n_mels, frames], and a batch has more axes: call the last one dim=-1."
    ),
}


@exercise(reference=_normalise, errors=SIZES)
def ex3(answer: Callable[[torch.Tensor], Any]) -> Iterator[str | None]:
    """Check `normalise(levels)`: mean 0 and standard deviation 1 of each bin over time."""
    generator = torch.Generator().manual_seed(0)
    heights = 40 * torch.rand(2, 1, 20, 1, generator=generator) - 60
    spreads = torch.logspace(-1, 1, 20)[:, None]  # from a bin that hardly changes, in dB
    batch = heights + spreads * torch.randn(2, 1, 20, 300, generator=generator)
    otherwise = "each bin should have mean 0 and standard deviation 1 over time, the last axis."
    for levels in (batch[0], batch[0, 0], batch):
        given = as_tensor(answer(levels), "a tensor")
        if given.shape != levels.shape:
            yield (
                f"the shape {list(levels.shape)} became {list(given.shape)}: keep the axis that "
                "you average over with keepdim=True."
            )
        hints = _normalise_hints(given, levels)
        yield explain(given, _normalise(levels), hints, otherwise, 5e-3)

    # The means of most of these constants are rounded: an answer must not blow up what is left.
    silent = batch[0].clone()
    silent[0, 3:7] = torch.tensor([-100.0, 0.7, 0.45, -0.6])[:, None]
    given = as_tensor(answer(silent), "a tensor")
    if given.shape != silent.shape:
        yield f"the shape {list(silent.shape)} became {list(given.shape)} with a silent bin."
    if not given.isfinite().all():
        yield (
            "a bin that never changes becomes NaN or infinite: its standard deviation is 0, so "
            "divide by no less than a small number, such as 1e-5."
        )
    if (largest := given[0, 3:7].abs().max()) > 0.25:
        yield (
            f"a bin that never changes must become 0, and yours becomes {largest:.1g}: subtract "
            "its mean before dividing, and divide by no less than 1e-5, as the mean is rounded."
        )
    given[0, 3:7] = 0
    otherwise = "a bin that never changes must not touch the other bins: treat each on its own."
    yield explain(given, _normalise(silent), {}, otherwise, 5e-3)


def _normalise_hints(given: torch.Tensor, levels: torch.Tensor) -> dict[str, Any]:
    mean, deviation = levels.mean(-1, keepdim=True), levels.std(-1, keepdim=True)

    def is_zero(values: torch.Tensor) -> bool:
        return bool(values.abs().max() < 1e-2)

    return {
        "there are NaNs in your result: look at what you divide by.": bool(given.isnan().any()),
        "the mean is gone, but divide by the standard deviation of each bin as well.": (
            levels - mean
        ),
        "you divide by the variance: its square root is the standard deviation.": (
            (levels - mean) / deviation**2
        ),
        "subtract the mean of each bin before you divide.": levels / deviation,
        "you average over the bins of a frame (dim=-2): each bin needs its own mean over time, the "
        "last axis.": is_zero(given.mean(dim=-2)),
        "a bin that hardly changes comes out too small: what keeps the deviation above 0 must be "
        "far smaller than it, such as 1e-5.": (
            (levels - mean) / deviation.clamp(min=1),
            (levels - mean) / (deviation + 1),
        ),
        "the means are right, the spreads are not: use each bin's own standard deviation.": (
            is_zero(given.mean(dim=-1))
        ),
        "each clip of a batch needs its own means: "
        "average over the last axis and no other.": levels.ndim == 4 and is_zero(given.mean()),
        "you use one mean for the whole picture: "
        "each bin needs its own, over the last axis.": is_zero(given.mean()),
    }


# Two voices of each of twelve kinds, so that the nearest clip is always by another kind of voice.
KINDS = {
    "awb": (1, 2),
    "espeak": (1, 2),
    "kal": (1, 2),
    "ked": (1, 2),
    "klatt": (1, 2),
    "kokoro0": (1, 3),
    "kokoro0 of Britain": (21, 22),
    "kokoro0 from abroad": (29, 30),
    "nsh": (1, 3),
    "rms": (1, 2),
    "slt": (1, 2),
    "tube": (1, 2),
}
MOST_NUMBERS = 60
WANTED_SHARE = 0.4


@functools.lru_cache(maxsize=1)
def _spoken_digits() -> tuple[list[np.ndarray], torch.Tensor, torch.Tensor]:
    """Log-mel levels [frames, 80] of 240 clips, their digits, and the kinds of their voices."""
    from torchaudio.transforms import MelSpectrogram

    to_mel = MelSpectrogram(16000, 1024, hop_length=160, n_mels=80)
    levels, digits, kinds = [], [], []
    for kind, (name, numbers) in enumerate(KINDS.items()):
        for number in numbers:
            for digit in range(10):
                speaker = f"{name.split()[0]}{number:02}"
                waveform, _ = audio.load(data_path(f"digits_en/{speaker}_{digit}.wav"))
                mel = to_mel(waveform)[0].T.double().numpy()
                levels.append(10 * np.log10(np.maximum(mel, 1e-10)))
                digits.append(digit)
                kinds.append(kind)
    return levels, torch.tensor(digits), torch.tensor(kinds)


def _describe(levels: np.ndarray) -> np.ndarray:
    place = np.arange(80) + 0.5
    waves = np.cos(np.pi / 80 * np.outer(np.arange(1, 13), place)) / math.sqrt(40)
    loudness = levels.max(axis=1)
    word = levels[loudness > loudness.max() - 30]
    cepstra = (word - word.mean(axis=0)) @ waves.T
    return np.concatenate([part.mean(axis=0) for part in np.array_split(cepstra, 4)])


@exercise(reference=_describe)
def ex4(answer: Callable[[np.ndarray], Any]) -> Iterator[str | None]:
    """Check `describe(levels)`: how often the nearest numbers belong to the same digit."""
    levels, digits, kinds = _spoken_digits()
    numbers = []
    for clip in levels:
        given = as_tensor(answer(clip), f"at most {MOST_NUMBERS} numbers")
        numbers.append(given)
        yield _form_of_a_description(given, numbers[0])
    distances = torch.cdist(torch.stack(numbers), torch.stack(numbers))
    distances[kinds[:, None] == kinds] = math.inf
    share = float((digits[distances.argmin(dim=1)] == digits).double().mean())
    if share >= WANTED_SHARE:
        return
    found = f"{share:.0%} of the digits are recognised, and {WANTED_SHARE:.0%} are wanted: "
    if distances[distances.isfinite()].max() < 1e-6:
        yield found + "all your descriptions are the same, so they tell nothing apart."
    if share < 0.16:
        yield found + (
            "a mean over the whole clip forgets what came first; describe the beginning, the "
            "middle and the end on their own."
        )
    yield found + (
        "voices and microphones still differ more than the digits do; remove each bin's mean over "
        "time before you cut the word into parts (section 7.12), and leave out silence."
    )


def _form_of_a_description(given: torch.Tensor, first: torch.Tensor) -> str | None:
    if given.ndim != 1:
        return (
            f"your description has the shape {list(given.shape)}: return one row of numbers, for "
            "example means over the frames of a part of the word, joined by np.concatenate."
        )
    if len(given) > MOST_NUMBERS:
        return f"these are {len(given)} numbers, and {MOST_NUMBERS} are allowed: keep fewer."
    if len(given) != len(first):
        return (
            f"one clip gives {len(first)} numbers and another {len(given)}: a description must not "
            "grow with the clip; take means over a fixed number of parts."
        )
    if not given.isfinite().all():
        return "there are numbers that are NaN or infinite: look at what you divide by."
    return None
