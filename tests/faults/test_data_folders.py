"""Folders of recordings that are empty, lopsided, huge, changing, locked or on a full disk."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
import torch
from fault_tools import is_one_sentence, speak

from command_line import main
from course_utils import splits
from course_utils.errors import DataError
from course_utils.recordings import SpokenWords

SPLITS = ("clip", "all", "loso", "speaker:p0", "family:p0", "takes:0-0", "official")


def outcome(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command: its last line if it worked, its sentence if it refused."""
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert status in (0, 2)
    if status == 2:
        last = captured.err.strip().splitlines()[-1]
        assert is_one_sentence(last), last
        return f"refused: {last}"
    return "worked"


def make(folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for number, name in enumerate(names):
        speak(folder / name, int(name[0]) if name[0].isdigit() else 0, seed=number)
    return folder


FOLDERS = {
    "empty": [],
    "one clip": ["0_p0_0.wav"],
    "two clips of one digit": ["0_p0_0.wav", "0_p0_1.wav"],
    "one of each digit": [f"{digit}_p0_0.wav" for digit in range(10)],
    "one speaker only": [f"{d}_p0_{t}.wav" for d in range(10) for t in range(6)],
    "two speakers": [f"{d}_p{p}_0.wav" for d in range(10) for p in range(2)],
    "one digit missing": [f"{d}_p{p}_{t}.wav" for d in range(9) for p in range(4) for t in (0, 9)],
    "one digit only": [f"7_p{p}_{t}.wav" for p in range(4) for t in range(6)],
    "one speaker with most clips": [f"{d}_p0_{t}.wav" for d in range(10) for t in range(8)]
    + ["1_p1_0.wav", "2_p2_0.wav", "3_p3_9.wav"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_lopsided_folders_are_trained_on_or_refused(tmp_path, capsys, tell, name):
    folder = make(tmp_path / "data", FOLDERS[name])
    worked = 0
    for number, split in enumerate(SPLITS):
        out = tmp_path / str(number)
        options = ("--layout", "digit_speaker_take", "--split", split, "--out", out)
        answer = outcome(capsys, "train", folder, *options, "--model", "lenet", "--epochs", 1)
        worked += answer == "worked"
        finished = (out / "metrics.json").exists()
        assert finished == bool(list(out.rglob("model.pt"))) == (answer == "worked"), answer
    tell(len(SPLITS), f"{name}: {worked} splits trained, {len(SPLITS) - worked} refused")


@pytest.mark.parametrize(
    "name", ["p_10.wav", "p_-1.wav", "p_x.wav", "p_٣.wav", "p_³.wav", "_3.wav", "3.wav", "p3.wav"]
)
def test_a_label_that_is_no_digit_is_refused_and_named(tmp_path, class_folder, tell, name):
    speak(class_folder / name)
    if name == "p_-1.wav":  # a speaker whose name ends in a dash: the digit is right
        (class_folder / name).rename(class_folder / "p_1-.wav")
        name = "p_1-.wav"
    with pytest.raises(DataError) as caught:
        SpokenWords(class_folder, "speaker_digit")
    assert name in str(caught.value) and is_one_sentence(str(caught.value))
    with pytest.warns(UserWarning, match="1 file"):
        assert len(SpokenWords(class_folder, "speaker_digit", unreadable="skip")) == 60
    tell(2, "refused and named; left out with a warning if wished")


def test_copies_and_links_of_a_clip_are_read_as_clips(class_folder, tell):
    content = (class_folder / "p0_3.wav").read_bytes()
    (class_folder / "copy of p0_3.wav").write_bytes(content)
    (class_folder / "p0_3 (1).wav").write_bytes(content)  # as browsers name a second download
    (class_folder / "link_4.wav").symlink_to(class_folder / "p0_4.wav")
    with pytest.raises(DataError, match=r"p0_3 \(1\)\.wav"):
        SpokenWords(class_folder, "speaker_digit")
    (class_folder / "p0_3 (1).wav").unlink()
    data = SpokenWords(class_folder, "speaker_digit")
    assert len(data) == 62 and data.pictures().isfinite().all()
    tell(3, "copy and link are clips of speakers of their own; `p0_3 (1).wav` is refused and named")


@pytest.mark.slow
def test_100000_files_are_listed_and_split(tmp_path, tell):
    for seed in range(2):  # a file may have some 65,000 names at most
        speak(tmp_path / f"{seed}.wav", seed=seed, seconds=0.01)
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(100_000):
        target = folder / f"{number % 10}_p{number // 10 % 500}_{number // 5000}.wav"
        os.link(tmp_path / f"{number % 2}.wav", target)
    data = SpokenWords(folder, "digit_speaker_take")
    split = splits.split_by_speaker(data, "p0")
    assert len(data) == 100_000 and len(set(data.speakers)) == 500
    assert sum(map(len, split)) == 100_000 and len(split.test) == 200
    tell(100_000, "listed and split by speaker")


# --- a folder that changes ---------------------------------------------------------------------

CHANGES = {
    "removed": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:500]),
    "replaced by a page": lambda path: path.write_text("<html>", encoding="utf-8"),
    "replaced by a folder": lambda path: (path.unlink(), path.mkdir()),
    "replaced by a broken link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("cached", [False, True])
def test_a_file_that_changes_after_listing_is_named(tmp_path, class_folder, tell, change, cached):
    data = SpokenWords(class_folder, "speaker_digit")
    CHANGES[change](class_folder / "p3_3.wav")
    with pytest.raises(DataError) as caught:
        data.pictures(cache=tmp_path / "cache" if cached else None)
    assert "p3_3.wav" in str(caught.value) and is_one_sentence(str(caught.value))
    assert not cached or not list((tmp_path / "cache").iterdir())
    tell(1, "named in one sentence, nothing kept in the cache")


def test_a_folder_that_goes_away_is_named(class_folder, tell):
    data = SpokenWords(class_folder, "speaker_digit")
    class_folder.rename(class_folder.with_name("elsewhere"))
    with pytest.raises(DataError) as caught:
        data.pictures()
    assert "60 files" in str(caught.value) and is_one_sentence(str(caught.value))
    tell(1, "all 60 files named in one sentence")


@pytest.mark.slow
def test_files_that_are_rewritten_while_they_are_read_leave_no_wrong_cache(
    tmp_path, class_folder, tell
):
    """Somebody records again and again while somebody else computes pictures with a cache."""
    stop, chance = threading.Event(), itertools.count()

    def record() -> None:
        while not stop.is_set():
            number = next(chance)
            other = tmp_path / "new.wav"
            speak(other, number % 10, seed=number)
            other.replace(class_folder / f"p{number % 6}_{number % 10}.wav")

    thread = threading.Thread(target=record)
    thread.start()
    rounds = 30
    try:
        for _ in range(rounds):
            data = SpokenWords(class_folder, "speaker_digit")
            assert data.pictures(cache=tmp_path / "cache").isfinite().all()
    finally:
        stop.set()
        thread.join()
    data = SpokenWords(class_folder, "speaker_digit")
    assert torch.equal(data.pictures(cache=tmp_path / "cache"), data.pictures())
    tell(rounds, f"{next(chance)} recordings replaced meanwhile; the pictures kept are right")


# --- folders and disks that cannot be written ----------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_folder_that_may_only_be_read_is_read_and_the_cache_goes_elsewhere(
    run_as_nobody, class_folder, tell
):
    locked = run_as_nobody.folder / "locked"
    class_folder.rename(locked)
    subprocess.run(["chmod", "-R", "a+rX", str(locked)], check=True)  # whatever the umask is
    lines = """
data = recordings.SpokenWords(locked, "speaker_digit")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    pictures = data.pictures(cache=locked / "cache")
print(len(pictures), *(w.message for w in caught))
import tempfile
os.environ["COURSE_WORK"] = str(locked)
try: paths.output_path("a.png")
except FolderError as error: print(error)
os.environ["COURSE_WORK"] = tempfile.mkdtemp()
pictures = data.pictures(cache=paths.output_path("pictures"))
print(len(pictures), len(list(paths.output_path("pictures").iterdir())))
"""
    warned, refused, elsewhere = run_as_nobody(lines).splitlines()
    assert warned.startswith("60 The pictures cannot be kept in")
    assert is_one_sentence(warned) and is_one_sentence(refused) and "COURSE_WORK" in refused
    assert elsewhere == "60 1"
    assert sorted(path.suffix for path in locked.iterdir()) == [".wav"] * 60
    tell(3, "read; a cache in it warns and is left out; a work folder in it is refused with a cure")


FULL = """
import sys, warnings
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[3])
import experiment
from course_utils import audio, models, training
from course_utils.errors import CourseError
from course_utils.recogniser import Recogniser
from course_utils.recordings import SpokenWords
disk, folder = Path(sys.argv[1]), sys.argv[2]
data = SpokenWords(folder, "speaker_digit")
x = data.pictures(n_mels=32, n_frames=32)
def fit(resume=False):
    training.seed_everything(0)
    model = models.LeNet5()
    training.fit(model, x, data.labels, x, data.labels, training.Recipe(epochs=3), report=None,
                 checkpoint=disk / "c.pt", resume=resume)
    return model
def keep(name):
    recipe = training.RECIPES[name]
    Recogniser(recipe.network(), data.words, recipe).save(disk / "model.pt")
audio.save(disk / "a.wav", torch.zeros(1, 1000), 16000)
keep("lenet")
fit()
before = {path.name: path.read_bytes() for path in disk.iterdir()}
filler = (disk / "filler").open("wb", buffering=0)
while True:  # to the last byte
    try:
        filler.write(bytes(4096))
    except OSError:
        break
said = []
for work in (lambda: audio.save(disk / "a.wav", torch.zeros(1, 900000), 16000),
             lambda: audio.save(disk / "new.flac", torch.rand(1, 90000), 16000),
             lambda: keep("mlp"), lambda: fit(),
             lambda: experiment.save_json(disk / "metrics.json", {"a": list(range(9999))})):
    try:
        work()
        said.append("worked")
    except CourseError as error:
        said.append(str(error))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    assert torch.equal(data.pictures(cache=disk), data.pictures())
said += [str(w.message) for w in caught]
(disk / "filler").unlink()
assert {path.name: path.read_bytes() for path in disk.iterdir()} == before
fit(resume=True)
print(*said, sep="\\n")
"""


@pytest.mark.slow
def test_a_disk_that_is_full_costs_nothing_that_was_there(
    tmp_path, class_folder, private_mounts, tell
):
    (tmp_path / "disk").mkdir()
    script = 'mount -t tmpfs -o size=6m none "$1"; shift; exec "$@"'
    tools = Path(__file__).parents[2] / "tools"
    command = [sys.executable, "-c", FULL, tmp_path / "disk", class_folder, tools]
    result = private_mounts(script, tmp_path / "disk", *command)
    assert result.returncode == 0, result.stderr
    said = result.stdout.splitlines()
    assert len(said) == 6 and all("No space left" in line for line in said), said
    assert all(is_one_sentence(line) for line in said)
    tell(6, "sound, model, checkpoint, figures and cache: a sentence each, earlier files unchanged")
