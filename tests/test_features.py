"""Spectrograms, decibels and pictures."""

import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils import audio, features, plots
from course_utils.errors import CourseError
from course_utils.paths import data_path


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 5000),
    st.sampled_from([64, 400, 512, 1024]),
    st.integers(1, 600),
    st.booleans(),
)
def test_a_spectrogram_has_the_promised_shape(time, n_fft, hop_length, center):
    power = features.spectrogram(torch.randn(2, time), n_fft, hop_length, center=center)
    length = max(time, n_fft)
    frames = length // hop_length + 1 if center else (length - n_fft) // hop_length + 1
    assert power.shape == (2, n_fft // 2 + 1, frames)
    assert torch.isfinite(power).all() and (power >= 0).all()


@pytest.mark.parametrize("hop_length", [None, 160])
def test_a_spectrogram_is_the_one_of_torchaudio(hop_length):
    from torchaudio.transforms import Spectrogram

    waveform, _ = audio.load(data_path("demo1.wav"))
    theirs = Spectrogram(1024, hop_length=hop_length)(waveform)
    assert torch.equal(features.spectrogram(waveform, 1024, hop_length), theirs)


def test_the_power_of_a_frame_is_that_of_its_samples():
    """Parseval: the energy of a windowed frame is the same in time and in frequency."""
    waveform = torch.randn(1, 1024, dtype=torch.float64)
    power = features.spectrogram(waveform, 1024, 1024, center=False)[0, :, 0]
    window = torch.hann_window(1024, dtype=torch.float64)
    both_halves = power[0] + 2 * power[1:-1].sum() + power[-1]
    assert torch.isclose(both_halves / 1024, (waveform[0] * window).square().sum())


def test_silence_has_a_level_and_no_infinity():
    levels = features.to_db(features.spectrogram(torch.zeros(1, 8000)))
    assert torch.equal(levels, torch.full_like(levels, -100))


@given(st.floats(1e-9, 1e9), st.floats(1e-6, 1e6))
def test_ten_decibels_are_a_factor_of_ten(power, factor):
    one, other = features.to_db(torch.tensor([power, power * factor], dtype=torch.float64), 1e-30)
    assert math.isclose(float(other - one), 10 * math.log10(factor), abs_tol=1e-6)


@pytest.mark.parametrize("floor", [0, -1])
def test_a_floor_must_be_positive(floor):
    with pytest.raises(ValueError, match="above 0"):
        features.to_db(torch.ones(3), floor)


@pytest.mark.parametrize("shape", [(513, 128), (1, 513, 128), (4, 1, 20, 30)])
def test_a_picture_gets_its_new_size(shape):
    assert features.resize(torch.rand(shape), (80, 60)).shape == (*shape[:-2], 80, 60)


def test_resizing_keeps_a_flat_picture_flat_and_the_mean_of_any():
    assert torch.allclose(
        features.resize(torch.full((1, 50, 70), 3.0), (20, 30)), torch.tensor(3.0)
    )
    picture = torch.rand(1, 400, 400)
    assert abs(features.resize(picture, (40, 40)).mean() - picture.mean()) < 0.01


@pytest.mark.parametrize(
    "wrong",
    [{"n_fft": 0}, {"hop_length": 0}, {"win_length": 2048}, {"waveform": torch.zeros(1, 0)}],
)
def test_wrong_settings_get_a_sentence(wrong):
    settings_given = {"waveform": torch.zeros(1, 100), "n_fft": 1024, "hop_length": 160} | wrong
    with pytest.raises(ValueError, match=r"\.$"):
        features.spectrogram(**settings_given)


def test_what_a_beginner_would_try_gets_a_sentence():
    waveform, sample_rate = audio.load(data_path("demo1.wav"))
    wrong = {
        "not float; make one with torch.tensor(value)": lambda: features.to_db(0.5),
        "not ndarray; make one with torch.from_numpy": lambda: features.to_db(waveform.numpy()),
        "not list": lambda: features.to_db([1.0, 0.5]),
        "square a waveform first": lambda: features.to_db(waveform),
        "give height and width, such as (80, 80)": lambda: features.resize(waveform, 80),
        "torch.from_numpy(array)": lambda: features.spectrogram(waveform.numpy()),
        "cannot be drawn: a tensor": lambda: plots.plot_waveform(waveform.numpy(), sample_rate),
        "drawn: a tensor is needed, not list": lambda: plots.plot_probabilities([0.1, 0.9]),
        "no level: a tensor is needed": lambda: features.decibels_between(1.0, 2.0),
        "give the waveform first": lambda: audio.play(sample_rate, waveform),
        "waveform first, then its rate": lambda: audio.resample(sample_rate, waveform, 8000),
    }
    for words, call in wrong.items():
        with pytest.raises(CourseError) as caught:
            call()
        sentence = str(caught.value)
        assert words in sentence and sentence.endswith(".") and "\n" not in sentence


def test_a_spectrogram_of_power_is_drawn_with_a_warning():
    waveform, sample_rate = audio.load(data_path("demo1.wav"))
    power = features.spectrogram(waveform)
    with pytest.warns(UserWarning, match="draw its levels in dB"):
        plots.plot_spectrogram(power, sample_rate, 512)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.plot_spectrogram(features.to_db(power), sample_rate, 512)
