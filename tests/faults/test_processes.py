"""Processes that are killed, interrupted or at work in the same place."""

from __future__ import annotations

import contextlib
import functools
import io
import multiprocessing
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from test_download import EXPECTED, GOOD, NAMES, fetch_fsdd, serve, whole
from test_execute_notebooks import SCRIPT, write
from test_set_up import Course, course, index, set_up

from command_line import main
from course_utils.recogniser import Recogniser
from course_utils.recordings import SpokenWords

__all__ = ["course", "index", "serve"]  # fixtures
LAYOUT = ("--layout", "speaker_digit")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


def make_caches(folder: Path, cache: Path, order: int) -> None:
    torch.set_num_threads(1)
    data = SpokenWords(folder, "speaker_digit")
    for n_mels in list(range(20, 40))[::order]:
        data.pictures(n_mels=n_mels, n_frames=20, cache=cache)


def finished(process: multiprocessing.Process) -> bool:
    process.join(120)
    alive = process.is_alive()
    if alive:
        process.kill()
    return not alive and process.exitcode == 0


@pytest.mark.slow
def test_kill_9_while_the_cache_is_made_leaves_right_pictures(
    tmp_path, class_folder, kill_at_random_moments, tell
):
    cache = tmp_path / "cache"
    work = functools.partial(make_caches, class_folder, cache, 1)
    killed = kill_at_random_moments(work, kills=20, longest=0.6)
    leftovers = len(list(cache.glob(".saving-*")))
    data = SpokenWords(class_folder, "speaker_digit")
    for n_mels in range(20, 40):
        kept = data.pictures(n_mels=n_mels, n_frames=20, cache=cache)
        assert torch.equal(kept, data.pictures(n_mels=n_mels, n_frames=20))
    tell(killed, f"all 20 kinds of pictures right afterwards; {leftovers} temporary files left")


@pytest.mark.slow
def test_two_students_on_one_cache_folder_get_the_right_pictures(tmp_path, class_folder, tell):
    rounds = 5
    for number in range(rounds):
        cache = tmp_path / f"cache{number}"
        fork = multiprocessing.get_context("fork")
        both = [
            fork.Process(target=make_caches, args=(class_folder, cache, order)) for order in (1, -1)
        ]
        for process in both:
            process.start()
        assert all([finished(process) for process in both]), "a deadlock or an error"
        assert len(list(cache.iterdir())) == 20
    data = SpokenWords(class_folder, "speaker_digit")
    for n_mels in range(20, 40):
        kept = data.pictures(n_mels=n_mels, n_frames=20, cache=cache)
        assert torch.equal(kept, data.pictures(n_mels=n_mels, n_frames=20))
    tell(rounds, "20 kinds of pictures each time, all right, no deadlock, nothing left over")


def train(folder: Path, out: Path, *options: str) -> None:
    """Run the command as `python -m course_utils train … --resume` does, in this process."""
    torch.set_num_threads(1)
    os.environ["COURSE_WORK"] = str(out.parent / "work")
    arguments = ["train", str(folder), *LAYOUT, "--out", str(out), "--resume", *options]
    nowhere = io.StringIO()
    with contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere):
        status = main(arguments)
    os._exit(status)


def in_a_process(work, *arguments) -> None:
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    assert finished(process)


@pytest.mark.slow
def test_kill_9_while_training_ends_with_the_same_bits(
    tmp_path, class_folder, kill_at_random_moments, tell
):
    options = ("--split", "speaker:p1", "--model", "cnn", "--epochs", "12")
    in_a_process(train, class_folder, tmp_path / "whole", *options)
    killed = 0
    for trial in range(3):
        out = tmp_path / f"killed{trial}"
        work = functools.partial(train, class_folder, out, *options)
        killed += kill_at_random_moments(work, kills=6, longest=0.6 + 0.4 * trial, seed=trial)
        in_a_process(train, class_folder, out, *options)
        one, two = (
            Recogniser.load(folder / "model.pt").model.state_dict()
            for folder in (tmp_path / "whole", out)
        )
        assert all(torch.equal(one[name], two[name]) for name in one)
    tell(killed, "after --resume each of 3 trainings ended with the same bits as one left in peace")


