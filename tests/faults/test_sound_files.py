"""Sound files that are odd, damaged, hostile, huge or not ours to read."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from fault_tools import is_one_sentence, speak

from course_utils import audio, features, models, pictures
from course_utils.audio import AudioError
from course_utils.recogniser import Recogniser
from course_utils.training import RECIPES

RATE = 16000
needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="makes M4A with ffmpeg")


def refusal(path: Path) -> str | None:
    """Return the sentence with which a file is refused, or None if it is read."""
    try:
        waveform, _ = audio.load(path)
    except AudioError as error:
        assert is_one_sentence(str(error)), error
        return str(error)
    assert waveform.dtype == torch.float32 and waveform.ndim == 2
    assert waveform.isfinite().all() and waveform.numel() > 0
    return None


# --- damage -----------------------------------------------------------------------------------

FUZZ = """
import io, random, warnings
import numpy, soundfile
warnings.simplefilter("ignore")
folder, count, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
kinds = "WAV/PCM_16 WAV/PCM_U8 WAV/PCM_24 WAV/FLOAT WAV/ALAW WAV/IMA_ADPCM WAVEX/PCM_16 "
kinds += "RF64/PCM_16 FLAC/PCM_16 FLAC/PCM_24 MP3/MPEG_LAYER_III OGG/VORBIS AIFF/PCM_16 "
kinds += "AU/PCM_16 CAF/PCM_16"
whole = []
for kind in kinds.split():
    for channels in (1, 2):
        sound = 0.3 * numpy.sin(numpy.arange(2000) / 5)[:, None].repeat(channels, 1)
        buffer = io.BytesIO()
        container, subtype = kind.split("/")
        soundfile.write(buffer, sound, 16000, format=container, subtype=subtype)
        whole.append(buffer.getvalue())

def damaged(chance):
    way, content = chance.randrange(6), bytearray(chance.choice(whole))
    if way == 0:
        return chance.randbytes(chance.randrange(1, 5000))
    if way == 1:
        return bytes(content[: chance.randrange(1, len(content))])
    if way == 2:  # a right beginning, then noise
        place = chance.randrange(4, 60)
        return bytes(content[:place]) + chance.randbytes(chance.randrange(2000))
    near = 100 if way < 5 else len(content)  # the header, or anywhere
    for _ in range(chance.choice((1, 2, 5, 20))):
        place = chance.randrange(min(near, len(content)))
        if way == 3:
            content[place] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        else:
            content[place] ^= 1 << chance.randrange(8)
    return bytes(content)

read = refused = 0
for number in range(seed, seed + count):
    (folder / "fuzz.wav").write_bytes(damaged(random.Random(number)))
    print(number, file=sys.stderr)  # the last number is the input that ended the process
    try:
        waveform, sample_rate = audio.load(folder / "fuzz.wav")
        assert waveform.isfinite().all() and waveform.ndim == 2
        if number % 20 == 0:
            part = audio.to_mono(waveform[:, :20000])
            assert pictures.log_mel_pictures([part], sample_rate).isfinite().all()
        read += 1
    except AudioError as error:
        assert "\\n" not in str(error) and str(error).endswith("."), error
        refused += 1
