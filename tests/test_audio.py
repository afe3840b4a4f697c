"""Reading and writing sound: torchaudio's contract, and a sentence for every bad input."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils import audio
from course_utils.audio import AudioError
from course_utils.paths import data_path


@pytest.fixture
def speech():
    return audio.load(data_path("demo1.wav"))


def a_tone(channels=1, time=8000):
    wave = torch.sin(2 * torch.pi * 440 * torch.arange(time) / 16000)
    return 0.5 * torch.stack([wave / (1 + number) for number in range(channels)])


# --- the contract of torchaudio ---------------------------------------------------------------


def load_by_torchaudio(path):
    """Skip where it does not work: in one line, as the error is 60 lines of TorchCodec's."""
    torchaudio = pytest.importorskip("torchaudio")
    try:
        return torchaudio.load(str(path))
    except (ImportError, RuntimeError, OSError):
        if os.environ.get("CI"):
            raise
        pytest.skip("torchaudio.load needs TorchCodec and FFmpeg 4 to 8 (apt install ffmpeg)")


@pytest.mark.parametrize("extension", ["wav", "flac", "mp3"])
def test_load_gives_the_samples_of_torchaudio(tmp_path, speech, extension):
    waveform, sample_rate = speech
    path = tmp_path / f"demo1.{extension}"
    audio.save(path, waveform, sample_rate)
    theirs, their_rate = load_by_torchaudio(path)
    ours, our_rate = audio.load(path)
    assert (our_rate, ours.shape, ours.dtype) == (their_rate, theirs.shape, theirs.dtype)
    tolerance = 1e-5 if extension == "mp3" else 0
    assert (ours - theirs).abs().max() <= tolerance


def test_load_gives_the_samples_of_torchaudio_on_real_recordings(fsdd_dir):
    paths = sorted((fsdd_dir / "recordings").glob("*.wav"))[::100]
    assert len(paths) >= 20
    for path in paths:
        theirs, their_rate = load_by_torchaudio(path)
        ours, our_rate = audio.load(path)
        assert our_rate == their_rate
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("extension", ["wav", "flac"])
def test_sixteen_bit_sound_comes_back_exactly(tmp_path, speech, extension):
    waveform, sample_rate = speech
    audio.save(tmp_path / f"a.{extension}", waveform, sample_rate)
    again, rate = audio.load(tmp_path / f"a.{extension}")
    assert rate == sample_rate
    assert torch.equal(again, waveform)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=200),
    st.integers(1, 4),
    st.sampled_from([8000, 16000, 44100, 96000]),
)
def test_what_is_saved_is_within_half_a_step_of_16_bit(tmp_path_factory, values, channels, rate):
    waveform = torch.tensor(values).repeat(channels, 1)
    path = tmp_path_factory.mktemp("hypothesis") / "a.wav"
    audio.save(path, waveform, rate)
    again, again_rate = audio.load(path)
    assert (again.shape, again_rate) == (waveform.shape, rate)
    highest = 32767 / 32768  # 16 bit holds no 1.0
    assert (again - waveform.clamp(max=highest)).abs().max() <= 0.5 / 32768 + 1e-7


def test_mp3_keeps_the_length_and_most_of_the_sound(tmp_path, speech):
    waveform, sample_rate = speech
    audio.save(tmp_path / "a.mp3", waveform, sample_rate)
    again, _ = audio.load(tmp_path / "a.mp3")
    assert again.shape == waveform.shape
    noise = (again - waveform).square().mean()
    assert 10 * torch.log10(waveform.square().mean() / noise) > 15


def test_a_part_of_a_file_is_the_same_part_of_the_whole(speech):
    waveform, _ = speech
    part, _ = audio.load(data_path("demo1.wav"), frame_offset=1000, num_frames=500)
    assert torch.equal(part, waveform[:, 1000:1500])
    rest, _ = audio.load(data_path("demo1.wav"), frame_offset=65000)
    assert torch.equal(rest, waveform[:, 65000:])


