"""Checks of chapter 7: placing mel filters, finding the pitch, normalising each bin."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from course_utils.checks.exercise import exercise


def _mel_centres(n_mels: int, f_min: float, f_max: float) -> np.ndarray:
    mel = np.linspace(_to_mel(f_min), _to_mel(f_max), n_mels + 2)
    return (700 * (10 ** (mel / 2595) - 1))[1:-1]


def _to_mel(hz: Any) -> Any:
    return 2595 * np.log10(1 + np.asarray(hz, dtype=float) / 700)


@exercise(reference=_mel_centres)
def ex1(answer: Callable[..., Any]) -> str | None:
    """Check `mel_centres(n_mels, f_min, f_max)`: where HTK's filters are centred, in Hz."""
    for n_mels, f_min, f_max in ((10, 0.0, 8000.0), (40, 60.0, 4000.0)):
        found = np.asarray(answer(n_mels, f_min, f_max), dtype=float)
        hint = _hint_on_centres(found, n_mels, f_min, f_max)
        if hint:
            return hint
    return None


def _hint_on_centres(found: np.ndarray, n_mels: int, f_min: float, f_max: float) -> str | None:
    case = f"n_mels {n_mels}, f_min {f_min:.0f}, f_max {f_max:.0f}"
    if found.shape == (n_mels + 2,):
        return f"these are {n_mels + 2} edges: leave out the first and the last ({case})."
    if found.shape != (n_mels,):
        return f"the shape is {list(found.shape)} where [{n_mels}] is wanted: one for each filter."
    right = _mel_centres(n_mels, f_min, f_max)
    if _near(found, right):
        return None
    edges = np.linspace(f_min, f_max, n_mels + 2)
    if _near(found, edges[1:-1]):
        return "your centres lie at equal steps in Hz: make the steps in mel, then go back to Hz."
    if _near(found, _to_mel(right)):
        return "these are mels: go back to Hz with 700 (10^(m / 2595) - 1)."
    if _near(found, right + 700):
        return "every centre is 700 Hz too high: subtract the 1 when you go back to Hz."
    if np.allclose(found, right, atol=0.51):
        return "these centres are right to 1 Hz: leave them unrounded."
    if _near(found[::-1], right):
        return "your centres fall: give the lowest first."
    all_edges = np.array([f_min, *right, f_max])
    if _near(found, all_edges[:-2]) or _near(found, all_edges[2:]):
        return "these are the edges on one side: filter j has its tip on edge j + 1."
    if _near(found, (all_edges[:-2] + all_edges[2:]) / 2):
        return "these lie half-way between two edges in Hz: the tip of filter j is edge j + 1."
    if _near(found, _slaney_centres(n_mels, f_min, f_max)):
        return "these are the centres of Slaney's scale: the task asks for HTK's."
    mel = np.linspace(_to_mel(f_min), _to_mel(f_max), n_mels)
    if _near(found, 700 * (10 ** (mel / 2595) - 1)):
        return (
            "your first and last centres lie on f_min and f_max, but these are edges: make "
            "n_mels + 2 steps and leave out the two ends."
        )
    if f_min > 0 and _near(found, _mel_centres(n_mels, 0.0, f_max)):
        return f"you begin at 0 Hz: begin at f_min ({case})."
    if f_max < 8000 and _near(found, _mel_centres(n_mels, f_min, 8000.0)):
        return f"you end at 8,000 Hz: end at f_max ({case})."
    return (
        f"the first centre is {found[0]:.1f} Hz where HTK's scale gives {right[0]:.1f} ({case}): "
        "make n_mels + 2 equal steps in mel and go back to Hz; 2595 goes with the base 10, "
        "1127 with the base e."
    )


def _slaney_centres(n_mels: int, f_min: float, f_max: float) -> np.ndarray:
    low, high = [
        3 * f / 200 if f < 1000 else 15 + 27 * math.log(f / 1000, 6.4) for f in (f_min, f_max)
    ]
    mel = np.linspace(low, high, n_mels + 2)[1:-1]
    return np.where(mel < 15, 200 * mel / 3, 1000 * 6.4 ** ((mel - 15) / 27))


def _near(found: np.ndarray, wanted: np.ndarray) -> bool:
    return bool(np.allclose(found, wanted, rtol=1e-3, atol=0.01))


def _pitch_hz(frame: np.ndarray, sample_rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(frame * np.hanning(len(frame))))
    cepstrum = np.fft.irfft(np.log(spectrum + 1e-6 * spectrum.max()))
    first, last = sample_rate // 400, sample_rate // 60
    return float(sample_rate / (first + cepstrum[first : last + 1].argmax()))


def _vowel(pitch: float, sample_rate: int) -> np.ndarray:
    """A frame [1024] of harmonics under an envelope with hills near 600, 1,700 and 2,600 Hz."""
    harmonics = np.arange(1, int(0.48 * sample_rate / pitch))[:, None]
    hz = harmonics * pitch
    envelope = sum(np.exp(-(((hz - hill) / 250) ** 2)) for hill in (600, 1700, 2600)) + 0.03
    phase = 2 * np.pi * hz * np.arange(1024) / sample_rate + harmonics**2
    return (envelope * np.cos(phase)).sum(axis=0) / 10


@exercise(reference=_pitch_hz)
def ex2(answer: Callable[[np.ndarray, int], Any]) -> str | None:
    """Check `pitch_hz(frame, sample_rate)`: the pitch of a voiced frame, in Hz."""
    for pitch, sample_rate in ((110, 16000), (150, 16000), (210, 16000), (125, 8000), (300, 16000)):
        result = np.asarray(answer(_vowel(pitch, sample_rate), sample_rate), dtype=float)
        if result.size != 1:
            return f"return one number, the pitch in Hz, not {result.size} of them."
        hint = _hint_on_pitch(result.item(), pitch, sample_rate)
        if hint:
            return hint
    return None


