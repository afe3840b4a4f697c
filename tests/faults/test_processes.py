"""Processes that are killed, interrupted or at work in the same place."""

from __future__ import annotations

import contextlib
import functools
import io
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from test_download import EXPECTED, GOOD, NAMES, fetch_fsdd, serve, whole
from test_execute_notebooks import SCRIPT, write

from course_utils import digits, training
from course_utils.__main__ import main
from course_utils.digits import SpokenDigits

__all__ = ["serve"]  # a fixture
LAYOUT = ("--layout", "speaker_digit")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


def make_caches(folder: Path, cache: Path, order: int) -> None:
    torch.set_num_threads(1)
    data = SpokenDigits(folder, "speaker_digit")
    for n_mels in list(range(20, 40))[::order]:
        digits.pictures(data, n_mels=n_mels, n_frames=20, cache=cache)


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
    leftovers = len(list(cache.glob(".pictures-*")))
    data = SpokenDigits(class_folder, "speaker_digit")
    for n_mels in range(20, 40):
        kept = digits.pictures(data, n_mels=n_mels, n_frames=20, cache=cache)
        assert torch.equal(kept, digits.pictures(data, n_mels=n_mels, n_frames=20))
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
    data = SpokenDigits(class_folder, "speaker_digit")
    for n_mels in range(20, 40):
        kept = digits.pictures(data, n_mels=n_mels, n_frames=20, cache=cache)
        assert torch.equal(kept, digits.pictures(data, n_mels=n_mels, n_frames=20))
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
            training.load_model(folder / "model.pt")[0].state_dict()
            for folder in (tmp_path / "whole", out)
        )
        assert all(torch.equal(one[name], two[name]) for name in one)
    tell(killed, "after --resume each of 3 trainings ended with the same bits as one left in peace")


@pytest.mark.slow
def test_kill_9_while_downloading_ends_with_the_right_files(
    serve, tmp_path, kill_at_random_moments, tell
):
    server = serve(whole(GOOD, ranges=True, pause=0.02))
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
            while process.poll() is None and not list(tmp_path.glob(".01_a_*.tmp")):
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


# --- Ctrl-C -----------------------------------------------------------------------------------

CELL = """
import torch
from course_utils import models, training
torch.manual_seed(0)
x, y = torch.randn(200, 1, 32, 32), torch.arange(200) % 10
model = models.LeNet5()
history = training.fit(model, x, y, x, y, epochs=100_000)
"""
AFTER = """
print(history.stopped, len(history.loss) == len(history.valid_loss) >= 1, model.training,
      round(training.evaluate(model, x, y), 6) == round(max(history.valid_accuracy), 6))
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
        training.load_model(folder / "model.pt")[0].state_dict()
        for folder in (out, out.with_name("alone"))
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not list(out.glob(".*"))
    tell(2, "the model of both is the same as that of one alone; nothing left over")
