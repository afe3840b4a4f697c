"""Train a network on pictures of spoken digits, judge it honestly, save it and load it.

`fit` is the one training loop of the course; chapter 8 explains it line by line.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import distributed
from torch.nn import functional

from course_utils import models, paths

PREDICTED_AT_ONCE = 512
MODEL_FORMAT = "course_utils model 1"


class TrainingError(Exception):
    """A training that cannot start or go on, in a sentence that says what to do."""


@dataclass(frozen=True)
class Recipe:
    """How one network is trained by default: its pictures and the settings of `fit`."""

    model: type[torch.nn.Module]
    kind: Literal["log_mel", "notes"] = "log_mel"
    n_mels: int = 40
    n_frames: int = 48
    epochs: int = 20
    lr: float = 3e-3
    batch_size: int = 64
    weight_decay: float = 0.01
    label_smoothing: float = 0.1
    schedule: Literal["one_cycle", "constant"] = "one_cycle"
    augmented: bool = True


RECIPES = {
    "notes": Recipe(
        models.NotesNetwork,
        kind="notes",
        n_mels=80,
        n_frames=80,
        epochs=100,
        lr=1e-2,
        batch_size=16,
        weight_decay=0.0,
        label_smoothing=0.0,
        schedule="constant",
        augmented=False,
    ),
    "mlp": Recipe(models.MLP, n_mels=80, n_frames=80, lr=1e-3),
    "lenet": Recipe(models.LeNet5, n_mels=32, n_frames=32, lr=4e-3),
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


def choose_device() -> torch.device:
    """Return the fastest device that works here: cuda, else mps, else cpu.

    >>> choose_device().type in ("cuda", "mps", "cpu")
    True
    """
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def fit(
    model: torch.nn.Module,
    train_features: torch.Tensor,
    train_labels: torch.Tensor,
    valid_features: torch.Tensor | None,
    valid_labels: torch.Tensor | None,
    *,
    epochs: int = 20,
    lr: float = 3e-3,
    batch_size: int = 64,
    weight_decay: float = 0.01,
    label_smoothing: float = 0.1,
    schedule: Literal["one_cycle", "constant"] = "one_cycle",
    augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
    seed: int = 0,
    device: torch.device | str | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    report: Callable[[str], Any] | None = print,
) -> History:
    """Train a model, and leave it with the weights of its best epoch on the validation part.

    Repeatable bit for bit on one machine with one number of threads. Ctrl-C stops it and
    leaves the model with the best weights so far. Under torchrun every process takes its share
    of each batch.

    Parameters:
        model: takes features [batch, ...], returns logits [batch, classes], or in training
            [batch, classes, members] as `models.Ensemble` does; changed in place.
        train_features, valid_features: float32 tensors [clips, ...], on the CPU.
        train_labels, valid_labels: int64 tensors [clips]. With None and None for the validation
            part, the weights of the last epoch stay.
        epochs, lr, batch_size, weight_decay, label_smoothing: the usual settings of AdamW and
            cross-entropy.
        schedule: `"one_cycle"` (the learning rate rises to lr and falls to 0) or `"constant"`.
        augment: a function from a batch of features to a changed one, such as `augment`.
        seed: of the order of clips, of dropout and of augmentation.
        device: cuda, mps or cpu; the fastest if not given.
        checkpoint: a file written after each epoch; with resume, training goes on from it.
        report: called with each line of progress; None for silence.
    Returns: a History.
    Raises: TrainingError, if the data do not fit, or a checkpoint cannot be written or used.
    Source: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019 (AdamW);
        Smith and Topin, "Super-convergence", 2018 (one cycle).

    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 10))
    >>> x, y = torch.randn(40, 1, 2, 2), torch.arange(40) % 10
    >>> history = fit(model, x, y, x, y, epochs=2, report=None)
    >>> len(history.loss), history.best_epoch in (1, 2)
    (2, True)
    """
    _check_data("training", train_features, train_labels)
    if valid_features is not None and valid_labels is not None:
        _check_data("validation", valid_features, valid_labels)
    settings = {
        "epochs": epochs,
        "lr": lr,
        "batch_size": batch_size,
        "weight_decay": weight_decay,
        "label_smoothing": label_smoothing,
        "schedule": schedule,
        "augmented": augment is not None,
        "seed": seed,
        "clips": len(train_features),
        "processes": _processes(),
    }
    device = torch.device(device) if device else choose_device()
    model.to(device)
    dtype = next(model.parameters()).dtype  # float64, where somebody made that the default
    network = _shared_by_processes(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay, fused=True)
    steps = max(1, len(train_features) // batch_size)
    if schedule == "one_cycle":
        scheduler: Any = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=lr, total_steps=epochs * steps
        )
    else:
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    history, best = History(), _copy(model)
    if resume and checkpoint is not None and Path(checkpoint).exists():
        history, best = _load_checkpoint(checkpoint, settings, model, optimizer, scheduler)

    try:
        for epoch in range(len(history.loss), epochs):
            # Each epoch has random numbers of its own, so a resumed run draws the same ones.
            order = _seed_epoch(seed, epoch, len(train_features))
            model.train()
            total = 0.0
            for batch in order.tensor_split(steps):
                batch = _my_share(batch)
                features = train_features[batch].to(device, dtype)
                labels = train_labels[batch].to(device)
                if augment is not None:
                    features = augment(features)
                logits = network(features)
                if logits.dim() == 3:  # [batch, digits, members]: the same labels for each
                    labels = labels[:, None].expand(-1, logits.shape[2])
                loss = functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                scheduler.step()
                total += loss.item()
            mean_loss = _mean_over_processes(total / steps)
            if valid_features is not None and valid_labels is not None:
                valid_loss, valid_accuracy = _validate(model, valid_features, valid_labels)
                history.valid_loss.append(valid_loss)
                history.valid_accuracy.append(valid_accuracy)
            # After the validation: Ctrl-C in its middle must not leave an epoch half recorded.
            history.loss.append(mean_loss)
            # Of equal epochs the later one is better: its learning rate was lower.
            if _is_best(history.valid_accuracy):
                history.best_epoch, best = epoch + 1, _copy(model)
            if checkpoint is not None:
                _save_checkpoint(checkpoint, settings, model, optimizer, scheduler, history, best)
            _report_epoch(report, history, epochs)
    except KeyboardInterrupt:
        history.stopped = True
    model.load_state_dict(best)
    model.eval()
    _report_end(report, history, epochs)
    return history


def _check_data(name: str, features: torch.Tensor, labels: torch.Tensor) -> None:
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
    """Seed an epoch; return its order of clips, which is the same in every process."""
    torch.manual_seed(1_000_003 * seed + epoch)
    order = torch.randperm(clips)
    torch.manual_seed(1_000_003 * seed + epoch + 7919 * _rank())
    return order


def _is_best(accuracies: list[float]) -> bool:
    return not accuracies or accuracies[-1] == max(accuracies)


def _copy(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def _report_epoch(report: Callable[[str], Any] | None, history: History, epochs: int) -> None:
    epoch = len(history.loss)
    every = max(1, epochs // 10)
    if report is not None and _rank() == 0 and (epoch % every == 0 or epoch in (1, epochs)):
        accuracy = _accuracy_text(history, epoch)
        report(f"epoch {epoch:3d} of {epochs}: loss {history.loss[-1]:.3f}{accuracy}")


def _accuracy_text(history: History, epoch: int) -> str:
    if not history.valid_accuracy:
        return ""
    return f", validation accuracy {100 * history.valid_accuracy[epoch - 1]:.1f} %"


def _report_end(report: Callable[[str], Any] | None, history: History, epochs: int) -> None:
    if report is None or _rank() != 0:
        return
    done = len(history.loss)
    if done == 0:
        report("Stopped before the first epoch ended: the model has the weights it came with.")
        return
    how = f"Stopped after epoch {done} of {epochs}" if history.stopped else "Done"
    accuracy = _accuracy_text(history, history.best_epoch)
    report(f"{how}: the model has the weights of epoch {history.best_epoch}{accuracy}.")


# Augmentation --------------------------------------------------------------------------------


def augment(pictures: torch.Tensor) -> torch.Tensor:
    """Change each picture of a batch a little, as another speaker or microphone would.

    Speed changes by 20 % at most, place by a tenth of the width, frequencies by 10 %, the tilt
    of the spectrum by 5 dB at each end, its smooth shape by 3 dB; a quarter of the pictures get
    a noise floor.

    Parameters: pictures, float32 tensor [batch, 1, n_mels, n_frames] in [-2, 2], where 1 is
        10 dB (from `features.log_mel_pictures`).
    Returns: a tensor of the same shape and range.
    Source: the idea of changing spectrograms instead of sound is that of Park et al.,
        "SpecAugment", Interspeech 2019; there are no masks here.

    >>> augment(torch.full((2, 1, 40, 48), -2.0)).shape
    torch.Size([2, 1, 40, 48])
    """
    batch, _, height, width = pictures.shape
    options: dict[str, Any] = {"device": pictures.device, "dtype": pictures.dtype}

    def between(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(batch, *shape, **options)

    # Speed and place stretch and move the time axis; the frequency axis stretches from its foot.
    warp = between(-0.1, 0.1)
    mapping = torch.zeros(batch, 2, 3, **options)
    mapping[:, 0, 0] = between(0.8, 1.2)
    mapping[:, 0, 2] = between(-0.2, 0.2)
    mapping[:, 1, 1] = 1 + warp
    mapping[:, 1, 2] = warp
    grid = functional.affine_grid(mapping, list(pictures.shape), align_corners=False)
    # Outside a picture there is silence, -2: grid_sample fills up with 0.
    changed = functional.grid_sample(pictures + 2, grid, align_corners=False) - 2

    slope = torch.linspace(-1, 1, height, **options)[:, None]
    changed = changed + between(-0.5, 0.5, 1, 1, 1) * slope
    for waves in (1, 2, 3):  # a microphone's and a room's smooth ups and downs
        ripple = torch.cos(math.pi * waves * (slope + 1) / 2)
        changed = changed + between(-0.3, 0.3, 1, 1, 1) * ripple
    changed = changed - changed.amax(dim=(2, 3), keepdim=True) + 2

    floor = between(-2.0, -0.5, 1, 1, 1) + between(-0.5, 0.5, 1, 1, 1) * slope
    floor = floor + 0.3 * torch.randn(batch, 1, height, width, **options)
    floor = floor.masked_fill(between(0, 1, 1, 1, 1) > 0.25, -9.0)
    scale = math.log(10)  # powers add, decibels do not
    return (torch.logaddexp(scale * changed, scale * floor) / scale).clamp(-2, 2)


# Judging -------------------------------------------------------------------------------------


@torch.no_grad()
def predict(model: torch.nn.Module, features: torch.Tensor) -> torch.Tensor:
    """Return the probabilities that a model gives each digit.

    Parameters: model; features, float32 tensor [clips, ...].
    Returns: float32 tensor [clips, classes] on the CPU; each row sums to 1.

    >>> predict(models.LeNet5(), torch.zeros(3, 1, 32, 32)).shape
    torch.Size([3, 10])
    """
    was_training = model.training
    model.eval()
    kind = next(model.parameters())
    logits = [model(part.to(kind)).cpu() for part in features.split(PREDICTED_AT_ONCE)]
    model.train(was_training)
    return torch.cat(logits).softmax(dim=-1) if logits else torch.empty(0, 10)


def evaluate(model: torch.nn.Module, features: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of clips that a model recognises, 0 to 1.

    Parameters: model; features, float32 tensor [clips, ...]; labels, int64 tensor [clips].
    Returns: the accuracy.
    Raises: TrainingError, if there are no clips.

    >>> model = models.LeNet5()
    >>> pictures = torch.rand(3, 1, 32, 32)
    >>> evaluate(model, pictures, predict(model, pictures).argmax(dim=-1))
    1.0
    """
    if len(labels) == 0:
        raise TrainingError(
            "There are no clips to judge by: choose a split whose test part is not empty."
        )
    return float((predict(model, features).argmax(dim=-1) == labels.cpu()).float().mean())


