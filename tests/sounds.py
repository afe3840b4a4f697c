"""Sounds that tests write: noise that swells and fades, so that something seems to be said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile


def write(path: Path, seconds: float = 0.3, rate: int = 8000, seed: int = 0) -> None:
    """Write a sound; the ending of its name says of which kind."""
    noise = np.random.default_rng(seed).normal(size=int(seconds * rate))
    sound = 0.2 * noise * np.hanning(len(noise)) ** 2
    kind = {".flac": "FLAC", ".mp3": "MP3"}.get(path.suffix.lower(), "WAV")
    soundfile.write(str(path), sound.clip(-1, 1), rate, format=kind)
