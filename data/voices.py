"""How a word is spoken: one function per speech synthesiser, and how each voice says each digit.

Every function returns a mono float waveform and its sample rate. The programs are Debian's
``espeak-ng``, ``flite`` and ``festival`` with the voices listed in ``data/README.md``, and two that
``get_voices.py`` puts into a folder, which the environment variable ``VOICES_DIR`` names: the
neural voice Kokoro and the tube model GnuSpeech.
"""

import json
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

Sound = tuple[np.ndarray, int]  # mono float samples in [-1, 1], and the sample rate in Hz

ENGLISH_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
# In pinyin: given 一, espeak-ng 1.51's voice cmn reads the number of the tone out in English.
MANDARIN_WORDS = ["ling2", "yi1", "er4", "san1", "si4", "wu3", "liu4", "qi1", "ba1", "jiu3"]

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

# How Kokoro's voices say the English digits, as symbols of its vocabulary (A, I, O, Q are the
# diphthongs of day, my, American no, British no): as two countries say them, and as people who
# learned English elsewhere may. Spellings of one digit are separated by a bar.
KOKORO_ENGLISH = {
    "us": "zˈɪɹO|zˈiɹO wˈʌn tˈu θɹˈi fˈɔɹ|fˈOɹ fˈIv sˈɪks sˈɛvən|sˈɛvᵊn ˈAt nˈIn",
    "gb": "zˈɪəɹQ wˈʌn|wˈɒn tˈuː θɹˈiː|fɹˈiː fˈɔː fˈIv sˈɪks sˈɛvən|sˈɛvᵊn ˈAt nˈIn",
    "es": "sˈiɾo|zˈeɾo wˈan tˈu tɾˈi|θɾˈi fˈoɾ fˈaiv|fˈaif sˈiks sˈeβen|sˈeven ˈeit nˈain",
    "fr": "zˈiʁo|zˈeɹo wˈan tˈu sʁˈi|tɹˈi fˈɔʁ|fˈɔɹ fˈajv sˈiks sˈɛvɛn ˈɛjt nˈajn",
    "hi": "zˈiːɾo|ʤˈiːɾo ʋˈan|wˈən ʈˈuː tʰɾˈiː fˈoːɾ fˈaiʋ sˈɪks sˈɛʋən|sˈeʋən ˈeːʈ nˈain",
    "it": "zˈeɾo|ʣˈiɾo wˈan tˈu tɾˈi|θɾˈi fˈɔr fˈaiv sˈiks sˈɛven ˈeit nˈain|nˈainə",
    "ja": "zˈeɾo|ʤˈiɾo wˈan tˈɯ sɯɾˈi|sɾˈi fˈoː fˈaib|fˈaiv sˈikɯs sˈebɯn|sˈevɯn ˈeito|ˈeit nˈain",
    "pt": "zˈiɾu|zˈɛɾo wˈan tˈu tɾˈi|θɾˈi fˈɔɾ|fˈɔx fˈaiv sˈiks sˈɛven ˈeit|ˈeiʧ nˈain",
    "de": "zˈiɹo|sˈiʁo vˈan|wˈan tˈuː sɹˈi|θɹˈi fˈɔɐ fˈaif sˈɪks|zˈɪks sˈɛvn|zˈɛvən ˈɛit nˈain",
    "zh": "zˈiɹou|zˈiɹo wˈan tʰˈu sɹˈi|fɹˈi fˈɔ|fˈOɹ fˈaif sˈɪks|sˈiks sˈɛwən|sˈɛvən ˈeit nˈain",
}
# The accent of a voice's own country, by the first letter of its name.
KOKORO_ACCENTS = {"a": "us", "b": "gb", "e": "es", "f": "fr", "h": "hi", "i": "it", "j": "ja"}
KOKORO_ACCENTS["p"] = "pt"
# Mandarin with the tone behind its vowel: → high, ↗ rising, ↓ low, ↘ falling.
KOKORO_MANDARIN = ["li↗ŋ", "i→", "ɚ↘|aɚ↘", "sa→n", "sɨ↘", "u↓|wu↓", "ljou↘", "ʨʰi→", "pa→", "ʨjou↓"]

