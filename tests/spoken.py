"""Words that a synthesiser speaks, for tests of a recogniser of any words."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FOUR_WORDS = {"yes": "yes", "no": "no", "up": "up", "down": "down"}
# Which name a speaker has, which of the synthesiser's voices, how high and how fast.
VOICES = ["m1", "f1", "m3", "f3", "m5", "f5", "m7", "f2"]


def needs_espeak() -> None:
    """Skip where the synthesiser is missing; in CI that is a failure."""
    if shutil.which("espeak-ng") is None:
        reason = "espeak-ng is not installed (Debian: apt install espeak-ng)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def speak_words(folder: Path, words: dict[str, str], people: int, language: str = "en-us") -> Path:
    """Write `<speaker>_<word>.wav` for each of some people and words, given with what to say."""
    folder.mkdir()
    for person in range(people):
        for name, text in words.items():
            path = folder / f"p{person}_{name}.wav"
            voice = f"{language}+{VOICES[person % len(VOICES)]}"
            command = ["espeak-ng", "-v", voice, "-p", str(35 + 5 * person), "-s"]
            command += [str(140 + 5 * person), "-w", str(path), text]
            subprocess.run(command, check=True, capture_output=True)
    return folder
