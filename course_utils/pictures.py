"""The word in a clip, and its log-mel picture: what the networks of the course see.

Taught in chapters 7 (mel filters, decibels) and 8 (the word finder).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from course_utils.audio import resample
from course_utils.errors import AudioError
from course_utils.features import resize, spectrogram, to_db

KINDS = ("log_mel", "notes")
NOTES_SIZE = (80, 80)
WINDOW_SECONDS = 0.032
STEP_SECONDS = 0.010
LOWEST_HZ, HIGHEST_HZ = 60.0, 3700.0  # what a recording at 8 kHz surely holds
WORD_SECONDS = (0.15, 0.90)  # words are taken to be this long at least and at most
LIMIT_DB = 40.0
SILENCE_DB = -130.0  # below the noise of 16 bits, so that quiet recordings keep their shape
PAUSE_SECONDS = 0.20
LEAST_LEVEL_DB = -75.0
LEAST_CONTRAST_DB = 9.0
BLOCK = 8192  # frames transformed at a time: bounds the memory that a long recording takes
MAX_FRAMES = 1_000_000  # nearly three hours; a damaged header may tell a rate of 1 Hz

Word = tuple[int, int] | None


def picture_and_word(
    waveform: torch.Tensor,
    sample_rate: int,
    n_mels: int = 40,
    n_frames: int = 48,
    kind: Literal["log_mel", "notes"] = "log_mel",
) -> tuple[torch.Tensor, Word]:
    """Make the picture that a network takes, and say where in the clip the word is.

    Args:
        waveform: float32 tensor [1, time].
        sample_rate: in Hz.
        n_mels, n_frames: height and width of a log-mel picture.
        kind: `"log_mel"`, or `"notes"` for the picture of the lecture notes.
    Returns: float32 tensor [1, n_mels, n_frames]; the word as `find_word` gives it.
    Raises: AudioError, if the waveform is too long.

    >>> picture_and_word(torch.zeros(1, 8000), 8000)[1] is None
    True
    """
    frames = log_mel_frames(waveform, sample_rate, n_mels)
    word = find_word(frames)
    if kind == "notes":
        return notes_pictures([waveform], sample_rate)[0], word
    return picture_of(frames, word, n_frames), word


def log_mel_pictures(
    waveforms: Sequence[torch.Tensor], sample_rate: int, n_mels: int = 40, n_frames: int = 48
) -> torch.Tensor:
    """Make one log-mel picture of the word in each clip.

    >>> log_mel_pictures([torch.randn(1, 8000), torch.randn(1, 300)], 8000).shape
    torch.Size([2, 1, 40, 48])
    """
    made = [picture_and_word(waveform, sample_rate, n_mels, n_frames)[0] for waveform in waveforms]
    return torch.stack(made)


def notes_pictures(waveforms: Sequence[torch.Tensor], sample_rate: int) -> torch.Tensor:
    """Make the notes' pictures: the linear power spectrogram at 16 kHz, resized to 80 x 80.

    >>> notes_pictures([torch.zeros(1, 8000), torch.zeros(1, 9000)], 16000).shape
    torch.Size([2, 1, 80, 80])
    """
    made = [resize(spectrogram(resample(w, sample_rate, 16000)), NOTES_SIZE) for w in waveforms]
    return torch.stack(made)


def picture_of(frames: torch.Tensor, word: Word, n_frames: int = 48) -> torch.Tensor:
    start, end = word or (0, len(frames))
    seconds = (end - start) * STEP_SECONDS
    seconds = math.sqrt(min(max(seconds, WORD_SECONDS[0]), WORD_SECONDS[1]))
    steps = torch.arange(n_frames) - (n_frames - 1) / 2
    place = steps * (seconds / STEP_SECONDS / n_frames) + (start + end - 1) / 2
    left = place.floor().long()
    part = (place - left)[:, None]
    padded = torch.nn.functional.pad(frames, (0, 0, 1, 1), value=SILENCE_DB)
    first = padded[(left + 1).clamp(0, len(frames) + 1)]
    second = padded[(left + 2).clamp(0, len(frames) + 1)]
    picture = first * (1 - part) + second * part
    picture = (picture - picture.max()).clamp(min=-LIMIT_DB)
    return (picture * (4 / LIMIT_DB) + 2).T[None].contiguous()


def log_mel_frames(waveform: torch.Tensor, sample_rate: int, n_mels: int = 40) -> torch.Tensor:
    window_length = max(2, round(WINDOW_SECONDS * sample_rate))
    step = max(1, round(STEP_SECONDS * sample_rate))
    before = (window_length - step) // 2
    steps = max(1, math.ceil(waveform.shape[-1] / step))
    if steps > MAX_FRAMES:
        raise AudioError(
            f"A waveform of {waveform.shape[-1]} samples at {sample_rate} Hz has too many "
            "frames for a picture: check its sample rate, or cut it into parts."
        )
    after = steps * step - waveform.shape[-1] + window_length - step - before
    padded = torch.nn.functional.pad(waveform[0].float(), (before, after))
    window, filters = _window_and_filters(sample_rate, window_length, n_mels)
    n_fft = 2 * (len(filters) - 1)
    blocks = []
    for block in padded.unfold(0, window_length, step).split(BLOCK):
        spectrum = torch.view_as_real(torch.fft.rfft(block * window, n_fft))
        power = spectrum.square().sum(dim=-1) @ filters
        blocks.append(to_db(power, floor=10 ** (SILENCE_DB / 10)))
    return torch.cat(blocks)


@functools.lru_cache(maxsize=32)
def _window_and_filters(
    sample_rate: int, window_length: int, n_mels: int
) -> tuple[torch.Tensor, torch.Tensor]:
    from torchaudio.functional import melscale_fbanks

    window = torch.hann_window(window_length, dtype=torch.float64)
    n_fft = 2 * 2 ** math.ceil(math.log2(window_length))
    filters = melscale_fbanks(n_fft // 2 + 1, LOWEST_HZ, HIGHEST_HZ, n_mels, sample_rate)
    return (window / window.sum()).float(), filters


def find_word(frames: torch.Tensor) -> Word:
    level = to_db((10 ** (frames / 10)).sum(dim=1), floor=1e-13).numpy()
    padded = np.pad(level, 2, mode="edge")
    smooth = np.sort(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)[:, 2]
    peak, quiet = float(smooth.max()), float(np.sort(smooth)[len(smooth) // 10])
    if peak < LEAST_LEVEL_DB or peak - quiet < LEAST_CONTRAST_DB:
        return None
    threshold = max(peak - LIMIT_DB, quiet + (peak - quiet) / 4)
    speaking = np.flatnonzero(smooth >= threshold)
    pauses = np.flatnonzero(np.diff(speaking) > PAUSE_SECONDS / STEP_SECONDS)
    stretches = np.split(speaking, pauses + 1)
    loudest = max(stretches, key=lambda stretch: float((10 ** (smooth[stretch] / 10)).sum()))
    return int(loudest[0]), int(loudest[-1]) + 1
