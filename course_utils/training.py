"""Train a network on pictures of spoken words: the recipes, and the one loop of the course.

`fit` is the loop that chapter 8 reads aloud. What hangs on it stands elsewhere: checkpoints in
`checkpoints.py`, several processes in `processes.py`, changed pictures in `augment.py`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch
from torch.nn import functional

from course_utils import checkpoints, models, processes
from course_utils.augment import augment
from course_utils.errors import TrainingError

FEW_EPOCHS, MANY_EPOCHS = 20, 100
CLIPS_FOR_FEW = 1620  # with so many clips 20 epochs are enough; half of them need twice as many


@dataclass(frozen=True)
class Recipe:
    """How one network is trained: its pictures and the settings of `fit`. Used in chapter 8.

    Attributes: `network` is called with the number of classes. `epochs` None: as many as the
    amount of data asks for. `learning_rate` is the highest, where the schedule is one cycle.
    `augment` changes a batch of pictures; None leaves them as they are.
    """

    network: Callable[..., torch.nn.Module] = models.Ensemble
    kind: Literal["log_mel", "notes"] = "log_mel"
    n_mels: int = 40
    n_frames: int = 48
    epochs: int | None = None
    learning_rate: float = 3e-3
    batch_size: int = 64
    weight_decay: float = 0.01
    label_smoothing: float = 0.1
    schedule: Literal["one_cycle", "constant"] = "one_cycle"
    augment: Callable[[torch.Tensor], torch.Tensor] | None = augment

    def epochs_for(self, clips: int) -> int:
        """Return the number of epochs for so many clips: few clips need more passes."""
        wanted = round(FEW_EPOCHS * CLIPS_FOR_FEW / max(clips, 1))
        return self.epochs or min(max(wanted, FEW_EPOCHS), MANY_EPOCHS)

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for files."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        values["augment"] = self.augment is not None
        return values | {"network": getattr(self.network, "__name__", "")}


RECIPES = {
    "notes": Recipe(
        models.NotesNetwork,
        kind="notes",
        n_mels=80,
        n_frames=80,
        epochs=100,
        learning_rate=1e-2,
        batch_size=16,
        weight_decay=0.0,
        label_smoothing=0.0,
        schedule="constant",
        augment=None,
    ),
    "mlp": Recipe(models.MLP, n_mels=80, n_frames=80, learning_rate=1e-3),
    "lenet": Recipe(models.LeNet5, n_mels=32, n_frames=32, learning_rate=4e-3),
    "cnn": Recipe(models.Ensemble),
}


@dataclass
class History:
    """What `fit` returns: one number an epoch in each list; `best_epoch` counts from 1."""

    loss: list[float] = field(default_factory=list)
    valid_loss: list[float] = field(default_factory=list)
    valid_accuracy: list[float] = field(default_factory=list)
    best_epoch: int = 0
    stopped: bool = False


def seed_everything(seed: int = 0) -> None:
    """Seed the random numbers of Python, NumPy and PyTorch, so that a run can be repeated.

    >>> seed_everything(0); a = torch.rand(3); seed_everything(0); bool((a == torch.rand(3)).all())
    True
    """
    import numpy as np

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def fit(
    model: torch.nn.Module,
    train_features: torch.Tensor,
    train_labels: torch.Tensor,
    valid_features: torch.Tensor | None = None,
    valid_labels: torch.Tensor | None = None,
    recipe: Recipe = Recipe(),  # noqa: B008  (frozen, so it can be shared)
    *,
    seed: int = 0,
    device: torch.device | str | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    report: Callable[[str], Any] | None = print,
) -> History:
    """Train a model, and leave it with the weights of its best epoch on the validation part.

    Taught in chapter 8. Repeatable bit for bit on one machine with one number of threads. Ctrl-C
    stops it and leaves the model with the best weights so far. Under torchrun every process takes
    its share of each batch.

    Args:
        model: takes features [batch, ...], returns logits [batch, classes], or in training
            [batch, classes, members] as `models.Ensemble` does; changed in place.
        train_features, valid_features: float32 tensors [clips, ...], on the CPU.
        train_labels, valid_labels: int64 tensors [clips]. Without a validation part the weights
            of the last epoch stay.
        recipe: the settings of AdamW, cross-entropy and augmentation.
        seed: of the order of clips, of dropout and of augmentation.
        device: cuda, mps or cpu; the fastest that works if not given.
        checkpoint: a file written after each epoch; with resume, training goes on from it.
        report: called with each line of progress; None for silence.
    Returns:
        a History.
    Raises:
        TrainingError: if the data do not fit or a checkpoint cannot be used; FolderError, if one
            cannot be written.
    Source:
        Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019 (AdamW); Smith and
        Topin, "Super-convergence", 2018 (one cycle).

    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 10))
    >>> x, y = torch.randn(40, 1, 2, 2), torch.arange(40) % 10
    >>> history = fit(model, x, y, x, y, Recipe(epochs=2, augment=None), report=None)
    >>> len(history.loss), history.best_epoch in (1, 2)
    (2, True)
    """
    _check_data("training", train_features, train_labels)
    if valid_features is not None:
        _check_data("validation", valid_features, valid_labels)
    device = torch.device(device) if device else processes.choose_device()
    if device.type == "cpu" and train_features.dim() == 4:  # convolutions are a third faster so
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = Run(model.to(device), recipe, seed, len(train_features))
    if resume and checkpoint is not None and Path(checkpoint).exists():
        checkpoints.load(checkpoint, run)
    network = processes.shared(model)
    dtype = next(model.parameters()).dtype  # float64, where somebody made that the default
    try:
        for epoch in range(len(run.history.loss), run.epochs):
            order = _seed_epoch(seed, epoch, len(train_features))
            model.train()
            total_loss = 0.0
            for batch in order.tensor_split(run.steps):
                batch = processes.my_share(batch)
                features = train_features[batch].to(device, dtype)
                labels = train_labels[batch].to(device)
                if recipe.augment is not None:
                    features = recipe.augment(features)
                logits = network(features)
                loss = _loss(logits, labels, recipe.label_smoothing)
                run.optimizer.zero_grad()
                loss.backward()
                run.optimizer.step()
                run.schedule.step()
                total_loss += loss.item()
            run.end_epoch(total_loss / run.steps, _validate(model, valid_features, valid_labels))
            if checkpoint is not None:
                checkpoints.save(checkpoint, run)
            _report_epoch(report, run)
    except KeyboardInterrupt:
        run.history.stopped = True
    model.load_state_dict(run.best)
    model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    model.eval()
    _report_end(report, run)
    return run.history


class Run:
    """A training under way: all that changes from epoch to epoch, and what it depends on."""

    def __init__(self, model: torch.nn.Module, recipe: Recipe, seed: int, clips: int) -> None:
        self.model, self.history, self.best = model, History(), models.copy_weights(model)
        self.epochs = recipe.epochs_for(clips)
        self.steps = max(1, clips // recipe.batch_size)
        rate = recipe.learning_rate
        decay = recipe.weight_decay
        self.optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=decay, fused=True)
        steps = self.epochs * self.steps
        schedules = torch.optim.lr_scheduler
        self.schedule: torch.optim.lr_scheduler.LRScheduler
        if recipe.schedule == "one_cycle":
            self.schedule = schedules.OneCycleLR(self.optimizer, max_lr=rate, total_steps=steps)
        else:
            self.schedule = schedules.ConstantLR(self.optimizer, factor=1.0)
        # A checkpoint belongs to these settings and to no others.
        self.settings = recipe.as_dict() | {
            "epochs": self.epochs,
            "seed": seed,
            "clips": clips,
            "processes": processes.count(),
        }

    def end_epoch(self, loss: float, valid: tuple[float, float] | None) -> None:
        """Write down an epoch, all of it at once, and keep the weights if they are the best."""
        loss = float(processes.total(torch.tensor(loss, dtype=torch.float64))) / processes.count()
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss of epoch {len(self.history.loss) + 1} is not a number: use a smaller "
                "learning rate, and check that the features hold no NaN."
            )
        if valid is not None:
            self.history.valid_loss.append(valid[0])
            self.history.valid_accuracy.append(valid[1])
        self.history.loss.append(loss)
        # Of equal epochs the later one is better: its learning rate was lower.
        accuracies = self.history.valid_accuracy
        if not accuracies or accuracies[-1] == max(accuracies):
            self.history.best_epoch = len(self.history.loss)
            self.best = models.copy_weights(self.model)


def _check_data(name: str, features: Any, labels: Any) -> None:
    for value in (features, labels):
        if not isinstance(value, torch.Tensor):
            raise TrainingError(
                f"The {name} part holds a {type(value).__name__}: give tensors; torch.from_numpy "
                "turns a NumPy array into one."
            )
    if len(features) != len(labels) or len(labels) == 0:
        raise TrainingError(
            f"The {name} part has {len(features)} clips and {len(labels)} labels: give one label "
            "for each clip, and one clip or more."
        )
    if labels.dtype != torch.int64:
        raise TrainingError(
            f"The labels of the {name} part are {labels.dtype}: cross-entropy needs whole numbers "
            "of type int64; use labels.long()."
        )


def _seed_epoch(seed: int, epoch: int, clips: int) -> torch.Tensor:
    """Seed an epoch, so that a resumed run draws the same numbers; return its order of clips.

    The order is the same in every process; what is drawn after it differs.
    """
    torch.manual_seed(1_000_003 * seed + epoch)
    order = torch.randperm(clips)
    torch.manual_seed(1_000_003 * seed + epoch + 7919 * processes.rank())
    return order


def _loss(
    logits: torch.Tensor, labels: torch.Tensor, label_smoothing: float, reduction: str = "mean"
) -> torch.Tensor:
    if logits.dim() == 3:  # [batch, classes, members]: the same labels for each
        labels = labels[:, None].expand(-1, logits.shape[2])
    answers = logits.shape[1]
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < answers:
        raise TrainingError(
            f"A label is {int(labels.max())} or {int(labels.min())}, but the model has "
            f"{answers} answers: labels count from 0 to {answers - 1}."
        )
    return functional.cross_entropy(
        logits, labels, label_smoothing=label_smoothing, reduction=reduction
    )


def _validate(
    model: torch.nn.Module, features: torch.Tensor | None, labels: torch.Tensor | None
) -> tuple[float, float] | None:
    """Return loss and accuracy over the clips of all processes, each of which does a share."""
    if features is None or labels is None:
        return None
    processes.copy_buffers(model)
    mine = processes.my_share(torch.arange(len(labels)))
    probabilities = models.predict(model, features[mine])
    logarithms = probabilities.clamp(min=1e-12).log()
    loss = _loss(logarithms, labels[mine], label_smoothing=0.0, reduction="sum")
    correct = (probabilities.argmax(dim=-1) == labels[mine]).sum()
    sums = processes.total(torch.stack([loss.double(), correct.double()]))
    return float(sums[0]) / len(labels), float(sums[1]) / len(labels)


def _report_epoch(report: Callable[[str], Any] | None, run: Run) -> None:
    epoch, every = len(run.history.loss), max(1, run.epochs // 10)
    shown = epoch % every == 0 or epoch in (1, run.epochs)
    if report is not None and processes.rank() == 0 and shown:
        loss, accuracies = run.history.loss[-1], run.history.valid_accuracy
        text = f"epoch {epoch:3d} of {run.epochs}: loss {loss:.3f}"
        if accuracies:
            share = 100 * accuracies[epoch - 1]
            text = (
                f"epoch {epoch:3d} of {run.epochs}: loss {loss:.3f}, "
                f"validation accuracy {share:.1f} %"
            )
        report(text)


def _report_end(report: Callable[[str], Any] | None, run: Run) -> None:
    if report is None or processes.rank() != 0:
        return
    done, best = len(run.history.loss), run.history.best_epoch
    if done == 0:
        report("Stopped before the first epoch ended: the model has the weights it came with.")
        return
    weights = f"the model has the weights of epoch {best}"
    if run.history.valid_accuracy:
        share = 100 * run.history.valid_accuracy[best - 1]
        weights = f"the model has the weights of epoch {best}, validation accuracy {share:.1f} %"
    if run.history.stopped:
        report(f"Stopped after epoch {done} of {run.epochs}: {weights}.")
    else:
        report(f"Done: {weights}.")