def confusion(predicted: torch.Tensor, labels: torch.Tensor, classes: int = 10) -> torch.Tensor:
    """Count how often each true class (row) was taken for each class (column).

    Parameters: predicted and labels, int64 tensors [clips].
    Returns: int64 tensor [classes, classes].

    >>> confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]), classes=2)
    tensor([[1, 1],
            [0, 1]])
    """
    return torch.bincount(labels * classes + predicted, minlength=classes**2).view(classes, classes)


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy over clips, when speakers are not new.

    Parameters: how many clips were recognised, of how many.
    Returns: (low, high), both between 0 and 1.
    Raises: ValueError, if the numbers are no count and total.
    Source: Wilson, "Probable inference, the law of succession, and statistical inference",
        Journal of the American Statistical Association 22, 1927.

    >>> low, high = wilson_interval(90, 100)
    >>> round(low, 3), round(high, 3)
    (0.826, 0.945)
    """
    if not 0 <= correct <= total or total == 0:
        raise ValueError(f"{correct} of {total} is no accuracy: count clips, one or more.")
    z = 1.959964
    share = correct / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2)) / (1 + z**2 / total)
    # Rounding must not push a bound to the wrong side of the share itself.
    return min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))


def speaker_interval(accuracies: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean accuracy over speakers: the one for new speakers.

    Parameters: one accuracy (0 to 1) a speaker.
    Returns: (low, high) between 0 and 1, or None for fewer than two speakers.
    Source: Student, "The probable error of a mean", Biometrika 6, 1908.

    >>> low, high = speaker_interval([0.8, 0.9, 1.0])
    >>> round(low, 3), round(high, 3)
    (0.652, 1.0)
    """
    count = len(accuracies)
    if count < 2:
        return None
    from scipy.special import stdtrit

    mean = sum(accuracies) / count
    deviation = math.sqrt(sum((a - mean) ** 2 for a in accuracies) / (count - 1))
    half = float(stdtrit(count - 1, 0.975)) * deviation / math.sqrt(count)
    return max(0.0, mean - half), min(1.0, mean + half)


