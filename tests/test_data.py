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
from scipy import signal

DATA = Path(__file__).parents[1] / "data"
sys.path.insert(0, str(DATA))
import make_digits  # noqa: E402  (lives in data/, beside what it makes)
import voices  # noqa: E402

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
    assert sum(language == "zh" for language, _ in said) >= 40


def test_format_is_mono_16_khz_16_bit():
    for name in [*names(), "demo1.wav"]:
        info = sf.info(DATA / name)
        assert (info.channels, info.samplerate, info.subtype) == (1, SAMPLE_RATE, "PCM_16"), name


def test_demo_has_the_samples_that_the_notes_print():
    samples = clip("demo1.wav")
    assert len(samples) == 65328
    assert 0.2 < np.abs(samples).max() / 32768 < 0.99
    assert longest_zero_run(samples) <= LONGEST_REAL_ZERO_RUN


def test_size_stays_under_50_mb():
    # Not the caches that other tools leave behind.
    kinds = {".wav", ".csv", ".md", ".py", ".mjs", ".txt"}
    assert sum(p.stat().st_size for p in DATA.rglob("*.*") if p.suffix in kinds) < 50e6


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


def test_mandarin_has_two_engines_and_english_has_people_from_elsewhere():
    engines = {row["engine"] for row in manifest() if row["language"] == "zh"}
    assert {"espeak", "kokoro"} <= engines
    accents = {row["accent"] for row in manifest() if row["engine"] == "kokoro"}
    assert {"us", "gb", "es", "fr", "hi", "it", "ja", "pt"} <= accents


# Mandarin's tones ----------------------------------------------------------------------------

TONES = [2, 1, 4, 1, 4, 3, 4, 1, 1, 3]  # of 零 to 九: 1 high, 2 rising, 3 low, 4 falling


def test_espeak_is_told_the_right_syllables_and_tones():
    if not shutil.which("espeak-ng"):
        pytest.skip("espeak-ng is not installed (data/README.md names the packages)")
    wanted = ["l'i35N", "j'i55", "'@r51", "s'a55n", "s'i[51", "w'u214", "l'iou51", "tS;h'i55"]
    wanted += ["p'A55", "tS;'iou214"]
    # -x and not --ipa, which writes the tones 1 and 4 alike.
    command = ["espeak-ng", "-v", "cmn-latn-pinyin", "-x", "-q"]
    for word, phonemes in zip(voices.MANDARIN_WORDS, wanted, strict=True):
        done = subprocess.run([*command, word], capture_output=True, text=True, encoding="utf-8")
        assert done.stdout.strip().removesuffix("_|") == phonemes, word


def test_kokoro_is_told_the_right_tones():
    marks = {1: "→", 2: "↗", 3: "↓", 4: "↘"}
    for word, tone in zip(voices.KOKORO_MANDARIN, TONES, strict=True):
        for spelling in word.split("|"):
            assert [mark for mark in spelling if mark in marks.values()] == [marks[tone]], word


def pitch_in_semitones(samples: np.ndarray) -> np.ndarray:
    """Pitch every 10 ms in semitones over 100 Hz, by autocorrelation; nan where voiceless."""
    band = signal.butter(2, [60, 900], "bandpass", fs=SAMPLE_RATE, output="sos")
    low = signal.sosfiltfilt(band, samples.astype(float))
    window = np.hanning(640)
    padded = np.pad(low, 320)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 640)[::160] * window
    power = np.abs(np.fft.rfft(frames, 1280)) ** 2
    own = np.fft.irfft(np.abs(np.fft.rfft(window, 1280)) ** 2)[:640]
    alike = np.fft.irfft(power)[:, :640]
    alike = (alike / (alike[:, :1] + 1e-9) / (own / own[0] + 1e-3))[:, 36:246]  # 65 to 444 Hz
    best = alike.max(axis=1, keepdims=True)
    peaks = np.ones_like(alike, dtype=bool)
    peaks[:, 1:-1] = (alike[:, 1:-1] >= alike[:, :-2]) & (alike[:, 1:-1] >= alike[:, 2:])
    # The shortest of the lags that are nearly as good as the best: not an octave too low.
    lag = np.argmax(peaks & (alike >= 0.9 * best), axis=1) + 36
    level = 10 * np.log10((frames**2).mean(axis=1) + 1e-3)
    voiced = (best[:, 0] > 0.5) & (level > level.max() - 25)
    return np.where(voiced, 12 * np.log2(SAMPLE_RATE / lag / 100), np.nan)


def longest_voice(pitch: np.ndarray) -> np.ndarray:
    """The frames of the longest voiced stretch."""
    voiced = np.flatnonzero(~np.isnan(pitch))
    return max(np.split(voiced, np.flatnonzero(np.diff(voiced) > 2) + 1), key=len)


def contour(name: str) -> np.ndarray | None:
    """Pitch at five places of the longest voiced stretch; None if it is shorter than 50 ms."""
    pitch = pitch_in_semitones(clip(name))
    longest = longest_voice(pitch)
    if len(longest) < 5:
        return None
    smooth = signal.medfilt(pitch[longest], 3)[1:-1]
    return np.interp(np.linspace(0, 1, 5), np.linspace(0, 1, len(smooth)), smooth)


