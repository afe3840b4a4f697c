"""Levels, the word in a clip, and its picture, whatever lies around the word."""

import math
import os

import numpy as np
import pytest
import torch
from benchmarks import robustness
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import bursts_between_zeros

from course_utils import audio, features, pictures
from course_utils.paths import data_path
from course_utils.recordings import SpokenWords

SPEAKERS = ("rms01", "awb03")


def picture_of(waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
    return pictures.picture_and_word(waveform, sample_rate)[0]


def clip(name: str) -> tuple[torch.Tensor, int]:
    return audio.load(data_path(f"digits_en/{name}.wav"))


def clips() -> list[tuple[torch.Tensor, int]]:
    return [clip(f"{speaker}_{digit}") for speaker in SPEAKERS for digit in range(10)]


def word_in(waveform: torch.Tensor, sample_rate: int) -> tuple[int, int] | None:
    return pictures.find_word(pictures.log_mel_frames(waveform, sample_rate))


# Levels


def test_a_tone_has_the_same_level_at_any_sample_rate():
    levels = []
    for sample_rate in (8000, 11025, 16000, 44100, 48000):
        time = torch.arange(sample_rate, dtype=torch.float64) / sample_rate
        frames = pictures.log_mel_frames(torch.sin(2 * math.pi * 1000 * time)[None], sample_rate)
        levels.append(float((10 ** (frames[50] / 10)).sum().log10() * 10))
    assert max(levels) - min(levels) < 0.2


def test_the_filters_are_triangles_between_neighbours_middles():
    window, filters = pictures._window_and_filters(16000, 40)
    assert len(window) == 512 and len(filters) == 513
    filters = 2 * filters  # the transform is twice as long as the window
    mel = torch.linspace(*(2595 * math.log10(1 + f / 700) for f in (60, 3700)), 42)
    edges = 700 * (10 ** (mel.double() / 2595) - 1)
    hertz = torch.linspace(0, 8000, len(filters), dtype=torch.float64)[:, None]
    rising = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    assert torch.allclose(filters.double(), torch.minimum(rising, falling).clamp(min=0), atol=1e-4)


def test_a_long_recording_has_the_same_frames_as_its_parts():
    waveform = torch.randn(1, 80 * (pictures.BLOCK + 500))
    frames = pictures.log_mel_frames(waveform, 8000)
    part = pictures.log_mel_frames(waveform[:, 80 * 8000 :], 8000)
    assert torch.allclose(frames[8002:], part[2:], atol=1e-3)


def notes_pictures(waveforms, sample_rate):
    """The lecture notes' pictures of several clips."""
    made = [pictures.picture_and_word(each, sample_rate, kind="notes")[0] for each in waveforms]
    return torch.stack(made)


def test_bursts_between_zeros_are_no_word():
    waveform = torch.from_numpy(bursts_between_zeros()).float()[None]
    assert pictures.find_word(pictures.log_mel_frames(waveform, 16000)) is None


@pytest.mark.parametrize("make", [notes_pictures, pictures.log_mel_pictures])
def test_a_waveform_at_an_absurd_sample_rate_is_refused_without_the_memory(make):
    """As a damaged header may tell it: half a minute of sound that lasts for days at 1 Hz."""
    short = torch.zeros(1, 160)
    with pytest.raises(audio.AudioError, match=r"1 Hz.*: check"):
        make([short, torch.zeros(1, 1).expand(1, 1_000_001)], 1)
    assert make([short], 1).isfinite().all()


# Pictures


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 20000),
    st.sampled_from([2000, 8000, 11025, 48000]),
    st.sampled_from([(40, 48), (32, 32), (80, 80)]),
)
def test_any_waveform_gets_a_picture_in_range(time, sample_rate, size):
    waveform = torch.randn(1, time, generator=torch.Generator().manual_seed(time)) * 0.1
    picture = pictures.picture_and_word(waveform, sample_rate, *size)[0]
    assert picture.shape == (1, *size) and picture.dtype == torch.float32
    assert picture.min() >= -2 and picture.max() <= 2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 9), st.floats(-12, 12))
def test_the_level_of_a_recording_does_not_matter(digit, gain_db):
    waveform, sample_rate = clip(f"rms01_{digit}")
    other = waveform * 10 ** (gain_db / 20)
    expected = picture_of(waveform, sample_rate)
    assert torch.allclose(picture_of(other, sample_rate), expected, atol=1e-3)


def test_other_clips_do_not_matter():
    (one, sample_rate), (other, _) = clip("rms01_3"), clip("awb03_8")
    together = pictures.log_mel_pictures([one, other], sample_rate)
    assert torch.equal(together[0], picture_of(one, sample_rate))
    assert torch.equal(together[1], picture_of(other, sample_rate))


