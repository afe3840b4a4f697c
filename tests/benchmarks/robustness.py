"""Measure how recognition falls as recordings get worse, and print it as a Markdown table.

    FSDD_DIR=… python tests/benchmarks/robustness.py [--before CHECKOUT] [--seeds 3] [--only ROW …]

200 clips of FSDD and 200 shipped clips of speakers that no training part holds are made worse in
one way a row, written as 16 bit WAV files and given to `python -m course_utils recognize`. Each
checkout's own code trains the models and recognises, in processes of its own, so a worktree of an
older commit shows in the same run what it did: `git worktree add ../before ac394f4`. Its last table
stands in ROBUSTNESS.md.
"""

from __future__ import annotations

import argparse
import csv
import functools
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile as sf
from scipy import signal

REPOSITORY = Path(__file__).resolve().parents[2]
CLIPS = 200
NOBODY = "nobody speaks: said so, %"
Change = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


# Sounds ---------------------------------------------------------------------------------------


def power(sound: np.ndarray) -> float:
    return float(np.mean(sound**2)) + 1e-20


def at_db(sound: np.ndarray, db: float, reference: np.ndarray) -> np.ndarray:
    """Scale a sound so that its mean power lies so many dB above that of the reference."""
    return sound * np.sqrt(power(reference) / power(sound) * 10 ** (db / 10))


def silence(seconds: float, rate: int) -> np.ndarray:
    return np.zeros(round(seconds * rate))