def _hint_on_pitch(found: float, pitch: float, sample_rate: int) -> str | None:
    def near(value: float) -> bool:
        return abs(found - value) < 0.05 * value

    if near(pitch):
        return None
    if not math.isfinite(found) or found <= 0:
        return f"{found} is no pitch: does your range of indices begin at 0?"
    without_offset = sample_rate / (sample_rate / pitch - sample_rate // 400)
    if abs(found - without_offset) < 0.02 * without_offset:
        return (
            f"{found:.0f} Hz is too high: the search begins at sample_rate // 400, so add that to "
            "the place of the peak in the part that you searched."
        )
    if near(sample_rate / pitch):
        return (
            f"{found:.0f} is the period in samples, not the pitch: divide sample_rate "
            f"({sample_rate}) by it."
        )
    if near(1 / pitch):
        return f"{found:.4f} is the period in seconds: the pitch in Hz is 1 divided by it."
    if near(1024 / sample_rate * pitch):
        return f"{found:.0f} looks like a bin of the Fourier transform: turn it into Hz."
    if near(pitch * 16000 / sample_rate):
        return f"use the sample_rate that is given: here it is {sample_rate} Hz."
    if found > 400:
        return (
            f"{found:.0f} Hz is above any voice: in the cepstrum small indices hold the envelope, "
            "so begin to search at sample_rate / 400; in the spectrum the strongest harmonic need "
            "not be the first."
        )
    if near(pitch / 2) or near(pitch / 3):
        return f"{found:.0f} Hz is an octave or more too low: the first high peak is at one period."
    multiple = round(found / pitch)
    if multiple >= 2 and near(multiple * pitch):
        return (
            f"{found:.0f} Hz is harmonic {multiple} of the voice: the strongest harmonic need not "
            "be the first; look at the spacing of the comb."
        )
    return (
        f"{found:.0f} Hz is not the pitch of a voice at {pitch:.0f} Hz: is there a logarithm "
        "before the second transform, and is the beginning of the search added to the index?"
    )


def _normalise(levels: torch.Tensor) -> torch.Tensor:
    centred = levels - levels.mean(dim=-1, keepdim=True)
    return centred / centred.std(dim=-1, keepdim=True).clamp(min=1e-5)


@exercise(reference=_normalise)
def ex3(answer: Callable[[torch.Tensor], Any]) -> str | None:
    """Check `normalise(levels)`: mean 0 and standard deviation 1 of each bin over time."""
    generator = torch.Generator().manual_seed(0)
    heights = 40 * torch.rand(2, 1, 20, 1, generator=generator) - 60
    spreads = 2 + 8 * torch.rand(2, 1, 20, 1, generator=generator)
    levels = heights + spreads * torch.randn(2, 1, 20, 300, generator=generator)
    for given in (levels[0], levels[0, 0].double(), levels):
        try:
            result = answer(given.clone())
        except IndexError:
            return f"an axis is missing in the shape {list(given.shape)}: call the last one dim=-1."
        except RuntimeError as error:
            if "must match the size" not in str(error):
                raise
            return "the sizes do not match: keep the axis that you average over with keepdim=True."
        hint = _hint_on_normalised(result, given)
        if hint:
            return hint
    silent = levels[0].clone()
    silent[0, 3] = -100.0
    result = answer(silent.clone())
    if result.shape != silent.shape:
        return f"the shape {list(silent.shape)} became {list(result.shape)} with a silent bin."
    if not bool(torch.isfinite(result).all()):
        return (
            "a bin that never changes becomes NaN or infinite: its standard deviation is 0, so "
            "divide by no less than a small number, such as 1e-5."
        )
    if float(result[0, 3].abs().max()) > 1e-2:
        return "a bin that never changes must become 0: subtract its mean before dividing."
    if not _close(result, _normalise(silent)):
        return "a bin that never changes must not touch the other bins: treat each on its own."
    return None


def _hint_on_normalised(result: Any, levels: torch.Tensor) -> str | None:
    if not isinstance(result, torch.Tensor):
        return f"return a tensor, not a {type(result).__name__}."
    if result.shape != levels.shape:
        return (
            f"the shape {list(levels.shape)} became {list(result.shape)}: keep the axis that you "
            "average over with keepdim=True."
        )
    right = _normalise(levels)
    if torch.allclose(result.to(right.dtype), right, atol=0.02, rtol=0.01):
        return None
    if bool(torch.isnan(result).any()):
        return "there are NaNs in your result: look at what you divide by."
    if _close(result, levels - levels.mean(dim=-1, keepdim=True)):
        return "the mean is gone, but divide by the standard deviation of each bin as well."
    if _close(result, right / levels.std(dim=-1, keepdim=True)):
        return "you divide by the variance: its square root is the standard deviation."
    if _close(result, levels / levels.std(dim=-1, keepdim=True)):
        return "subtract the mean of each bin before you divide."
    if float(result.mean(dim=-2).abs().max()) < 1e-2:
        return (
            "you average over the bins of a frame (dim=-2): each bin needs its own mean over "
            "time, the last axis."
        )
    if float(result.mean(dim=-1).abs().max()) < 1e-2:
        return "the means are right, the spreads are not: use each bin's own standard deviation."
    if levels.ndim == 4 and abs(float(result.mean())) < 1e-2:
        return "each clip of a batch needs its own means: average over the last axis and no other."
    if abs(float(result.mean())) < 1e-2:
        return "you use one mean for the whole picture: each bin needs its own, over the last axis."
    return "each bin should have mean 0 and standard deviation 1 over time, the last axis."


def _close(result: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(result.to(other.dtype), other, atol=0.02, rtol=0.01)