@pytest.mark.slow
def test_kill_9_while_downloading_ends_with_the_right_files(
    serve, tmp_path, kill_at_random_moments, tell
):
    server = serve(whole(GOOD, pause=0.02))
    work = functools.partial(fetch_fsdd, tmp_path / "fsdd", server.url, **EXPECTED)
    killed = 0
    for trial in range(12):
        killed += kill_at_random_moments(work, kills=1, longest=0.5, seed=trial)
        recordings = tmp_path / "fsdd" / "recordings"
        if recordings.exists():  # whole, since it is there
            assert len(list(recordings.iterdir())) == len(NAMES)
            for path in recordings.iterdir():
                path.unlink()
            recordings.rmdir()
    fetch_fsdd(tmp_path / "fsdd", server.url, **EXPECTED)
    assert {path.name for path in (tmp_path / "fsdd" / "recordings").iterdir()} == set(NAMES)
    assert {path.name for path in (tmp_path / "fsdd").iterdir()} == {".download.lock", "recordings"}
    tell(killed, "never a part of the recordings; the next run ended with all of them, checked")


@pytest.mark.slow
def test_kill_9_while_notebooks_are_run_leaves_whole_files(tmp_path, tell):
    path = write(tmp_path / "01_a.ipynb", "print('x' * 3_000_000)")
    original = path.read_bytes()
    command = [sys.executable, str(SCRIPT), str(path)]
    subprocess.run(command, check=True, capture_output=True)
    done = path.read_bytes()
    killed = 0
    for attempt in range(12):
        path.write_bytes(original)
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        if attempt % 2:  # as soon as it begins to write
            while process.poll() is None and not list(tmp_path.glob(".saving-*")):
                time.sleep(0.001)
            time.sleep(0.002 * attempt)
        else:
            time.sleep(0.4 * attempt)
        killed += process.poll() is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert path.read_bytes() in (original, done)
    path.write_bytes(original)
    subprocess.run(command, check=True, capture_output=True)
    assert path.read_bytes() == done
    assert [file.name for file in tmp_path.iterdir()] == ["01_a.ipynb"], "leftovers are removed"
    assert killed, "some kills must come before the end"
    tell(killed, "each file as it was or complete; the next run gives the same file")


def inside(course: Course, pattern: str) -> bool:
    return any((course.venv / "lib").glob(f"*/site-packages/{pattern}"))


# What a set-up has reached when it is killed.
STAGES = {
    "the folder": lambda course: (course.venv / "made_by_the_course").exists(),
    "pip": lambda course: inside(course, "pip"),
    "pip has begun": lambda course: course.log.exists() and course.log.stat().st_size > 0,
    "the first package": lambda course: inside(course, "setuptools-80*"),
    "the course": lambda course: inside(course, "course_utils.pth"),
    "the stamp": lambda course: course.stamp.exists(),
}