def faint(seconds: float, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return a pause as a quiet room has it: noise of 70 dB below full scale."""
    return rng.normal(0, 10 ** (-70 / 20), round(seconds * rate))


def fan(samples: int, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return steady noise that falls by 6 dB an octave, with the tone of a turning blade."""
    brown = signal.lfilter([1], [1, -0.97], rng.normal(size=samples))
    tone = np.sin(2 * np.pi * rng.uniform(90, 180) * np.arange(samples) / rate)
    return brown / brown.std() + 0.3 * tone


def hum(samples: int, rate: int, harmonics: int = 1) -> np.ndarray:
    time = np.arange(samples) / rate
    return sum(np.sin(2 * np.pi * 50 * k * time + k) / k for k in range(1, harmonics + 1))


def thump(rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return 80 ms of 70 Hz, as from a hand on the table."""
    time = np.arange(round(0.08 * rate)) / rate
    return np.sin(2 * np.pi * 70 * time) * np.hanning(len(time))


def click(rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return a mouse button: two bursts of 2 ms, 20 ms apart."""
    burst = rng.normal(size=round(0.002 * rate)) * np.exp(-np.arange(round(0.002 * rate)) / 8)
    gap = silence(0.02, rate)
    return np.concatenate([burst, gap, burst])


def breath(rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return 0.3 s of noise between 400 Hz and 3 kHz that swells and fades."""
    bands = signal.butter(2, [400, 3000], "bandpass", fs=rate, output="sos")
    samples = round(0.3 * rate)
    return signal.sosfilt(bands, rng.normal(size=samples)) * np.hanning(samples)


def room(seconds: float, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return the answer of a room whose sound has fallen by 60 dB after so many seconds."""
    samples = round(seconds * rate)
    tail = rng.normal(size=samples) * 10 ** (-3 * np.arange(samples) / samples)
    tail[: round(0.002 * rate)] = 0
    tail = tail / np.sqrt((tail**2).sum())
    tail[0] = 1  # the direct sound, as strong as all that follows
    return tail


def trimmed(clip: np.ndarray, rate: int, depth: float = 30) -> np.ndarray:
    """Cut a clip to where its level over 10 ms is within so many dB of its loudest."""
    step = round(0.01 * rate)
    whole = clip[: len(clip) // step * step].reshape(-1, step)
    level = (whole**2).mean(axis=1)
    (loud,) = np.nonzero(level > level.max() * 10 ** (-depth / 10))
    return clip[loud[0] * step : max(loud[-1] + 1, loud[0] + 20) * step]


class Babble:
    """Speech of several people at once, from clips of other speakers than the one who speaks."""

    def __init__(self, clips: list[np.ndarray]) -> None:
        self.clips = clips

    def __call__(self, samples: int, rng: np.random.Generator, voices: int = 3) -> np.ndarray:
        total = np.zeros(samples)
        for _ in range(voices):
            voice = np.empty(0)
            while len(voice) < samples + 4000:
                clip = self.clips[rng.integers(len(self.clips))]
                voice = np.concatenate([voice, clip / np.sqrt(power(clip))])
            start = rng.integers(0, 4000)
            total += voice[start : start + samples]
        return total


def changes(
    babble: Babble, other: Callable[[np.random.Generator], np.ndarray]
) -> dict[str, Change]:
    """Return the rows: how a clip is made worse. `other` returns another word."""

    def white(db: float) -> Change:
        return lambda x, r, g: x + at_db(g.normal(size=len(x)), -db, x)

    def with_babble(db: float) -> Change:
        return lambda x, r, g: x + at_db(babble(len(x), g), -db, x)

    def clipped(db: float) -> Change:
        return lambda x, r, g: x.clip(*(np.array([-1, 1]) * np.abs(x).max() / 10 ** (db / 20)))

    def reverberant(seconds: float) -> Change:
        def change(x: np.ndarray, r: int, g: np.random.Generator) -> np.ndarray:
            return signal.fftconvolve(np.concatenate([x, silence(0.3, r)]), room(seconds, r, g))

        return change

    def in_fan(x: np.ndarray, r: int, g: np.random.Generator) -> np.ndarray:
        noise = at_db(fan(60 * r, r, g), -25, x)
        start = g.integers(0, len(noise) - len(x))
        noise[start : start + len(x)] += x
        return noise

    def after_thump(x: np.ndarray, r: int, g: np.random.Generator) -> np.ndarray:
        hit = thump(r, g) * 2 * np.abs(x).max()
        return np.concatenate([faint(0.1, r, g), hit, faint(0.25, r, g), x, faint(0.1, r, g)])

    def after_click(x: np.ndarray, r: int, g: np.random.Generator) -> np.ndarray:
        hit = click(r, g)
        hit = hit * np.abs(x).max() / np.abs(hit).max()
        return np.concatenate([faint(0.1, r, g), hit, faint(0.1, r, g), x, faint(0.1, r, g)])

    def before_breath(x: np.ndarray, r: int, g: np.random.Generator) -> np.ndarray:
        air = at_db(breath(r, g), -12, x)
        return np.concatenate([faint(0.1, r, g), x, faint(0.15, r, g), air, faint(0.1, r, g)])

    def two_words(x: np.ndarray, r: int, g: np.random.Generator) -> np.ndarray:
        second = other(g)
        # The louder word is the right answer, whether it comes first or second.
        second = second * np.sqrt((x**2).sum() / (second**2).sum()) * 10 ** (-6 / 20)
        first, last = (x, second) if g.random() < 0.5 else (second, x)
        parts = [faint(0.1, r, g), first, faint(0.12, r, g), last, faint(0.1, r, g)]
        return np.concatenate(parts)

    def in_hum(db: float, harmonics: int) -> Change:
        return lambda x, r, g: x + at_db(hum(len(x), r, harmonics), db, x)

    def low_pass(x: np.ndarray, r: int, g: np.random.Generator) -> np.ndarray:
        return signal.sosfiltfilt(signal.butter(6, 1500, fs=r, output="sos"), x)

    def late_by(seconds: float) -> Change:
        return lambda x, r, g: trimmed(x, r)[round(seconds * r) :]

    def peak_at(db: float) -> Change:
        return lambda x, r, g: x / np.abs(x).max() * 10 ** (db / 20)

    return {
        "clean": lambda x, r, g: x,
        "zeros around": lambda x, r, g: np.concatenate([silence(0.5, r), x, silence(0.5, r)]),
        "10 s of zeros before": lambda x, r, g: np.concatenate([silence(10, r), x]),
        "a fan for 60 s": in_fan,
        "trimmed to the word": lambda x, r, g: trimmed(x, r, depth=18),
        "thump before": after_thump,
        "mouse click before": after_click,
        "breath after": before_breath,
        "second word, the quieter": two_words,
        "50 Hz hum, +10 dB": in_hum(10, 1),
        "50 Hz with harmonics, 0 dB": in_hum(0, 20),
        "clipped by 12 dB": clipped(12),
        "clipped by 24 dB": clipped(24),
        "babble, 20 dB": with_babble(20),
        "babble, 10 dB": with_babble(10),
        "white noise, 10 dB": white(10),
        "white noise, 5 dB": white(5),
        "white noise, 0 dB": white(0),
        "low-pass 1.5 kHz": low_pass,
        "reverberation 0.4 s": reverberant(0.4),
        "reverberation 1 s": reverberant(1.0),
        "first 50 ms cut": late_by(0.05),
        "first 100 ms cut": late_by(0.1),
        "last 20 % cut": lambda x, r, g: trimmed(x, r)[: round(0.8 * len(trimmed(x, r)))],
        "peak at -50 dBFS": peak_at(-50),
        "peak at -70 dBFS": peak_at(-70),
    }


def without_a_word(babble: Babble, rate: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Make clips of 0.6 to 2.4 s in which nobody speaks, of eight kinds in turn."""
    while True:
        samples = round(rng.uniform(0.6, 2.4) * rate)
        level = 10 ** (rng.uniform(-50, -15) / 20)
        quiet = rng.normal(0, 10 ** (rng.uniform(-85, -65) / 20), samples)
        far = signal.fftconvolve(babble(samples, rng, voices=8), room(0.8, rate, rng))[:samples]
        noises = [
            np.zeros(samples),
            rng.choice([-1, 0, 1], samples) / 2**15,
            fan(samples, rate, rng) * level,
            rng.normal(0, level, samples),
            hum(samples, rate, int(rng.choice([1, 20]))) * level,
            placed(thump(rate, rng) * min(0.9, 10 * level), quiet, rng),
            placed(breath(rate, rng) * level, quiet, rng),
            far * 10 ** (rng.uniform(-65, -45) / 20),
        ]
        yield from noises


def placed(sound: np.ndarray, background: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add a sound to a background at a random place."""
    start = rng.integers(0, len(background) - len(sound))
    result = background.copy()
    result[start : start + len(sound)] += sound
    return result


# Clips -----------------------------------------------------------------------------------------


class Corpus:
    """200 clips with their digits and speakers; all have one sample rate."""

    def __init__(self, paths: list[Path], digits: list[int], speakers: list[str]) -> None:
        chosen = [round(i * len(paths) / CLIPS) for i in range(CLIPS)]
        self.digits = [digits[i] for i in chosen]
        self.speakers = [speakers[i] for i in chosen]
        sounds = [sf.read(paths[i]) for i in chosen]
        self.clips = [sound for sound, _ in sounds]
        (self.rate,) = {rate for _, rate in sounds}

    def another(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """Return another digit of the same speaker."""
        others = [
            clip
            for clip, digit, speaker in zip(self.clips, self.digits, self.speakers, strict=True)
            if speaker == self.speakers[index] and digit != self.digits[index]
        ]
        return others[rng.integers(len(others))]

    def write(self, row: str, folder: Path) -> None:
        """Write the clips of a row as 16 bit WAV files, named by their number."""
        folder.mkdir()
        babble = Babble(self.clips)
        seed = zlib.crc32(row.encode())
        if row == NOBODY:
            sounds = without_a_word(babble, self.rate, np.random.default_rng(seed))
            for index in range(CLIPS):
                self._write(folder, index, next(sounds))
            return
        for index, clip in enumerate(self.clips):
            another = functools.partial(self.another, index)
            rng = np.random.default_rng([seed, index])
            self._write(folder, index, changes(babble, another)[row](clip, self.rate, rng))

    def _write(self, folder: Path, index: int, sound: np.ndarray) -> None:
        sound = sound / max(1.0, np.abs(sound).max())
        sf.write(folder / f"{index:03d}.wav", sound, self.rate, subtype="PCM_16")


def real_clips(root: Path) -> Corpus:
    folder = root / "recordings"
    paths = sorted(folder.glob("*.wav") if folder.is_dir() else root.glob("*.wav"))
    names = [path.stem.split("_") for path in paths]
    return Corpus(paths, [int(name[0]) for name in names], [name[1] for name in names])


def shipped_clips() -> tuple[Corpus, list[Path]]:
    """Return clips of speakers that are kept for tests, and the paths of all others."""
    with (REPOSITORY / "data" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["language"] == "en"]
    paths = {
        part: [REPOSITORY / "data" / r["file"] for r in rows if r["part"] == part]
        for part in ("train", "test")
    }
    test = paths["test"]
    digits = [int(path.stem.partition("_")[2][0]) for path in test]
    return Corpus(test, digits, [path.stem.partition("_")[0] for path in test]), paths["train"]


# Models ----------------------------------------------------------------------------------------


def course(checkout: Path, *arguments: object) -> list[str]:
    """Run a command of the course with a checkout's code; return the lines that it printed."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    command = [sys.executable, "-m", "course_utils", *map(str, arguments)]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr[-1000:]}")
    return done.stdout.splitlines()


def train(checkout: Path, data: Path, out: Path, seed: int) -> Path:
    arguments = ("--layout", "speaker_digit", "--split", "all", "--seed", seed, "--out", out)
    course(checkout, "train", data, *arguments)
    return out / "model.pt"


def judge(
    checkout: Path, model: Path, folders: dict[str, Path], digits: list[int]
) -> dict[str, tuple[float, int]]:
    """Return for each row the right answers in %, and how many clips hold no speech, it says."""
    files = [file for folder in folders.values() for file in sorted(folder.glob("*.wav"))]
    answers = dict(line.split("\t")[:2] for line in course(checkout, "recognize", model, *files))
    results = {}
    for row, folder in folders.items():
        said = [answers[str(folder / f"{index:03d}.wav")] for index in range(len(digits))]
        right = sum(answer == str(digit) for answer, digit in zip(said, digits, strict=True))
        results[row] = 100 * right / len(digits), said.count("-")
    return results


def cell(results: list[tuple[float, int]], row: str) -> str:
    accuracy, silent = (np.mean(values) for values in zip(*results, strict=True))
    if row == NOBODY:
        return f"{100 * silent / CLIPS:.1f}"
    return f"{accuracy:.1f} ({silent:.0f})" if silent >= 0.5 else f"{accuracy:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--before", type=Path, help="a checkout of older code to compare with")
    parser.add_argument("--seeds", type=int, default=3, help="models trained for each column")
    parser.add_argument("--only", nargs="+", metavar="ROW", help="some rows, by their names")
    arguments = parser.parse_args()
    checkouts = [arguments.before.resolve()] if arguments.before else []
    checkouts.append(REPOSITORY)
    shipped, for_training = shipped_clips()
    corpora = {"shipped": shipped}
    if os.environ.get("FSDD_DIR"):
        corpora = {"FSDD": real_clips(Path(os.environ["FSDD_DIR"]))} | corpora
    names = arguments.only or [*changes(Babble([]), lambda rng: np.empty(0)), NOBODY]
    with tempfile.TemporaryDirectory() as name:
        table = measure(Path(name), checkouts, corpora, for_training, names, arguments.seeds)
    columns = [
        f"{corpus}{when}" for corpus in corpora for when in (", before", "")[-len(checkouts) :]
    ]
    print("\n".join(markdown(columns, table, arguments.seeds)))


def measure(
    work: Path,
    checkouts: list[Path],
    corpora: dict[str, Corpus],
    for_training: list[Path],
    names: list[str],
    seeds: int,
) -> dict[str, list[str]]:
    """Train and judge; return the cells of each row, corpus by corpus, older code first."""
    part = work / "train"
    part.mkdir()
    for path in for_training:
        (part / path.name).symlink_to(path)
    data = {"FSDD": REPOSITORY / "data" / "digits_en", "shipped": part}
    table: dict[str, list[str]] = {row: [] for row in names}
    for corpus, clips in corpora.items():
        folders = {row: work / f"{corpus}-{number}" for number, row in enumerate(names)}
        for row, folder in folders.items():
            clips.write(row, folder)
        for which, checkout in enumerate(checkouts):
            results = []
            for seed in range(seeds):
                model = train(checkout, data[corpus], work / f"{corpus}-{which}-{seed}", seed)
                results.append(judge(checkout, model, folders, clips.digits))
            for row in names:
                table[row].append(cell([result[row] for result in results], row))
    return table


def markdown(columns: list[str], table: dict[str, list[str]], seeds: int) -> Iterator[str]:
    yield "# How recognition falls as recordings get worse"
    yield ""
    yield "Printed by `python tests/benchmarks/robustness.py`; *before* is commit ac394f4."
    yield f"Accuracy in %, mean of {seeds} models; in brackets, clips said to hold no speech."
    yield ""
    yield f"| 200 clips | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for row, cells in table.items():
        yield f"| {row} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
