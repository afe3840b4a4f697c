"""The speech that ships: files against the manifest, sound quality, splits, and making it again."""

import csv
import hashlib
import shutil
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

DATA = Path(__file__).parents[1] / "data"
sys.path.insert(0, str(DATA))
import make_digits  # noqa: E402  (lives in data/, beside what it makes)

SAMPLE_RATE = 16000
LONGEST_REAL_ZERO_RUN = 48  # 3 ms: the longest run of exact zeros in 2,000 real recordings


@cache
def manifest() -> list[dict]:
    """Lines of the manifest as dictionaries."""
    with (DATA / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@cache
def clip(name: str) -> np.ndarray:
    """16-bit samples of one shipped file, as wider integers."""
    return sf.read(DATA / name, dtype="int16")[0].astype(int)


def names() -> list[str]:
    """Every clip in the manifest."""
    return [row["file"] for row in manifest()]


def longest_zero_run(samples: np.ndarray) -> int:
    """Length of the longest run of exact zeros, in samples."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], samples == 0, [0]]).astype(int)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def frame_levels(samples: np.ndarray) -> np.ndarray:
    """Level of each 10 ms, in dB under the loudest 10 ms."""
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    level = 10 * np.log10((frames**2).mean(1) + 1e-3)
    return level - level.max()


def test_manifest_and_folders_name_the_same_files():
    on_disk = {p.relative_to(DATA).as_posix() for p in DATA.glob("digits_*/*")}
    assert set(names()) == on_disk
    assert len(names()) == len(on_disk)


def test_checksums_hold_and_no_two_files_are_alike():
    for row in manifest():
        digest = hashlib.sha256((DATA / row["file"]).read_bytes()).hexdigest()
        assert digest == row["sha256"], row["file"]
    assert len({row["sha256"] for row in manifest()}) == len(manifest())


def test_every_speaker_says_all_ten_digits_once():
    said = defaultdict(list)
    for row in manifest():
        folder, name = row["file"].split("/")
        speaker, digit = name.removesuffix(".wav").split("_")
        assert folder == f"digits_{row['language']}" and speaker == row["speaker"]
        said[row["language"], speaker].append(digit)
    assert all(sorted(digits) == list("0123456789") for digits in said.values())
    assert sum(language == "en" for language, _ in said) >= 80
    assert sum(language == "zh" for language, _ in said) >= 20


def test_format_is_mono_16_khz_16_bit():
    for name in [*names(), "demo1.wav"]:
        info = sf.info(DATA / name)
        assert (info.channels, info.samplerate, info.subtype) == (1, SAMPLE_RATE, "PCM_16"), name


def test_demo_has_the_samples_that_the_notes_print():
    samples = clip("demo1.wav")
    assert len(samples) == 65328
    assert 0.2 < np.abs(samples).max() / 32768 < 0.99
    assert longest_zero_run(samples) <= LONGEST_REAL_ZERO_RUN


def test_size_stays_under_40_mb():
    kinds = {".wav", ".csv", ".md", ".py"}  # not the caches that other tools leave behind
    assert sum(p.stat().st_size for p in DATA.rglob("*.*") if p.suffix in kinds) < 40e6


def test_durations_are_those_of_spoken_digits():
    seconds = np.array([len(clip(name)) / SAMPLE_RATE for name in names()])
    assert seconds.min() > 0.12 and seconds.max() < 1.6
    assert 0.35 < np.median(seconds) < 0.7


def test_nothing_clips_and_nothing_is_inaudible():
    for name in names():
        peak = np.abs(clip(name)).max()
        assert 0.05 < peak / 32768 < 0.99, name
        assert (np.abs(clip(name)) == peak).sum() <= 4, name


def test_no_long_runs_of_exact_zeros():
    longest = {name: longest_zero_run(clip(name)) for name in names()}
    assert max(longest.values()) <= LONGEST_REAL_ZERO_RUN


def test_no_end_is_cut_off():
    for name in names():
        samples = clip(name)
        peak = np.abs(samples).max()
        for end in (samples[:8], samples[-8:]):
            assert np.abs(end).max() < 0.15 * peak, name


def test_words_stand_out_of_the_background():
    for name in names():
        levels = frame_levels(clip(name))
        assert (levels > -20).sum() >= 4, name  # 40 ms of sound at least
        assert levels.min() < -9, name  # and something weaker: not a constant hum


def test_families_and_parts():
    parts = defaultdict(set)
    family = {}
    for row in manifest():
        parts[row["language"], row["speaker"]].add(row["part"])
        assert family.setdefault(row["speaker"], row["family"]) == row["family"]
        assert row["part"] in {"train", "test"}
    assert all(len(both) == 1 for both in parts.values()), "a speaker is on both sides"
    for language in ("en", "zh"):
        seen = {
            r["family"] for r in manifest() if (r["language"], r["part"]) == (language, "train")
        }
        tried = {
            r["family"] for r in manifest() if (r["language"], r["part"]) == (language, "test")
        }
        assert tried - seen, "no family is kept from training"
        assert tried & seen, "no known family is in the test part"


def needs_synthesisers() -> None:
    """Skip, with the reason, where a synthesiser is not installed."""
    missing = [p for p in ("espeak-ng", "flite", "festival") if not shutil.which(p)]
    voices = Path("/usr/share/festival/voices")
    wanted = ("english/ked_diphone", "us/cmu_us_slt_arctic_hts", "russian/msu_ru_nsh_clunits")
    missing += [v for v in wanted if not (voices / v).exists()]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (data/README.md names the packages)")


@pytest.mark.parametrize(
    "speaker", ["espeak01", "klatt03", "slt02", "slt15", "kal01", "ked05", "nsh04", "zh02"]
)
def test_a_clip_made_again_is_the_same_within_one_step(speaker):
    needs_synthesisers()
    people = make_digits.english_speakers() + make_digits.mandarin_speakers()
    person = next(p for p in people if p.name == speaker)
    again = make_digits.make_clip(person, 7).astype(int)
    shipped = clip(make_digits.clip_path(person, 7))
    assert len(again) == len(shipped)
    assert np.abs(again - shipped).max() <= 1


def test_the_comparison_notices_a_changed_and_a_missing_file(tmp_path):
    for folder in ("ours", "again"):
        (tmp_path / folder).mkdir()
    samples = clip("demo1.wav").astype(np.int16)
    changed = samples.copy()
    changed[100] += 2
    sf.write(tmp_path / "again" / "a.wav", samples, SAMPLE_RATE)
    sf.write(tmp_path / "again" / "b.wav", samples, SAMPLE_RATE)
    sf.write(tmp_path / "ours" / "a.wav", changed, SAMPLE_RATE)
    faults = make_digits.compare(tmp_path / "ours", tmp_path / "again")
    assert faults == ["a.wav differs by more than one step.", "b.wav is missing."]


@pytest.mark.slow
def test_everything_made_again_is_the_same():
    needs_synthesisers()
    command = [sys.executable, str(DATA / "make_digits.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
