"""Sounds that other programs make: each is read whole, or refused with the truth."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from fault_tools import is_one_sentence

from course_utils import audio
from course_utils.audio import AudioError

PROGRAMS = ("sox", "lame", "ffmpeg")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, PROGRAMS)), reason=f"needs {', '.join(PROGRAMS)} to make sounds"
)
RATE = 16000


def run(command: str, folder: Path) -> None:
    """Run a line of a shell in a folder; what the programs tell is not shown."""
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr[-500:]}"


def samples(path: Path) -> int | str:
    """Return how many samples are read, or the sentence."""
    try:
        waveform, _ = audio.load(path)
    except AudioError as error:
        assert is_one_sentence(str(error)), error
        return str(error)
    assert waveform.isfinite().all()
    return waveform.shape[1]


@pytest.fixture
def four_seconds(tmp_path):
    """Four seconds of noise, 64,000 samples, as s.wav."""
    run(f"sox -n -r {RATE} -c 1 -b 16 s.wav synth 4 pinknoise", tmp_path)
    return tmp_path


# --- MP3 --------------------------------------------------------------------------------------

MADE = {
    "lame, constant": "lame --resample {khz} -b 64 a.wav a.mp3",
    "lame, constant, without Info": "lame --resample {khz} -b 64 -t a.wav a.mp3",
    "lame, average": "lame --resample {khz} --abr 56 a.wav a.mp3",
    "lame, average, without Info": "lame --resample {khz} --abr 56 -t a.wav a.mp3",
    "lame, variable": "lame --resample {khz} -V 5 a.wav a.mp3",
    "lame, variable, without Xing": "lame --resample {khz} -V 5 -t a.wav a.mp3",
    "lame, through a pipe": "lame --resample {khz} -V 5 a.wav - | cat > a.mp3",
    "sox": "sox a.wav a.mp3",
    "sox, variable": "sox a.wav -C -4.2 a.mp3",
    "ffmpeg, constant": "ffmpeg -y -i a.wav -b:a 64k a.mp3",
    "ffmpeg, variable, without Xing": "ffmpeg -y -i a.wav -q:a 5 -write_xing 0 a.mp3",
    "ffmpeg, variable, ID3": "ffmpeg -y -i a.wav -q:a 5 -metadata title=a -write_id3v1 1 a.mp3",
    "ffmpeg, average": "ffmpeg -y -i a.wav -abr 1 -b:a 56k a.mp3",
    "ffmpeg, through a pipe": "ffmpeg -y -i a.wav -f mp3 - | cat > a.mp3",
}
QUICK = ["lame, constant", "lame, variable, without Xing", "sox", "ffmpeg, variable, without Xing"]
RATES = [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000]


def seven_bits(number: int) -> bytes:
    return bytes(number >> shift & 127 for shift in (21, 14, 7, 0))


def coats(mp3: bytes) -> dict[str, bytes]:
    """Return the bytes of an MP3 with what may stand before and behind it."""
    noise = random.Random(0).randbytes
    picture = b"\0image/jpeg\0\x03\0" + noise(3000) + b"\xff\xfb\x90\x64" + noise(3000)
    picture = b"APIC" + seven_bits(len(picture)) + b"\0\0" + picture + bytes(200)
    id3v2 = b"ID3\x04\0\0" + seven_bits(len(picture)) + picture
    id3v1 = b"TAG" + bytes(125)
    item = struct.pack("<II", 5, 0) + b"Title\0hello"
    begin, end = (
        b"APETAGEX" + struct.pack("<IIII", 2000, len(item) + 32, 1, flags) + bytes(8)
        for flags in (0xA0000000, 0x80000000)
    )
    ape = begin + item + end
    return {
        "nothing": mp3,
        "ID3v1": mp3 + id3v1,
        "ID3v2 with a picture": id3v2 + mp3,
        "two ID3v2": id3v2 + id3v2 + mp3,
        "APE": mp3 + ape,
        "APE and ID3v1": mp3 + ape + id3v1,
        "APE before": ape + mp3,
        "junk before": noise(777) + mp3,
        "zeros before": bytes(5000) + mp3,
        "ID3v2 and zeros before": id3v2 + bytes(1000) + mp3,
        "junk behind": mp3 + noise(777),
        "zeros behind": mp3 + bytes(5000),
        "everything": id3v2 + noise(300) + mp3 + bytes(700) + ape + id3v1,
        "a start in mid-frame": mp3[len(mp3) // 3 + 37 :],
    }


def ffmpeg_samples(path: Path, channels: int) -> int:
    command = ["ffmpeg", "-v", "error", "-f", "mp3", "-i", str(path), "-f", "s16le", "-"]
    return len(subprocess.run(command, capture_output=True).stdout) // 2 // channels


def sweep(folder: Path, rate: int, channels: int, makers: list[str]) -> tuple[int, list[str]]:
    """Return how many MP3s were tried, and those whose length is not what ffmpeg decodes."""
    tried, wrong = 0, []
    frame = 1152 if rate >= 32000 else 576
    run(f"sox -n -r {rate} -c {channels} a.wav synth 2.5 pinknoise vol 0.5", folder)
    for maker in makers:
        run(MADE[maker].format(khz=rate / 1000), folder)
        right = ffmpeg_samples(folder / "a.mp3", channels)
        assert abs(right - 2.5 * rate) < 4 * frame, "the programs made what was wanted"
        for coat, content in coats((folder / "a.mp3").read_bytes()).items():
            (folder / "b.mp3").write_bytes(content)
            if "mid-frame" in coat:
                right = ffmpeg_samples(folder / "b.mp3", channels)
            got = samples(folder / "b.mp3")
            tried += 1
            if isinstance(got, str) or abs(got - right) > 2 * frame:
                wrong.append(f"{maker}, {coat}: {got}, not {right}")
    return tried, wrong


@pytest.mark.parametrize(("rate", "channels"), [(11025, 1), (44100, 2)])
def test_mp3s_of_four_makers_are_as_long_as_ffmpeg_decodes_them(tmp_path, tell, rate, channels):
    tried, wrong = sweep(tmp_path, rate, channels, QUICK)
    assert not wrong, f"{len(wrong)} of {tried}: {wrong[:9]}"
    tell(tried, "as long as ffmpeg's, to within two frames")


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_mp3s_of_every_kind_are_as_long_as_ffmpeg_decodes_them(tmp_path, tell, rate, channels):
    tried, wrong = sweep(tmp_path, rate, channels, list(MADE))
    assert not wrong, f"{len(wrong)} of {tried}: {wrong[:9]}"
    tell(tried, "as long as ffmpeg's, to within two frames")


def test_an_mp3_that_sox_wrote_holds_its_three_seconds(tmp_path, tell):
    run("sox -n -r 44100 -c 1 t.wav synth 3 sine 440; sox t.wav t.mp3", tmp_path)
    got = samples(tmp_path / "t.mp3")
    assert isinstance(got, int) and 3 * 44100 <= got <= 3 * 44100 + 2 * 1152, got
    tell(1, "read whole")


@pytest.mark.parametrize("coat", ["ID3v2 with a picture", "junk before", "everything"])
def test_what_stands_around_an_mp3_changes_no_sample(four_seconds, tell, coat):
    run("lame -V 5 --resample 16 s.wav a.mp3", four_seconds)
    alone, _ = audio.load(four_seconds / "a.mp3")
    coated = coats((four_seconds / "a.mp3").read_bytes())[coat]
    (four_seconds / "a.mp3").write_bytes(coated)
    assert samples(four_seconds / "a.mp3") == 64000  # Info tells what the encoder added
    assert torch.equal(audio.load(four_seconds / "a.mp3")[0], alone)
    tell(1, "equal, sample by sample")


def test_a_part_of_a_variable_mp3_without_xing_is_the_part_of_the_whole(four_seconds, tell):
    run("lame -V 5 --resample 16 -t s.wav a.mp3", four_seconds)
    assert abs(int(samples(four_seconds / "a.mp3")) - 64000) < 3 * 576
    whole, _ = audio.load(four_seconds / "a.mp3")
    part, _ = audio.load(four_seconds / "a.mp3", frame_offset=50_000, num_frames=9_000)
    assert (part - whole[:, 50_000:59_000]).abs().max() < 1e-4
    tell(1, "the same samples")


def test_mp3s_behind_each_other_are_read_one_after_the_other(four_seconds, tell):
    run("lame -V 5 --resample 16 s.wav a.mp3; cat a.mp3 a.mp3 > two.mp3", four_seconds)
    got = samples(four_seconds / "two.mp3")
    assert isinstance(got, int) and abs(got - 2 * 64000) < 4 * 576, got
    run("lame -V 5 --resample 22.05 s.wav b.mp3; cat a.mp3 b.mp3 > two.mp3", four_seconds)
    assert "in the middle" in str(samples(four_seconds / "two.mp3"))
    tell(2, "read, or refused where the sample rate changes")


def test_an_mp3_in_a_wav_is_read_whole(four_seconds, tell):
    run("ffmpeg -y -i s.wav -ar 44100 -c:a libmp3lame a.wav", four_seconds)
    got = samples(four_seconds / "a.wav")
    assert isinstance(got, int) and abs(got - 4 * 44100) <= 2 * 1152, got
    tell(1, "read whole")


def test_layer_two_is_read_and_free_format_is_refused_by_name(four_seconds, tell):
    run("ffmpeg -y -i s.wav -c:a mp2 -f mp2 a.mp3", four_seconds)
    assert abs(int(samples(four_seconds / "a.mp3")) - 64000) <= 2 * 1152
    run("lame --freeformat -b 200 -t s.wav a.mp3", four_seconds)
    assert "free format" in str(samples(four_seconds / "a.mp3"))
    tell(2, "read; refused")


BROKEN_MP3 = """
import random
content = Path(sys.argv[1]).read_bytes()
chance = random.Random(0)
for number in range(60):
    damaged = bytearray(content[chance.randrange(3000) * (number % 3 > 0) :])
    for _ in range(number % 7):
        damaged[chance.randrange(len(damaged))] ^= 255
    Path(sys.argv[2]).write_bytes(damaged[: chance.randrange(5000, len(damaged))])
    try:
        audio.load(Path(sys.argv[2]))
    except AudioError:
        pass