def set_up_until(course: Course, reached) -> subprocess.Popen[bytes]:
    """Start a set-up in a group of its own; return when it has reached a stage, or its end."""
    process = subprocess.Popen(
        course.command("install"),
        env=course.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not reached(course) and process.poll() is None:
        time.sleep(0.001)
    return process


@pytest.mark.slow
@pytest.mark.timeout(1800)  # six environments are made, each twice
def test_kill_9_while_the_course_is_set_up_is_mended_by_the_same_command(course, tell):
    """Each second time only the script is killed, so that what it started goes on alone."""
    killed, chance = 0, random.Random(0)
    for number, reached in enumerate(STAGES.values()):
        shutil.rmtree(course.venv, ignore_errors=True)
        course.log.unlink(missing_ok=True)
        process = set_up_until(course, reached)
        time.sleep(chance.uniform(0, 0.05))
        killed += process.poll() is None
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if number % 2 else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
        result = course.run("install")
        assert result.returncode == 0, result.stdout + result.stderr
        python = course.venv / set_up.venv_python().relative_to(set_up.VENV)
        subprocess.run([python, "-c", "import course_utils, pip"], check=True, cwd=course.venv)
        assert course.stamp.exists() and course.run("install").stdout == "", "nothing is left to do"
    assert killed, "some kills must come before the end"
    tell(killed, "the same command, run again, made a whole environment each time")


@pytest.mark.slow
def test_kill_9_of_a_set_up_alone_makes_the_next_one_wait_for_what_it_started(course, tell):
    """What it started stands still until the next one waits, and then goes on."""
    process = set_up_until(course, STAGES["pip"])
    os.killpg(process.pid, signal.SIGSTOP)
    process.kill()
    process.wait()
    following = subprocess.Popen(
        course.command("install"), env=course.environment, stdout=subprocess.PIPE, encoding="utf-8"
    )
    assert following.stdout is not None
    first = following.stdout.readline()
    os.killpg(process.pid, signal.SIGCONT)
    rest, _ = following.communicate()
    assert "waiting for it to end" in first and "complete" in rest
    assert following.returncode == 0 and course.stamp.exists()
    tell(1, "it waited, and then made a whole environment")


def killed_before_step(step: int, work) -> bool:
    """Run work in a process that ends by -9 before it does its so many-th thing to a file.

    Returns: whether it came so far.
    """
    left = step

    def hook(event: str, _: object) -> None:
        nonlocal left
        if event == "open" or event.startswith("os.") and event != "os.kill":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def child() -> None:
        sys.addaudithook(hook)
        work()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode in (0, -9), "the work itself failed"
    return process.exitcode == -9


def test_kill_9_before_each_step_of_removing_an_environment_lets_the_next_run_end_it(
    tmp_path, monkeypatch, tell
):
    venv = tmp_path / ".venv"
    monkeypatch.setattr(set_up, "VENV", venv)
    monkeypatch.setattr(set_up, "MARKER", venv / "made_by_the_course")
    killed, alive = 0, True
    while alive:
        for name in ("bin/python", "include/a", "lib/b/c", "made_by_the_course", "pyvenv.cfg"):
            (venv / name).parent.mkdir(parents=True, exist_ok=True)
            (venv / name).touch()
        (venv / "lib64").symlink_to("lib")
        alive = killed_before_step(killed + 1, set_up.remove_environment)
        killed += alive
        set_up.remove_environment()
        assert not venv.exists()
    assert killed > 10
    tell(killed, "never taken for a folder of somebody else; the next run removed it")


@pytest.mark.slow
def test_kill_9_before_each_step_of_handing_out_chapters_loses_no_work(tmp_path, tell):
    source, given = tmp_path / "notebooks", tmp_path / "given"
    source.mkdir()
    for name in ("01_a.ipynb", "02_b.ipynb"):
        (source / name).write_text(f"{name}, first", encoding="utf-8")
    set_up.copy_notebooks(source, given)
    (given / "01_a.ipynb").write_text("my answers", encoding="utf-8")
    (source / "01_a.ipynb").write_text("mended", encoding="utf-8")
    (source / "03_c.ipynb").write_text("new", encoding="utf-8")
    right = {
        "01_a.ipynb": "my answers", "01_a_update.ipynb": "mended",
        "02_b.ipynb": "02_b.ipynb, first", "03_c.ipynb": "new",
    }  # fmt: skip
    killed, alive = 0, True
    while alive:
        target = tmp_path / str(killed)
        shutil.copytree(given, target)
        alive = killed_before_step(killed + 1, lambda to=target: set_up.copy_notebooks(source, to))
        killed += alive
        set_up.copy_notebooks(source, target)
        assert {p.name: p.read_text(encoding="utf-8") for p in target.glob("*.ipynb")} == right
        assert set_up.copy_notebooks(source, target) == []
    assert killed > 10
    tell(killed, "the next run hands out the same chapters, each once; answers as they were")


@pytest.mark.slow
def test_kill_9_before_each_step_of_unpacking_a_download_leaves_nothing_half_made(tmp_path, tell):
    (tmp_path / "fsdd.tar.gz").write_bytes(GOOD)
    killed, alive = 0, True
    while alive:
        target = tmp_path / str(killed)

        def work(target: Path = target) -> None:
            fetch_fsdd(target, archive=tmp_path / "fsdd.tar.gz", **EXPECTED)

        alive = killed_before_step(killed + 1, work)
        killed += alive
        work()
        assert {path.name for path in (target / "recordings").iterdir()} == set(NAMES)
        assert {path.name for path in target.iterdir()} <= {".download.lock", "recordings"}
    assert killed > len(NAMES)
    tell(killed, "all recordings or none; the next run ended with all of them and nothing else")


@pytest.mark.slow
def test_kill_9_before_each_step_of_keeping_pictures_leaves_whole_ones(
    tmp_path, class_folder, tell
):
    for path in class_folder.glob("p[1-5]_*"):
        path.unlink()
    data = SpokenWords(class_folder, "speaker_digit")
    right = data.pictures()
    killed, alive = 0, True
    while alive:
        cache = tmp_path / str(killed)
        alive = killed_before_step(killed + 1, lambda to=cache: data.pictures(cache=to))
        killed += alive
        assert all(torch.equal(torch.from_numpy(np.load(p)), right) for p in cache.glob("*.npy"))
        assert torch.equal(data.pictures(cache=cache), right)
    assert killed > 20
    tell(killed, "never half of the pictures; the next run gave all of them")


# --- Ctrl-C -----------------------------------------------------------------------------------

CELL = """
import torch
from course_utils import metrics, models, training
torch.manual_seed(0)
x, y = torch.randn(200, 1, 32, 32), torch.arange(200) % 10
model = models.LeNet5()
recipe = training.Recipe(epochs=100_000, augment=None)
history = training.fit(model, x, y, x, y, recipe)
"""
AFTER = """
print(history.stopped, len(history.loss) == len(history.valid_loss) >= 1, model.training,
      round(metrics.accuracy(model, x, y), 6) == round(max(history.valid_accuracy), 6))
"""


class Kernel:
    """A real kernel, as JupyterLab starts one."""

    def __init__(self) -> None:
        from jupyter_client.manager import start_new_kernel

        self.manager, self.client = start_new_kernel(kernel_name="python3")

    def run(self, code: str, interrupt_at: str | None = None) -> tuple[str, str]:
        """Run a cell; return what it printed and the name of its error, if any."""
        message, printed, error = self.client.execute(code), "", ""
        while True:
            try:
                answer = self.client.get_iopub_msg(timeout=120)
            except queue.Empty:
                raise AssertionError(f"the kernel hangs after: {printed[-300:]}") from None
            if answer["parent_header"].get("msg_id") != message:
                continue
            content = answer["content"]
            if answer["msg_type"] == "stream":
                printed += content["text"]
                if interrupt_at and interrupt_at in printed:
                    self.manager.interrupt_kernel()
                    interrupt_at = None
            elif answer["msg_type"] == "error":
                error = content["ename"]
            elif answer["msg_type"] == "status" and content["execution_state"] == "idle":
                return printed, error

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.mark.slow
def test_the_stop_button_in_a_training_cell_leaves_a_usable_model(tell):
    kernel, times = Kernel(), 3
    try:
        for _ in range(times):
            printed, error = kernel.run(CELL, interrupt_at="epoch   1 of")
            assert error == "", "an interrupted training ends its cell in peace"
            assert "Stopped after epoch" in printed and "the model has the weights of" in printed
            assert kernel.run(AFTER) == ("True True False True\n", "")
    finally:
        kernel.stop()
    tell(
        times,
        "says so, no traceback, the model has its best weights and is judged in the next cell",
    )


@pytest.mark.slow
def test_two_trainings_into_one_folder_leave_a_whole_model(tmp_path, class_folder, tell):
    out = tmp_path / "out"
    options = ("--split", "clip", "--model", "lenet", "--epochs", "10")
    fork = multiprocessing.get_context("fork")
    both = [fork.Process(target=train, args=(class_folder, out, *options)) for _ in range(2)]
    for process in both:
        process.start()
    assert all([finished(process) for process in both])
    in_a_process(train, class_folder, tmp_path / "alone", *options)
    one, two = (
        Recogniser.load(folder / "model.pt").model.state_dict()
        for folder in (out, out.with_name("alone"))
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not list(out.glob(".*"))
    tell(2, "the model of both is the same as that of one alone; nothing left over")
