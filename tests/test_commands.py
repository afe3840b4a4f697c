"""The commands train, evaluate and recognize, as a student starts them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from course_utils import training
from course_utils.__main__ import main
from course_utils.paths import data_path

RATE = 8000


def say(digit: int, pitch: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Make a sound for a digit that a network can tell from the others: two gliding tones."""
    generator = np.random.default_rng(seed)
    time_ = np.arange(int(0.4 * rate)) / rate
    first, second = 300 + 150 * (digit % 5), 1200 + 700 * (digit // 5)
    glide = 1 + 0.3 * time_
    tones = np.sin(2 * np.pi * first * pitch * glide * time_)
    tones += np.sin(2 * np.pi * second * pitch * glide * time_)
    return 0.1 * tones * np.hanning(len(time_)) + 1e-4 * generator.normal(size=len(time_))


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "people"
    folder.mkdir()
    rows = ["file,language,speaker,family,part,sha256"]
    for person in range(6):
        for digit in range(10):
            sound = say(digit, 1 + 0.01 * person, seed=person)
            soundfile.write(str(folder / f"p{person}_{digit}.wav"), sound, RATE)
            rows.append(f"people/p{person}_{digit}.wav,en,p{person},{'ab'[person % 2]},train,0")
    (folder.parent / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "course_utils", *map(str, arguments)]


def run(*arguments: object, status: int = 0, **options) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        command(*arguments), capture_output=True, encoding="utf-8", timeout=300, **options
    )
    assert "Traceback" not in result.stderr, result.stderr
    assert result.returncode == status, result.stderr
    return result


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must fail in this process; return its message."""
    assert main([str(argument) for argument in arguments]) == 1
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err and captured.out == ""
    return captured.err


def weights(folder: Path) -> list[torch.Tensor]:
    model, _ = training.load_model(folder / "model.pt")
    return list(model.state_dict().values())


def assert_same(a: Path, b: Path) -> None:
    assert all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


@pytest.fixture(scope="module")
def trained(people, tmp_path_factory) -> Path:
    """A LeNet-5 that was trained by the command, and has heard everybody but p3."""
    out = tmp_path_factory.mktemp("out") / "run"
    result = run(
        "train", people, "--layout", "speaker_digit", "--split", "speaker:p3",
        "--model", "lenet", "--epochs", 30, "--no-augment", "--out", out,
    )  # fmt: skip
    assert "test accuracy" in result.stdout and "epoch" not in result.stdout
    assert "epoch   1 of 30: loss" in result.stderr
    return out


def test_train_writes_what_it_promises(trained):
    metrics = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["test_accuracy"] >= 0.8
    low, high = metrics["test_interval"]
    assert 0 <= low <= metrics["test_accuracy"] <= high <= 1
    assert metrics["speaker_interval"] is None  # one speaker has no spread
    assert list(metrics["per_speaker"]) == ["p3"]
    assert metrics["parameters"] == 61_706
    assert metrics["epochs"] == metrics["best_epoch"] <= 30
    assert metrics["threads"] >= 1 and 0 < metrics["seconds"] < 300
    assert {"python", "torch"} <= set(metrics["versions"])
    assert metrics["clips"] == {"train": 40, "valid": 10, "test": 10}
    assert sum(map(sum, metrics["confusion"])) == 10
    for name in ("curves.png", "confusion.png"):
        assert (trained / name).read_bytes().startswith(b"\x89PNG")


def test_a_finished_run_is_not_overwritten(people, trained, capsys):
    before = (trained / "model.pt").read_bytes()
    options = ("--layout", "speaker_digit", "--split", "all", "--out", trained)
    assert "holds a trained model already" in refused(capsys, "train", people, *options)
    assert (trained / "model.pt").read_bytes() == before


def test_evaluate_on_other_people(people, trained, tmp_path):
    options = ("--layout", "speaker_digit", "--json", tmp_path / "e.json")
    result = run("evaluate", trained / "model.pt", people, *options)
    metrics = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    promised = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    for key in ("test_accuracy", "test_interval", "speaker_interval", "per_speaker", "per_digit",
                "parameters", "seconds", "epochs", "threads", "versions"):  # fmt: skip
        assert key in metrics and key in promised
    assert len(metrics["per_speaker"]) == 6 and len(metrics["per_digit"]) == 10
    assert metrics["speaker_interval"][0] <= metrics["test_accuracy"]
    assert metrics["epochs"] == promised["epochs"]
    assert "over speakers" in result.stdout


def test_recognize_any_rate_channels_format_and_silence(trained, tmp_path):
    sound = say(4, 1.02)
    silence = 1e-4 * np.random.default_rng(0).normal(size=3 * RATE)
    soundfile.write(str(tmp_path / "plain.wav"), sound, RATE)
    soundfile.write(str(tmp_path / "long.wav"), np.concatenate([silence, sound, silence]), RATE)
    loud = 0.9 * say(4, 1.02, rate=44100)
    soundfile.write(str(tmp_path / "stereo 四.flac"), np.stack([loud, loud * 0.3], axis=1), 44100)
    soundfile.write(str(tmp_path / "-dash.mp3"), say(4, 1.02, rate=16000), 16000)
    soundfile.write(str(tmp_path / "silence.wav"), np.zeros(RATE), RATE)
    soundfile.write(str(tmp_path / "noise.wav"), 300 * silence, RATE)
    speech = ["plain.wav", "long.wav", "stereo 四.flac", "./-dash.mp3"]
    files = [*speech, "silence.wav", "noise.wav"]
    lines = run("recognize", trained / "model.pt", *files, cwd=tmp_path).stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    assert [row[0] for row in rows] == files
    assert [row[1] for row in rows[:4]] == ["4"] * 4
    assert all(0.1 < float(row[2]) <= 1 for row in rows[:4])
    assert [row[1:] for row in rows[4:]] == [["-", "no speech found"]] * 2


def test_recognize_names_what_it_cannot_read_and_does_the_rest(trained, tmp_path):
    (tmp_path / "page.wav").write_text("<html>", encoding="utf-8")
    soundfile.write(str(tmp_path / "a.wav"), say(1, 1.0), RATE)
    files = [tmp_path / "page.wav", tmp_path / "a.wav", tmp_path / "none.wav"]
    result = run("recognize", trained / "model.pt", *files, status=1)
    assert len(result.stdout.splitlines()) == 1
    assert "page.wav" in result.stderr and "none.wav does not exist" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "official"], "needs takes"),
        (["--split", "takes:0-4"], "needs takes"),
        (["--split", "speaker"], "unknown: use official"),
        (["--split", "speaker:nobody"], "No speaker is called nobody"),
        (["--split", "family:c"], "No family is called c: there are a, b"),
        (["--split", "all", "--layout", "digit_speaker_take"], "60 files"),
    ],
)
def test_impossible_wishes_are_refused_in_a_sentence(people, tmp_path, capsys, options, message):
    options = ["--layout", "speaker_digit", *options, "--out", tmp_path / "out"]
    assert message in refused(capsys, "train", people, *options)
    assert not (tmp_path / "out" / "model.pt").exists()


def test_a_model_that_holds_code_is_refused(people, tmp_path, capsys):
    model = tmp_path / "model.pt"
    torch.save({"weights": print}, model)
    assert "was not opened" in refused(capsys, "recognize", model, "x.wav")
    options = ("--layout", "speaker_digit")
    assert "was not opened" in refused(capsys, "evaluate", model, people, *options)


def test_out_that_cannot_be_written_is_refused_before_the_training(people, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    options = ("--layout", "speaker_digit", "--split", "all", "--out", tmp_path / "file")
    message = refused(capsys, "train", people, *options)
    assert "cannot be written" in message and "epoch" not in message


@pytest.mark.parametrize("name", ["download", "train", "evaluate", "recognize"])
def test_help_is_quick_and_says_something(name):
    result = run(name, "--help")
    assert len(result.stdout.splitlines()) > 8
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "course_utils", name, "--help"],
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert "torch" not in loaded.stderr


FAST = ("--layout", "speaker_digit", "--model", "lenet", "--epochs", 40)


def test_ctrl_c_says_how_to_go_on(people, tmp_path):
    arguments = ("train", people, *FAST, "--epochs", 4000, "--split", "clip", "--out", tmp_path)
    process = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, encoding="utf-8")
    while "epoch   1" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait() == 130
    assert "Stopped after epoch" in rest and "--resume" in rest and "Traceback" not in rest


@pytest.mark.slow
@pytest.mark.parametrize("split", ["clip", "loso"])
def test_kill_9_and_resume_end_with_the_same_bits(people, tmp_path, split):
    whole = tmp_path / "whole"
    run("train", people, *FAST, "--split", split, "--out", whole)
    out = tmp_path / "killed"
    arguments = command("train", people, *FAST, "--split", split, "--out", out, "--resume")
    killed = 0
    while not (out / "metrics.json").exists():
        process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        before = set(out.rglob("checkpoint*.pt")) if out.exists() else set()
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if killed < 8 and out.exists() and set(out.rglob("checkpoint*.pt")) - before:
                break
            if killed < 8 and before and time.monotonic() > deadline - 55:
                break
            time.sleep(0.02)
        killed += process.poll() is None
        process.kill()
        process.wait()
    assert killed >= 1
    assert_same(whole, out)
    first, second = (
        json.loads((folder / "metrics.json").read_text(encoding="utf-8")) for folder in (whole, out)
    )
    for key in ("test_accuracy", "per_speaker", "confusion", "valid_accuracy", "best_epoch"):
        assert first[key] == second[key]


def torchrun(*arguments: object) -> list[str]:
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return [sys.executable, *start, "-m", "course_utils", *map(str, arguments)]


@pytest.mark.slow
def test_torchrun_trains_as_one_process_does(people, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    arguments = ("train", people, *FAST, "--split", "speaker:p3", "--no-augment", "--out")
    run(*arguments, one)
    result = subprocess.run(
        torchrun(*arguments, two), capture_output=True, encoding="utf-8", timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("test accuracy") == 1  # one process speaks for all
    first, second = (
        json.loads((folder / "metrics.json").read_text(encoding="utf-8")) for folder in (one, two)
    )
    assert second["processes"] == 2
    # LeNet-5 has no BatchNorm and no dropout, so the gradient is the same up to rounding.
    assert second["clips"] == first["clips"]
    assert abs(second["test_accuracy"] - first["test_accuracy"]) <= 0.2


@pytest.mark.slow
def test_a_killed_rank_ends_the_job_and_it_resumes(people, tmp_path):
    arguments = ("train", people, *FAST, "--epochs", 300, "--split", "clip", "--resume", "--out")
    out = tmp_path / "out"
    process = subprocess.Popen(
        torchrun(*arguments, out), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        encoding="utf-8",
    )  # fmt: skip
    while "epoch   1" not in process.stderr.readline():
        pass
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    last = Path(children).read_text(encoding="utf-8").split()[-1]
    os.kill(int(last), signal.SIGKILL)
    rest = process.stderr.read()
    assert process.wait() != 0
    assert "--resume" in rest or "SIGKILL" in rest
    result = subprocess.run(torchrun(*arguments, out), capture_output=True, timeout=300)
    assert result.returncode == 0
    assert (out / "metrics.json").exists()


@pytest.mark.slow
@pytest.mark.skipif("FSDD_DIR" not in os.environ, reason="needs FSDD_DIR")
def test_lenet_on_the_official_split(tmp_path):
    out = tmp_path / "out"
    run("train", os.environ["FSDD_DIR"], "--layout", "digit_speaker_take", "--split", "official",
        "--model", "lenet", "--out", out)  # fmt: skip
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["test_accuracy"] >= 0.95


@pytest.mark.slow
@pytest.mark.skipif("FSDD_DIR" not in os.environ, reason="needs FSDD_DIR")
def test_what_the_shipped_data_teach_works_on_real_people(tmp_path):
    out = tmp_path / "out"
    run("train", data_path("digits_en"), "--layout", "speaker_digit", "--split", "all",
        "--out", out)  # fmt: skip
    options = ("--layout", "digit_speaker_take", "--json", out / "real.json")
    run("evaluate", out / "model.pt", os.environ["FSDD_DIR"], *options)
    metrics = json.loads((out / "real.json").read_text(encoding="utf-8"))
    assert metrics["test_accuracy"] >= 0.85