@cache
def mandarin_contours() -> dict[str, dict[int, np.ndarray]]:
    """Contours of each Mandarin speaker's digits, against the middle of all that he says."""
    found: dict[str, dict[int, np.ndarray]] = defaultdict(dict)
    for row in manifest():
        if row["language"] == "zh" and (shape := contour(row["file"])) is not None:
            found[row["speaker"]][int(row["file"][-5])] = shape
    for shapes in found.values():
        middle = np.median(list(shapes.values()))
        for digit in shapes:
            shapes[digit] = shapes[digit] - middle
    return dict(found)


def tone_heard(shape: np.ndarray) -> set[int]:
    """The tone of a contour in semitones from the middle of its speaker's voice, if it has one."""
    change, middle = shape[3:].mean() - shape[:2].mean(), shape[1:4].mean()
    if change < -1.5 and shape[0] > -2:
        return {4}
    if middle > -0.5:
        return {1} if abs(change) < 1.5 else set()
    if change > 1 and shape[4] > 0:
        return {2}
    return {3} if middle < -1 else set()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["espeak", "kokoro"])
@pytest.mark.parametrize("digit", range(10))
def test_the_median_speaker_has_the_tone_of_each_digit(digit, engine):
    speakers = {
        row["speaker"] for row in manifest() if (row["engine"], row["language"]) == (engine, "zh")
    }
    shapes = [s[digit] for n, s in mandarin_contours().items() if n in speakers and digit in s]
    assert len(shapes) >= 0.9 * len(speakers)
    median = np.median(shapes, axis=0)
    assert tone_heard(median) == {TONES[digit]}, np.round(median, 1)


@pytest.mark.slow
def test_most_clips_have_their_tone():
    """Not all: noise, hum and a room mislead the measurement of the pitch."""
    right = [
        TONES[digit] in tone_heard(shape)
        for shapes in mandarin_contours().values()
        for digit, shape in shapes.items()
    ]
    assert np.mean(right) > 0.6


@pytest.mark.slow
def test_mandarin_syllables_begin_and_last_as_they_should():
    """Voiceless s, q and j before the vowels of 三 四 七 九, and none before the others."""
    before, voiced = defaultdict(list), defaultdict(list)
    for row in manifest():
        if row["language"] == "zh":
            digit = int(row["file"][-5])
            longest = longest_voice(pitch_in_semitones(clip(row["file"])))
            loud = np.flatnonzero(frame_levels(clip(row["file"])) > -30)
            before[digit].append(10 * (longest[0] - loud[0]))
            voiced[digit].append(10 * len(longest))
    ms = {digit: float(np.median(before[digit])) for digit in range(10)}
    assert min(ms[digit] for digit in (3, 4, 7, 9)) > max(ms[digit] for digit in (0, 1, 2, 5, 6)), (
        ms
    )
    for digit in range(10):
        assert 120 < np.median(voiced[digit]) < 600, digit


def test_mandarin_words_have_one_syllable():
    """A tone number that is read aloud would double the length."""
    seconds = defaultdict(list)
    for row in manifest():
        if row["language"] == "zh":
            seconds[row["file"][-5]].append(len(clip(row["file"])) / SAMPLE_RATE)
    for digit, all_ in seconds.items():
        assert 0.3 < np.median(all_) < 0.8, digit


def needs_synthesisers(engine: str) -> None:
    """Skip, with the reason, where the synthesiser of an engine is not installed."""
    if engine in make_digits.LATER_ENGINES:
        try:
            voices.voices_folder()
            import onnxruntime  # noqa: F401
        except (RuntimeError, ImportError) as error:
            pytest.skip(str(error))
        if not shutil.which("node"):
            pytest.skip("node is not installed (data/README.md says what for)")
        return
    missing = [p for p in ("espeak-ng", "flite", "festival") if not shutil.which(p)]
    folder = Path("/usr/share/festival/voices")
    wanted = ("english/ked_diphone", "us/cmu_us_slt_arctic_hts", "russian/msu_ru_nsh_clunits")
    missing += [v for v in wanted if not (folder / v).exists()]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (data/README.md names the packages)")


SAMPLES = ["espeak01", "klatt03", "slt02", "slt15", "kal01", "ked05", "nsh04", "zh002"]
SAMPLES += ["kokoro003", "kokoro060", "tube03", "zh040"]


@pytest.mark.parametrize("speaker", SAMPLES)
def test_a_clip_made_again_is_the_same_within_a_step(speaker):
    people = make_digits.english_speakers() + make_digits.mandarin_speakers()
    person = next(p for p in people if p.name == speaker)
    needs_synthesisers(person.engine)
    again = make_digits.make_clip(person, 7)
    shipped = clip(make_digits.clip_path(person, 7)).astype(np.int16)
    assert make_digits.same(shipped, again, person.engine)


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
    assert faults == ["a.wav differs.", "b.wav is missing."]


@pytest.mark.slow
def test_a_clip_of_each_older_voice_made_again_is_the_same():
    """One digit of each speaker; `make_digits.py --check` makes all ten again."""
    needs_synthesisers("espeak")
    people = make_digits.english_speakers() + make_digits.mandarin_speakers()
    people = [each for each in people if each.engine not in make_digits.LATER_ENGINES]
    assert len(people) > 60
    for number, person in enumerate(people):
        again = make_digits.make_clip(person, number % 10)
        shipped = clip(make_digits.clip_path(person, number % 10)).astype(np.int16)
        assert make_digits.same(shipped, again, person.engine), person.name
