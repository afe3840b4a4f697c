"""The commands train, evaluate and recognize, as a student starts them, and how they end."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from faults.fault_tools import is_one_sentence
from learning import same_weights
from spoken import FOUR_WORDS, needs_espeak, speak_words

import experiment
import few_voices
import make_demo
from command_line import main
from course_utils import augment, checkpoints, training
from course_utils.paths import data_path
from course_utils.recogniser import Recogniser

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
        command(*arguments), capture_output=True, encoding="utf-8", timeout=1500, **options
    )
    assert "Traceback" not in result.stderr, result.stderr
    assert result.returncode == status, result.stderr
    return result


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must fail in this process; return its sentence."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err and captured.out == ""
    last = captured.err.splitlines()[-1]
    assert is_one_sentence(last), last
    return captured.err


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def models_of(out: Path) -> dict[str, Recogniser]:
    """Return the recognisers that a training wrote, by their place in its folder."""
    return {
        path.relative_to(out).as_posix(): Recogniser.load(path)
        for path in sorted(out.rglob("model.pt"))
    }


def assert_same(a: Path, b: Path) -> None:
    one, other = models_of(a), models_of(b)
    assert one.keys() == other.keys() != set()
    assert all(same_weights(one[name].model, other[name].model) for name in one)


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


def test_the_last_training_runs_the_whole_cycle_and_half_as_long_again_unless_told():
    history = training.History(loss=[1.0] * 20, best_epoch=7)
    for recipe, clips, epochs in (
        (training.RECIPES["cnn"], 1850, 30),
        (training.RECIPES["cnn"], 810, 60),
        (replace(training.RECIPES["cnn"], epochs=5), 1850, 5),
        (training.RECIPES["notes"], 1850, 7),
    ):
        assert experiment._epochs_of_the_last_training(recipe, history, clips) == epochs


def test_train_writes_what_it_promises(trained):
    metrics = read(trained / "metrics.json")
    assert metrics["test_accuracy"] >= 0.8
    low, high = metrics["test_interval"]
    assert 0 <= low <= metrics["test_accuracy"] <= high <= 1
    assert metrics["speaker_interval"] is None  # one speaker has no spread
    assert list(metrics["per_speaker"]) == ["p3"]
    assert metrics["parameters"] == 61_706
    assert 1 <= metrics["best_epoch"] <= metrics["epochs"] == 30
    assert metrics["threads"] >= 1 and 0 < metrics["seconds"] < 300
    assert {"python", "torch"} <= set(metrics["versions"])
    assert metrics["clips"] == {"train": 40, "valid": 10, "test": 10}
    assert sum(map(sum, metrics["confusion"])) == 10
    assert metrics["words"] == list(metrics["per_digit"]) == list("0123456789")
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
    metrics = read(tmp_path / "e.json")
    promised = read(trained / "metrics.json")
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


@pytest.mark.parametrize("command", ["recognize", "evaluate"])
def test_a_folder_in_the_place_of_a_model_is_called_a_folder(tmp_path, capsys, command):
    rest = ["x.wav"] if command == "recognize" else [tmp_path, "--layout", "speaker_digit"]
    sentence = refused(capsys, command, tmp_path, *rest)
    assert sentence.startswith(f"{tmp_path} is a folder: name the file itself, such as model.pt")
    assert "does not exist" in refused(capsys, command, tmp_path / "none", *rest)


def test_out_that_cannot_be_written_is_refused_before_the_training(people, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    options = ("--layout", "speaker_digit", "--split", "all", "--out", tmp_path / "file")
    message = refused(capsys, "train", people, *options)
    assert "cannot be written" in message and "epoch" not in message


@pytest.mark.parametrize("name", ["download", "train", "evaluate", "recognize"])
def test_help_is_quick_and_says_something(name):
    result = run(name, "--help")
    assert len(result.stdout.splitlines()) > 8 and "%%" not in result.stdout
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "course_utils", name, "--help"],
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert "torch" not in loaded.stderr


FAST = ("--layout", "speaker_digit", "--model", "lenet", "--epochs", 40)


def wait_for_line(text: str, process: subprocess.Popen[str]) -> None:
    """Read what a process says until a line holds a text; fail if it ends before."""
    said = []
    for line in process.stderr:
        said.append(line)
        if text in line:
            return
    raise AssertionError(f"it ended with {process.wait()}: {''.join(said)[-3000:]}")


def test_ctrl_c_says_how_to_go_on(people, tmp_path):
    arguments = ("train", people, *FAST, "--epochs", 4000, "--split", "clip", "--out", tmp_path)
    process = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, encoding="utf-8")
    wait_for_line("epoch   1", process)
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait() == 130
    assert "Stopped after epoch" in rest and "--resume" in rest and "Traceback" not in rest


# Any words


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> Path:
    """Five people who say four words; mei says one of them three times."""
    folder = tmp_path_factory.mktemp("words") / "spoken"
    folder.mkdir()
    for person, speaker in enumerate(("mei", "anna-1", "anna-2", "bob", "eve")):
        for number, word in enumerate(("yes", "no", "四", "七")):
            path = folder / f"{speaker}_{word}.wav"
            soundfile.write(str(path), say(3 * number, 1 + 0.01 * person, seed=person), RATE)
    for take in (2, 3):
        path = folder / f"mei_四_take{take}.wav"
        soundfile.write(str(path), say(6, 1 + 0.01 * take, seed=50 + take), RATE)
    return folder


@pytest.fixture(scope="module")
def of_words(words, tmp_path_factory) -> Path:
    """A LeNet-5 of four words, which has not heard mei."""
    out = tmp_path_factory.mktemp("of_words") / "run"
    result = run(
        "train", words, "--layout", "speaker_word", "--split", "speaker:mei", "--seed", 1,
        "--model", "lenet", "--epochs", 60, "--no-augment", "--out", out,
    )  # fmt: skip
    assert "22 recordings of 5 speakers in " in result.stderr
    assert "4 words: no (5), yes (5), 七 (5), 四 (7)" in result.stderr
    assert "Only one speaker" not in result.stderr and "two speakers" not in result.stderr
    assert "Glyph" not in result.stderr and result.stderr.count("Warning") <= 1
    assert re.search(r"per word: no .+ %, yes .+ %, 七 .+ %, 四 .+ %", result.stdout)
    return out


@pytest.mark.slow
def test_training_on_any_words_ends_in_recognize_printing_them(words, of_words):
    files = [words / f"mei_{name}.wav" for name in ("yes", "no", "四", "七", "四_take3")]
    lines = run("recognize", of_words / "model.pt", *files).stdout.splitlines()
    heard = [line.split("\t")[1] for line in lines]
    assert set(heard) <= {"no", "yes", "七", "四"}
    right = sum(map(str.__eq__, heard, ["yes", "no", "四", "七", "四"]))
    assert right >= 4, heard


@pytest.mark.slow
def test_all_takes_of_a_speaker_are_tested_and_none_is_trained_on(of_words):
    metrics = read(of_words / "metrics.json")
    assert metrics["clips"] == {"train": 12, "valid": 4, "test": 6}
    assert list(metrics["per_speaker"]) == ["mei"] and metrics["layout"] == "speaker_word"
    rows = dict(zip(metrics["words"], metrics["confusion"], strict=True))
    assert {word: sum(row) for word, row in rows.items()} == {"no": 1, "yes": 1, "七": 1, "四": 3}
    assert list(metrics["per_digit"]) == metrics["words"] == ["no", "yes", "七", "四"]


@pytest.mark.slow
def test_the_model_file_says_what_it_is(of_words):
    recogniser, metrics = Recogniser.load(of_words / "model.pt"), read(of_words / "metrics.json")
    assert recogniser.words == ["no", "yes", "七", "四"]
    assert recogniser.recipe.epochs == 60 and recogniser.recipe.augment is None
    about = recogniser.about
    assert (about["model"], about["split"]) == ("lenet", "speaker:mei")
    assert about["epochs"] == metrics["epochs"]
    assert about["data"]["clips"] == metrics["clips"]
    assert about["data"]["layout"] == "speaker_word"
    assert about["metrics"]["test_accuracy"] == metrics["test_accuracy"]
    assert about["metrics"]["per_speaker"] == metrics["per_speaker"]


@pytest.mark.slow
def test_evaluate_refuses_words_that_the_model_lacks(people, words, of_words, tmp_path, capsys):
    model = of_words / "model.pt"
    message = refused(capsys, "evaluate", model, people, "--layout", "speaker_word")
    assert "words that the model was not trained on (0, 1, 2, 3" in message
    assert "it knows no, yes, 七, 四" in message
    # Fewer words than the model knows are no fault.
    folder = tmp_path / "two"
    folder.mkdir()
    for path in [*words.glob("*_yes.wav"), *words.glob("*_四*.wav")]:
        (folder / path.name).write_bytes(path.read_bytes())
    options = ("--layout", "speaker_word", "--json", tmp_path / "e.json")
    run("evaluate", model, folder, *options)
    metrics = read(tmp_path / "e.json")
    assert list(metrics["per_digit"]) == ["yes", "四"]
    assert metrics["words"] == ["no", "yes", "七", "四"]
    assert [sum(row) for row in metrics["confusion"]] == [0, 5, 0, 7]
    assert list(metrics["per_speaker"]) == ["anna-1", "anna-2", "bob", "eve", "mei"]


def test_a_word_that_one_speaker_says_is_warned_of(words, tmp_path, capsys):
    folder = tmp_path / "typed"
    folder.mkdir()
    for path in words.glob("*.wav"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "bob_no.wav").rename(folder / "bob_on.wav")
    (folder / "mei_四_take3.wav").rename(folder / "mei-3_四.wav")  # as it was named before takes
    options = ("--layout", "speaker_word", "--model", "lenet", "--epochs", 1)
    with pytest.warns(UserWarning, match="mei-3 and mei count as two speakers"):
        status = main(
            list(map(str, ("train", folder, *options, "--split", "clip", "--out", tmp_path / "o")))
        )
    said = capsys.readouterr().err
    assert status == 0 and "on (1)" in said and "no (4)" in said
    assert "Only one speaker says on: correct the names if that is an error." in said


@pytest.mark.slow
def test_a_model_of_the_old_format_is_judged_and_answers(people, trained, tmp_path):
    recogniser = Recogniser.load(trained / "model.pt")
    old = {"format": "course_utils model 1", "model": "lenet", "epochs": 9}
    old["weights"] = recogniser.model.state_dict()
    torch.save(old, tmp_path / "old.pt")
    result = run("recognize", tmp_path / "old.pt", people / "p0_4.wav")
    assert result.stdout == run("recognize", trained / "model.pt", people / "p0_4.wav").stdout
    options = ("--layout", "speaker_digit", "--json", tmp_path / "e.json")
    run("evaluate", tmp_path / "old.pt", people, *options)
    metrics = read(tmp_path / "e.json")
    assert (metrics["model"], metrics["epochs"]) == ("lenet", 9)
    assert metrics["words"] == list("0123456789") and metrics["test_accuracy"] >= 0.8


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
def test_synthesised_words_from_a_folder_to_recognize(tmp_path, language):
    """As a new user would: four words, some voices, and nothing given but the layout."""
    needs_espeak()
    said = FOUR_WORDS if language == "en" else {word: word for word in "四七上下"}
    voice = "en-us" if language == "en" else "cmn"
    folder = speak_words(tmp_path / "my words", said, people=8, language=voice)
    out = tmp_path / "out"
    options = ("--layout", "speaker_word", "--split", "speaker:p7", "--out", out)
    result = run("train", folder, *options)
    assert "epoch   1 of 100: loss" in result.stderr, "few clips get more epochs"
    counts = ", ".join(f"{word} (8)" for word in sorted(said))
    assert f"4 words: {counts}" in result.stderr
    files = sorted(folder.glob("p7_*.wav"))
    lines = run("recognize", out / "model.pt", *files).stdout.splitlines()
    heard = [line.split("\t")[1] for line in lines]
    right = [path.stem.partition("_")[2] for path in files]
    assert sum(map(str.__eq__, heard, right)) >= 3, heard
    assert (out / "confusion.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_mandarin_digits_are_named_in_chinese(tmp_path):
    folder, out = tmp_path / "zh", tmp_path / "out"
    folder.mkdir()
    for path in data_path("digits_zh").glob("*.wav"):
        speaker, _, digit = path.stem.rpartition("_")
        (folder / f"{speaker}_{'零一二三四五六七八九'[int(digit)]}.wav").symlink_to(path)
    run("train", folder, "--layout", "speaker_word", "--split", "clip", "--model", "lenet",
        "--out", out)  # fmt: skip
    metrics = read(out / "metrics.json")
    assert metrics["words"] == sorted("零一二三四五六七八九")
    assert metrics["test_accuracy"] > 0.6  # 71 to 81 % for three seeds and two orders; chance: 10 %
    result = run("recognize", out / "model.pt", *sorted(folder.glob("zh001_*.wav")))
    heard = [line.split("\t")[1] for line in result.stdout.splitlines()]
    assert set(heard) <= set(metrics["words"])


# Leaving one speaker out


def test_loso_reports_every_fold_and_keeps_each_model(words, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--layout", "speaker_word", "--split", "loso", "--model", "lenet", "--epochs", "3"]
    assert main(["train", str(words), *options, "--out", str(out)]) == 0
    said = capsys.readouterr()
    speakers = ["anna-1", "anna-2", "bob", "eve", "mei"]
    for number, speaker in enumerate(speakers, start=1):
        assert f"Fold {number} of 5: without {speaker}\n" in said.err
        assert re.search(rf"^without {speaker}: [\d.]+ % \(\d+ epochs\)$", said.out, re.M)
    metrics = read(out / "metrics.json")
    assert not (out / "model.pt").exists(), "no fold's model is the whole's"
    for key in ("epochs", "best_epoch", "valid_accuracy"):
        assert metrics[key] is None
    assert metrics["clips"] == {"train": None, "valid": None, "test": 22}
    assert sum(map(sum, metrics["confusion"])) == 22
    assert list(metrics["per_speaker"]) == speakers == [f["speaker"] for f in metrics["folds"]]
    shares = list(metrics["per_speaker"].values())
    assert metrics["worst"] == min(shares) and metrics["mean"] == pytest.approx(sum(shares) / 5)
    low, high = metrics["speaker_interval"]
    assert low <= metrics["mean"] <= high
    kept = models_of(out)
    assert list(kept) == [f"folds/{number:02d}/model.pt" for number in range(5)]
    for fold, recogniser in zip(metrics["folds"], kept.values(), strict=True):
        assert fold["folder"] + "/model.pt" in kept
        assert fold["test_accuracy"] == metrics["per_speaker"][fold["speaker"]]
        assert fold["clips"]["test"] == (6 if fold["speaker"] == "mei" else 4)
        assert 1 <= fold["best_epoch"] <= fold["epochs"] == 3
        assert recogniser.about["epochs"] == fold["epochs"]
        assert recogniser.about["metrics"] == fold, "it says who is new to it, and its figures"
        assert recogniser.about["data"]["clips"] == fold["clips"]
        assert recogniser.words == metrics["words"]
        assert (out / fold["folder"] / "curves.png").exists()
    models_differ = [model.model for model in kept.values()]
    assert not same_weights(models_differ[0], models_differ[1])
    # metrics.json, not a model, says that the run is finished.
    assert "holds a trained model already" in refused(
        capsys, "train", words, *options, "--out", out
    )


@pytest.mark.parametrize(
    ("split", "few", "options", "expected"),
    [
        ("speaker:bob", 10, [], few_voices.augment_few_voices),
        ("all", 10, [], few_voices.augment_few_voices),
        ("all", 4, [], augment.augment),  # there are five speakers
        ("clip", 10, [], augment.augment),  # those who are tested were heard
        ("all", 10, ["--no-augment"], None),
    ],
)
def test_a_few_speakers_are_made_more(
    split, few, options, expected, words, tmp_path, monkeypatch, capsys
):
    used = []
    fit = training.fit

    def watched(*arguments: Any, **settings: Any) -> training.History:
        used.append(arguments[5].augment)
        return fit(*arguments, **settings)

    monkeypatch.setattr(training, "fit", watched)
    monkeypatch.setattr(experiment, "FEW_SPEAKERS", few)
    asked = ["--layout", "speaker_word", "--split", split, "--model", "lenet", "--epochs", "1"]
    assert main(["train", str(words), *asked, *options, "--out", str(tmp_path / "out")]) == 0
    assert used and set(used) == {expected}


@pytest.mark.slow
def test_a_run_that_was_stopped_is_no_finished_one(words, tmp_path, monkeypatch, capsys):
    """Killed in a fold: no metrics.json, and --resume goes on to the same result."""
    arguments = ["train", str(words), "--layout", "speaker_word", "--split", "loso"]
    arguments += ["--model", "lenet", "--epochs", "3", "--out"]
    assert main([*arguments, str(tmp_path / "whole")]) == 0
    out, calls = tmp_path / "out", []
    save = checkpoints.save

    def killed(path: Path, run: Any) -> None:
        save(path, run)
        calls.append(path.parent.name)
        if calls.count("02") == 2:
            raise RuntimeError("the machine went off")

    monkeypatch.setattr(checkpoints, "save", killed)
    with pytest.raises(RuntimeError, match="went off"):
        main([*arguments, str(out)])
    monkeypatch.undo()
    assert (out / "folds" / "02").is_dir() and not (out / "folds" / "03").exists()
    assert not (out / "metrics.json").exists() and not list(out.rglob("model.pt"))
    assert main([*arguments, str(out), "--resume"]) == 0
    assert_same(tmp_path / "whole", out)
    one, two = read(tmp_path / "whole" / "metrics.json"), read(out / "metrics.json")
    assert one["folds"] == two["folds"] and one["confusion"] == two["confusion"]


# How a command ends


def _bad_arguments(people: Path, trained: Path, folder: Path) -> dict[str, tuple[object, ...]]:
    """What a command line may meet, by what is wrong."""
    (folder / "file").write_text("in the way", encoding="utf-8")
    (folder / "empty").mkdir()
    (folder / "noise.pt").write_bytes(bytes(1000))
    layout = ("--layout", "speaker_digit")
    train = ("train", people, *layout, "--split", "clip")
    return {
        "no folder": ("train", folder / "none", *layout, "--split", "clip", "--out", folder / "o"),
        "no sound": ("train", folder / "empty", *layout, "--split", "clip", "--out", folder / "o"),
        "no place": (*train, "--out", folder / "file" / "below"),
        "a finished run": (*train, "--out", trained),
        "another checkpoint": (*train, "--out", trained, "--resume"),
        "no model": ("recognize", folder / "none.pt", people / "p0_0.wav"),
        "a folder as a model": ("recognize", folder, people / "p0_0.wav"),
        "a damaged model": ("evaluate", folder / "noise.pt", people, *layout),
        "a place for figures": (
            "evaluate", trained / "model.pt", people, *layout, "--json", folder / "file" / "e.json",
        ),
    }  # fmt: skip


def test_whatever_a_command_meets_ends_in_a_sentence_and_status_2(
    people, trained, tmp_path, capsys
):
    for what, arguments in _bad_arguments(people, trained, tmp_path).items():
        assert refused(capsys, *arguments), what


def test_a_work_folder_that_is_a_file_ends_in_a_sentence(people, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "file"))
    options = (*FAST, "--split", "clip", "--out", tmp_path / "out")
    assert "set the environment variable COURSE_WORK" in refused(capsys, "train", people, *options)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("learn",),
        ("train", "x", "--layout", "auto", "--split", "clip", "--out", "o"),
        ("train", "x", "--layout", "speaker_digit", "--out", "o"),
        *(
            ("train", "x", "--layout", "speaker_digit", "--split", "clip", "--out", "o", *wrong)
            for wrong in (
                ("--epochs", "0"), ("--epochs", "many"), ("--seed", "-1"), ("--seed", "1" * 30),
                ("--lr", "1"),
            )
        ),
        ("recognize", "model.pt"),
    ],
)  # fmt: skip
def test_a_wrong_option_ends_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err.splitlines()[-1]


STOPPED = """
import os, signal, sys
from course_utils import audio, recogniser
from course_utils.__main__ import main
signal.signal(signal.SIGINT, signal.default_int_handler)
place, name = sys.argv[1].split(".")
place = {"audio": audio, "Recogniser": recogniser.Recogniser}[place]
plain, calls = getattr(place, name), []
def stopped(*arguments):
    calls.append(arguments)
    if len(calls) == 2 or place is not audio:
        os.kill(os.getpid(), signal.SIGINT)
    return plain(*arguments)
