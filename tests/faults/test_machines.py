"""Machines with other settings: threads, precision, locale, folders, ways to start a process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from fault_tools import speak
from test_notebooks import CHAPTERS, HUB, PROOF, REPOSITORY, hub_environment
from test_set_up import course, index, set_up

__all__ = ["course", "index"]  # fixtures


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "course_utils", *map(str, arguments)]


def run(arguments: list[str], **options) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(arguments, capture_output=True, encoding="utf-8", **options)
    assert result.returncode == 0 and "Traceback" not in result.stderr, result.stderr[-3000:]
    return result


FAST = ("--layout", "speaker_digit", "--split", "clip", "--model", "lenet", "--epochs", 3)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 8])
def test_training_works_with_few_and_many_threads(class_folder, tmp_path, tell, threads):
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    out = tmp_path / "out"
    run(command("train", class_folder, *FAST, "--out", out), env=environment)
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert 1 <= metrics["threads"] <= threads
    tell(1, f"{threads} threads: trained, judged and saved")


FLOAT64 = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
torch.set_default_dtype(torch.float64)
from course_utils import audio, features, metrics, models, plots, training
from course_utils.recogniser import Recogniser
from course_utils.recordings import SpokenWords
folder, work = Path(sys.argv[1]), Path(sys.argv[2])
waveform, rate = audio.load(folder / "p0_0.wav")
assert waveform.dtype == torch.float32
audio.save(work / "again.wav", waveform.double(), rate)
audio.play(torch.rand(1, 800) - 0.5, rate)
assert audio.resample(torch.rand(1, 800), 8000, 16000).dtype == torch.float64
features.to_db(features.spectrogram(torch.rand(1, 8000)))
features.resize(torch.rand(1, 90, 90), (80, 80))
data = SpokenWords(folder, "speaker_digit")
for name, recipe in training.RECIPES.items():
    x = data.pictures(recipe.n_mels, recipe.n_frames, recipe.kind, cache=work / "cache")
    assert x.dtype == torch.float32
    recipe = replace(recipe, epochs=1, learning_rate=1e-4)
    model = recipe.network(classes=len(data.words))
    training.fit(model, x, data.labels, x, data.labels, recipe, report=None)
    metrics.accuracy(model, x, data.labels)
    Recogniser(model, data.words, recipe).save(work / f"{name}.pt")
    again = Recogniser.load(work / f"{name}.pt")
    assert torch.allclose(models.predict(again.model, x), models.predict(model, x), atol=1e-5)
    heard = again.recognise(waveform, rate)
    assert torch.allclose(heard.probabilities, models.predict(model, x[:1])[0], atol=1e-5)
    print(name)
"""


@pytest.mark.slow
def test_the_recogniser_works_where_the_default_precision_is_float64(class_folder, tmp_path, tell):
    result = run([sys.executable, "-c", FLOAT64, str(class_folder), str(tmp_path)], cwd=REPOSITORY)
    assert result.stdout.split() == ["notes", "mlp", "lenet", "cnn"]
    tell(4, "read, resampled, played; four networks trained, saved and read again")


@pytest.mark.slow
def test_chinese_names_do_no_harm_where_the_locale_is_not_utf_8(tmp_path, tell):
    folder = tmp_path / "班级 1"
    folder.mkdir()
    for person in ("王小明", "zoé", "a b"):
        for digit in range(10):
            speak(folder / f"{person}_{digit}.wav", digit)
    environment = hub_environment(tmp_path) | {
        "COURSE_WORK": str(tmp_path / "工作"), "TMPDIR": str(tmp_path),
    }  # fmt: skip
    encoding = run(
        [sys.executable, "-c", "import sys; print(sys.getfilesystemencoding())"], env=environment
    )
    assert encoding.stdout.strip() in ("ascii", "iso8859-1"), "this locale is UTF-8 after all"
    out, options = tmp_path / "输出", {"env": environment, "cwd": tmp_path}
    speaker = ("--split", "speaker:王小明")
    run(command("train", folder, *FAST, *speaker, "--out", out), **options)
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert list(metrics["per_speaker"]) == ["王小明"]
    run(command("evaluate", out / "model.pt", folder, *FAST[:2]), **options)
    files = sorted(folder.iterdir())
    result = run(command("recognize", out / "model.pt", *files), **options)
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == list(map(str, files))
    tell(3, "train, evaluate and recognize worked; names are whole in metrics.json")


