"""Checks of the exercises of chapter 8: a masked mean, a leak detector, an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from course_utils.checks.exercise import exercise


def _as_tensor(result: Any) -> torch.Tensor | None:
    """Turn a tensor, an array or a list of numbers into float64; None for anything else."""
    try:
        if isinstance(result, torch.Tensor):
            return result.detach().double()
        return torch.as_tensor(np.asarray([float(value) for value in result]))
    except (TypeError, ValueError):
        return None


def _close(given: torch.Tensor, wanted: torch.Tensor) -> bool:
    return given.shape == wanted.shape and torch.allclose(given, wanted.double(), rtol=1e-4)


def _masked_power(batch: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    mask = torch.arange(batch.shape[-1]) < lengths[:, None]
    return batch[:, 0].square().masked_fill(~mask, 0).sum(dim=-1) / lengths


@exercise(reference=_masked_power)
def ex1(answer: Any) -> str | None:
    """The mean power of each clip of a padded batch, over its own samples: `[batch]`."""
    if not callable(answer):
        return f"a function is needed, and this is of type {type(answer).__name__}."
    generator = torch.Generator().manual_seed(8)
    for lengths in (torch.tensor([50, 20, 7]), torch.tensor([30]), torch.tensor([9, 40])):
        longest = int(lengths.max())
        clips = torch.randn(len(lengths), 1, longest, generator=generator)
        mask = (torch.arange(longest) < lengths[:, None])[:, None]
        for filling in (0.0, 0.5):
            batch = torch.where(mask, clips, torch.tensor(filling))
            hint = _power_fault(answer(batch.clone(), lengths.clone()), batch, lengths)
            if hint:
                return hint
    return None


def _power_fault(result: Any, batch: torch.Tensor, lengths: torch.Tensor) -> str | None:
    wanted = _masked_power(batch, lengths)
    given = _as_tensor(result) if not isinstance(result, int | float) else torch.tensor(result)
    if given is None:
        return f"a tensor [batch] is needed, not a {type(result).__name__}."
    if _close(given, wanted):
        return None
    if given.ndim == 0:
        return (
            "one number came out for the whole batch: average over the last axis only, so that "
            "each clip keeps its own."
        )
    if given.shape == (len(lengths), 1):
        return "the shape is [batch, 1]: take the channel axis off, so that [batch] is left."
    if given.shape != wanted.shape:
        return f"the shape is {list(given.shape)} and should be {list(wanted.shape)}: [batch]."
    return _wrong_power(given, batch[:, 0], lengths, wanted)


def _wrong_power(
    given: torch.Tensor, batch: torch.Tensor, lengths: torch.Tensor, wanted: torch.Tensor
) -> str:
    mask = torch.arange(batch.shape[-1]) < lengths[:, None]
    longest = batch.shape[-1]
    if _close(given, wanted * lengths / longest) or _close(given, batch.square().mean(dim=-1)):
        return "padding counts in the mean: divide by each clip's own length, not by the longest."
    if _close(given, batch.square().sum(dim=-1) / lengths):
        return "the padding is not always zero: mask the squares before you add them up."
    if _close(given, wanted.sqrt()):
        return "this is the root of the mean square; the power is the mean square itself."
    if _close(given, 10 * wanted.log10()):
        return "this is the level in dB, and the power itself is wanted: leave out the logarithm."
    if _close(given, wanted * lengths):
        return "this is the sum of the squares: divide it by the number of samples."
    if _close(given, batch.abs().masked_fill(~mask, 0).sum(dim=-1) / lengths):
        return "this is the mean of the absolute values: power is the mean of the squares."
    if _close(given, batch.masked_fill(~mask, 0).sum(dim=-1) / lengths):
        return "this is the mean of the samples: square them first."
    return (
        "the values are not the mean of the squares over each clip's own samples: try a batch of "
        "ones with lengths [4, 2], which has the power 1 twice."
    )


def _shared_speakers(speakers: Sequence[str], split: Sequence[Sequence[int]]) -> set[str]:
    train, valid, test = ({speakers[i] for i in part} for part in split)
    return train & valid | train & test | valid & test


SPEAKERS = ["ann", "ann", "bo", "bo", "cy", "cy", "di", "di", "eve", "eve"]
SPLITS: tuple[tuple[list[int], list[int], list[int]], ...] = (
    ([0, 1, 2, 3], [4, 5], [6, 7]),  # clean
    ([0, 2], [4], [1, 6]),  # ann in train and test
    ([0, 2], [3], [6]),  # bo in train and valid
    ([0], [4, 6], [5, 8]),  # cy in valid and test
    ([0, 2, 4], [1, 6], [3, 7, 8]),  # ann, bo, di
    ([0, 1], [2, 3], []),  # an empty test part
    ([0, 0, 1], [2], [4]),  # a speaker twice on one side is no leak
)


@exercise(reference=_shared_speakers)
def ex2(answer: Any) -> str | None:
    """The set of the speakers who stand in more than one of three parts."""
    if not callable(answer):
        return f"a function is needed, and this is of type {type(answer).__name__}."
    for split in SPLITS:
        result = answer(list(SPEAKERS), tuple(list(part) for part in split))
        hint = _leak_fault(result, split)
        if hint:
            return hint
    return None


def _leak_fault(result: Any, split: Sequence[Sequence[int]]) -> str | None:
    wanted = _shared_speakers(SPEAKERS, split)
    if isinstance(result, bool):
        return "True or False says that there is a leak, not who: return the set of the speakers."
    if isinstance(result, int):
        return "a number says how many there are, not who: return the set of the speakers."
    if isinstance(result, list | tuple) and set(result) == wanted:
        return f"the speakers are right and the type is {type(result).__name__}: return a set."
    if not isinstance(result, set | frozenset):
        return f"a set of speakers is needed, not a {type(result).__name__}."
    if result == wanted:
        return None
    if any(isinstance(member, int) for member in result):
        return "these are clip numbers: look each of them up in speakers, and compare the names."
    train, valid, test = ({SPEAKERS[i] for i in part} for part in split)
    if not result and wanted:
        parts = _parts_of(wanted, train, valid, test)
        return (
            f"a leak was missed ({', '.join(sorted(wanted))} in {parts}): compare the speakers, "
            "each pair of parts, validation too."
        )
    if result == train | valid | test:
        return "these are all speakers: keep those that stand in two parts (& for sets, not |)."
    extra = result - wanted
    if extra:
        return (
            f"{', '.join(sorted(map(str, extra)))} stands in one part only and is no leak, however "
            "many clips it has there."
        )
    missing = wanted - result
    if missing:
        return (
            f"{', '.join(sorted(missing))} is missing, in {_parts_of(missing, train, valid, test)}:"
            " two parts are enough, any two of the three."
        )
    return "the set is not that of the speakers in more than one part."


def _parts_of(speakers: set[str], *parts: set[str]) -> str:
    names = ("train", "valid", "test")
    return " and ".join(n for n, part in zip(names, parts, strict=True) if part & speakers)


def _interval(accuracies: Sequence[float]) -> tuple[float, float]:
    from scipy import stats

    count = len(accuracies)
    mean = sum(accuracies) / count
    deviation = math.sqrt(sum((a - mean) ** 2 for a in accuracies) / (count - 1))
    half = float(stats.t.ppf(0.975, count - 1)) * deviation / math.sqrt(count)
    return mean - half, mean + half


@exercise(reference=_interval)
def ex3(answer: Any) -> str | None:
    """The 95 % interval of a mean over speakers: `(low, high)`."""
    if not callable(answer):
        return f"a function is needed, and this is of type {type(answer).__name__}."
    cases = ([0.7, 0.8, 0.9], [0.62, 0.81, 0.77, 0.83], [0.5, 0.52, 0.6, 0.58, 0.55, 0.61, 0.49])
    for accuracies in cases:
        hint = _interval_fault(answer(list(accuracies)), accuracies)
        if hint:
            return hint
    return None


def _interval_fault(result: Any, accuracies: Sequence[float]) -> str | None:
    from scipy import stats

    given = _as_tensor(result) if not isinstance(result, int | float) else torch.tensor([result])
    if given is None or given.numel() == 1:
        return "two numbers are needed, (low, high): the mean minus and plus half the width."
    if given.shape != (2,):
        return f"two numbers are needed, (low, high), and the shape is {list(given.shape)}."
    low, high = (float(value) for value in given)
    wanted = _interval(accuracies)
    clipped = max(0.0, wanted[0]), min(1.0, wanted[1])
    if any(np.allclose((low, high), right, rtol=1e-4) for right in (wanted, clipped)):
        return None
    count = len(accuracies)
    mean, half = sum(accuracies) / count, (wanted[1] - wanted[0]) / 2
    if np.allclose((low, high), wanted[::-1], rtol=1e-4):
        return "low and high are exchanged: the lower end comes first."
    if np.allclose((low, high), [100 * end for end in wanted], rtol=1e-4):
        return "these are per cent: give shares between 0 and 1."
    if not math.isclose((low + high) / 2, mean, rel_tol=1e-4):
        return "the middle of the interval is not the mean of the accuracies."
    student = float(stats.t.ppf(0.975, count - 1))
    ratio = (high - low) / 2 / half
    population = math.sqrt((count - 1) / count)
    causes = (
        (population, "the deviation divides by m: with few speakers divide by m - 1."),
        (
            math.sqrt(count),
            "the root of m is missing: the mean of m speakers is steadier than one.",
        ),
        (1 / math.sqrt(count), "you divided by m: divide the deviation by the root of m."),
        (1.96 / student, "1.96 is for many speakers: with few use Student's t, m - 1 degrees."),
        (float(stats.t.ppf(0.95, count - 1)) / student, "0.95 leaves 5 % on each side: use 0.975."),
        (float(stats.t.ppf(0.975, count)) / student, "the degrees of freedom are m - 1, not m."),
        (2.0, "the interval is twice too wide: half the width goes to each side."),
        (0.5, "the interval is half too wide: the whole of t s / sqrt(m) goes to each side."),
        (1 / student, "this is the standard error alone: multiply it by Student's t."),
    )
    for factor, hint in causes:
        if math.isclose(ratio, factor, rel_tol=2e-3):
            return hint
    return f"for {accuracies} the interval is {ratio:.2f} times as wide as t s / sqrt(m) makes it."
