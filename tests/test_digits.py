"""Folders of recordings: names, splits, pictures and their cache."""

import multiprocessing
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from course_utils import digits, features
from course_utils.digits import DataError, SpokenDigits


def write(path: Path, seconds: float = 0.3, rate: int = 8000, seed: int = 0) -> None:
    """Write noise that swells and fades, so that something seems to be said."""
    noise = np.random.default_rng(seed).normal(size=int(seconds * rate))
    sound = 0.2 * noise * np.hanning(len(noise)) ** 2
    kind = {".flac": "FLAC", ".mp3": "MP3"}.get(path.suffix.lower(), "WAV")
    soundfile.write(str(path), sound.clip(-1, 1), rate, format=kind)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Twelve people who say ten digits, in two families."""
    folder = tmp_path / "people"
    folder.mkdir()
    rows = ["file,language,speaker,family,part,sha256"]
    for person in range(12):
        for digit in range(10):
            name = f"p{person:02d}_{digit}.wav"
            write(folder / name, seed=10 * person + digit)
            rows.append(f"people/{name},en,p{person:02d},{'ab'[person % 2]},train,0")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def takes(tmp_path: Path) -> Path:
    folder = tmp_path / "takes"
    folder.mkdir()
    for person in ("ann", "bob", "eve"):
        for digit in range(10):
            for take in range(4):
                write(folder / f"{digit}_{person}_{take}.wav", seed=take)
    return folder


# Names


def test_a_name_that_fits_both_layouts_is_read_as_told(tmp_path):
    write(tmp_path / "0_jackson_3.wav")
    by_speaker = SpokenDigits(tmp_path, layout="speaker_digit")
    by_take = SpokenDigits(tmp_path, layout="digit_speaker_take")
    assert (by_speaker.digits.tolist(), by_speaker.speakers) == ([3], ["0_jackson"])
    assert (by_take.digits.tolist(), by_take.speakers, by_take.takes) == ([0], ["jackson"], [3])


def test_other_things_in_the_folder_do_no_harm(tmp_path):
    write(tmp_path / "王小明_7.WAV")
    write(tmp_path / "zoé_1.flac")
    write(tmp_path / "li hua_2.mp3", rate=16000)
    for name in (".DS_Store", "Thumbs.db", "._zoé_1.wav", "README.md", "manifest.txt"):
        (tmp_path / name).write_bytes(b"no sound")
    (tmp_path / "more_5.wav").mkdir()
    data = SpokenDigits(tmp_path, layout="speaker_digit")
    assert data.speakers == ["li hua", "zoé", "王小明"]
    assert data.digits.tolist() == [2, 1, 7]
    assert all(waveform.shape[0] == 1 for waveform, _ in (data[i] for i in range(3)))


def test_the_order_is_that_of_the_names_however_files_were_made(tmp_path):
    for name in ("c_1", "a_2", "B_3", "a_0"):
        write(tmp_path / f"{name}.wav")
    names = [path.name for path in SpokenDigits(tmp_path, "speaker_digit").paths]
    assert names == sorted(names)


def test_a_folder_like_fsdd_with_its_recordings_below(takes):
    takes.rename(takes.parent / "recordings")
    assert len(SpokenDigits(takes.parent, layout="digit_speaker_take")) == 120


def test_all_bad_files_are_named_in_one_error(people):
    write(people / "nobody.wav")
    write(people / "anna_12_x.wav")
    (people / "eve_3.wav").write_text("<html>404</html>", encoding="utf-8")
    (people / "eve_4.wav").touch()
    (people / "eve_5.m4a").write_bytes(b"0000ftypM4A ")
    with pytest.raises(DataError) as caught:
        SpokenDigits(people, layout="speaker_digit")
    message = str(caught.value)
    for name in ("nobody.wav", "anna_12_x.wav", "eve_3.wav", "eve_4.wav", "eve_5.m4a"):
        assert name in message
    assert "5 files" in message


def test_bad_files_can_be_left_out_with_a_warning(people):
    (people / "eve_3.wav").write_text("no sound", encoding="utf-8")
    with pytest.warns(UserWarning, match="eve_3.wav"):
        data = SpokenDigits(people, layout="speaker_digit", unreadable="skip")
    assert len(data) == 120


def test_sounds_that_break_off_are_all_named_before_any_training(people):
    for name in ("p00_1.wav", "p11_2.wav"):
        (people / name).write_bytes((people / name).read_bytes()[:100])
    with pytest.raises(DataError, match=r"(?s)p00_1\.wav.*p11_2\.wav"):
        digits.pictures(SpokenDigits(people, layout="speaker_digit"))


@pytest.mark.parametrize("layout", ["", "auto", "FSDD"])
def test_an_unknown_layout_is_refused(people, layout):
    with pytest.raises(DataError, match="use one of speaker_digit"):
        SpokenDigits(people, layout=layout)


def test_folders_without_sound(tmp_path):
    with pytest.raises(DataError, match="holds no WAV"):
        SpokenDigits(tmp_path, layout="speaker_digit")
    with pytest.raises(DataError, match="is not a folder"):
        SpokenDigits(tmp_path / "none", layout="speaker_digit")


def test_families_come_from_the_manifest(people):
    data = SpokenDigits(people, layout="speaker_digit")
    assert {s: f for s, f in zip(data.speakers, data.families, strict=True)}["p03"] == "b"
    (people.parent / "manifest.csv").unlink()
    data = SpokenDigits(people, layout="speaker_digit")
    assert data.families == data.speakers


def test_items_are_mono_at_the_rate_asked_for(tmp_path):
    stereo = np.stack([np.full(4410, 0.5), np.zeros(4410)], axis=1)
    soundfile.write(str(tmp_path / "ann_4.wav"), stereo, 44100)
    waveform, digit = SpokenDigits(tmp_path, layout="speaker_digit", sample_rate=16000)[0]
    assert waveform.shape == (1, 1600)
    assert digit == 4
    assert float(waveform[0, 800]) == pytest.approx(0.25, abs=0.01)


def test_the_dataset_works_in_spawned_workers(people):
    data = SpokenDigits(people, layout="speaker_digit")
    loader = torch.utils.data.DataLoader(
        data, batch_size=None, num_workers=1, multiprocessing_context="spawn"
    )
    assert [digit for _, digit in loader] == data.digits.tolist()


# Splits


def disjoint(split: digits.Split) -> bool:
    parts = [set(part) for part in split]
    return sum(map(len, parts)) == len(set.union(*parts))


def speakers_of(data: SpokenDigits, clips: list[int]) -> set[str]:
    return {data.speakers[i] for i in clips}


@pytest.mark.parametrize("seed", range(5))
def test_split_by_clip_is_stratified_and_seeded(people, seed):
    data = SpokenDigits(people, layout="speaker_digit")
    split = digits.split_by_clip(data, seed)
    assert disjoint(split) and sum(map(len, split)) == len(data)
    assert split == digits.split_by_clip(data, seed)
    assert split != digits.split_by_clip(data, seed + 1)
    for part in split:
        counts = data.digits[part].bincount(minlength=10)
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("seed", range(5))
def test_split_by_speaker_keeps_everybody_on_one_side(people, seed):
    data = SpokenDigits(people, layout="speaker_digit")
    split = digits.split_by_speaker(data, "p04", seed)
    assert disjoint(split) and sum(map(len, split)) == len(data)
    sides = [speakers_of(data, part) for part in split]
    assert sides[2] == {"p04"}
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]


def test_split_by_family_keeps_families_and_speakers_on_one_side(people):
    data = SpokenDigits(people, layout="speaker_digit")
    split = digits.split_by_family(data, "a")
    assert disjoint(split) and sum(map(len, split)) == len(data)
    assert {data.families[i] for i in split.test} == {"a"}
    assert {data.families[i] for i in split.train + split.valid} == {"b"}
    assert not speakers_of(data, split.train) & speakers_of(data, split.valid)


def test_a_speaker_of_two_families_is_not_on_both_sides(people):
    data = SpokenDigits(people, layout="speaker_digit")
    data.families[data.speakers.index("p01")] = "a"
    split = digits.split_by_family(data, "a")
    assert "p01" not in speakers_of(data, split.train + split.valid)


def test_split_by_takes(takes):
    data = SpokenDigits(takes, layout="digit_speaker_take")
    split = digits.split_by_takes(data, 1, 2)
    assert disjoint(split) and sum(map(len, split)) == len(data)
    assert {data.takes[i] for i in split.test} == {1, 2}
    assert {data.takes[i] for i in split.train + split.valid} == {0, 3}
    with pytest.raises(DataError, match="the part to train is empty"):
        digits.split_official(data)


def test_split_official_is_takes_0_to_4(tmp_path):
    for take in range(7):
        for digit in range(10):
            write(tmp_path / f"{digit}_ann_{take}.wav")
    data = SpokenDigits(tmp_path, layout="digit_speaker_take")
    split = digits.split_official(data)
    assert {data.takes[i] for i in split.test} == {0, 1, 2, 3, 4}
    assert disjoint(split) and sum(map(len, split)) == 70


def test_split_all_has_no_test(people):
    data = SpokenDigits(people, layout="speaker_digit")
    split = digits.split_all(data)
    assert split.test == [] and disjoint(split) and sum(map(len, split)) == len(data)
    assert not speakers_of(data, split.train) & speakers_of(data, split.valid)


def test_impossible_splits_are_refused_in_a_sentence(people, takes):
    data = SpokenDigits(people, layout="speaker_digit")
    with pytest.raises(DataError, match="has no takes"):
        digits.split_official(data)
    with pytest.raises(DataError, match="No speaker is called p99: there are p00"):
        digits.split_by_speaker(data, "p99")
    with pytest.raises(DataError, match="No family is called c"):
        digits.split_by_family(data, "c")


def test_one_speaker_only(tmp_path):
    for digit in range(10):
        write(tmp_path / f"ann_{digit}.wav")
    data = SpokenDigits(tmp_path, layout="speaker_digit")
    with pytest.raises(DataError, match="Fewer than two speakers"):
        digits.split_by_speaker(data, "ann")


# Pictures


def clips(count: int = 12) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(100, 9000, (count,), generator=generator).tolist()
    sounds = [torch.randn(1, n, generator=generator) * torch.hann_window(n) for n in lengths]
    # Levels 100 dB apart, side by side.
    return [sound * 0.1 * 10 ** (-100 * (i % 2) / 20) for i, sound in enumerate(sounds)]


def test_pictures_in_a_batch_equal_pictures_one_by_one():
    together = features.log_mel_pictures(clips(), 8000)
    alone = torch.cat([features.log_mel_pictures([clip], 8000) for clip in clips()])
    assert torch.allclose(together, alone, atol=1e-4)


def test_level_and_silence_around_a_word_do_not_matter():
    word = torch.randn(1, 4000, generator=torch.Generator().manual_seed(1)) * torch.hann_window(
        4000
    )
    silence = torch.zeros(1, 16000)
    plain = features.log_mel_pictures([0.1 * torch.cat([silence, word, silence], 1)], 8000)
    quiet = features.log_mel_pictures([0.002 * torch.cat([silence, word, silence], 1)], 8000)
    later = features.log_mel_pictures([0.1 * torch.cat([silence, silence, word], 1)], 8000)
    assert torch.allclose(plain, quiet, atol=1e-3)
    assert torch.allclose(plain, later, atol=1e-3)


@pytest.mark.parametrize("rate", [11025, 16000, 22050, 44100, 48000])
def test_a_word_looks_the_same_at_any_sample_rate(rate):
    def word(rate: int) -> torch.Tensor:
        time = torch.arange(int(0.5 * rate)) / rate
        tones = sum(torch.sin(2 * torch.pi * f * time) for f in (200, 410, 900, 1700, 2900))
        return (0.05 * tones * torch.hann_window(len(time)))[None]

    reference = features.log_mel_pictures([word(8000)], 8000)
    assert (features.log_mel_pictures([word(rate)], rate) - reference).abs().mean() < 0.1


@pytest.mark.parametrize("samples", [1, 2, 80, 81, 300])
def test_the_shortest_clips_have_pictures_too(samples):
    picture = features.log_mel_pictures([torch.randn(1, samples)], 8000)
    assert picture.isfinite().all() and picture.shape == (1, 1, 40, 48)


def test_silence_and_steady_noise_are_no_speech_and_a_word_is():
    noise = 0.01 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(2))
    word = torch.cat([noise[:, :6000], 30 * noise[:, 6000:9000], noise[:, 9000:]], dim=1)
    for sound, found in ((torch.zeros(1, 8000), False), (noise, False), (word, True)):
        (frames,) = features.log_mel_frames([sound], 8000)
        assert (features.find_word(frames) is not None) is found


def test_the_word_is_found_beside_a_click_and_a_breath():
    sound = 0.001 * torch.randn(1, 24000, generator=torch.Generator().manual_seed(3))
    sound[:, 1000:1040] += 0.9  # a click
    sound[:, 4000:6000] *= 20  # a breath
    sound[:, 14000:18000] *= 200  # the word
    (frames,) = features.log_mel_frames([sound], 8000)
    start, end = features.find_word(frames)
    assert abs(start - 175) <= 4 and abs(end - 225) <= 4


# The cache


def test_the_cache_holds_what_was_computed_and_is_used(people, tmp_path, monkeypatch):
    data = SpokenDigits(people, layout="speaker_digit")
    computed = digits.pictures(data)
    cached = digits.pictures(data, cache=tmp_path / "cache")
    monkeypatch.setattr(digits, "_fill", None)  # whoever computes now, fails
    again = digits.pictures(data, cache=tmp_path / "cache")
    assert torch.equal(computed, cached) and torch.equal(computed, again)
    again[0] = 9  # a student's change stays with the student
    assert torch.equal(computed, digits.pictures(data, cache=tmp_path / "cache"))


def test_a_changed_recording_or_setting_is_noticed(people, tmp_path):
    data = SpokenDigits(people, layout="speaker_digit")
    cache = tmp_path / "cache"
    before = digits.pictures(data, cache=cache)
    status = (people / "p00_0.wav").stat()
    write(people / "p00_0.wav", seed=999)
    os.utime(people / "p00_0.wav", ns=(status.st_atime_ns, status.st_mtime_ns))
    after = digits.pictures(data, cache=cache)
    assert not torch.equal(before[0], after[0]) and torch.equal(before[1:], after[1:])
    assert digits.pictures(data, n_mels=32, cache=cache).shape[2] == 32
    assert len(list(cache.iterdir())) == 3


def test_a_recording_replaced_before_it_is_read_leaves_no_wrong_cache(
    people, tmp_path, monkeypatch
):
    data, cache, fill = (
        SpokenDigits(people, layout="speaker_digit"),
        tmp_path / "cache",
        digits._fill,
    )
    right, content = digits.pictures(data), (people / "p00_0.wav").read_bytes()

    def replace_and_fill(*arguments: object) -> None:
        write(people / "p00_0.wav", seed=999)
        fill(*arguments)

    monkeypatch.setattr(digits, "_fill", replace_and_fill)
    meanwhile = digits.pictures(data, cache=cache)
    assert not torch.equal(meanwhile[0], right[0]) and torch.equal(meanwhile[1:], right[1:])
    monkeypatch.undo()
    (people / "p00_0.wav").write_bytes(content)
    assert torch.equal(digits.pictures(data, cache=cache), right)
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("kind", ["notes", "log_mel"])
def test_bad_files_at_an_absurd_sample_rate_are_named(people, kind):
    for name in ("p03_3.wav", "p11_9.wav"):
        soundfile.write(str(people / name), np.zeros(1_000_001, dtype="int16"), 1)
    soundfile.write(str(people / "p04_4.wav"), np.ones(200) / 2, 1)  # odd, but short
    with pytest.raises(DataError, match=r"2 files .*p03_3\.wav.* 1 Hz.*p11_9\.wav"):
        digits.pictures(SpokenDigits(people, layout="speaker_digit"), kind)


@pytest.mark.parametrize("damage", ["half", "empty", "noise"])
def test_a_damaged_cache_is_computed_anew(people, tmp_path, damage):
    data = SpokenDigits(people, layout="speaker_digit")
    right = digits.pictures(data, cache=tmp_path / "cache").clone()
    (file,) = (tmp_path / "cache").iterdir()
    content = file.read_bytes()
    file.write_bytes(
        {"half": content[: len(content) // 2], "empty": b"", "noise": bytes(1000)}[damage]
    )
    assert torch.equal(digits.pictures(data, cache=tmp_path / "cache"), right)


def test_a_file_that_goes_away_after_listing_is_named(people, tmp_path):
    data = SpokenDigits(people, layout="speaker_digit")
    (people / "p03_3.wav").unlink()
    with pytest.raises(DataError, match=r"p03_3\.wav"):
        digits.pictures(data, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_a_cache_that_cannot_be_written_only_warns(people, tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    data = SpokenDigits(people, layout="speaker_digit")
    with pytest.warns(UserWarning, match="cannot be kept"):
        pictures = digits.pictures(data, cache=tmp_path / "file")
    assert torch.equal(pictures, digits.pictures(data))


def _compute(root: str, cache: str) -> float:
    torch.set_num_threads(1)
    return float(digits.pictures(SpokenDigits(root, "speaker_digit"), cache=cache).double().sum())


def test_processes_that_share_a_cache_do_not_spoil_it(people, tmp_path):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        sums = pool.starmap(_compute, [(str(people), str(tmp_path / "cache"))] * 6)
    assert len(set(sums)) == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.skipif(not shutil.which("mount"), reason="needs a way to mount a small disk")
def test_a_full_disk_costs_only_the_cache(people, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)])
    if mounted.returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        data = SpokenDigits(people, layout="speaker_digit")
        with pytest.warns(UserWarning, match="cannot be kept"):
            pictures = digits.pictures(data, cache=disk)
        assert torch.equal(pictures, digits.pictures(data))
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif("FSDD_DIR" not in os.environ, reason="needs FSDD_DIR")
def test_real_recordings_are_all_read_and_all_hold_speech():
    data = SpokenDigits(os.environ["FSDD_DIR"], layout="digit_speaker_take")
    assert len(set(data.speakers)) >= 4
    sounds = [data.load(i)[0] for i in range(0, len(data), 7)]
    words = [features.find_word(frames) for frames in features.log_mel_frames(sounds, 8000)]
    assert sum(word is None for word in words) == 0


def test_what_a_killed_process_left_in_the_cache_goes_after_a_day(people, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    old, new = cache / ".pictures-old.part", cache / ".pictures-new.part"
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (1e9, 1e9))
    digits.pictures(SpokenDigits(people, layout="speaker_digit"), cache=cache)
    assert not old.exists() and new.exists()
