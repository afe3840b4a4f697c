"""A training that is interrupted: what is kept, and that going on ends with the same bits."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from learning import QUICK, fit, same_weights, task

from course_utils import training
from course_utils.errors import FolderError, TrainingError


def stop_at(line: int) -> Callable[[str], None]:
    """Return a report that presses Ctrl-C at a line."""
    left = [line]

    def report(_: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    return report


def test_resuming_after_any_epoch_gives_the_same_bits(tmp_path):
    whole, history = fit(epochs=4)
    for epochs_before in (1, 3):
        file = tmp_path / f"{epochs_before}.pt"
        _, stopped = fit(epochs=4, checkpoint=file, report=stop_at(epochs_before))
        assert stopped.stopped and len(stopped.loss) == epochs_before
        torch.rand(17)
        resumed, again = fit(epochs=4, checkpoint=file, resume=True)
        assert same_weights(whole, resumed)
        assert again.loss == history.loss


def test_resuming_another_training_is_refused(tmp_path):
    fit(epochs=2, checkpoint=tmp_path / "c.pt")
    with pytest.raises(TrainingError, match="epochs was 2, now 3"):
        fit(epochs=3, checkpoint=tmp_path / "c.pt", resume=True)
    other = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 10))
    with pytest.raises(TrainingError, match="another network"):
        training.fit(
            other, *task(), *task(), replace(QUICK, epochs=2), device="cpu",
            checkpoint=tmp_path / "c.pt", resume=True, report=None,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning_rate": 0.01}, "learning_rate was 0.003, now 0.01"),
        ({"augment": None}, "augment was True, now False"),
        ({"seed": 7}, "seed was 0, now 7"),
    ],
)
def test_the_setting_that_differs_is_named(tmp_path, settings, said):
    fit(epochs=2, checkpoint=tmp_path / "c.pt")
    with pytest.raises(TrainingError, match=f"another training .{said}.: train with the same"):
        fit(epochs=2, checkpoint=tmp_path / "c.pt", resume=True, **settings)


def test_the_default_number_of_epochs_resumes_as_a_number(tmp_path):
    """60 clips get 100 epochs, whether that was asked for or not."""
    fit(epochs=None, checkpoint=tmp_path / "c.pt", report=stop_at(1))
    model, history = fit(epochs=100, checkpoint=tmp_path / "c.pt", resume=True, report=stop_at(1))
    assert len(history.loss) >= 2


@pytest.mark.parametrize("content", [b"", b"no checkpoint", bytes(5000)])
def test_a_damaged_checkpoint_is_refused_in_a_sentence(tmp_path, content):
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(TrainingError, match=r"^c\.pt is (damaged or )?not a checkpoint of this"):
        fit(checkpoint=tmp_path / "c.pt", resume=True)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(FolderError, match="cannot be written"):
        fit(checkpoint=tmp_path / "file" / "checkpoint.pt")


@pytest.mark.skipif(not shutil.which("mount"), reason="needs a way to mount a small disk")
def test_a_full_disk_says_so_and_the_earlier_checkpoint_still_works(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(disk)]).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        whole, _ = fit(epochs=3)
        lines = []

        def fill_after_first_epoch(line: str) -> None:
            lines.append(line)
            if len(lines) == 1:
                (disk / "filler").write_bytes(bytes(1_500_000))

        with pytest.raises(FolderError, match="No space left on device.*untouched"):
            fit(epochs=3, checkpoint=disk / "c.pt", report=fill_after_first_epoch)
        (disk / "filler").unlink()
        assert [file.name for file in disk.iterdir()] == ["c.pt"]
        resumed, _ = fit(epochs=3, checkpoint=disk / "c.pt", resume=True)
        assert same_weights(whole, resumed)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
