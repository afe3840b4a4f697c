"""The word in a clip and its picture."""

import os

import pytest
import torch

from course_utils.errors import AudioError
from course_utils.pictures import find_word, log_mel_frames, log_mel_pictures, notes_pictures
from course_utils.recordings import SpokenWords


def clips(count: int = 12) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(100, 9000, (count,), generator=generator).tolist()
    sounds = [torch.randn(1, n, generator=generator) * torch.hann_window(n) for n in lengths]
    # Levels 100 dB apart, side by side.
    return [sound * 0.1 * 10 ** (-100 * (i % 2) / 20) for i, sound in enumerate(sounds)]


def test_pictures_in_a_batch_equal_pictures_one_by_one():
    together = log_mel_pictures(clips(), 8000)
    alone = torch.cat([log_mel_pictures([clip], 8000) for clip in clips()])
    assert torch.allclose(together, alone, atol=1e-4)


def test_level_and_silence_around_a_word_do_not_matter():
    word = torch.randn(1, 4000, generator=torch.Generator().manual_seed(1)) * torch.hann_window(
        4000
    )
    silence = torch.zeros(1, 16000)
    plain = log_mel_pictures([0.1 * torch.cat([silence, word, silence], 1)], 8000)
    quiet = log_mel_pictures([0.002 * torch.cat([silence, word, silence], 1)], 8000)
    later = log_mel_pictures([0.1 * torch.cat([silence, silence, word], 1)], 8000)
    assert torch.allclose(plain, quiet, atol=1e-3)
    assert torch.allclose(plain, later, atol=1e-3)


@pytest.mark.parametrize("rate", [11025, 16000, 22050, 44100, 48000])
def test_a_word_looks_the_same_at_any_sample_rate(rate):
    def word(rate: int) -> torch.Tensor:
        time = torch.arange(int(0.5 * rate)) / rate
        tones = sum(torch.sin(2 * torch.pi * f * time) for f in (200, 410, 900, 1700, 2900))
        return (0.05 * tones * torch.hann_window(len(time)))[None]

    reference = log_mel_pictures([word(8000)], 8000)
    assert (log_mel_pictures([word(rate)], rate) - reference).abs().mean() < 0.1


@pytest.mark.parametrize("samples", [1, 2, 80, 81, 300])
def test_the_shortest_clips_have_pictures_too(samples):
    picture = log_mel_pictures([torch.randn(1, samples)], 8000)
    assert picture.isfinite().all() and picture.shape == (1, 1, 40, 48)


def test_silence_and_steady_noise_are_no_speech_and_a_word_is():
    noise = 0.01 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(2))
    word = torch.cat([noise[:, :6000], 30 * noise[:, 6000:9000], noise[:, 9000:]], dim=1)
    for sound, found in ((torch.zeros(1, 8000), False), (noise, False), (word, True)):
        frames = log_mel_frames(sound, 8000)
        assert (find_word(frames) is not None) is found


def test_the_word_is_found_beside_a_click_and_a_breath():
    sound = 0.001 * torch.randn(1, 24000, generator=torch.Generator().manual_seed(3))
    sound[:, 1000:1040] += 0.9  # a click
    sound[:, 4000:6000] *= 20  # a breath
    sound[:, 14000:18000] *= 200  # the word
    frames = log_mel_frames(sound, 8000)
    start, end = find_word(frames)
    assert abs(start - 175) <= 4 and abs(end - 225) <= 4


@pytest.mark.parametrize("make", [notes_pictures, log_mel_pictures])
def test_a_waveform_at_an_absurd_sample_rate_is_refused_without_the_memory(make):
    """As a damaged header may tell it: half a minute of sound that lasts for days at 1 Hz."""
    short = torch.zeros(1, 160)
    with pytest.raises(AudioError, match=r"1 Hz.*: check"):
        make([short, torch.zeros(1, 1).expand(1, 1_000_001)], 1)
    assert make([short], 1).isfinite().all()


@pytest.mark.skipif("FSDD_DIR" not in os.environ, reason="needs FSDD_DIR")
def test_real_recordings_are_all_read_and_all_hold_speech():
    data = SpokenWords(os.environ["FSDD_DIR"], layout="digit_speaker_take")
    assert len(set(data.speakers)) >= 4
    words = [find_word(log_mel_frames(*data.load(i))) for i in range(0, len(data), 7)]
    assert sum(word is None for word in words) == 0
