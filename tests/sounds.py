"""Sounds that tests write: noise that swells and fades, so that something seems to be said."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from course_utils import audio
from course_utils.paths import data_path


def write(path: Path, seconds: float = 0.3, rate: int = 8000, seed: int = 0) -> None:
    """Write a sound; the ending of its name says of which kind."""
    noise = np.random.default_rng(seed).normal(size=int(seconds * rate))
    sound = 0.2 * noise * np.hanning(len(noise)) ** 2
    kind = {".flac": "FLAC", ".mp3": "MP3"}.get(path.suffix.lower(), "WAV")
    soundfile.write(str(path), sound.clip(-1, 1), rate, format=kind)


def clips_and_edges(every: int = 1) -> list[np.ndarray]:
    """The shipped clips of the test part, or each n-th of them, and 61 signals at the edge.

    All are float32 arrays of samples at 16 kHz.
    """
    table = csv.DictReader(data_path("manifest.csv").read_text(encoding="utf-8").splitlines())
    files = [row["file"] for row in table if row["part"] == "test"][::every]
    clips = [audio.load(data_path(file))[0][0].numpy() for file in files]
    edges = [*_edges(), bursts_between_zeros()]
    return clips + [edge.astype(np.float32) for edge in edges]


def bursts_between_zeros() -> np.ndarray:
    """5 ms of a tone every 70 ms: the median of nine frames is loud only where nothing sounds."""
    clock = np.arange(33600)
    return np.sin(2 * np.pi * 500 * clock / 16000) * (clock % 1120 < 80)


def _edges() -> Iterator[np.ndarray]:
    """Silence, noise, tones, clicks and bursts, from one sample to three seconds."""
    chance = np.random.default_rng(0)
    lengths = (1, 2, 7, 159, 160, 161, 800, 1599, 4000, 8000, 16000, 48001)
    for length in lengths:
        clock = np.arange(length) / 16000
        yield np.zeros(length)
        yield 0.1 * chance.normal(size=length)
        yield 0.5 * np.sin(2 * np.pi * 50 * clock)
        yield 0.5 * np.sin(2 * np.pi * 700 * clock) * (chance.random(length) > 0.2)
        burst = np.zeros(length)
        burst[length // 3 : 2 * length // 3] = chance.normal(size=2 * length // 3 - length // 3)
        yield burst
