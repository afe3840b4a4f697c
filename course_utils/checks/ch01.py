"""Checks of the exercises in chapter 1, reading, writing and hearing speech."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch

from course_utils import features
from course_utils.checks.exercise import as_number, as_numbers, as_tensor, exercise, explain


def level_db(waveform: torch.Tensor) -> torch.Tensor:
    """Return the level of a waveform in dB, from its mean power."""
    return 10 * torch.log10(waveform.square().mean())


@exercise(reference=level_db)
def ex1(answer: Callable[..., Any]) -> Iterator[str | None]:
    """Check a function `(waveform [channels, time]) -> level in dB`."""
    mixed = torch.tensor([[1.0, -1.0, 0.5, -0.5]])
    waveforms = torch.ones(1, 1000), torch.full((1, 1000), 0.5), mixed
    what = "the level, from the mean over all samples"
    given = [as_number(answer(waveform), what) for waveform in waveforms]
    wanted = torch.stack([level_db(waveform) for waveform in waveforms])
    ones, half = (round(level, 2) for level in given[:2])
    hints = {
        "a waveform of ones gives 30 dB: use the mean of the power, not its sum.": ones == 30,
        f"a waveform of ones has 0 dB and yours gives {ones:.2f} dB.": ones != 0,
        "yours is half of the level: the root of the power takes 20, not 10.": wanted / 2,
        "half the amplitude is -6.02 dB, yours gives -3.01: with the factor 10, square the "
        "samples.": half == -3.01,
        "half the amplitude is -6.02 dB, yours gives -12.04: with power the factor is 10.": (
            half == -12.04
        ),
        "yours is the natural logarithm: decibels need log10.": half in (-1.39, -13.86),
        "the factor 10 is missing: decibels are ten times the logarithm of the power.": (
            half == -0.6
        ),
        f"half the amplitude has -6.02 dB and yours gives {half:.2f}.": half != -6.02,
    }
    otherwise = (
        "loud and soft samples together come out wrong: square, then take the mean, and the "
        "logarithm last."
    )
    yield explain(given, wanted, hints, otherwise, tolerance=1e-3)


def number_of_frames(time: int, n_fft: int, hop_length: int, center: bool) -> int:
    """Return the number of frames of a spectrogram."""
    return time // hop_length + 1 if center else (time - n_fft) // hop_length + 1


@exercise(reference=number_of_frames)
def ex2(answer: Callable[..., Any]) -> Iterator[str | None]:
    """Check a function `(time, n_fft, hop_length, center) -> number of frames`."""
    sizes = ((65328, 1024, 160), (1024, 1024, 512), (16150, 400, 160))
    for (time, n_fft, hop), center in itertools.product(sizes, (True, False)):
        wanted = number_of_frames(time, n_fft, hop, center)
        given = as_number(answer(time, n_fft, hop, center), "the count of frames")
        where = f"{time} samples, n_fft {n_fft}, hop {hop}, center={center}"
        hints = {
            f"centred and uncentred are the wrong way round, or you ignore center ({where}).": (
                center and given == number_of_frames(time, n_fft, hop, False)
            ),
            "a window that is not centred must fit whole: subtract n_fft from time before you "
            f"divide ({where}).": not center and given in (time // hop, time // hop + 1),
            f"half frames do not exist: divide with // ({where}).": 0 < abs(given - wanted) < 1,
            f"one frame is missing: the first frame counts too, add 1 ({where}).": wanted - 1,
            f"one frame too many: a last step that does not fit is left out, use // ({where}).": (
                wanted + 1
            ),
        }
        otherwise = f"{wanted} frames are right and yours says {given:g} ({where})."
        yield explain(given, wanted, hints, otherwise, 0)


def power_spectrum(frame: torch.Tensor) -> torch.Tensor:
    """Return the power of each bin of a frame under a periodic Hann window."""
    window = torch.hann_window(len(frame), dtype=frame.dtype)
    return torch.fft.rfft(frame * window).abs() ** 2


WINDOW = "the frames differ in length: use torch.hann_window(len(frame)), as long as each of them."


@exercise(reference=power_spectrum, errors={"must match": WINDOW})
def ex3(answer: Callable[..., Any]) -> Iterator[str | None]:
    """Check a function `(frame [time]) -> power [time // 2 + 1]`."""
    generator = torch.Generator().manual_seed(4)
    for time in (400, 256):
        frame = torch.randn(time, generator=generator)
        given, wanted = as_tensor(answer(frame)), power_spectrum(frame.double())
        symmetric = torch.hann_window(time, periodic=False)
        hints = {
            f"the shape is {list(given.shape)} and [{len(wanted)}] is needed: rfft gives the bins "
            "from 0 to half the sample rate.": given.shape != wanted.shape,
            "the values are complex: take the absolute value and square it.": given.is_complex(),
            "these are amplitudes: square the absolute values for the power.": wanted.sqrt(),
            "the window is missing: multiply the frame by torch.hann_window first.": (
                torch.fft.rfft(frame).abs() ** 2
            ),
            "the window is symmetric: torch.hann_window(time) without periodic=False is "
            "needed.": torch.fft.rfft(frame * symmetric).abs() ** 2,
            "that is a Hamming window: torch.hann_window(time) is needed.": (
                torch.fft.rfft(frame * torch.hamming_window(time)).abs() ** 2
            ),
            "these are decibels: return the power itself.": 10 * torch.log10(wanted),
            "you divide by the length of the frame: return the power as rfft gives it.": (
                wanted / time
            ),
        }
        otherwise = "the values differ: window first, then rfft, then the squared absolute value."
        yield explain(given, wanted, hints, otherwise)


def two_tones_two_clicks() -> torch.Tensor:
    """Return the sound of exercise 4: one second, [1, 16000], at 16 kHz.

    Tones at 1,000 and 1,080 Hz, and clicks at samples 8,000 and 8,480.
    """
    seconds = torch.arange(16_000, dtype=torch.float64) / 16_000
    sound = 0.1 * torch.sin(2 * torch.pi * 1000 * seconds)
    sound += 0.1 * torch.sin(2 * torch.pi * 1080 * seconds)
    sound[8000] += 0.7
    sound[8480] += 0.7
    return sound.float()[None]


def _valley(levels: torch.Tensor, first: int, last: int) -> float:
    """Return how many dB the lowest level lies below the lower one of two ends."""
    return float(levels[[first, last]].min() - levels[first : last + 1].min())


def valleys(n_fft: int, hop_length: int) -> tuple[float, float]:
    """Return how deep, in dB, the valleys between two tones and two clicks are in a spectrogram."""
    power = features.spectrogram(two_tones_two_clicks(), n_fft, hop_length)[0]
    clicks_begin = (8000 - n_fft // 2) // hop_length  # frames before see tones alone
    rows = features.to_db(power[:, max(clicks_begin // 4, 1) : max(clicks_begin, 2)].mean(dim=1))
    columns = features.to_db(power[power.shape[0] // 2 :].mean(dim=0), floor=1e-20)
    tones = _valley(rows, round(1000 * n_fft / 16_000), round(1080 * n_fft / 16_000))
    return tones, _valley(columns, round(8000 / hop_length), round(8480 / hop_length))


@exercise(reference=[640, 128])
def ex4(answer: Any) -> Iterator[str | None]:
    """Check two numbers, n_fft and hop_length, by what the spectrogram then shows."""
    numbers = as_numbers(answer, 2)
    if not all(number >= 1 and number == int(number) for number in numbers):
        yield "n_fft and hop_length are counted in samples: whole numbers, 1 or more."
    n_fft, hop_length = map(int, numbers)
    if n_fft > 8000:
        yield f"a window of {n_fft} samples is longer than half of the sound: take a shorter one."
    if hop_length > n_fft:
        yield "the hop is longer than the window, so samples between two frames are lost."
    frames = 16_000 // hop_length + 1
    if frames > 150:
        yield f"these are {frames} frames, and 150 at most are asked for: take a longer hop."
    tones, clicks = valleys(n_fft, hop_length)
    if tones < 6:
        yield (
            f"the valley between the two tones is {tones:.1f} dB deep and 6 are asked for: "
            "a longer window parts tones."
        )
    if clicks < 6 <= valleys(n_fft, 16)[1]:
        yield (
            f"the valley between the two clicks is {clicks:.1f} dB deep and 6 are asked for: the "
            "window is short enough, but no frame falls between the clicks. Take a shorter hop."
        )
    if clicks < 6:
        yield (
            f"the valley between the two clicks is {clicks:.1f} dB deep and 6 are asked for: a "
            "shorter window parts clicks."
        )
    yield None