def test_float64_and_a_tensor_with_gradient_can_be_saved(tmp_path):
    audio.save(tmp_path / "a.wav", a_tone().double().requires_grad_(), 16000)
    assert audio.load(tmp_path / "a.wav")[0].dtype == torch.float32


@pytest.mark.parametrize("part", [{"frame_offset": 0.5}, {"num_frames": 8000.0}, {"num_frames": 0}])
def test_a_part_that_is_no_whole_number_of_samples_is_refused(part):
    with pytest.raises((AudioError, TypeError)) as caught:
        audio.load(data_path("demo1.wav"), **part)
    assert isinstance(caught.value, AudioError) and "whole numbers" in str(caught.value)
    assert audio.load(data_path("demo1.wav"), np.int64(100), np.int64(9))[0].shape == (1, 9)


def test_values_beyond_one_are_clipped_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match=r"a\.wav reaches 2\.00"):
        audio.save(tmp_path / "a.wav", torch.full((1, 10), 2.0), 16000)
    assert audio.load(tmp_path / "a.wav")[0].max() == 32767 / 32768


# --- formats found in the wild ----------------------------------------------------------------


@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW"]
)
@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64"])
def test_every_kind_of_wav_is_read(tmp_path, subtype, container):
    if not soundfile.check_format(container, subtype):
        pytest.skip("libsndfile does not write this combination")
    tone = a_tone()
    path = tmp_path / "a.wav"
    soundfile.write(path, tone[0].numpy(), 16000, format=container, subtype=subtype)
    waveform, sample_rate = audio.load(path)
    assert (waveform.shape, sample_rate) == (tone.shape, 16000)
    assert (waveform - tone).abs().max() < (0.02 if "U8" in subtype or "LAW" in subtype else 1e-4)


@pytest.mark.parametrize("channels", range(1, 9))
def test_channels_stay_apart(tmp_path, channels):
    audio.save(tmp_path / "a.wav", a_tone(channels), 16000)
    waveform, _ = audio.load(tmp_path / "a.wav")
    assert (waveform - a_tone(channels)).abs().max() < 1e-4


@pytest.mark.parametrize("rate", [1, 8000, 11025, 44100, 192000])
def test_any_sample_rate_is_kept(tmp_path, rate):
    audio.save(tmp_path / "a.wav", a_tone(), rate)
    assert audio.load(tmp_path / "a.wav")[1] == rate


def test_a_streamed_wav_whose_header_knows_no_length_is_read(tmp_path):
    audio.save(tmp_path / "a.wav", a_tone(), 16000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "a.wav").write_bytes(content)
    assert audio.load(tmp_path / "a.wav")[0].shape == (1, 8000)


def test_metadata_after_the_samples_is_no_sound(tmp_path):
    audio.save(tmp_path / "a.wav", a_tone(), 16000)
    content = (tmp_path / "a.wav").read_bytes() + b"LIST\x1a\x00\x00\x00INFOISFT" + b"\x00" * 16
    (tmp_path / "a.wav").write_bytes(content)
    assert audio.load(tmp_path / "a.wav")[0].shape == (1, 8000)


def test_content_decides_and_not_the_extension(tmp_path):
    audio.save(tmp_path / "a.mp3", a_tone(), 16000)
    (tmp_path / "a.mp3").rename(tmp_path / "a.wav")
    assert audio.load(tmp_path / "a.wav")[0].shape == (1, 8000)


@pytest.mark.parametrize(
    "name",
    ["a b.wav", 'it\'s "quoted".wav', "数字 七.wav", "🎤.wav", "-rf.wav", "<img src=x>.wav"],
)
def test_odd_names_are_names(tmp_path, name):
    if sys.platform == "win32" and set(name) & set('<>"'):
        pytest.skip("Windows has no such names")
    audio.save(tmp_path / name, a_tone(), 16000)
    assert audio.load(tmp_path / name)[0].shape == (1, 8000)


# --- bad input: one sentence ------------------------------------------------------------------