print(read, refused, (peak() - before) // 2**20)
"""


def fuzz(run_bounded, tell, folder: Path, count: int, seed: int) -> None:
    read, refused, growth = map(int, run_bounded(FUZZ, folder, count, seed, quiet=True).split())
    assert read + refused == count and refused > count / 10 and read > count / 20
    assert growth < 700  # MiB: an hour of sound, twice, while it is put into order
    tell(count, f"{read} read, {refused} refused in a sentence, no crash, no hang")


def test_damaged_files_of_15_formats_are_read_or_refused(run_bounded, tell, tmp_path):
    fuzz(run_bounded, tell, tmp_path, 500, seed=0)


@pytest.mark.slow
def test_thousands_of_damaged_files_are_read_or_refused(run_bounded, tell, tmp_path):
    fuzz(run_bounded, tell, tmp_path, 12_000, seed=1_000_000)


@pytest.mark.parametrize("extension", ["flac", "mp3", "ogg"])
def test_a_file_that_is_cut_off_at_100_places_is_read_in_part_or_refused(tmp_path, tell, extension):
    sound = 0.3 * np.sin(np.arange(8000) / 5) * np.hanning(8000)
    soundfile.write(str(tmp_path / f"a.{extension}"), sound, RATE)
    whole = (tmp_path / f"a.{extension}").read_bytes()
    refused = 0
    for length in np.linspace(1, len(whole) - 1, 100).astype(int):
        (tmp_path / "cut.wav").write_bytes(whole[:length])
        refused += refusal(tmp_path / "cut.wav") is not None
    if extension == "flac":
        assert refused == 100  # its header tells the length, so that nothing is lost unnoticed
    tell(100, f"{extension}: {refused} refused, {100 - refused} read as far as they go")


# --- headers that lie -------------------------------------------------------------------------


def wav(data: bytes, rate=RATE, channels=1, bits=16, size=None, align=None, riff=b"RIFF") -> bytes:
    align = channels * bits // 8 if align is None else align
    size = len(data) if size is None else size
    form = struct.pack("<HHIIHH", 1, channels & 0xFFFF, rate, 0, align & 0xFFFF, bits)
    chunks = b"WAVEfmt \x10\x00\x00\x00" + form + b"data" + struct.pack("<I", size) + data
    return riff + struct.pack("<I", min(len(chunks), 0xFFFFFFFF)) + chunks


def au(channels: int, rate: int = RATE, size: int = 0xFFFFFFFF) -> bytes:
    return b".snd" + struct.pack(">IIIII", 24, size, 3, rate, channels) + bytes(1000)


def flac(channels: int, frames: int) -> bytes:
    """A FLAC whose header promises what is not there."""
    packed = (RATE << 44) | ((channels - 1) << 41) | (15 << 36) | frames
    info = struct.pack(">HH", 4096, 4096) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)
    return b"fLaC\x80\x00\x00\x22" + info + b"\xff\xf8\xc9\x08" + bytes(100)


LIES = {
    "4 GB of sound": wav(bytes(1000), size=0xFFFF_FFF0),
    "2 GB of sound": wav(bytes(1000), size=0x7FFE_0000),
    "65,535 channels": wav(bytes(1000), channels=65535),
    "1,024 channels": wav(bytes(4096), channels=1024, size=0xF000_0000),
    "1,000,000,000 channels": au(1_000_000_000),
    "1,000 channels and 4 GB": au(1000),
    "no channels": wav(bytes(1000), channels=0),
    "no bits": wav(bytes(1000), bits=0),
    "255 bits": wav(bytes(1000), bits=255),
    "blocks of no bytes": wav(bytes(1000), align=0),
    "a sample rate of 0 Hz": wav(bytes(1000), rate=0),
    "a sample rate of 2 GHz": wav(bytes(1000), rate=2_000_000_000),
    "a sample rate of 4 GHz": wav(bytes(1000), rate=4_294_967_295),
    "an AU at 2 GHz": au(1, rate=2_000_000_000, size=1000),
    "RF64 without its sizes": wav(bytes(1000), size=0xFFFFFFFF, riff=b"RF64"),
    "68,719,476,735 FLAC samples": flac(8, 2**36 - 1),
    "8 FLAC channels": flac(8, 1_000_000_000),
}


def test_headers_that_promise_too_much_take_no_memory(run_bounded, tell, tmp_path):
    for number, content in enumerate(LIES.values()):
        (tmp_path / f"{number:02d}.wav").write_bytes(content)
    lines = """
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        waveform, sample_rate = audio.load(path)
        pictures.log_mel_pictures([audio.to_mono(waveform)], sample_rate)
        print("read")
    except AudioError as error:
        print(error)
print((peak() - before) // 2**20)
"""
    *answers, growth = run_bounded(lines, tmp_path).splitlines()
    assert len(answers) == len(LIES) and int(growth) < 300
    refused = [answer for answer in answers if answer != "read"]
    assert all(is_one_sentence(sentence) for sentence in refused)
    for name in ("1,000,000,000 channels", "a sample rate of 2 GHz", "68,719,476,735 FLAC samples"):
        assert answers[list(LIES).index(name)] != "read", name
    tell(
        len(LIES), f"{len(refused)} refused in a sentence, the others hold some sound, below 300 MB"
    )


@pytest.mark.parametrize("promised", [0, 10, 15_998, 0x7FFF_FFFF])
def test_a_wav_whose_header_promises_another_length_is_read_or_refused(tmp_path, tell, promised):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(np.arange(8000, dtype="<i2").tobytes(), size=promised))
    sentence = refusal(path)
    if promised == 0x7FFF_FFFF:  # as a recorder writes that was not closed
        assert sentence is None and audio.load(path)[0].shape == (1, 8000)
    tell(1, f"{promised:,} bytes promised of 16,000: {'refused' if sentence else 'read'}")


# --- long -------------------------------------------------------------------------------------


def two_hours(path: Path) -> None:
    """A sparse file: two hours of silence that takes no place on the disk."""
    bytes_of_sound = 2 * 3600 * RATE * 2
    with path.open("wb") as file:
        file.write(wav(b"", size=bytes_of_sound)[:4] + struct.pack("<I", bytes_of_sound + 36))
        file.write(wav(b"", size=bytes_of_sound)[8:])
        file.truncate(44 + bytes_of_sound)


def test_two_hours_are_refused_with_the_cure_and_read_in_parts(run_bounded, tell, tmp_path):
    two_hours(tmp_path / "long.wav")
    lines = """
path, read = Path(sys.argv[1]), 0
try:
    audio.load(path)
except AudioError as error:
    print(error)
print((peak() - before) // 2**20)
while read < 2 * 3600 * 16000:
    part, _ = audio.load(path, frame_offset=read, num_frames=600 * 16000)
    read += part.shape[1]
print(read)
print((peak() - before) // 2**20)
"""
    sentence, refusing, read, parts = run_bounded(lines, tmp_path / "long.wav").splitlines()
    assert "120 minutes" in sentence and "num_frames" in sentence and is_one_sentence(sentence)
    assert int(read) == 2 * 3600 * RATE
    assert int(refusing) < 20 and int(parts) < 300
    tell(1, "refused whole with the cure; read in parts of 10 minutes in less than 300 MB")


# --- short, silent, loud ----------------------------------------------------------------------

SOUNDS = {
    "one sample": np.array([0.5]),
    "two samples": np.array([0.5, -0.5]),
    "shorter than a window": np.random.default_rng(0).normal(size=300) * 0.1,
    "silence": np.zeros(8000),
    "constant": np.full(8000, 0.25),
    "clipped": np.sign(np.sin(np.arange(8000) / 20)),
    "with a DC offset": 0.4 + 0.1 * np.sin(np.arange(8000) / 20),
    "one click in silence": np.eye(1, 8000, 4000)[0],
    "the least bit": np.eye(1, 8000, 4000)[0] / 32768,
}


@pytest.mark.parametrize("rate", [1, 50, 8000, 16000, 192000])
@pytest.mark.parametrize("name", SOUNDS)
def test_sounds_without_much_in_them_give_finite_pictures(tmp_path, tell, name, rate):
    soundfile.write(str(tmp_path / "a.wav"), SOUNDS[name], rate)
    waveform, sample_rate = audio.load(tmp_path / "a.wav")
    assert features.to_db(features.spectrogram(waveform)).isfinite().all()
    assert pictures.log_mel_pictures([waveform], sample_rate).isfinite().all()
    picture, _ = pictures.picture_and_word(waveform[:, :300], sample_rate, kind="notes")
    assert picture.isfinite().all()
    recogniser = Recogniser(models.LeNet5(), list("0123456789"), RECIPES["lenet"])
    heard = recogniser.recognise(*audio.load(tmp_path / "a.wav"))
    assert heard.word is None or heard.word in recogniser.words
    if waveform.shape[1] / sample_rate <= audio.MAX_PLAY_SECONDS:
        assert "audio/mpeg" in audio.play(waveform, sample_rate).data
    tell(1, "read, drawn, recognised and played")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38, -1e12, 1e300])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_samples_that_are_no_numbers_or_no_sound_are_refused(tmp_path, tell, value, subtype):
    sound = np.zeros(100)
    sound[50] = value
    with np.errstate(over="ignore"):
        soundfile.write(str(tmp_path / "a.wav"), sound, RATE, subtype=subtype)
    assert "samples" in (refusal(tmp_path / "a.wav") or "")
    tell(1, "refused in a sentence")


# --- names ------------------------------------------------------------------------------------

NAMES = [
    "a b  c.wav",
    'it\'s "quoted".wav',
    "数字 七.wav",
    "🎤👩‍🏫.wav",
    "-rf.wav",
    "--help.wav",
    "<img src=x onerror=alert(1)>.wav",
    "$(touch ran).wav",
    "`touch ran`;&|.wav",
    "%s%n{0}{x}.wav",
    "$\\frac{$ a_b^.wav",
    "new\nline\ttab.wav",
    "é as two.wav".replace("é", "e\u0301"),
    "n" * 251 + ".wav",
    "语" * 83 + "nn.wav",
]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_any_name_is_saved_read_and_refused_as_a_name(tmp_path, monkeypatch, tell, name):
    monkeypatch.chdir(tmp_path)
    audio.save(name, torch.rand(1, 1000) - 0.5, RATE)
    assert audio.load(name)[0].shape == (1, 1000)
    (tmp_path / name).write_bytes(b"no sound")
    with pytest.raises(AudioError) as caught:
        audio.load(name)
    assert "\n" not in str(caught.value), "a line break in a name must not break the sentence"
    tell(3, "saved, read, and named in one line when damaged")


@pytest.mark.parametrize("name", ["n" * 252 + ".wav", "语" * 100 + ".wav"])
def test_a_name_that_is_too_long_is_refused_in_a_sentence(tmp_path, tell, name):
    with pytest.raises(AudioError, match="shorter name") as caught:
        audio.save(tmp_path / name, torch.zeros(1, 10), RATE)
    assert list(tmp_path.iterdir()) == []
    sentence = refusal(tmp_path / name)
    assert sentence and is_one_sentence(str(caught.value))
    tell(2, "refused in a sentence, nothing left behind")


@needs_ffmpeg
@pytest.mark.skipif(shutil.which("bash") is None, reason="runs the cure in bash")
@pytest.mark.parametrize(
    "name",
    ["plain.wav", "a b.mp3", "-rf.mp3", "it's.m4a", '"q".wav', "$(touch ran).mp3", "语音.m4a"]
    + ["`touch ran`.mp3", "a:b.mp3", "-a:b.wav"],
)
def test_the_cure_for_m4a_works_as_it_is_printed(tmp_path, tell, name):
    """An M4A that a phone made, perhaps renamed; the command in the message is run in a shell."""
    speak(tmp_path / "source.wav", seconds=0.5)
    made = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "source.wav"), "-f", "mp4"]
    subprocess.run([*made, str(tmp_path / "made")], check=True)
    (tmp_path / "made").rename(tmp_path / name)
    (tmp_path / "source.wav").unlink()
    sentence = refusal(tmp_path / name)
    assert sentence and "M4A" in sentence
    command = sentence.split("convert it with `", 1)[1].rsplit("`, or save", 1)[0]
    subprocess.run(
        ["bash", "-c", command.replace("ffmpeg", "ffmpeg -v error", 1)],
        cwd=tmp_path, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    converted = [path for path in tmp_path.glob("*.wav") if path.name != name]
    assert len(converted) == 1 and refusal(converted[0]) is None
    assert not (tmp_path / "ran").exists(), "a part of the name was run as a command"
    tell(1, "the printed command made a WAV that is read")


# --- permissions ------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_file_without_permission_is_refused_for_somebody_who_is_not_root(run_as_nobody, tell):
    folder = run_as_nobody.folder
    speak(folder / "secret.wav")
    (folder / "secret.wav").chmod(0)
    answers = run_as_nobody(
        "for work in (lambda: (folder / 'secret.wav').read_bytes(),\n"
        "             lambda: audio.load(folder / 'secret.wav'),\n"
        "             lambda: audio.save(locked / 'a.wav', torch.zeros(1, 9), 16000),\n"
        "             lambda: recordings.SpokenWords(folder / 'closed', 'speaker_digit')):\n"
        "    try: work(); print('worked')\n"
        "    except (CourseError, PermissionError) as e: print(e)\n"
        if (folder / "closed").mkdir(mode=0) is None
        else ""
    ).splitlines()
    assert "Permission denied" in answers[0]  # a plain read fails
    assert "may not be read" in answers[1] and is_one_sentence(answers[1])
    assert "cannot be written" in answers[2] and is_one_sentence(answers[2])
    assert "closed" in answers[3] and is_one_sentence(answers[3])
    tell(3, "file, folder to write and folder to list refused in a sentence each")


def test_warnings_are_sentences_too(tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        audio.save(tmp_path / "a.wav", torch.full((1, 10), 2.0), RATE)
    assert is_one_sentence(str(caught[0].message))