SPAWN = """
import multiprocessing, sys
from pathlib import Path
import torch
from course_utils.recordings import SpokenWords

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[2])
    data = SpokenWords(sys.argv[1], "speaker_digit")
    loader = torch.utils.data.DataLoader(data, batch_size=None, num_workers=2)
    assert [int(label) for _, label in loader] == data.labels.tolist()
    print(multiprocessing.get_start_method())
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_read_recordings_however_processes_start(class_folder, tmp_path, tell, method):
    if sys.platform == "win32" and method != "spawn":
        pytest.skip("Windows has spawn only")
    (tmp_path / "script.py").write_text(SPAWN, encoding="utf-8")
    result = run([sys.executable, str(tmp_path / "script.py"), str(class_folder), method])
    assert result.stdout.strip() == method
    tell(1, f"{method}: two workers, each recording once and in order")


@pytest.mark.slow
def test_the_commands_work_in_a_read_only_course_without_a_network(
    class_folder, tmp_path, private_mounts, tell
):
    home = tmp_path / "家 用" / "student"
    for folder in (home / "elsewhere", home.parent / "tmp"):
        folder.mkdir(parents=True)
    out = home / "runs"
    where = (tmp_path, REPOSITORY, home / "elsewhere")
    for arguments in (
        command("doctor"),
        command("train", class_folder, *FAST, "--out", out),
        command("evaluate", out / "model.pt", class_folder, *FAST[:2]),
        command("recognize", out / "model.pt", class_folder / "p0_0.wav"),
    ):
        result = private_mounts(HUB, *where, *arguments, env=hub_environment(home))
        assert result.returncode == 0, result.stdout[-1500:] + result.stderr[-1500:]
    visible = {path.name for path in home.iterdir() if not path.name.startswith(".")}
    assert visible == {"elsewhere", "runs", "speech-course"}
    assert not list((home / "elsewhere").iterdir())
    tell(4, "doctor, train, evaluate and recognize worked; written: speech-course and --out")


# The course's folder as only its owner can see it: in a layer of its own, which nobody else meets.
PRIVATE = """
mount -t tmpfs -o mode=700 tmpfs "$1"
mkdir "$1/changed" "$1/work"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/changed,workdir=$1/work" "$2" || exit 77
chmod 700 "$2"
cd "$2"
shift 2
exec "$@"
"""
OTHER_USER = "import os, sys; os.setgroups([]); os.setuid(65534); os.listdir(sys.argv[1])"


@pytest.mark.slow
def test_tests_that_become_another_user_pass_in_a_home_that_others_cannot_read(
    private_mounts, tmp_path, tell
):
    """As root's own home is in a container."""
    where = (tmp_path, REPOSITORY)
    probe = private_mounts(PRIVATE, *where, sys.executable, "-c", OTHER_USER, REPOSITORY)
    if probe.returncode == 77:
        pytest.skip("no layer can be mounted over the course's folder here")
    assert "PermissionError" in probe.stderr, "another user can read it, so this proves nothing"
    files = [f"tests/faults/{name}.py" for name in ("test_sound_files", "test_data_folders")]
    wanted = ["-k", "somebody_who_is_not_root or may_only_be_read_is_read"]
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *wanted]
    result = private_mounts(PRIVATE, *where, *pytest_, *files)
    assert "2 passed" in result.stdout, result.stdout[-3000:] + result.stderr[-1000:]
    tell(2, "both pass: a file and a folder without permission, a folder that may only be read")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_slides_book_and_student_edition_are_made_without_a_network(tmp_path, private_mounts, tell):
    alone = 'ip link set lo up; exec "$@"'
    assert private_mounts(alone, sys.executable, "-c", PROOF).stdout == "True\n", "a network"
    slides, book, student = (tmp_path / name for name in ("slides", "book", "student"))
    for script, *options in (
        ("make_slides.py", "--to", slides),
        ("make_book.py", "--to", book),
        ("make_student_edition.py", student),
    ):
        made = private_mounts(alone, sys.executable, REPOSITORY / "tools" / script, *options)
        assert made.returncode == 0, made.stdout[-1500:] + made.stderr[-1500:]
    stems = {path.stem for path in CHAPTERS}
    assert {path.stem for path in slides.glob("*.html")} == stems
    assert {path.stem for path in (book / "notebooks").glob("*.html")} == stems
    assert {path.stem for path in student.glob("notebooks/*.ipynb")} == stems
    tell(3, "eight decks, the book and the student edition were made")


@pytest.mark.slow
def test_each_python_of_this_machine_makes_the_environment(course, tell):
    """All that the set-up would choose from; the doctor too must speak before there is torch."""
    pythons = {}
    for command in set_up.candidates():
        facts = set_up.probe(command)
        if facts and set_up.complaint(facts) is None:
            pythons.setdefault("{}.{}".format(*facts["version"]), command)
    plain = {k: v for k, v in course.environment.items() if not k.startswith("PYTHON")}
    for version, command in pythons.items():
        shutil.rmtree(course.venv, ignore_errors=True)
        script = str(course.folder / "tools" / "set_up.py")
        run([*command, script, "install"], env=plain)
        stamp = json.loads(course.stamp.read_text(encoding="utf-8"))
        python = course.venv / set_up.venv_python().relative_to(set_up.VENV)
        assert stamp["python"] == version == set_up.version_of(python)
        doctor = subprocess.run(
            [python, "-m", "course_utils", "doctor"],
            cwd=REPOSITORY,
            env=plain,
            capture_output=True,
            encoding="utf-8",
        )
        assert doctor.returncode == 1 and doctor.stderr == "", doctor.stderr
        rows = doctor.stdout.splitlines()
        assert rows[0].startswith(f"ok    Python          {version}."), rows[0]
        assert any(row.startswith("FAIL  torch ") for row in rows), "it is not in this environment"
    tell(len(pythons), f"Python {', '.join(sorted(pythons))}: environment made, doctor understood")