def test_the_picture_is_that_of_the_word():
    frames = torch.full((200, 40), -70.0)
    frames[90:130, 8:12] = -20.0
    assert pictures.find_word(frames) == (90, 130)
    picture = pictures.picture_of(frames, (90, 130), 48)[0]
    loud = torch.nonzero(picture[10] > 0)[:, 0]
    # 0.4 s of a picture that lasts the square root of 0.4 s, in the middle.
    assert abs(len(loud) - 48 * math.sqrt(0.4)) <= 2 and abs(loud.float().mean() - 23.5) <= 0.5
    assert picture[20].max() == -2


def test_the_notes_pictures_are_resized_spectrograms():
    waveform, sample_rate = clip("rms01_3")
    expected = features.resize(
        features.spectrogram(audio.resample(waveform, sample_rate, 16000)), (80, 80)
    )
    assert torch.equal(notes_pictures([waveform], sample_rate)[0], expected)


# The word


WORDS = [
    "zeros around",
    "thump before",
    "mouse click before",
    "breath after",
    "second word, the quieter",
    "50 Hz hum, +10 dB",
    "babble, 20 dB",
    "peak at -70 dBFS",
]


@pytest.mark.parametrize("row", WORDS)
def test_a_word_is_found_whatever_lies_around_it(row):
    sounds = [(waveform[0].double().numpy(), rate) for waveform, rate in clips()]
    babble = robustness.Babble([sound for sound, _ in sounds])
    missed = []
    for index, (sound, rate) in enumerate(sounds):
        other = sounds[(index + 1) % 10 + index // 10 * 10][0]
        rng = np.random.default_rng(index)
        change = robustness.changes(babble, lambda rng, other=other: other)[row]
        changed = change(sound, rate, rng)
        changed = np.round(changed * 32767 / max(1, np.abs(changed).max())) / 32768
        expected = word_in(torch.from_numpy(sound)[None], rate)
        found = word_in(torch.from_numpy(changed)[None], rate)
        # Where the word begins in the changed clip: where the two fit best.
        shift = (
            np.correlate(changed, sound, "valid").argmax() / rate * 100
            if (len(changed) > len(sound))
            else 0
        )
        if found is None or abs(sum(found) / 2 - shift - sum(expected) / 2) > 8:
            missed.append((index, found, expected, shift))
    # At -70 dBFS a word is a few steps of 16 bit high, and its weak parts are gone.
    assert len(missed) <= (2 if "-70" in row else 1), missed


@pytest.mark.parametrize("depth", [25, 18])
def test_a_clip_that_is_trimmed_to_the_word_holds_a_word(depth):
    for waveform, sample_rate in clips():
        sound = robustness.trimmed(waveform[0].numpy(), sample_rate, depth)
        assert word_in(torch.from_numpy(sound)[None], sample_rate) is not None


def test_a_word_that_was_cut_out_short_keeps_its_weak_sounds():
    shares = []
    for waveform, sample_rate in clips():
        sound = robustness.trimmed(waveform[0].numpy(), sample_rate, 18)
        if len(sound) < 0.5 * sample_rate:
            start, end = word_in(torch.from_numpy(sound)[None], sample_rate)
            shares.append((end - start) * sample_rate / 100 / len(sound))
    assert len(shares) >= 10 and np.mean(shares) > 0.9 and min(shares) > 0.6, shares


def test_digital_silence_around_a_clip_does_not_change_its_picture():
    for waveform, sample_rate in clips():
        silence = torch.zeros(1, sample_rate // 2)
        around = torch.cat([silence, waveform, silence], dim=1)
        difference = picture_of(around, sample_rate) - picture_of(waveform, sample_rate)
        assert difference.abs().mean() < 0.15


def test_of_200_clips_without_a_word_95_in_100_hold_none():
    sample_rate = 16000
    babble = robustness.Babble([waveform[0].numpy() for waveform, _ in clips()])
    sounds = robustness.without_a_word(babble, sample_rate, np.random.default_rng(0))
    found = 0
    for _ in range(200):
        sound = np.round(next(sounds).clip(-1, 1) * 32767) / 32768
        found += word_in(torch.from_numpy(sound)[None], sample_rate) is not None
    assert found <= 10


def test_a_clip_of_nothing_holds_no_word():
    for samples in (1, 100, 8000):
        assert word_in(torch.zeros(1, samples), 8000) is None


@pytest.mark.skipif("FSDD_DIR" not in os.environ, reason="needs FSDD_DIR")
def test_real_recordings_are_all_read_and_all_hold_speech():
    data = SpokenWords(os.environ["FSDD_DIR"], layout="digit_speaker_take")
    assert len(set(data.speakers)) >= 4
    words = [word_in(*data.load(i)) for i in range(0, len(data), 7)]
    assert sum(word is None for word in words) == 0