def _validate(
    model: torch.nn.Module, features: torch.Tensor, labels: torch.Tensor
) -> tuple[float, float]:
    """Return loss and accuracy over the clips of all processes, each of which does a share."""
    if _processes() > 1:
        for buffer in model.buffers():  # BatchNorm's averages: those of the first process
            distributed.broadcast(buffer, 0)
    mine = _my_share(torch.arange(len(labels)))
    probabilities = predict(model, features[mine])
    loss = functional.nll_loss(probabilities.clamp(min=1e-12).log(), labels[mine], reduction="sum")
    correct = (probabilities.argmax(dim=-1) == labels[mine]).sum()
    sums = torch.stack([loss.double(), correct.double()])
    if _processes() > 1:
        distributed.all_reduce(sums)
    return float(sums[0]) / len(labels), float(sums[1]) / len(labels)


# More than one process (torchrun) ------------------------------------------------------------


def _processes() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def _rank() -> int:
    return distributed.get_rank() if distributed.is_initialized() else 0


def _my_share(indices: torch.Tensor) -> torch.Tensor:
    return indices[_rank() :: _processes()]


def _mean_over_processes(value: float) -> float:
    if _processes() == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64)
    distributed.all_reduce(total)
    return float(total) / _processes()


def _shared_by_processes(model: torch.nn.Module) -> torch.nn.Module:
    if _processes() == 1:
        return model
    return torch.nn.parallel.DistributedDataParallel(model)


