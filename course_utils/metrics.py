"""How good a recogniser is: accuracy, confusion, and how far to trust them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from course_utils.errors import TrainingError
from course_utils.models import predict


def accuracy(model: torch.nn.Module, features: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of clips that a model recognises. Taught in chapter 4.

    Args:
        model: returns logits [clips, classes].
        features: float32 tensor [clips, ...].
        labels: int64 tensor [clips].
    Returns:
        the accuracy, 0 to 1.
    Raises:
        TrainingError: if there are no clips.

    >>> from course_utils.models import LeNet5
    >>> model, pictures = LeNet5(), torch.rand(3, 1, 32, 32)
    >>> accuracy(model, pictures, predict(model, pictures).argmax(dim=-1))
    1.0
    """
    if len(labels) == 0:
        raise TrainingError(
            "There are no clips to judge by: choose a split whose test part is not empty."
        )
    predicted = predict(model, features).argmax(dim=-1)
    return float((predicted == labels.cpu()).float().mean())


def confusion(predicted: torch.Tensor, labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Count how often each true class (row) was taken for each class (column). See chapter 4.

    Args:
        predicted, labels: int64 tensors [clips].
        classes: how many there are.
    Returns:
        int64 tensor [classes, classes].

    >>> confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]), classes=2)
    tensor([[1, 1],
            [0, 1]])
    """
    return torch.bincount(labels * classes + predicted, minlength=classes**2).view(classes, classes)


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy over clips, when speakers are not new.

    Taught in chapter 6.

    Args:
        correct, total: how many clips were recognised, of how many.
    Returns:
        (low, high), both between 0 and 1.
    Raises:
        TrainingError: if the numbers are no count and total.
    Source:
        Wilson, "Probable inference, the law of succession, and statistical inference", Journal of
        the American Statistical Association 22, 1927; computed by scipy.

    >>> low, high = wilson_interval(90, 100)
    >>> round(low, 3), round(high, 3)
    (0.826, 0.945)
    """
    if not 0 <= correct <= total or total == 0:
        raise TrainingError(f"{correct} of {total} is no accuracy: count clips, one or more.")
    from scipy.stats import binomtest  # 0.7 s: only where it is needed

    low, high = binomtest(correct, total).proportion_ci(method="wilson")
    return float(low), float(high)


def speaker_interval(accuracies: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean accuracy over speakers: the one for new speakers.

    Taught in chapter 8.

    Args:
        accuracies: one (0 to 1) a speaker.
    Returns:
        (low, high) between 0 and 1, or None for fewer than two speakers.
    Source:
        Student, "The probable error of a mean", Biometrika 6, 1908; computed by scipy.

    >>> low, high = speaker_interval([0.8, 0.9, 1.0])
    >>> round(low, 3), round(high, 3)
    (0.652, 1.0)
    """
    if len(accuracies) < 2:
        return None
    from scipy import stats

    values = torch.tensor(accuracies, dtype=torch.float64)
    mean, error = float(values.mean()), float(values.std()) / len(values) ** 0.5
    if error == 0:  # scipy would answer NaN
        return mean, mean
    low, high = stats.t.interval(0.95, len(values) - 1, mean, error)
    return max(0.0, float(low)), min(1.0, float(high))
