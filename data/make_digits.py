"""Make the course's speech: ``digits_en/``, ``digits_zh/``, ``demo1.wav`` and ``manifest.csv``.

    python data/make_digits.py                 # write everything beside this script
    python data/make_digits.py --output DIR    # write it somewhere else
    python data/make_digits.py --check         # make it again and compare with what is here

``--check`` leaves out Kokoro and GnuSpeech where the environment variable ``VOICES_DIR`` does not
name the folder that ``get_voices.py`` filled.

A clip is a word spoken by a synthesiser (``voices.py``), then recorded in an imagined room with
an imagined microphone (here). Each clip has its own random generator, seeded by its name, so the
result does not depend on the order or on the number of processes. Needs the Debian packages
and the packages listed in ``data/README.md``.
"""

import argparse
import csv
import hashlib
import os
import shutil
import sys
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile as sf
import voices
from scipy import signal

HERE = Path(__file__).resolve().parent
SAMPLE_RATE = 16000
SEED = 2026
DEMO_SAMPLES = 65328
DEMO_TEXT = "She saw five small ships sail slowly over the calm blue sea this morning."

# espeak-ng's variants that sound like a person (left out: robots, whispers, jokes).
MALE = """m1 m2 m3 m4 m5 m6 m7 m8 Alex Andy Denis Gene Gene2 Henrique Hugo Jacky Lee Marco Mario
Michael Mike Nguyen adam antonio benjamin boris caleb david ed edward edward2 gustave iven iven2
john marcelo max michel miguel norbert pablo paul pedro quincy rob robert sandro travis victor
zac"""
FEMALE = "f1 f2 f3 f4 f5 Alicia Andrea Annie anika belinda linda shelby steph steph2 steph3"
KLATT = "klatt klatt2 klatt3 klatt4 klatt5 klatt6"
ENGLISH = """en-us en-gb en-gb-scotland en-gb-x-rp en-029 en-us-nyc en-gb-x-gbclan
en-gb-x-gbcwmd"""
# Corrections found by comparing the engines with real recordings: how much longer and how much
# brighter than the engine speaks, on average.
PACE = {"espeak": 0.95, "espeak-klatt": 0.85, "slt": 1.0, "rms": 1.05, "awb": 1.25}
PACE |= {"kal": 1.2, "ked": 1.3, "nsh": 0.95, "gnuspeech": 0.85}
BRIGHTNESS_DB = {"espeak": -1, "espeak-klatt": 0, "slt": 7, "rms": 8, "awb": 5}
BRIGHTNESS_DB |= {"kal": 3, "ked": 0, "nsh": 0, "gnuspeech": 0}
# Speakers of whom a recogniser trained on the others understands half of the digits or fewer.
LEFT_OUT = {"nsh02", "kokoro002", "kokoro042", "kokoro067", "kokoro085", "kokoro088", "tube06"}
LEFT_OUT |= {"zh018", "zh037", "zh039", "zh065"}
LATER_ENGINES = {"kokoro", "gnuspeech"}  # of version 1.1: their recordings are cut more closely
UNHEARD_FAMILIES = {"en": {"awb"}, "zh": {"espeak-klatt", "kokoro-men"}}

# Kokoro's voices by where their speaker comes from; af_ is an American woman (female), and so on.
AMERICAN = """af_alloy af_aoede af_bella af_heart af_jessica af_kore af_nicole af_nova af_river
af_sarah af_sky am_adam am_echo am_eric am_fenrir am_liam am_michael am_onyx am_puck am_santa"""
BRITISH = "bf_alice bf_emma bf_isabella bf_lily bm_daniel bm_fable bm_george bm_lewis"
ABROAD = """ef_dora em_alex em_santa ff_siwis hf_alpha hf_beta hm_omega hm_psi if_sara im_nicola
jf_alpha jf_gongitsune jf_nezumi jf_tebukuro jm_kumo pf_dora pm_alex pm_santa"""
MANDARIN = "zf_xiaobei zf_xiaoni zf_xiaoxiao zf_xiaoyi zm_yunjian zm_yunxi zm_yunxia zm_yunyang"
PACE |= {"kokoro-us": 0.85, "kokoro-gb": 0.72, "kokoro-abroad": 0.85}
PACE |= {"kokoro-women": 1.5, "kokoro-men": 1.5, "kokoro-accents": 1.5}
BRIGHTNESS_DB |= dict.fromkeys((family for family in PACE if family.startswith("kokoro")), 0)


