"""The training loop, its judgement, and its files."""

import os
import pickle
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import torch

from course_utils import models, training
from course_utils.training import TrainingError


def task(clips: int = 60, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Ten kinds of pictures with some noise on them."""
    generator = torch.Generator().manual_seed(42)
    kinds = torch.randn(10, 1, 16, 16, generator=generator)
    labels = torch.arange(clips) % 10
    noise = torch.randn(clips, 1, 16, 16, generator=generator.manual_seed(seed))
    return (kinds[labels] + noise).clamp(-2, 2), labels


def fit(epochs: int = 3, seed: int = 0, **options) -> tuple[torch.nn.Module, training.History]:
    training.seed_everything(seed)
    model = models.SmallCNN()
    options = {"report": None, "augment": training.augment, "batch_size": 16} | options
    history = training.fit(
        model, *task(), *task(30, seed=1), epochs=epochs, seed=seed, device="cpu", **options
    )
    return model, history


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(
        torch.equal(x, y)
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_training_is_repeatable_bit_for_bit():
    assert same_weights(fit()[0], fit()[0])
    assert not same_weights(fit()[0], fit(seed=1)[0])


def test_the_random_numbers_drawn_between_do_not_matter():
    first, _ = fit()
    torch.manual_seed(0)
    model = models.SmallCNN()
    torch.rand(1000)
    training.fit(
        model, *task(), *task(30, seed=1), epochs=3, batch_size=16, device="cpu",
        augment=training.augment, report=None,
    )  # fmt: skip
    assert same_weights(first, model)


def test_the_model_is_left_with_its_best_epoch():
    lines = []
    model, history = fit(epochs=12, lr=0.1, schedule="constant", report=lines.append)
    best = max(history.valid_accuracy)
    assert history.valid_accuracy[history.best_epoch - 1] == best
    assert training.evaluate(model, *task(30, seed=1)) == pytest.approx(best)
    assert len(history.loss) == len(history.valid_loss) == 12
    assert f"epoch {history.best_epoch}" in lines[-1] and f"{100 * best:.1f} %" in lines[-1]


def test_without_a_validation_part_the_last_epoch_stays():
    training.seed_everything(0)
    model = models.SmallCNN()
    history = training.fit(model, *task(), None, None, epochs=2, report=None)
    assert history.best_epoch == 2 and history.valid_accuracy == []


def test_a_batch_larger_than_the_data_and_a_single_clip():
    for clips in (1, 5):
        model = models.SmallCNN()
        history = training.fit(model, *task(clips), *task(clips), epochs=1, report=None)
        assert len(history.loss) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x, y[:-1]), "60 clips and 59 labels"),
        (lambda x, y: (x[:0], y[:0]), "0 clips"),
        (lambda x, y: (x, y.int()), "int64"),
    ],
)
def test_data_that_do_not_fit_are_refused_in_a_sentence(change, message):
    with pytest.raises(TrainingError, match=message):
        training.fit(models.SmallCNN(), *change(*task()), *task(), epochs=1, report=None)


def test_ctrl_c_leaves_a_usable_model_and_says_so():
    calls = []

    def augment_and_interrupt(pictures: torch.Tensor) -> torch.Tensor:
        calls.append(0)
        if len(calls) == 8:  # three batches an epoch: in the third epoch
            os.kill(os.getpid(), signal.SIGINT)
        return pictures

    lines = []
    model, history = fit(epochs=9, augment=augment_and_interrupt, report=lines.append)
    assert history.stopped and len(history.loss) == 2
    assert lines[-1].startswith("Stopped after epoch 2 of 9: the model has the weights of epoch")
    accuracy = training.evaluate(model, *task(30, seed=1))
    assert accuracy == pytest.approx(max(history.valid_accuracy))
    assert not model.training


# Judging


def test_intervals_are_those_of_the_books():
    # Newcombe 1998, table I, method 3: 81 of 263 and 0 of 20.
    assert training.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert training.wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    # t for 4 speakers is 3.182.
    low, high = training.speaker_interval([0.6, 0.7, 0.7, 0.8])
    assert high - low == pytest.approx(2 * 3.1824 * 0.08165 / 2, abs=1e-3)
    assert training.speaker_interval([0.9]) is None
    with pytest.raises(ValueError, match="no accuracy"):
        training.wilson_interval(3, 0)


def test_the_interval_over_speakers_is_wider_where_speakers_differ():
    low, high = training.wilson_interval(280, 400)
    wide_low, wide_high = training.speaker_interval([0.5, 0.7, 0.75, 0.85])
    assert wide_high - wide_low > 3 * (high - low)


def test_predict_gives_probabilities_and_leaves_the_mode_alone():
    model = models.SmallCNN().train()
    probabilities = training.predict(model, task()[0])
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(60), atol=1e-5)
    assert model.training
    assert training.predict(model, task()[0][:0]).shape == (0, 10)


def test_confusion_counts_every_clip_once():
    labels = torch.tensor([0, 0, 1, 2])
    matrix = training.confusion(torch.tensor([0, 1, 1, 0]), labels, classes=3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_augmentation_changes_pictures_but_neither_shape_nor_range():
    torch.manual_seed(0)
    pictures = task(64)[0]
    changed = training.augment(pictures)
    assert changed.shape == pictures.shape and changed.isfinite().all()
    assert changed.min() >= -2 and changed.max() <= 2
    assert all(not torch.equal(a, b) for a, b in zip(changed, pictures, strict=True))


# Files


def test_a_model_comes_back_as_it_was_saved(tmp_path):
    model = models.LeNet5().eval()
    training.save_model(tmp_path / "model.pt", model, "lenet")
    loaded, recipe = training.load_model(tmp_path / "model.pt")
    assert same_weights(model, loaded) and recipe.n_mels == 32
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


class _Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_a_file_that_would_run_code_is_refused_unopened(tmp_path, writer):
    bad, trace = tmp_path / "model.pt", tmp_path / "ran"
    if writer == "pickle":
        bad.write_bytes(pickle.dumps(_Malicious(trace)))
    else:
        torch.save({"weights": _Malicious(trace)}, bad)
    with pytest.raises(TrainingError, match="holds code beside its weights, and was not opened"):
        training.load_model(bad)
    assert not trace.exists()
    torch.load(bad, weights_only=False) if writer == "torch" else pickle.loads(bad.read_bytes())
    assert trace.exists()  # the file is dangerous indeed


@pytest.mark.parametrize("content", [b"", b"no model", bytes(10_000), b"PK\x03\x04" + bytes(99)])
def test_files_that_are_no_models_are_refused(tmp_path, content):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(TrainingError, match=r"^model\.pt is (damaged or )?not a model"):
        training.load_model(tmp_path / "model.pt")


def test_tensors_that_are_no_model_are_refused(tmp_path):
    torch.save(
        {"format": training.MODEL_FORMAT, "model": "lenet", "weights": {}}, tmp_path / "a.pt"
    )
    torch.save([1, 2], tmp_path / "b.pt")
    for name in ("a.pt", "b.pt"):
        with pytest.raises(TrainingError, match="not a model of this course"):
            training.load_model(tmp_path / name)
    with pytest.raises(TrainingError, match="does not exist"):
        training.load_model(tmp_path / "none.pt")


def test_a_truncated_model_is_refused_wherever_it_ends(tmp_path):
    training.save_model(tmp_path / "model.pt", models.LeNet5(), "lenet")
    content = (tmp_path / "model.pt").read_bytes()
    for part in range(20):
        (tmp_path / "model.pt").write_bytes(content[: len(content) * part // 20])
        with pytest.raises(TrainingError):
            training.load_model(tmp_path / "model.pt")


def test_resuming_after_any_epoch_gives_the_same_bits(tmp_path):
    whole, history = fit(epochs=4)
    for epochs_before in (1, 3):
        file = tmp_path / f"{epochs_before}.pt"
        calls = []

        def stop(line, calls=calls, after=epochs_before):
            calls.append(line)
            if len(calls) == after:
                raise KeyboardInterrupt

        _, stopped = fit(epochs=4, checkpoint=file, report=stop)
        assert stopped.stopped and len(stopped.loss) == epochs_before
        torch.rand(17)
        resumed, again = fit(epochs=4, checkpoint=file, resume=True)
        assert same_weights(whole, resumed)
        assert again.loss == history.loss


def test_resuming_another_training_is_refused(tmp_path):
    fit(epochs=2, checkpoint=tmp_path / "c.pt")
    with pytest.raises(TrainingError, match="epochs was 2, now 3"):
        fit(epochs=3, checkpoint=tmp_path / "c.pt", resume=True)
    training.seed_everything(0)
    with pytest.raises(TrainingError, match="another network"):
        training.fit(
            torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 10)),
            *task(), *task(), epochs=2, batch_size=16, augment=training.augment,
            checkpoint=tmp_path / "c.pt", resume=True, report=None,
        )  # fmt: skip


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(TrainingError, match="cannot be written"):
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

        with pytest.raises(TrainingError, match="No space left on device.*untouched"):
            fit(epochs=3, checkpoint=disk / "c.pt", report=fill_after_first_epoch)
        (disk / "filler").unlink()
        assert [file.name for file in disk.iterdir()] == ["c.pt"]
        resumed, _ = fit(epochs=3, checkpoint=disk / "c.pt", resume=True)
        assert same_weights(whole, resumed)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
