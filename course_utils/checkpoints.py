"""A training that can be interrupted: its state in a file, written after every epoch."""

from __future__ import annotations

import io
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from course_utils import models, processes
from course_utils.errors import TrainingError
from course_utils.paths import save_file

if TYPE_CHECKING:
    from course_utils.training import Run


def save(path: str | Path, run: Run) -> None:
    """Write all that is needed to go on after this epoch; one process writes for all.

    Raises:
        FolderError: if the file cannot be written; an earlier one is then untouched.
    """
    if processes.rank() == 0:
        content = {
            "settings": run.settings,
            "weights": models.copy_weights(run.model),
            "optimizer": run.optimizer.state_dict(),
            "schedule": run.schedule.state_dict(),
            "random": torch.get_rng_state(),
            "history": asdict(run.history),
            "best": run.best,
        }
        save_file(path, packed(content))


def load(path: str | Path, run: Run) -> None:
    """Bring a training to the state that `save` wrote.

    Raises:
        TrainingError: if the file is damaged or belongs to another training.
    """
    content = read_safely(Path(path), "a checkpoint of this training")
    saved = content.get("settings", {})
    for name, value in run.settings.items():
        if saved.get(name) != value and name != "network":
            raise TrainingError(
                f"{Path(path).name} belongs to another training ({name} was {saved.get(name)}, now "
                f"{value}): train with the same settings, or without resuming."
            )
    try:
        run.model.load_state_dict(content["weights"])
        run.optimizer.load_state_dict(content["optimizer"])
        run.schedule.load_state_dict(content["schedule"])
        torch.set_rng_state(content["random"])
        run.history, run.best = type(run.history)(**content["history"]), content["best"]
    except (RuntimeError, KeyError, TypeError, ValueError):
        raise TrainingError(
            f"{Path(path).name} belongs to another network: train without resuming."
        ) from None


def packed(content: dict[str, Any]) -> bytes:
    """Return tensors and plain values as the bytes of a file that `read_safely` reads."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def read_safely(path: Path, what: str) -> dict[str, Any]:
    """Read a file of tensors and plain values; one that would run code is refused.

    Args:
        path: the file.
        what: it should be, for the sentence that says what it is not.
    Raises:
        TrainingError: if the file is missing, damaged or something else.
    """
    if path.is_dir():
        raise TrainingError(f"{path} is a folder: name the file itself, such as model.pt in it.")
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