@dataclass(frozen=True)
class Speaker:
    """One invented person: a voice, a way of speaking, and the place of the recording."""

    name: str
    language: str  # "en" or "zh"
    family: str  # the person or the rules the voice descends from
    engine: str  # espeak, flite, hts, diphones or units
    voice: str  # the engine's own name for it
    accent: str  # an espeak-ng language, or "" for the voice's own
    pitch: float  # Hz, or espeak-ng's 0 to 99
    stretch: float  # > 1 speaks more slowly
    vocal_tract: float  # > 1 is a longer throat: lower formants
    brightness_db: float  # tilt of the voice's spectrum, > 0 lifts what is high
    fricative_db: float  # level of s, f, t and their like against the engine's own
    microphone: str
    reverberation_s: float  # time to decay by 60 dB; 0 is no room
    noise: str
    snr_db: float  # speech level over background noise
    peak_db: float  # level of the loudest sample under full scale
    silence: str  # "tight" like a trimmed recording, or "loose"


def generator(*parts: str | int) -> np.random.Generator:
    """Random generator that depends on nothing but the course's seed and ``parts``."""
    return np.random.default_rng([SEED, zlib.crc32("/".join(map(str, parts)).encode("utf-8"))])


# ---- Who speaks ---------------------------------------------------------------------------------


def recording_place(rng: np.random.Generator, loose: float) -> dict:
    """Draw a microphone, a room, noise, levels, and with the share ``loose`` a long silence."""
    microphones = ["flat", "laptop", "headset", "telephone", "narrow"]
    return {
        "microphone": str(rng.choice(microphones, p=[0.15, 0.2, 0.15, 0.2, 0.3])),
        "reverberation_s": round(float(rng.choice([0, rng.uniform(0.08, 0.5)], p=[0.35, 0.65])), 2),
        "noise": str(rng.choice(["white", "pink", "brown", "hum"], p=[0.25, 0.35, 0.2, 0.2])),
        "snr_db": round(float(rng.choice([rng.uniform(12, 25), rng.uniform(25, 50)])), 1),
        "peak_db": round(float(rng.uniform(-22, -1.5)), 1),
        "silence": str(rng.choice(["tight", "loose"], p=[1 - loose, loose])),
    }


def make_speaker(
    name: str,
    language: str,
    family: str,
    engine: str,
    voice: str,
    accent: str = "",
    pitch: tuple[float, float] = (0.0, 0.0),
    tract: tuple[float, float] = (0.87, 1.16),
) -> Speaker:
    """Draw everything about a speaker that the arguments leave open."""
    rng = generator("speaker", name)
    low, high = pitch
    return Speaker(
        name=name,
        language=language,
        family=family,
        engine=engine,
        voice=voice,
        accent=accent,
        pitch=round(float(rng.uniform(low, high)), 1),
        stretch=round(float(rng.uniform(0.72, 1.15)) * PACE[family], 3),
        vocal_tract=round(float(rng.uniform(*tract)), 3),
        brightness_db=round(float(rng.uniform(-6, 12)) + BRIGHTNESS_DB[family], 1),
        fricative_db=round(
            float(rng.uniform(-20 if language == "en" else -9, 2)) - BRIGHTNESS_DB[family], 1
        ),
        **recording_place(rng, 0.15 if engine in LATER_ENGINES else 0.3),
    )


