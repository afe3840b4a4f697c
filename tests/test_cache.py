"""The pictures of a data set: computed once, kept, and never wrong."""

import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile
import torch
from sounds import write

from course_utils import cache as cache_module
from course_utils.errors import DataError
from course_utils.recordings import SpokenWords


def test_the_cache_holds_what_was_computed_and_is_used(people, tmp_path, monkeypatch):
    data = SpokenWords(people, layout="speaker_digit")
    computed = data.pictures()
    cached = data.pictures(cache=tmp_path / "cache")
    monkeypatch.setattr(cache_module, "_each_picture", None)  # whoever computes now, fails
    again = data.pictures(cache=tmp_path / "cache")
    assert torch.equal(computed, cached) and torch.equal(computed, again)
    again[0] = 9  # a student's change stays with the student
    assert torch.equal(computed, data.pictures(cache=tmp_path / "cache"))


def test_a_changed_recording_or_setting_is_noticed(people, tmp_path):
    data = SpokenWords(people, layout="speaker_digit")
    cache = tmp_path / "cache"
    before = data.pictures(cache=cache)
    status = (people / "p00_0.wav").stat()
    write(people / "p00_0.wav", seed=999)
    os.utime(people / "p00_0.wav", ns=(status.st_atime_ns, status.st_mtime_ns))
    after = data.pictures(cache=cache)
    assert not torch.equal(before[0], after[0]) and torch.equal(before[1:], after[1:])
    assert data.pictures(n_mels=32, cache=cache).shape[2] == 32
    assert len(list(cache.iterdir())) == 3


def test_a_recording_replaced_before_it_is_read_leaves_no_wrong_cache(
    people, tmp_path, monkeypatch
):
    data, cache = SpokenWords(people, layout="speaker_digit"), tmp_path / "cache"
    right, content = data.pictures(), (people / "p00_0.wav").read_bytes()
    each_picture = cache_module._each_picture

    def replace_first(*arguments: object) -> Iterator[torch.Tensor]:
        write(people / "p00_0.wav", seed=999)
        return each_picture(*arguments)

    monkeypatch.setattr(cache_module, "_each_picture", replace_first)
    meanwhile = data.pictures(cache=cache)
    assert list(cache.iterdir()) == []
    assert not torch.equal(meanwhile[0], right[0]) and torch.equal(meanwhile[1:], right[1:])
    monkeypatch.undo()
    (people / "p00_0.wav").write_bytes(content)
    assert torch.equal(data.pictures(cache=cache), right)
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("kind", ["notes", "log_mel"])
def test_bad_files_at_an_absurd_sample_rate_are_named(people, kind):
    for name in ("p03_3.wav", "p11_9.wav"):
        soundfile.write(str(people / name), np.zeros(1_000_001, dtype="int16"), 1)
    soundfile.write(str(people / "p04_4.wav"), np.ones(200) / 2, 1)  # odd, but short
    with pytest.raises(DataError, match=r"2 files .*p03_3\.wav.* 1 Hz.*p11_9\.wav"):
        SpokenWords(people, layout="speaker_digit").pictures(kind=kind)


@pytest.mark.parametrize("damage", ["half", "empty", "noise"])
def test_a_damaged_cache_is_computed_anew(people, tmp_path, damage):
    data = SpokenWords(people, layout="speaker_digit")
    right = data.pictures(cache=tmp_path / "cache").clone()
    (file,) = (tmp_path / "cache").iterdir()
    content = file.read_bytes()
    file.write_bytes(
        {"half": content[: len(content) // 2], "empty": b"", "noise": bytes(1000)}[damage]
    )
    assert torch.equal(data.pictures(cache=tmp_path / "cache"), right)


def test_a_file_that_goes_away_after_listing_is_named(people, tmp_path):
    data = SpokenWords(people, layout="speaker_digit")
    (people / "p03_3.wav").unlink()
    with pytest.raises(DataError, match=r"p03_3\.wav"):
        data.pictures(cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_a_cache_that_cannot_be_written_only_warns(people, tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    data = SpokenWords(people, layout="speaker_digit")
    with pytest.warns(UserWarning, match="cannot be kept"):
        pictures = data.pictures(cache=tmp_path / "file")
    assert torch.equal(pictures, data.pictures())


def _compute(root: str, cache: str) -> float:
    torch.set_num_threads(1)
    return float(SpokenWords(root, "speaker_digit").pictures(cache=cache).double().sum())


@pytest.mark.slow
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
        data = SpokenWords(people, layout="speaker_digit")
        with pytest.warns(UserWarning, match="cannot be kept"):
            pictures = data.pictures(cache=disk)
        assert torch.equal(pictures, data.pictures())
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_what_a_killed_process_left_in_the_cache_goes_after_a_day(people, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    old, new = cache / ".saving-old.part", cache / ".saving-new.part"
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (1e9, 1e9))
    SpokenWords(people, layout="speaker_digit").pictures(cache=cache)
    assert not old.exists() and new.exists()


def test_a_picture_of_a_data_set_is_the_one_of_its_clip(people):
    from course_utils.pictures import picture_and_word

    data = SpokenWords(people, layout="speaker_digit")
    for kind, size in (("log_mel", (32, 36)), ("notes", (80, 80))):
        pictures = data.pictures(32, 36, kind)
        assert pictures.dtype == torch.float32 and pictures.shape == (120, 1, *size)
        alone, _ = picture_and_word(*data.load(7), 32, 36, kind)
        assert torch.equal(pictures[7], alone)


def test_an_unknown_kind_of_picture_is_refused(people):
    with pytest.raises(DataError, match="'mfcc' is unknown: use one of log_mel, notes"):
        SpokenWords(people, layout="speaker_digit").pictures(kind="mfcc")