# Files ---------------------------------------------------------------------------------------


def save_model(path: str | Path, model: torch.nn.Module, name: str, epochs: int = 0) -> None:
    """Write a trained model, whole or not at all.

    Parameters: the file; the model; the name of its recipe, a key of `RECIPES`; how many epochs
        it was trained.
    Raises: TrainingError, if the name is unknown or the file cannot be written.

    >>> from course_utils.paths import output_path
    >>> save_model(output_path("lenet.pt"), models.LeNet5(), "lenet")
    >>> load_model(output_path("lenet.pt"))[1].n_mels
    32
    """
    if name not in RECIPES:
        raise TrainingError(f"No recipe is called {name}: use one of {', '.join(RECIPES)}.")
    content = {"format": MODEL_FORMAT, "model": name, "epochs": epochs, "weights": _copy(model)}
    write_whole(path, _packed(content))


def load_model(path: str | Path) -> tuple[torch.nn.Module, Recipe]:
    """Read a model that `save_model` wrote; a file that holds code is refused, not run.

    Returns: the model, ready to predict, and its recipe, which says what pictures it takes.
    Raises: TrainingError, if the file is missing, damaged or something else.

    >>> load_model("nowhere.pt")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    course_utils.training.TrainingError: ...
    """
    model, recipe, _ = load_model_with_details(path)
    return model, recipe


