"""How a word is spoken: one function per speech synthesiser, and how each voice says each digit.

Every function returns a mono float waveform and its sample rate. The programs are Debian's
``espeak-ng``, ``flite`` and ``festival`` with the voices listed in ``data/README.md``.
"""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf

Sound = tuple[np.ndarray, int]  # mono float samples in [-1, 1], and the sample rate in Hz

ENGLISH_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
MANDARIN_WORDS = list("零一二三四五六七八九")

# The English words as a speaker of another language may say them, in that language's spelling.
ACCENTED_WORDS = {
    "de": "siero wann tuh [[sri:]] fohr feif ßix ßewwen äit nein",
    "fr-fr": "zirô ouanne tou sri fôr faïve sixe sévenne éïte naïne",
    "es": "siro uan tu sri for faiv siks seven eit nain",
    "it": "ziro uan tu tri for faiv siks seven eit nain",
    "nl": "ziero wan toe srie foor faif siks sewen eet nain",
    "pl": "ziro łan tu sri for fajf syks sewen ejt najn",
    "sv": "siro wann to tri får fajv sicks sevven ejt najn",
    "pt-br": "ziro uan tu tri fór faiv sics séven eit nain",
    "fi": "siirou van tuu srii foor faiv siks seven eit nain",
    "hu": "zíró van tú szrí fór fájv sziksz szeven ejt nájn",
}

# The English words in Russian letters, for festival's Russian voice.
RUSSIAN_SPELLING = ["зиро", "уан", "ту", "сри", "фор", "файв", "сыкс", "сэвн", "эйт", "найн"]

# CMU phone names, several ways of saying each digit, used by flite and by festival's diphones.
PHONES = {
    0: ["z ih r ow", "z iy r ow", "z ih r ow"],
    1: ["w ah n", "w ah n", "w aa n"],
    2: ["t uw", "t uw", "t uw"],
    3: ["th r iy", "th r iy", "th r ih iy", "f r iy"],
    4: ["f ao r", "f ow r", "f ao"],
    5: ["f ay v", "f ay v", "f ay f"],
    6: ["s ih k s", "s ih k s", "s iy k s"],
    7: ["s eh v ax n", "s eh v ih n", "s eh v n"],
    8: ["ey t", "ey t", "eh iy t"],
    9: ["n ay n", "n ay n", "n aa iy n"],
}
# Typical length of a phone in a word said alone, in milliseconds.
PHONE_MS = {"s": 110, "z": 80, "f": 105, "th": 95, "v": 65, "k": 85, "t": 85, "w": 70, "r": 50}
PHONE_MS |= {"n": 90, "ax": 60, "ih": 90, "iy": 180, "ow": 190, "ah": 130, "uw": 190, "ao": 150}
PHONE_MS |= {"ay": 200, "eh": 110, "ey": 170, "aa": 130, "uh": 80}


def run(command: list[str]) -> None:
    """Run one program; a failure is raised with what the program printed."""
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed ({done.returncode}): {done.stderr}")


def read(path: Path) -> Sound:
    """Read a mono file as float samples in [-1, 1] and its sample rate."""
    samples, sample_rate = sf.read(path, dtype="float64")
    return samples, sample_rate


def espeak(text: str, voice: str, pitch: int, speed: int) -> Sound:
    """Speak with espeak-ng: ``voice`` is ``language+variant``, ``speed`` words a minute."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        options = ["-p", str(pitch), "-s", str(speed), "-w", str(path)]
        run(["espeak-ng", "-v", voice, *options, text])
        return read(path)


def flite(text: str, voice: str, pitch_hz: float, stretch: float, phones: bool = False) -> Sound:
    """Speak with flite: words, or phone names where ``phones`` is set."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        features = {"int_f0_target_mean": pitch_hz, "duration_stretch": stretch}
        options = [part for k, v in features.items() for part in ("--setf", f"{k}={v:.4f}")]
        what = ["-p", f"pau {text} pau"] if phones else ["-t", text]
        run(["flite", "-voice", voice, *options, *what, "-o", str(path)])
        return read(path)


def festival(commands: str, utterance: str) -> Sound:
    """Speak one utterance with festival after the Scheme ``commands`` that choose the voice."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        script = Path(folder) / "say.scm"
        say = f'(utt.save.wave (utt.synth {utterance}) "{path}" \'riff)'
        script.write_text(f"{commands}\n{say}\n", encoding="utf-8")
        run(["festival", "-b", str(script)])
        return read(path)


def festival_hts(text: str, voice: str, stretch: float) -> Sound:
    """Speak text with a statistical (HTS) voice of festival."""
    rate = f'(set! hts_engine_params (cons (list "-r" {1 / stretch:.4f}) hts_engine_params))'
    return festival(f"(voice_{voice})\n{rate}", f'(Utterance Text "{text}")')


def festival_diphones(
    phones: str, voice: str, pitch_hz: float, stretch: float, rng: np.random.Generator
) -> Sound:
    """Speak phones with a diphone voice, with lengths and pitch drawn here.

    Festival's signal processing crashes on some combinations of lengths and pitch: then others
    are drawn, in an order that the seed fixes.
    """
    last = RuntimeError("not tried")
    for _ in range(9):
        segments = timed_phones(phones.split(), pitch_hz, stretch, rng)
        try:
            return festival(f"(voice_{voice})", f"(Utterance Segments ({segments}))")
        except RuntimeError as error:
            last = error
    raise last


def timed_phones(
    names: list[str], pitch_hz: float, stretch: float, rng: np.random.Generator
) -> str:
    """Phones with their lengths in seconds and a falling, level or rising pitch, for festival."""
    lengths = [PHONE_MS[n] / 1000 * stretch * rng.uniform(0.8, 1.25) for n in names]
    slope = rng.choice([-0.3, -0.2, -0.1, 0.0, 0.15])
    bend = rng.uniform(0.0, 0.1)
    ends = np.cumsum(lengths) / sum(lengths)
    pitch = pitch_hz * (1 - slope / 2 + slope * ends + bend * np.sin(np.pi * ends))
    segments = ["(pau 0.1)"]
    for name, length, hz in zip(names, lengths, pitch, strict=True):
        segments.append(f"({name} {length:.4f} ({length / 2:.4f} {hz:.1f}))")
    return " ".join([*segments, "(pau 0.1)"])


def festival_units(text: str, voice: str) -> Sound:
    """Speak text with a unit-selection voice of festival."""
    return festival(f"(voice_{voice})", f'(Utterance Text "{text}")')