# The pitch of Mandarin's tones at equal distances from the beginning of the voice to its end, in
# semitones from the middle of a speaker's voice. A third tone alone dips, or stays low.
TONES = {
    "1": np.array([[2.0, 2.2, 2.1, 2.0, 2.0]]),
    "2": np.array([[-2.5, -3.5, -2.5, 0.0, 2.8]]),
    "3": np.array([[-2.5, -5.0, -7.0, -5.0, -1.0], [-2.0, -4.5, -6.5, -7.0, -7.0]]),
    "4": np.array([[3.8, 3.4, -0.5, -4.0, -6.5]]),
}
# GnuSpeech's voices: the length of the vocal tract in cm and the pitch in semitones.
TUBES = {
    "man": (17.5, -12.0),
    "woman": (15.0, 0.0),
    "child": (12.5, 2.5),
    "small-child": (10.0, 5.0),
}


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
    """Speak with espeak-ng: ``voice`` is ``language+variant``, ``speed`` words a minute.

    Text that begins with ``<speak>`` is read as SSML.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        options = ["-p", str(pitch), "-s", str(speed), "-w", str(path)]
        options += ["-m"] if text.startswith("<speak>") else []
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


def voices_folder() -> Path:
    """The folder that `get_voices.py` filled, from the environment variable VOICES_DIR."""
    folder = os.environ.get("VOICES_DIR", "")
    if not (Path(folder) / "kokoro.onnx").is_file():
        raise RuntimeError(
            "Kokoro and GnuSpeech are not here: run data/get_voices.py FOLDER and set the "
            "environment variable VOICES_DIR to that folder."
        )
    return Path(folder)


@cache
def kokoro_session() -> Any:
    """The neural network, on one thread: the order of its sums then never changes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = str(voices_folder() / "kokoro.onnx")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def kokoro(phonemes: str, voice: str, speed: float) -> Sound:
    """Speak symbols of Kokoro's vocabulary; ``speed`` is 1 for its own pace, 2 for twice that."""
    folder = voices_folder()
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))["vocab"]
    tokens = [vocabulary[symbol] for symbol in phonemes]
    # A voice has one style for each number of tokens, from 1.
    styles = np.fromfile(folder / "voices" / f"{voice}.bin", dtype=np.float32).reshape(510, 256)
    inputs = {
        "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
        "style": styles[len(tokens) - 1][None],
        "speed": np.array([speed], dtype=np.float32),
    }
    return kokoro_session().run(None, inputs)[0].ravel().astype(np.float64), 24000


def with_pitch(
    samples: np.ndarray, sample_rate: int, pitch_hz: np.ndarray, stretch: float
) -> np.ndarray:
    """Say the same sound with another pitch and pace (the vocoder WORLD: Morise and others, 2016).

    ``pitch_hz`` holds the pitch at equal distances from the first voiced moment to the last;
    a ``stretch`` above 1 speaks more slowly.
    """
    import pyworld

    found, time = pyworld.harvest(samples, sample_rate)  # a frame each 5 ms
    envelope = pyworld.cheaptrick(samples, found, time, sample_rate)
    noise = pyworld.d4c(samples, found, time, sample_rate)
    voiced = np.flatnonzero(found > 0)
    if not len(voiced):
        return samples
    place = (np.arange(len(found)) - voiced[0]) / max(1, voiced[-1] - voiced[0])
    wanted = np.interp(place, np.linspace(0, 1, len(pitch_hz)), pitch_hz)
    pitch = np.where(found > 0, wanted, 0)
    kept = (np.arange(int(len(found) * stretch)) / stretch).astype(int)
    return pyworld.synthesize(pitch[kept], envelope[kept], noise[kept], sample_rate)


def gnuspeech(word: str, tract_cm: float, pitch: float, breathiness: float, tempo: float) -> Sound:
    """Speak an English word with a tube of ``tract_cm``; the pitch is in semitones."""
    script = str(Path(__file__).with_name("gnuspeech.mjs"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        numbers = [f"{x:.3f}" for x in (tract_cm, pitch, breathiness, tempo)]
        run(["node", script, str(voices_folder() / "gnuspeech"), word, str(path), *numbers])
        return read(path)