print("the end", file=sys.stderr)
"""


def test_the_decoder_of_mp3_writes_nothing_to_standard_error(four_seconds, tell):
    run("lame -V 5 --resample 16 s.wav a.mp3", four_seconds)
    lines = "import sys\nfrom pathlib import Path\nfrom course_utils import audio\n"
    lines += "from course_utils.audio import AudioError\n" + BROKEN_MP3
    command = [sys.executable, "-c", lines, four_seconds / "a.mp3", four_seconds / "b.mp3"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stderr == "the end\n"
    tell(60, "not a word, and the next line of Python is seen again")


# --- cut files --------------------------------------------------------------------------------

TOLD = {  # these formats tell how long they are
    "AIFF": "sox s.wav -t aiff f",
    "AIFF-C": "sox s.wav -t aifc f",
    "AU": "sox s.wav -t au f",
    "W64": "sox s.wav -t w64 f",
    "CAF": "sox s.wav -t caf f",
    "NIST": "sox s.wav -t nist f",
    "8SVX": "sox s.wav -t 8svx f",
    "AVR": "sox s.wav -t avr f",
    "VOC": "sox s.wav -t voc f",
    "FLAC": "sox s.wav -t flac f",
    "Ogg Vorbis": "sox s.wav -t ogg f",
    "WAV": "ffmpeg -y -i s.wav -f wav f",
    "RF64": "ffmpeg -y -i s.wav -rf64 always -f wav f",
    "AIFF of ffmpeg": "ffmpeg -y -i s.wav -f aiff f",
    "AU of ffmpeg": "ffmpeg -y -i s.wav -c:a pcm_s16be -f au f",
    "W64 of ffmpeg": "ffmpeg -y -i s.wav -f w64 f",
    "CAF of ffmpeg": "ffmpeg -y -i s.wav -f caf f",
    "Ogg Vorbis through a pipe": "ffmpeg -y -i s.wav -c:a libvorbis -f ogg - | cat > f",
    "Opus": "ffmpeg -y -i s.wav -c:a libopus -f ogg f",
    "FLAC through a pipe": "ffmpeg -y -i s.wav -f flac - | cat > f",
    "MP3 with Info": "lame --resample 16 -b 64 s.wav f",
}


@pytest.mark.parametrize("kind", TOLD)
def test_a_file_that_is_cut_is_refused_where_it_tells_its_length(four_seconds, tell, kind):
    run(TOLD[kind], four_seconds)
    path, whole = four_seconds / "f", (four_seconds / "f").read_bytes()
    assert samples(path) == 64000
    for length in (len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        got = samples(path)
        if kind == "VOC" and length == len(whole) - 1:  # sox tells eight bytes too few
            assert got == 63999
        else:
            assert "cut off" in str(got), f"{length} bytes of {len(whole)}: {got}"
    tell(3, "read whole; refused by half and without the last byte (VOC: without nine)")


NOT_TOLD = {  # and these do not
    "WAV through a pipe": "ffmpeg -y -i s.wav -f wav - | cat > f",
    "AIFF through a pipe": "ffmpeg -y -i s.wav -f aiff - | cat > f",
    "AU through a pipe": "ffmpeg -y -i s.wav -c:a pcm_s16be -f au - | cat > f",
    "W64 through a pipe": "ffmpeg -y -i s.wav -f w64 - | cat > f",
    "IRCAM": "sox s.wav -t ircam f",
    "PAF": "sox s.wav -t paf f",
    "PVF": "sox s.wav -t pvf f",
    "XI": "sox s.wav -t xi f",
    "MP3 without Info": "lame --resample 16 -t s.wav f",
}


@pytest.mark.parametrize("kind", NOT_TOLD)
def test_a_cut_cannot_be_known_where_no_length_is_told(four_seconds, tell, kind):
    run(NOT_TOLD[kind], four_seconds)
    path, whole = four_seconds / "f", (four_seconds / "f").read_bytes()
    assert abs(int(samples(path)) - 64000) < 2 * 576
    path.write_bytes(whole[: len(whole) // 2])
    got = samples(path)
    assert isinstance(got, int) and abs(got - 32000) < 1000, got
    tell(2, f"{kind}: half a file is read as half a sound")


def test_a_flac_of_unknown_length_is_read_whole_and_in_parts(four_seconds, tell):
    run("ffmpeg -i s.wav -f flac - > p.flac", four_seconds)
    assert samples(four_seconds / "p.flac") == 64000
    whole, _ = audio.load(four_seconds / "s.wav")
    assert torch.equal(audio.load(four_seconds / "p.flac")[0], whole)
    for offset in (0, 1, 30_000, 63_999):
        part, _ = audio.load(four_seconds / "p.flac", frame_offset=offset, num_frames=100)
        assert torch.equal(part, whole[:, offset : offset + 100])
    with pytest.raises(AudioError, match="has 64000 samples"):
        audio.load(four_seconds / "p.flac", frame_offset=64_000)
    tell(6, "the samples of the WAV")


@pytest.mark.parametrize("kind", ["vorbis", "opus"])
def test_sounds_behind_each_other_in_an_ogg_are_refused(four_seconds, tell, kind):
    made = f"ffmpeg -y -i s.wav -c:a lib{kind} -f ogg"
    run(f"{made} a; {made} -serial_offset 5 b; cat a b > two.ogg", four_seconds)
    assert "ffmpeg -i two.ogg two.wav" in str(samples(four_seconds / "two.ogg"))
    tell(1, "refused with the command that reads all")


def test_a_voc_of_many_blocks_is_refused(four_seconds, tell):
    run("ffmpeg -y -i s.wav -f voc f", four_seconds)
    assert "ffmpeg -i f f.wav" in str(samples(four_seconds / "f"))
    tell(1, "refused: libsndfile plays the heads of blocks as clicks")


@pytest.mark.parametrize("more", [36, 44, 1000])
def test_a_wav_that_is_whole_is_read_though_its_data_size_is_too_large(tmp_path, tell, more):
    soundfile.write(tmp_path / "a.wav", np.arange(8000, dtype="int16"), RATE)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[40:44] = struct.pack("<I", 16000 + more)
    (tmp_path / "a.wav").write_bytes(content)
    assert samples(tmp_path / "a.wav") == 8000
    content[40:44] = struct.pack("<I", 16000)
    (tmp_path / "a.wav").write_bytes(content[:-more])
    assert "cut off" in str(samples(tmp_path / "a.wav"))
    tell(2, "read; and refused where as many bytes are missing")


# --- no sounds --------------------------------------------------------------------------------

MISTAKEN = {
    "AAC": ("ffmpeg -y -i s.wav -f adts f", "an AAC file", "ffmpeg -i f f.wav"),
    "Speex": ("ffmpeg -y -i s.wav -c:a libspeex -f ogg f", "a Speex file", "ffmpeg -i f f.wav"),
    "Ogg FLAC": ("ffmpeg -y -i s.wav -c:a flac -f ogg f", "FLAC inside", "ffmpeg -i f f.wav"),
    "AVI": ("ffmpeg -y -i s.wav -f avi f", "sound or film", "ffmpeg -i f f.wav"),
    "WavPack": ("ffmpeg -y -i s.wav -c:a wavpack -f wv f", "sound or film", "ffmpeg -i f f.wav"),
    "gzip": ("gzip -c s.wav > f", "packed by gzip", "gunzip"),
    "a pointer of Git LFS": (
        "printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:1\\nsize 9\\n' > f",
        "Git LFS",
        "git lfs pull",
    ),
    "HTML with a mark": (
        "printf '\\357\\273\\277<!DOCTYPE html><html></html>' > f",
        "a web page",
        "download",
    ),
    "JSON": ("""printf '{"message": "Not Found"}' > f""", "or a text", "download"),
    "text of Windows": ("printf '\\377\\376n\\000o\\000' > f", "a text", "download"),
}


@pytest.mark.parametrize("kind", MISTAKEN)
def test_what_is_no_sound_is_called_by_its_name_with_a_cure(four_seconds, tell, kind):
    command, name, cure = MISTAKEN[kind]
    run(command, four_seconds)
    sentence = str(samples(four_seconds / "f"))
    assert name in sentence and cure in sentence, sentence
    if cure.startswith("ffmpeg"):
        run(cure, four_seconds)
        assert abs(int(samples(four_seconds / "f.wav")) - 64000) < 6000
    tell(1, "named, with its cure")