def english_speakers() -> list[Speaker]:
    """All English speakers, family by family, but for those that are left out."""
    male, female, klatt, english = (x.split() for x in (MALE, FEMALE, KLATT, ENGLISH))
    people = []
    for i in range(30):
        accents = english if i % 3 else list(voices.ACCENTED_WORDS)
        accent = accents[(i // 3 if i % 3 == 0 else i) % len(accents)]
        if i % 4:
            voice, pitch = male[(i * 7) % len(male)], (8, 60)
        else:
            voice, pitch = female[(i // 4) % len(female)], (25, 70)
        name = f"espeak{i + 1:02d}"
        people.append(make_speaker(name, "en", "espeak", "espeak", voice, accent, pitch))
    for i in range(8):
        name, voice, accent = f"klatt{i + 1:02d}", klatt[i % 6], english[i % 8]
        people.append(make_speaker(name, "en", "espeak-klatt", "espeak", voice, accent, (5, 70)))
    for i in (0, 1, 2, 3, 4, 5, 10):
        people.append(make_speaker(f"slt{i + 1:02d}", "en", "slt", "flite", "slt", "", (145, 215)))
    for i in (12, 14, 17):
        voice = "cmu_us_slt_arctic_hts"
        people.append(make_speaker(f"slt{i + 1:02d}", "en", "slt", "hts", voice))
    for i in range(8):
        people.append(make_speaker(f"rms{i + 1:02d}", "en", "rms", "flite", "rms", "", (80, 120)))
    for i in range(8):
        people.append(make_speaker(f"awb{i + 1:02d}", "en", "awb", "flite", "awb", "", (85, 165)))
    for i in range(8):
        engine, voice = ("flite", "kal16") if i % 2 else ("diphones", "kal_diphone")
        people.append(make_speaker(f"kal{i + 1:02d}", "en", "kal", engine, voice, "", (75, 150)))
    for i in range(8):
        name = f"ked{i + 1:02d}"
        people.append(make_speaker(name, "en", "ked", "diphones", "ked_diphone", "", (75, 150)))
    for i in range(8):
        name, voice = f"nsh{i + 1:02d}", "msu_ru_nsh_clunits"
        people.append(make_speaker(name, "en", "nsh", "units", voice, "ru"))
    people += english_kokoro() + english_tubes()
    return [speaker for speaker in people if speaker.name not in LEFT_OUT]


def english_kokoro() -> list[Speaker]:
    """Two English speakers from each of Kokoro's voices, the first with its own accent."""
    american, british, abroad = AMERICAN.split(), BRITISH.split(), ABROAD.split()
    accents = list(voices.KOKORO_ENGLISH)
    people = []
    for i, voice in enumerate(2 * (american + british + abroad)):
        family = "us" if voice in american else "gb" if voice in british else "abroad"
        own = voices.KOKORO_ACCENTS[voice[0]]
        turn = i // 46
        accent = own if turn == 0 else accents[(i * 7 + turn) % len(accents)]
        name = f"kokoro{i + 1:03d}"
        child = turn == 1 and voice[1] == "f" and i % 3 == 0  # a shorter throat, a higher voice
        people.append(
            make_speaker(
                name,
                "en",
                f"kokoro-{family}",
                "kokoro",
                voice,
                accent,
                tract=(0.74, 0.86) if child else (0.87, 1.16),
            )
        )
    return people


def english_tubes() -> list[Speaker]:
    """Speakers of GnuSpeech: a man, a woman, a large and a small child."""
    people = []
    for i in range(12):
        voice, pitch = list(voices.TUBES.items())[i % 4]
        name, tract = f"tube{i + 1:02d}", (0.93, 1.08)
        range_ = (pitch[1] - 3, pitch[1] + 3)
        people.append(make_speaker(name, "en", "gnuspeech", "gnuspeech", voice, "", range_, tract))
    return people


def mandarin_speakers() -> list[Speaker]:
    """All Mandarin speakers, family by family, but for those that are left out."""
    male, female, klatt = (x.split() for x in (MALE, FEMALE, KLATT))
    people: list[Speaker] = []

    def add(family: str, engine: str, voice: str, accent: str, pitch: tuple = (0.0, 0.0)) -> None:
        name = f"zh{len(people) + 1:03d}"
        people.append(make_speaker(name, "zh", family, engine, voice, accent, pitch))

    for i in range(24):
        voice, pitch = (female[i // 2 % 16], (35, 75)) if i % 2 else (male[i * 3 % 53], (15, 60))
        add("espeak", "espeak", voice, "cmn-latn-pinyin", pitch)
    for i in range(6):
        add("espeak-klatt", "espeak", klatt[i], "cmn-latn-pinyin", (20, 70))
    for voice in 4 * MANDARIN.split():
        pitch = (165, 255) if voice[1] == "f" else (90, 150)
        add("kokoro-women" if voice[1] == "f" else "kokoro-men", "kokoro", voice, "", pitch)
    for voice in (AMERICAN + " " + BRITISH + " " + ABROAD).split()[::6]:
        add("kokoro-accents", "kokoro", voice, "", (165, 255) if voice[1] == "f" else (90, 150))
    return [speaker for speaker in people if speaker.name not in LEFT_OUT]


def part(speaker: Speaker) -> str:
    """``test`` for whole unheard families and for every fifth speaker of the others."""
    unheard = speaker.family in UNHEARD_FAMILIES[speaker.language]
    return "test" if unheard or int(speaker.name[-2:]) % 5 == 0 else "train"


# ---- What they say ------------------------------------------------------------------------------


def say(speaker: Speaker, digit: int, rng: np.random.Generator) -> np.ndarray:
    """The bare word at 16 kHz, with the speaker's vocal tract.

    A longer vocal tract is the same sound played back more slowly, so the engine is asked for a
    higher pitch and a faster word first; playing back slowly then gives both as wanted.
    """
    tract = speaker.vocal_tract * rng.uniform(0.985, 1.015)
    stretch = speaker.stretch * rng.uniform(0.9, 1.12) / tract
    pitch = speaker.pitch * rng.uniform(0.95, 1.05)
    ending = str(rng.choice([".", ".", ",", "?", "!"]))
    phones = str(rng.choice(voices.PHONES[digit]))
    if speaker.engine == "espeak":
        word = espeak_word(speaker, digit, ending)
        voice, speed = f"{speaker.accent}+{speaker.voice}", int(np.clip(150 / stretch, 90, 400))
        samples, rate = voices.espeak(word, voice, int(np.clip(pitch, 0, 99)), speed)
    elif speaker.engine == "flite":
        spoken_phones = bool(rng.random() < 0.5)
        word = phones if spoken_phones else voices.ENGLISH_WORDS[digit] + ending
        samples, rate = voices.flite(word, speaker.voice, pitch * tract, stretch, spoken_phones)
    elif speaker.engine == "hts":
        samples, rate = voices.festival_hts(
            voices.ENGLISH_WORDS[digit] + ending, speaker.voice, stretch
        )
    elif speaker.engine == "diphones":
        samples, rate = voices.festival_diphones(phones, speaker.voice, pitch * tract, stretch, rng)
    elif speaker.engine == "kokoro":
        if speaker.language == "zh":
            samples, rate = kokoro_syllable(speaker, digit, pitch * tract, stretch)
        else:
            samples, rate = kokoro_word(speaker, digit, ending, stretch)
    elif speaker.engine == "gnuspeech":
        tract_cm = voices.TUBES[speaker.voice][0]
        samples, rate = voices.gnuspeech(
            voices.ENGLISH_WORDS[digit], tract_cm, pitch, rng.uniform(0.5, 4), 1 / stretch
        )
    else:
        samples, rate = voices.festival_units(voices.RUSSIAN_SPELLING[digit], speaker.voice)
        samples = change_pace(samples, rate, np.full(2, stretch))
    samples = resample(samples, SAMPLE_RATE / rate * tract)
    return change_pace(trim(samples, 40), SAMPLE_RATE, np.exp(rng.uniform(-0.35, 0.35, 4)))


def change_pace(samples: np.ndarray, sample_rate: int, stretch: np.ndarray) -> np.ndarray:
    """Change the pace and keep the pitch (WSOLA: Verhelst and Roelands, 1993).

    ``stretch`` holds how much longer each part of the word becomes, at equal distances from its
    beginning to its end. Frames of 30 ms are laid over each other; each is taken from where it
    fits the end of the one before best, at most 6 ms from where it should come from.
    """
    hop, search = int(0.015 * sample_rate), int(0.006 * sample_rate)
    padded = np.pad(samples, (search, 4 * hop + search))
    window = signal.windows.hann(2 * hop, sym=False)
    output, where, source = np.zeros(int(len(samples) * stretch.max() * 1.5) + 4 * hop), 0, 0.0
    expected = padded[search : search + 2 * hop]
    while source < len(samples):
        region = padded[int(source) : int(source) + 2 * search + 2 * hop]
        best = int(np.argmax(signal.correlate(region, expected, "valid")))
        start = int(source) + best
        output[where : where + 2 * hop] += window * padded[start : start + 2 * hop]
        expected = padded[start + hop : start + 3 * hop]
        if len(expected) < 2 * hop:
            break
        where += hop
        place = np.interp(source / len(samples), np.linspace(0, 1, len(stretch)), stretch)
        source += hop / place
    return output[: where + hop]


def espeak_word(speaker: Speaker, digit: int, ending: str) -> str:
    """Spelling of the digit in the language of the speaker's espeak-ng voice."""
    if speaker.language == "zh":
        # Alone, espeak-ng's tones rise and fall half as far as those of people.
        range_percent = generator("tones", speaker.name).integers(140, 220)
        word = voices.MANDARIN_WORDS[digit]
        return f"<speak><prosody range='{range_percent}%'>{word}</prosody></speak>"
    if speaker.accent in voices.ACCENTED_WORDS:
        return voices.ACCENTED_WORDS[speaker.accent].split()[digit] + ending
    return voices.ENGLISH_WORDS[digit] + ending


def loudest_part(samples: np.ndarray) -> np.ndarray:
    """Leave out the clicks that Kokoro makes at both ends, 0.15 s of silence or more from the word.

    A word may fall silent for less than that, before the t of "eight".
    """
    window = int(0.005 * SAMPLE_RATE)
    power = signal.oaconvolve(samples**2, np.ones(window) / window, "same").clip(0)
    loud = np.flatnonzero(power > power.max() * 10 ** (-40 / 10))
    parts = np.split(loud, np.flatnonzero(np.diff(loud) > 0.15 * SAMPLE_RATE) + 1)
    best = max(parts, key=lambda part: power[part].sum())
    return samples[max(0, best[0] - window) : best[-1] + window]


def kokoro_word(speaker: Speaker, digit: int, ending: str, stretch: float) -> voices.Sound:
    """An English word of Kokoro, whose own pace gives half of the way to the wanted length."""
    rng = generator("kokoro", speaker.name, digit)
    speed = round(float(rng.uniform(0.75, 1.35)), 1)
    spellings = voices.KOKORO_ENGLISH[speaker.accent].split()[digit].split("|")
    samples, rate = voices.kokoro(str(rng.choice(spellings)) + ending, speaker.voice, speed)
    samples = trim(loudest_part(resample(samples, SAMPLE_RATE / rate)), 40)
    return change_pace(samples, SAMPLE_RATE, np.full(2, stretch * speed)), SAMPLE_RATE


def kokoro_syllable(speaker: Speaker, digit: int, pitch_hz: float, stretch: float) -> voices.Sound:
    """A Mandarin syllable of Kokoro, with its tone set here: Kokoro's own follow no rule."""
    rng = generator("kokoro", speaker.name, digit)
    speed = round(float(rng.uniform(0.75, 1.35)), 1)
    spellings = voices.KOKORO_MANDARIN[digit].split("|")
    samples, rate = voices.kokoro(str(rng.choice(spellings)), speaker.voice, speed)
    samples = trim(loudest_part(resample(samples, SAMPLE_RATE / rate)), 40)
    contours = voices.TONES[voices.MANDARIN_WORDS[digit][-1]]
    contour = contours[rng.integers(len(contours))] + rng.uniform(-0.5, 0.5, 5)
    contour *= generator("tones", speaker.name).uniform(0.7, 1.15)
    pitch = pitch_hz * 2 ** (contour / 12)
    return voices.with_pitch(samples, SAMPLE_RATE, pitch, stretch * speed), SAMPLE_RATE


def shape_voice(samples: np.ndarray, speaker: Speaker) -> np.ndarray:
    """Brighten or darken a word, and change the level of its voiceless sounds."""
    frame = int(0.02 * SAMPLE_RATE)
    low = signal.sosfiltfilt(signal.butter(2, 1000, fs=SAMPLE_RATE, output="sos"), samples)
    power = [signal.oaconvolve(x**2, np.hanning(frame), "same").clip(0) for x in (low, samples)]
    voiced = (power[0] / (power[1] + 1e-12) / 0.3).clip(0, 1) ** 2
    gain = 10 ** (speaker.fricative_db / 20)
    return tilt(samples * (voiced + (1 - voiced) * gain), speaker.brightness_db)


def tilt(samples: np.ndarray, tilt_db: float) -> np.ndarray:
    """Tilt the spectrum around 500 Hz by ``tilt_db`` from 500 Hz to 2.5 kHz, flat outside."""
    length = 2 * len(samples)
    octave = np.log2(np.fft.rfftfreq(length, 1 / SAMPLE_RATE).clip(125, 4000) / 500)
    spectrum = np.fft.rfft(samples, length) * 10 ** (tilt_db * octave / 2.32 / 20)
    return np.fft.irfft(spectrum)[: len(samples)]


def resample(samples: np.ndarray, factor: float) -> np.ndarray:
    """As many samples times ``factor``, without aliasing."""
    ratio = Fraction(factor).limit_denominator(200)
    return signal.resample_poly(samples, ratio.numerator, ratio.denominator)


def trim(samples: np.ndarray, below_peak_db: float = 45.0) -> np.ndarray:
    """Cut the silence of the synthesiser at both ends and fade the cuts over 5 ms."""
    window = int(0.005 * SAMPLE_RATE)
    level = np.sqrt(signal.oaconvolve(samples**2, np.ones(window) / window, "same").clip(0))
    loud = np.flatnonzero(level > level.max() * 10 ** (-below_peak_db / 20))
    kept = samples[loud[0] : loud[-1] + 1].copy()
    fade = np.linspace(0, 1, window)
    kept[:window] *= fade
    kept[-window:] *= fade[::-1]
    return kept


# ---- How it is recorded -------------------------------------------------------------------------


def add_room(samples: np.ndarray, speaker: Speaker) -> np.ndarray:
    """Reverberation: noise that decays exponentially, behind the direct sound."""
    if not speaker.reverberation_s:
        return samples
    rng = generator("room", speaker.name)
    time = np.arange(int(speaker.reverberation_s * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * np.exp(-6.9 * time / speaker.reverberation_s)
    tail[: int(rng.uniform(0.001, 0.006) * SAMPLE_RATE)] = 0
    direct_to_tail_db = rng.uniform(3, 18)
    tail *= 10 ** (-direct_to_tail_db / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return signal.oaconvolve(samples, tail)


def add_microphone(samples: np.ndarray, speaker: Speaker) -> np.ndarray:
    """Bandwidth, spectral tilt and resonances of the speaker's microphone."""
    rng = generator("microphone", speaker.name)
    low, high = {
        "flat": (30, 7600),
        "laptop": (rng.uniform(100, 300), rng.uniform(5500, 7600)),
        "headset": (rng.uniform(60, 150), rng.uniform(4500, 7600)),
        "telephone": (rng.uniform(200, 320), rng.uniform(3300, 3500)),
        "narrow": (rng.uniform(30, 250), 3900),
    }[speaker.microphone]
    sos = signal.butter(2, low, "highpass", fs=SAMPLE_RATE, output="sos")
    samples = signal.sosfilt(sos, samples)
    sos = signal.butter(6, high, "lowpass", fs=SAMPLE_RATE, output="sos")
    samples = signal.sosfilt(sos, samples)
    return colour(samples, rng, bumps=1 if speaker.microphone == "flat" else 4)


def colour(samples: np.ndarray, rng: np.random.Generator, bumps: int) -> np.ndarray:
    """Add broad peaks and dips of up to 9 dB to the spectrum."""
    spectrum = np.fft.rfft(samples, 2 * len(samples))
    octave = np.log2(np.fft.rfftfreq(2 * len(samples), 1 / SAMPLE_RATE).clip(50) / 1000)
    gain_db = np.zeros(len(octave))
    for _ in range(bumps):
        centre, width = rng.uniform(-2, 2.5), rng.uniform(0.3, 0.9)
        gain_db += rng.uniform(-9, 9) * np.exp(-(((octave - centre) / width) ** 2))
    return np.fft.irfft(spectrum * 10 ** (gain_db / 20))[: len(samples)]


def background(length: int, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Background noise with a power of 1: white, pink (1/f), brown (1/f^2) or mains hum."""
    frequency = np.fft.rfftfreq(length, 1 / SAMPLE_RATE).clip(40)
    slope = {"white": 0.0, "pink": 0.5, "brown": 1.0, "hum": 0.5}[kind]
    spectrum = np.fft.rfft(rng.standard_normal(length)) * frequency**-slope
    noise = np.fft.irfft(spectrum, length)
    noise /= np.sqrt(np.mean(noise**2))
    if kind == "hum":
        time = np.arange(length) / SAMPLE_RATE
        mains = rng.choice([50, 60])
        for harmonic in (1, 2, 3, 4, 5):
            phase = rng.uniform(0, 2 * np.pi)
            noise += 1.5 / harmonic * np.sin(2 * np.pi * mains * harmonic * time + phase)
        noise /= np.sqrt(np.mean(noise**2))
    return noise


def surround(samples: np.ndarray, speaker: Speaker, rng: np.random.Generator) -> np.ndarray:
    """Add the silence before and after the word."""
    if speaker.silence == "tight":
        lead, tail = rng.uniform(0.005, 0.03), rng.uniform(0.01, 0.05)
    else:
        lead, tail = rng.uniform(0.05, 0.22), rng.uniform(0.05, 0.2)
    return np.pad(samples, (int(lead * SAMPLE_RATE), int(tail * SAMPLE_RATE)))


def record(word: np.ndarray, speaker: Speaker, rng: np.random.Generator) -> np.ndarray:
    """Record a word: room, noise at the stated ratio, microphone, level. Returns int16."""
    tight = speaker.silence == "tight"  # a close cut also takes away weak first and last sounds
    closest = 20 if speaker.language == "en" else 32  # q before i is all that tells 七 from 一
    word = trim(shape_voice(word, speaker), rng.uniform(closest, 42) if tight else 45)
    speech_power = np.mean(word**2)
    wet = add_room(word, speaker)
    if speaker.engine in LATER_ENGINES:  # people stop a recording before the room is silent
        wet = wet[: len(word) + int(rng.uniform(0.02, 0.15) * SAMPLE_RATE)]
    wet = surround(wet, speaker, rng)
    snr_db = speaker.snr_db + rng.uniform(-1.5, 1.5)
    noise = background(len(wet), speaker.noise, rng)
    noisy = wet + noise * np.sqrt(speech_power / 10 ** (snr_db / 10))
    heard = trim_tail(add_microphone(noisy, speaker))
    peak = 10 ** ((speaker.peak_db + rng.uniform(-1.2, 1.2)) / 20)
    # Triangular dither of one step: a quiet converter never gives long runs of exact zeros.
    dither = rng.random(len(heard)) - rng.random(len(heard))
    steps = heard / np.abs(heard).max() * peak * 32767 + dither
    return np.round(steps).clip(-32767, 32767).astype(np.int16)


def trim_tail(samples: np.ndarray) -> np.ndarray:
    """Leave out the end of a long reverberation, and fade both ends over 3 ms."""
    window = int(0.01 * SAMPLE_RATE)
    level = np.sqrt(signal.oaconvolve(samples**2, np.ones(window) / window, "same").clip(0))
    loud = np.flatnonzero(level > level.max() * 10 ** (-32 / 20))
    kept = samples[: min(len(samples), loud[-1] + int(0.06 * SAMPLE_RATE))].copy()
    fade = np.linspace(0.05, 1, int(0.003 * SAMPLE_RATE))
    kept[: len(fade)] *= fade
    kept[-len(fade) :] *= fade[::-1]
    return kept


# ---- Files --------------------------------------------------------------------------------------


def make_clip(speaker: Speaker, digit: int) -> np.ndarray:
    """One finished recording, int16 at 16 kHz."""
    rng = generator("clip", speaker.name, digit)
    return record(say(speaker, digit, rng), speaker, rng)


def make_demo() -> np.ndarray:
    """The sentence of chapter 1: exactly 65,328 samples, so that the printed shapes come out."""
    spoken, rate = voices.festival_hts(DEMO_TEXT, "cmu_us_slt_arctic_hts", 1.0)
    spoken = trim(resample(spoken, SAMPLE_RATE / rate), 50)
    room = DEMO_SAMPLES - int(0.35 * SAMPLE_RATE)
    stretch = room / len(spoken)
    spoken, rate = voices.festival_hts(DEMO_TEXT, "cmu_us_slt_arctic_hts", stretch)
    spoken = trim(resample(spoken, SAMPLE_RATE / rate), 50)[:DEMO_SAMPLES]
    lead = (DEMO_SAMPLES - len(spoken)) // 2
    samples = np.pad(spoken, (lead, DEMO_SAMPLES - lead - len(spoken)))
    noise = background(DEMO_SAMPLES, "pink", generator("demo"))
    samples = samples / np.abs(samples).max() * 0.6 + noise * 10 ** (-62 / 20)
    return np.round(samples * 32767).astype(np.int16)


def clip_path(speaker: Speaker, digit: int) -> str:
    """Where a clip lies under ``data/``."""
    return f"digits_{speaker.language}/{speaker.name}_{digit}.wav"


def write_clip(folder: Path, speaker: Speaker, digit: int) -> dict:
    """Make and write one clip; returns its line of the manifest."""
    path = folder / clip_path(speaker, digit)
    sf.write(path, make_clip(speaker, digit), SAMPLE_RATE, subtype="PCM_16")
    return {
        "file": clip_path(speaker, digit),
        "language": speaker.language,
        "speaker": speaker.name,
        "family": speaker.family,
        "part": part(speaker),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "engine": speaker.engine,
        "voice": speaker.voice,
        "accent": speaker.accent,
        "microphone": speaker.microphone,
        "reverberation_s": speaker.reverberation_s,
        "noise": speaker.noise,
        "snr_db": speaker.snr_db,
    }


def make_all(folder: Path, engines: set[str]) -> None:
    """Write every clip of these engines, the demo sentence and the manifest into ``folder``."""
    people = [p for p in english_speakers() + mandarin_speakers() if p.engine in engines]
    for language in ("en", "zh"):
        shutil.rmtree(folder / f"digits_{language}", ignore_errors=True)
        (folder / f"digits_{language}").mkdir(parents=True)
    sf.write(folder / "demo1.wav", make_demo(), SAMPLE_RATE, subtype="PCM_16")
    clips = [(speaker, digit) for speaker in people for digit in range(10)]
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(lambda clip: write_clip(folder, *clip), clips))
    rows.sort(key=lambda row: row["file"])
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def same(ours: np.ndarray, again: np.ndarray, engine: str) -> bool:
    """Whether two clips (int16) agree: within one step, or within 2 % where a network spoke.

    A network's sums come out a little different on another kind of processor.
    """
    if len(ours) != len(again):
        return False
    allowed = 0.02 * np.abs(ours.astype(int)).max() if engine == "kokoro" else 1
    return bool(np.abs(ours.astype(int) - again.astype(int)).max() <= allowed)


def compare(ours: Path, again: Path) -> list[str]:
    """Sentences on every file that is missing or differs."""
    people = english_speakers() + mandarin_speakers()
    engines = {speaker.name: speaker.engine for speaker in people}
    faults = []
    for path in sorted(again.rglob("*.wav")):
        name = path.relative_to(again)
        if not (ours / name).exists():
            faults.append(f"{name} is missing.")
            continue
        a, b = (sf.read(p, dtype="int16")[0] for p in (ours / name, path))
        if not same(a, b, engines.get(path.stem.partition("_")[0], "")):
            faults.append(f"{name} differs.")
    return faults


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Make the spoken digits of the course.")
    parser.add_argument("--output", type=Path, default=HERE, help="folder to write to")
    parser.add_argument("--check", action="store_true", help="make again and compare")
    arguments = parser.parse_args()
    engines = {speaker.engine for speaker in english_speakers() + mandarin_speakers()}
    if not arguments.check:
        voices.voices_folder()  # before anything is deleted
        make_all(arguments.output, engines)
        return 0
    if not os.environ.get("VOICES_DIR"):
        engines -= LATER_ENGINES
        print("VOICES_DIR is not set: the clips of Kokoro and GnuSpeech are not made again.")
    with tempfile.TemporaryDirectory() as folder:
        make_all(Path(folder), engines)
        faults = compare(HERE, Path(folder))
    print("\n".join(faults) or "Every file is the same again.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