setattr(place, name, stopped)
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("name", "place"),
    [("train", "audio.load"), ("evaluate", "audio.load"), ("recognize", "Recogniser.load")],
)
def test_ctrl_c_outside_the_training_loop_is_130_and_no_traceback(
    people, trained, tmp_path, name, place
):
    layout = ("--layout", "speaker_digit", "--skip-unreadable")
    arguments: dict[str, tuple[object, ...]] = {
        "train": (people, *layout, "--split", "clip", "--out", tmp_path / "out"),
        "evaluate": (trained / "model.pt", people, *layout),
        "recognize": (trained / "model.pt", *people.glob("p0_*.wav")),
    }
    result = subprocess.run(
        [sys.executable, "-c", STOPPED, place, name, *map(str, arguments[name])],
        capture_output=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    assert result.returncode == 130, result.stderr
    assert result.stderr.splitlines()[-1].startswith("Stopped")
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out" / "model.pt").exists()


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_pipe_that_is_closed_ends_in_silence(people, trained):
    """As in `recognize … | head -1`."""
    files = sorted(people.glob("*.wav")) * 3
    process = subprocess.Popen(
        command("recognize", trained / "model.pt", *files),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline().startswith(f"{files[0]}\t")
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_summary_that_nobody_reads_ends_in_silence(people, trained, tmp_path):
    options = ("--layout", "speaker_digit", "--json", tmp_path / "e.json")
    process = subprocess.Popen(
        command("evaluate", trained / "model.pt", people, *options),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait() == 0
    assert read(tmp_path / "e.json")["test_accuracy"] >= 0.8


# Kills and processes


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
    first, second = read(whole / "metrics.json"), read(out / "metrics.json")
    for key in ("test_accuracy", "per_speaker", "confusion", "valid_accuracy", "best_epoch"):
        assert first[key] == second[key]
    assert first.get("folds") == second.get("folds")


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
    first, second = read(one / "metrics.json"), read(two / "metrics.json")
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
    wait_for_line("epoch   1", process)
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    last = Path(children).read_text(encoding="utf-8").split()[-1]
    os.kill(int(last), signal.SIGKILL)
    rest = process.stderr.read()
    assert process.wait() != 0
    assert "--resume" in rest or "SIGKILL" in rest, rest
    result = subprocess.run(torchrun(*arguments, out), capture_output=True, timeout=300)
    assert result.returncode == 0
    assert (out / "metrics.json").exists()


@pytest.mark.slow
@pytest.mark.skipif("FSDD_DIR" not in os.environ, reason="needs FSDD_DIR")
def test_lenet_on_the_official_split(tmp_path):
    out = tmp_path / "out"
    run("train", os.environ["FSDD_DIR"], "--layout", "digit_speaker_take", "--split", "official",
        "--model", "lenet", "--out", out)  # fmt: skip
    metrics = read(out / "metrics.json")
    assert metrics["test_accuracy"] >= 0.95


@pytest.mark.slow
@pytest.mark.skipif("FSDD_DIR" not in os.environ, reason="needs FSDD_DIR")
def test_what_the_shipped_data_teach_works_on_real_people(tmp_path):
    """The recogniser of the book's page; it never heard these people."""
    make_demo.recogniser().save(tmp_path / "model.pt")
    options = ("--layout", "digit_speaker_take", "--json", tmp_path / "real.json")
    run("evaluate", tmp_path / "model.pt", os.environ["FSDD_DIR"], *options)
    metrics = read(tmp_path / "real.json")
    assert metrics["test_accuracy"] >= 0.85