def load_model_with_details(
    path: str | Path,
) -> tuple[torch.nn.Module, Recipe, dict[str, Any]]:
    """Read a model as `load_model` does; return also its name and its number of epochs.

    Returns: the model, its recipe, and a mapping with the keys `model` and `epochs`.
    Raises: TrainingError, as `load_model`.

    >>> from course_utils.paths import output_path
    >>> save_model(output_path("lenet.pt"), models.LeNet5(), "lenet", epochs=3)
    >>> load_model_with_details(output_path("lenet.pt"))[2]["epochs"]
    3
    """
    content = _read_safely(Path(path), "a model of this course")
    problem = f"{Path(path).name} is not a model of this course: train one and name its model.pt."
    if content.get("format") != MODEL_FORMAT or content.get("model") not in RECIPES:
        raise TrainingError(problem)
    recipe = RECIPES[content["model"]]
    model = recipe.model()
    try:
        model.load_state_dict(content["weights"])
    except (RuntimeError, KeyError, TypeError, AttributeError):
        raise TrainingError(problem) from None
    model.eval()
    return model, recipe, {"model": content["model"], "epochs": content.get("epochs", 0)}


def _save_checkpoint(
    path: str | Path,
    settings: dict[str, Any],
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    history: History,
    best: dict[str, torch.Tensor],
) -> None:
    """Write all that is needed to go on after this epoch; one process writes for all."""
    if _rank() == 0:
        content = {
            "settings": settings,
            "weights": _copy(model),
            "optimizer": optimizer.state_dict(),
            "schedule": scheduler.state_dict(),
            "random": torch.get_rng_state(),
            "history": asdict(history),
            "best": best,
        }
        write_whole(path, _packed(content))


def _load_checkpoint(
    path: str | Path,
    settings: dict[str, Any],
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
) -> tuple[History, dict[str, torch.Tensor]]:
    content = _read_safely(Path(path), "a checkpoint of this training")
    saved = content.get("settings", {})
    changed = [name for name in settings if saved.get(name) != settings[name]]
    if changed:
        name = changed[0]
        raise TrainingError(
            f"{Path(path).name} belongs to another training ({name} was {saved.get(name)}, now "
            f"{settings[name]}): train with the same settings, or without resuming."
        )
    try:
        model.load_state_dict(content["weights"])
        optimizer.load_state_dict(content["optimizer"])
        scheduler.load_state_dict(content["schedule"])
        torch.set_rng_state(content["random"])
        return History(**content["history"]), content["best"]
    except (RuntimeError, KeyError, TypeError, ValueError):
        raise TrainingError(
            f"{Path(path).name} belongs to another network: train without resuming."
        ) from None


def _packed(content: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file as `paths.write_whole` does, in a folder that is made if it is missing.

    Parameters: path, the file; content, what it shall hold.
    Raises: TrainingError, if that fails.

    >>> from course_utils.paths import output_path
    >>> write_whole(output_path("runs/note.txt"), b"whole")
    >>> output_path("runs/note.txt").read_bytes()
    b'whole'
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        paths.write_whole(path, content)
    except OSError as error:
        raise TrainingError(
            f"{path} cannot be written ({error.strerror or error}): free some space or name "
            "another folder; what was saved there before is untouched."
        ) from None


def _read_safely(path: Path, what: str) -> dict[str, Any]:
    """Read a file of tensors and plain values; one that would run code is refused."""
    if not path.is_file():
        raise TrainingError(f"{path} does not exist: check the name, or train a model first.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise TrainingError(
            f"{path} cannot be read ({error.strerror}): check its permissions."
        ) from None
    except pickle.UnpicklingError:
        raise TrainingError(
            f"{path.name} is not {what}, or holds code beside its weights, and was not opened: "
            "train it again, or take it from a source you trust."
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, IndexError):
        content = None
    if not isinstance(content, dict):
        raise TrainingError(f"{path.name} is damaged or not {what}: train it again.")
    return content


def seconds_since_process_start() -> float:
    """Return how long this process has lived, in s; where the system does not tell, CPU time.

    >>> seconds_since_process_start() > 0
    True
    """
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        uptime = float(Path("/proc/uptime").read_text(encoding="utf-8").split()[0])
        return uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return time.process_time()