def bad_file(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.wav"
    tone = a_tone()[0].numpy()
    nan = tone.copy()
    nan[5] = np.nan
    writers = {
        "missing": lambda: None,
        "folder": path.mkdir,
        "empty": lambda: path.write_bytes(b""),
        "text": lambda: path.write_text("not a sound", encoding="utf-8"),
        "page": lambda: path.write_text("<!DOCTYPE html><html></html>", encoding="utf-8"),
        "picture": lambda: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100)),
        "m4a": lambda: path.write_bytes(b"\x00\x00\x00\x20ftypM4A " + bytes(100)),
        "webm": lambda: path.write_bytes(b"\x1aE\xdf\xa3" + bytes(100)),
        "nothing": lambda: soundfile.write(path, tone[:0], 16000),
        "nan": lambda: soundfile.write(path, nan, 16000, subtype="FLOAT"),
        "cut": lambda: path.write_bytes(_wav_bytes(folder)[:1000]),
        "flac": lambda: path.write_bytes(_flac_bytes(folder)[:5000]),
    }
    writers[kind]()
    return path


def _wav_bytes(folder):
    audio.save(folder / "whole.wav", a_tone(), 16000)
    return (folder / "whole.wav").read_bytes()


def _flac_bytes(folder):
    audio.save(folder / "whole.flac", torch.rand(1, 8000) - 0.5, 16000)
    return (folder / "whole.flac").read_bytes()


