"""Checks of the exercises in chapter 1, reading, writing and hearing speech."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from course_utils.checks.exercise import exercise


def level_db(waveform: torch.Tensor) -> torch.Tensor:
    """Return the level of a waveform in dB, from its mean power."""
    return 10 * torch.log10(waveform.square().mean())


@exercise(reference=level_db)
def ex1(answer: Callable[..., Any]) -> str | None:
    """Check a function `(waveform [channels, time]) -> level in dB`."""
    ones, half = torch.ones(1, 1000), torch.full((1, 1000), 0.5)
    level_of_ones, level_of_half = _number(answer(ones)), _number(answer(half))
    if level_of_ones is None:
        return "the level is one number: take the mean over all samples before the logarithm."
    if abs(level_of_ones - 30) < 0.01:
        return "a waveform of ones gives 30 dB: use the mean of the power, not its sum."
    if abs(level_of_ones) > 0.01:
        return f"a waveform of ones has 0 dB and yours gives {level_of_ones:.2f} dB."
    assert level_of_half is not None
    mixed = torch.tensor([[1.0, -1.0, 0.5, -0.5]], dtype=torch.float64)
    level_of_mixed = _number(answer(mixed))
    if abs(level_of_half + 3.01) < 0.02:
        if level_of_mixed is not None and abs(level_of_mixed - level_db(mixed) / 2) < 0.02:
            return "yours is half of the level: the root of the power takes 20, not 10."
        return (
            "half the amplitude is -6.02 dB, yours gives -3.01: with the factor 10, square the "
            "samples."
        )
    if abs(level_of_half + 12.04) < 0.02:
        return "half the amplitude is -6.02 dB, yours gives -12.04: with power the factor is 10."
    if abs(level_of_half + 1.386) < 0.01 or abs(level_of_half + 13.86) < 0.02:
        return "yours is the natural logarithm: decibels need log10."
    if abs(level_of_half + 0.602) < 0.01:
        return "the factor 10 is missing: decibels are ten times the logarithm of the power."
    if abs(level_of_half + 6.02) > 0.02:
        return f"half the amplitude has -6.02 dB and yours gives {level_of_half:.2f}."
    if level_of_mixed is None or abs(level_of_mixed - level_db(mixed)) > 0.01:
        return (
            "loud and soft samples together come out wrong: square, then take the mean, and the "
            "logarithm last."
        )
    stereo = torch.tensor([[0.5, -0.5, 0.5], [0.0, 0.0, 0.25]])
    level_of_stereo = _number(answer(stereo))
    if level_of_stereo is None or abs(level_of_stereo - level_db(stereo)) > 0.01:
        return "two channels come out wrong: one mean goes over the samples of both."
    return None


def number_of_frames(time: int, n_fft: int, hop_length: int, center: bool) -> int:
    """Return the number of frames of a spectrogram."""
    return time // hop_length + 1 if center else (time - n_fft) // hop_length + 1


@exercise(reference=number_of_frames)
def ex2(answer: Callable[..., Any]) -> str | None:
    """Check a function `(time, n_fft, hop_length, center) -> number of frames`."""
    for time, n_fft, hop_length in ((65328, 1024, 160), (1024, 1024, 512), (16150, 400, 160)):
        for center in (True, False):
            wanted = number_of_frames(time, n_fft, hop_length, center)
            given = _number(answer(time, n_fft, hop_length, center))
            if given is None:
                return "the answer is one number: give the count of frames."
            where = f"{time} samples, n_fft {n_fft}, hop {hop_length}, center={center}"
            if abs(given - wanted) >= 1:
                return _hint_on_frames(
                    given, wanted, number_of_frames(time, n_fft, hop_length, not center), where
                )
            if given != wanted:
                return f"half frames do not exist: divide with // ({where})."
    return None


def _hint_on_frames(given: float, wanted: int, other: int, where: str) -> str:
    if given == other:
        return f"centred and uncentred are the wrong way round, or you ignore center ({where})."
    if given == wanted - 1:
        return f"one frame is missing: the first frame counts too, add 1 ({where})."
    if given == wanted + 1:
        return f"one frame too many: a last step that does not fit is left out, use // ({where})."
    return f"{where} give {wanted} frames and yours says {given:g}."


def power_spectrum(frame: torch.Tensor) -> torch.Tensor:
    """Return the power of each bin of a frame under a periodic Hann window."""
    window = torch.hann_window(len(frame), dtype=frame.dtype)
    return torch.fft.rfft(frame * window).abs() ** 2


@exercise(reference=power_spectrum)
def ex3(answer: Callable[..., Any]) -> str | None:
    """Check a function `(frame [time]) -> power [time // 2 + 1]`."""
    generator = torch.Generator().manual_seed(4)
    for time, dtype in ((400, torch.float32), (256, torch.float64)):
        frame = torch.randn(time, generator=generator, dtype=torch.float64)
        hint = _hint_on_power(torch.as_tensor(answer(frame.to(dtype))).detach(), frame)
        if hint:
            return hint
    return None


def _hint_on_power(given: torch.Tensor, frame: torch.Tensor) -> str | None:
    time, wanted = len(frame), power_spectrum(frame)
    if given.shape != wanted.shape:
        return (
            f"the shape is {list(given.shape)} and [{len(wanted)}] is needed: rfft gives the bins "
            "from 0 to half the sample rate."
        )
    if given.is_complex():
        return "the values are complex: take the absolute value and square it."

    def power(values: torch.Tensor) -> torch.Tensor:
        return torch.fft.rfft(values).abs() ** 2

    symmetric = torch.hann_window(time, periodic=False, dtype=torch.float64)
    hamming = torch.hamming_window(time, dtype=torch.float64)
    wrong = {
        "these are amplitudes: square the absolute values for the power.": wanted.sqrt(),
        "the window is missing: multiply the frame by torch.hann_window first.": power(frame),
        "the window is symmetric: torch.hann_window(time) without periodic=False is needed.": (
            power(frame * symmetric)
        ),
        "that is a Hamming window: torch.hann_window(time) is needed.": power(frame * hamming),
        "these are decibels: return the power itself.": 10 * torch.log10(wanted),
        "you divide by the length of the frame: return the power as rfft gives it.": wanted / time,
    }
    if torch.allclose(given.double(), wanted, rtol=1e-3, atol=1e-3):
        return None
    for hint, values in wrong.items():
        if torch.allclose(given.double(), values, rtol=1e-3, atol=1e-3):
            return hint
    return "the values differ: window first, then rfft, then the squared absolute value."


def _number(value: Any) -> float | None:
    """Return a plain number, or None where the value holds several or none."""
    tensor = torch.as_tensor(value).detach().double()
    return float(tensor) if tensor.numel() == 1 else None
