"""Helpers that fault tests import."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import soundfile


def is_one_sentence(message: str) -> bool:
    """Whether a message is one sentence in one line, with a cure behind a colon or semicolon."""
    whole = message.strip()
    inner = re.sub(r"`[^`]*`|(?<!\w)'[^']*'|\"[^\"]*\"", "", whole)
    while "(" in inner and inner != (shorter := re.sub(r"\([^()]*\)", "", inner)):
        inner = shorter
    return (
        "\n" not in whole
        and whole.endswith((".", "?"))
        and not re.search(r"\S\. [A-Z]", inner)
        and bool(re.search(r"[:;] \S", whole))
    )


def speak(
    path: Path, digit: int = 0, seed: int = 0, rate: int = 8000, seconds: float = 0.3
) -> None:
    """Write a sound that swells and fades, with two tones that tell the digit."""
    count = int(seconds * rate)
    clock = np.arange(count) / rate
    tones = np.sin(2 * np.pi * (300 + 150 * digit) * clock)
    noise = np.random.default_rng(seed).normal(size=count)
    soundfile.write(str(path), (0.2 * tones + 0.02 * noise) * np.hanning(count), rate)