@pytest.mark.parametrize(
    ("kind", "words"),
    {
        "missing": "does not exist",
        "folder": "is a folder",
        "empty": "is empty",
        "text": "damaged or not a sound",
        "page": "web page",
        "picture": "a picture",
        "m4a": "ffmpeg -i m4a.wav",
        "webm": "WebM",
        "nothing": "no samples",
        "nan": "not numbers",
        "cut": "cut off",
        "flac": "cut off",
    }.items(),
)
def test_a_bad_file_gets_one_sentence_that_names_it(tmp_path, kind, words):
    path = bad_file(tmp_path, kind)
    with pytest.raises(AudioError, match=words) as caught:
        audio.load(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message and message.endswith(".")
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_wav_cut_anywhere_is_read_whole_or_refused(tmp_path):
    whole = _wav_bytes(tmp_path)
    for length in np.linspace(0, len(whole) - 1, 100).astype(int):
        (tmp_path / "cut.wav").write_bytes(whole[:length])
        with pytest.raises(AudioError, match=r"cut\.wav"):
            audio.load(tmp_path / "cut.wav")


def test_a_symlink_loop_is_refused(tmp_path):
    try:
        (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    except OSError:
        pytest.skip("no symbolic links here")
    with pytest.raises(AudioError, match=r"loop\.wav"):
        audio.load(tmp_path / "loop.wav")


def test_a_file_that_is_too_long_is_refused_before_it_is_read(tmp_path, monkeypatch):
    audio.save(tmp_path / "long.wav", a_tone(), 16000)
    monkeypatch.setattr(audio, "MAX_VALUES", 7999)
    with pytest.raises(AudioError, match="too long to read at once"):
        audio.load(tmp_path / "long.wav")
    assert audio.load(tmp_path / "long.wav", num_frames=7000)[0].shape == (1, 7000)


@pytest.mark.parametrize(
    ("waveform", "words"),
    [
        (np.zeros((1, 10)), "torch.from_numpy"),
        (torch.zeros(10), r"unsqueeze\(0\)"),
        (torch.zeros(10, 1, 1), r"\[channels, time\]"),
        (torch.zeros(1, 0), "no samples"),
        (torch.zeros(1000, 1), r"waveform\.T"),
        (torch.zeros(1, 10, dtype=torch.int16), "divide 16-bit integers by 32768"),
        (torch.full((1, 10), torch.nan), "not numbers"),
    ],
)
def test_a_bad_waveform_is_refused_and_nothing_is_written(tmp_path, waveform, words):
    with pytest.raises(AudioError, match=words):
        audio.save(tmp_path / "a.wav", waveform, 16000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rate", [0, -1, 16000.0, True, None, "16000", 10**9])
def test_a_bad_sample_rate_is_refused(tmp_path, rate):
    with pytest.raises(AudioError, match="sample rate"):
        audio.save(tmp_path / "a.wav", a_tone(), rate)


def test_a_name_without_a_known_extension_is_refused(tmp_path):
    with pytest.raises(AudioError, match=r"\.wav, \.flac, \.mp3"):
        audio.save(tmp_path / "a.ogg", a_tone(), 16000)


def test_mp3_says_which_rates_it_has(tmp_path):
    with pytest.raises(AudioError, match="44100"):
        audio.save(tmp_path / "a.mp3", a_tone(), 16001)


# --- nothing is lost --------------------------------------------------------------------------


def test_a_recording_that_was_read_is_not_written_over(tmp_path):
    soundfile.write(tmp_path / "mine.wav", a_tone()[0].numpy(), 16000)
    before = (tmp_path / "mine.wav").read_bytes()
    waveform, sample_rate = audio.load(tmp_path / "mine.wav")
    with pytest.raises(AudioError, match="would be lost"):
        audio.save(tmp_path / "mine.wav", waveform * 0, sample_rate)
    assert (tmp_path / "mine.wav").read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@pytest.mark.parametrize("name", ["link.wav", "folder/../mine.wav", "elsewhere/mine.wav"])
def test_a_recording_that_was_read_by_another_name_stays_safe(tmp_path, monkeypatch, name):
    """A link, a way over a linked folder and back, and a name below where one was before."""
    (tmp_path / "there" / "sounds").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "there")
    Path("folder").symlink_to(tmp_path / "there" / "sounds")
    Path("elsewhere").symlink_to(tmp_path / "there")
    Path("link.wav").symlink_to("mine.wav")
    soundfile.write("mine.wav", a_tone()[0].numpy(), 16000)
    audio.load(name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AudioError, match="would be lost"):
        audio.save(tmp_path / "there" / "mine.wav", a_tone(), 16000)


def test_a_recording_stays_safe_after_something_else_was_saved(tmp_path):
    soundfile.write(tmp_path / "mine.wav", a_tone()[0].numpy(), 16000)
    audio.load(tmp_path / "mine.wav")
    audio.save(tmp_path / "other.wav", a_tone(), 16000)
    with pytest.raises(AudioError, match="would be lost"):
        audio.save(tmp_path / "mine.wav", a_tone(), 16000)


def test_what_save_made_may_be_made_again(tmp_path):
    audio.save(tmp_path / "a.wav", a_tone(), 16000)
    audio.load(tmp_path / "a.wav")
    audio.save(tmp_path / "a.wav", a_tone(2), 16000)
    assert audio.load(tmp_path / "a.wav")[0].shape[0] == 2


def test_the_sounds_of_the_course_are_never_written():
    with pytest.raises(AudioError, match="output_path"):
        audio.save(data_path("demo1.wav").with_name("new.wav"), a_tone(), 16000)


@pytest.mark.skipif(sys.platform == "win32", reason="uses a limit of POSIX")
def test_a_full_disk_leaves_the_earlier_file(tmp_path):
    """A process that may write 20 kB at most meets the same error as a full disk."""
    audio.save(tmp_path / "a.wav", a_tone(time=100), 16000)
    before = (tmp_path / "a.wav").read_bytes()
    script = (
        "import resource, signal, sys, torch\n"
        "from course_utils import audio\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "try:\n    audio.save(sys.argv[1], torch.rand(1, 100000), 16000)\n"
        "except audio.AudioError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a.wav")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "cannot be written" in done.stdout and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == before


# --- to_mono, resample, play ------------------------------------------------------------------


def test_to_mono_is_the_mean_of_the_channels():
    stereo = torch.tensor([[1.0, 0.0], [0.0, 0.5]])
    assert torch.equal(audio.to_mono(stereo), torch.tensor([[0.5, 0.25]]))


@pytest.mark.parametrize("weaker", [-1.0, -0.9, -0.7])
def test_channels_in_antiphase_are_not_silence(speech, weaker):
    waveform, _ = speech
    assert torch.equal(audio.to_mono(torch.cat([waveform, weaker * waveform])), waveform)
    louder_second = audio.to_mono(torch.cat([weaker * waveform, waveform]))
    assert torch.equal(louder_second.abs(), waveform.abs())


def test_channels_that_do_not_cancel_each_other_are_averaged(speech):
    waveform, _ = speech
    for other in (waveform, 0 * waveform, waveform.flip(1), -0.3 * waveform):
        stereo = torch.cat([waveform, other])
        assert torch.allclose(audio.to_mono(stereo), stereo.mean(0, keepdim=True), atol=1e-6)
    assert not audio.to_mono(torch.zeros(2, 9)).any()


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([(8000, 16000), (16000, 8000), (44100, 16000), (48000, 16000), (44101, 16000)]),
    st.integers(50, 3000),
)
def test_resampling_keeps_the_duration_and_the_tone(rates, frequency):
    old, new = rates
    if frequency > 0.35 * min(rates):
        return
    seconds = torch.arange(old) / old
    tone = torch.sin(2 * torch.pi * frequency * seconds)[None]
    resampled = audio.resample(tone, old, new)
    assert resampled.shape == (1, new)
    wanted = torch.sin(2 * torch.pi * frequency * torch.arange(new) / new)
    middle = slice(new // 4, 3 * new // 4)
    assert (resampled[0, middle] - wanted[middle]).abs().max() < 0.02


def test_the_same_rate_changes_nothing():
    assert torch.equal(audio.resample(a_tone(), 16000, 16000), a_tone())


def test_a_sound_that_is_played_has_its_duration_and_its_level(speech, tmp_path):
    import base64
    import re

    waveform, sample_rate = speech
    player = audio.play(waveform, sample_rate, '<b>"speech"</b>')
    content = base64.b64decode(re.search(r"base64,([^\"]+)", player.data).group(1))
    assert len(content) < 0.5 * waveform.numel() * 2  # smaller than half of the WAV
    (tmp_path / "played.mp3").write_bytes(content)
    played, rate = audio.load(tmp_path / "played.mp3")
    assert rate == sample_rate
    assert abs(played.shape[1] - waveform.shape[1]) < 2400
    assert abs(10 * torch.log10(played.square().mean() / waveform.square().mean())) < 0.5
    assert "<b>" not in player.data and "&lt;b&gt;" in player.data
    assert (
        audio.play(waveform, sample_rate, "again").data
        == audio.play(waveform, sample_rate, "again").data
    )


def test_a_long_sound_is_not_put_into_a_notebook():
    with pytest.raises(AudioError, match="play a part"):
        audio.play(torch.zeros(1, 61 * 8000), 8000)


@pytest.mark.parametrize("rate", [100, 4000, 16001, 96000])
def test_any_rate_can_be_played(rate):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "audio/mpeg" in audio.play(a_tone(time=rate), rate).data


@pytest.mark.parametrize("channels", [1, 2])
def test_mp3_keeps_a_tone_in_every_channel(tmp_path, channels):
    """libsndfile 1.2.2 turns 16-bit stereo into noise when it writes MP3."""
    tone = a_tone(channels, time=16000)
    audio.save(tmp_path / "a.mp3", tone, 16000)
    again, _ = audio.load(tmp_path / "a.mp3")
    assert (again - tone)[:, 2000:-2000].abs().max() < 0.1


def test_a_recording_that_was_deleted_may_be_written_again(tmp_path):
    path = tmp_path / "mine.wav"
    soundfile.write(path, np.zeros(1600), 16000)
    waveform, sample_rate = audio.load(path)
    path.unlink()
    audio.save(path, waveform, sample_rate)
    assert path.exists()


def test_a_form_that_no_flac_file_has_is_one_sentence(tmp_path):
    with pytest.raises(AudioError, match="cannot hold 1 channels at 100001 Hz: .* as WAV"):
        audio.save(tmp_path / "odd.flac", torch.zeros(1, 1600), 100_001)
