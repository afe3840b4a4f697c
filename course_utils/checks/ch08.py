"""Checks of the exercises of chapter 8: a masked mean, a leak detector, an interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch

from course_utils.checks.exercise import as_tensor, close, exercise, explain


def _masked_power(batch: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    mask = torch.arange(batch.shape[-1]) < lengths[:, None]
    return batch[:, 0].square().masked_fill(~mask, 0).sum(dim=-1) / lengths


@exercise(reference=_masked_power)
def ex1(answer: Callable[..., Any]) -> Iterator[str | None]:
    """The mean power of each clip of a padded batch, over its own samples: `[batch]`."""
    generator = torch.Generator().manual_seed(8)
    otherwise = (
        "the values are not the mean of the squares over each clip's own samples: try a batch of "
        "ones with lengths [4, 2], which has the power 1 twice."
    )
    for lengths in (torch.tensor([50, 20, 7]), torch.tensor([30]), torch.tensor([9, 40])):
        longest = int(lengths.max())
        clips = torch.randn(len(lengths), 1, longest, generator=generator)
        mask = torch.arange(longest) < lengths[:, None]
        for filling in (0.0, 0.5):
            batch = clips.masked_fill(~mask[:, None], filling)
            given = as_tensor(answer(batch, lengths), "a tensor [batch]")
            hints = _power_hints(given, batch[:, 0], lengths, mask)
            yield explain(given, _masked_power(batch, lengths), hints, otherwise)


def _power_hints(
    given: torch.Tensor, batch: torch.Tensor, lengths: torch.Tensor, mask: torch.Tensor
) -> dict[str, Any]:
    sums = batch.square().masked_fill(~mask, 0).sum(dim=-1)
    power = sums / lengths
    return {
        "one number came out for the whole batch: average over the last axis only, so that each "
        "clip keeps its own.": given.ndim == 0,
        "the shape is [batch, 1]: take the channel axis off, so that [batch] is left.": (
            given.shape == (len(lengths), 1)
        ),
        f"the shape is {list(given.shape)} and should be {list(power.shape)}: [batch].": (
            given.shape != power.shape
        ),
        "padding counts in the mean: divide by each clip's own length, not by the longest.": (
            sums / batch.shape[-1],
            batch.square().mean(dim=-1),
        ),
        "the padding is not always zero: "
        "mask the squares before you add them up.": batch.square().sum(dim=-1) / lengths,
        "this is the root of the mean square; the power is the mean square itself.": power.sqrt(),
        "this is the level in dB, and the power itself is wanted: leave out the logarithm.": (
            10 * power.log10()
        ),
        "this is the sum of the squares: divide it by the number of samples.": sums,
        "this is the mean of the absolute values: power is the mean of the squares.": (
            batch.abs().masked_fill(~mask, 0).sum(dim=-1) / lengths
        ),
        "this is the mean of the samples: square them first.": (
            batch.masked_fill(~mask, 0).sum(dim=-1) / lengths
        ),
    }


def _shared_speakers(speakers: Sequence[str], split: Sequence[Sequence[int]]) -> set[str]:
    train, valid, test = ({speakers[i] for i in part} for part in split)
    return train & valid | train & test | valid & test


class Split(NamedTuple):
    """Three lists of clip numbers that can be named, like the course's own splits."""

    train: list[int]
    valid: list[int]
    test: list[int]


SPEAKERS = ["ann", "ann", "bo", "bo", "cy", "cy", "di", "di", "eve", "eve"]
SPLITS = (
    Split([0, 1, 2, 3], [4, 5], [6, 7]),  # clean
    Split([0, 2], [4], [1, 6]),  # ann in train and test
    Split([0, 2], [3], [6]),  # bo in train and valid
    Split([0], [4, 6], [5, 8]),  # cy in valid and test
    Split([0, 2, 4], [1, 6], [3, 7, 8]),  # ann, bo, di
    Split([0, 1], [2, 3], []),  # an empty test part
    Split([0, 0, 1], [2], [4]),  # a speaker twice on one side is no leak
)


@exercise(reference=_shared_speakers)
def ex2(answer: Callable[..., Any]) -> Iterator[str | None]:
    """The set of the speakers who stand in more than one of three parts."""
    for split in SPLITS:
        yield _leak_fault(answer(SPEAKERS, split), split)


def _leak_fault(result: Any, split: Split) -> str | None:
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
    if not result and wanted:
        return (
            f"a leak was missed ({', '.join(sorted(wanted))} in {_parts_of(wanted, split)}): "
            "compare the speakers, each pair of parts, validation too."
        )
    if result == {SPEAKERS[i] for part in split for i in part}:
        return "these are all speakers: keep those that stand in two parts (& for sets, not |)."
    if extra := result - wanted:
        return (
            f"{', '.join(sorted(map(str, extra)))} stands in one part only and is no leak, however "
            "many clips it has there."
        )
    missing = wanted - result
    return (
        f"{', '.join(sorted(missing))} is missing, in {_parts_of(missing, split)}: two parts are "
        "enough, any two of the three."
    )


def _parts_of(speakers: set[str], split: Split) -> str:
    parts = split._asdict().items()
    return " and ".join(name for name, part in parts if {SPEAKERS[i] for i in part} & speakers)


def _interval(accuracies: Sequence[float]) -> tuple[float, float]:
    from scipy import stats

    a = torch.tensor(accuracies, dtype=torch.float64)
    half = float(stats.t.ppf(0.975, len(a) - 1)) * float(a.std()) / math.sqrt(len(a))
    return float(a.mean()) - half, float(a.mean()) + half


@exercise(reference=_interval)
def ex3(answer: Callable[..., Any]) -> Iterator[str | None]:
    """The 95 % interval of a mean over speakers: `(low, high)`."""
    cases = ([0.7, 0.8, 0.9], [0.62, 0.81, 0.77, 0.83], [0.5, 0.52, 0.6, 0.58, 0.55, 0.61, 0.49])
    for accuracies in cases:
        given = as_tensor(answer(accuracies), "two numbers, (low, high)")
        if given.shape != (2,):
            yield (
                "two numbers are needed, (low, high): the mean minus and plus half the width, and "
                f"the shape is {list(given.shape)}."
            )
        low, high = _interval(accuracies)
        if not close(given, [max(0.0, low), min(1.0, high)]):  # an accuracy ends at 1
            width = float(given[1] - given[0]) / (high - low)
            otherwise = (
                f"for {accuracies} the interval is {width:.2f} times as wide as t s / sqrt(m) "
                "makes it."
            )
            yield explain(given, [low, high], _interval_hints(given, accuracies), otherwise)


def _interval_hints(given: torch.Tensor, accuracies: Sequence[float]) -> dict[str, Any]:
    from scipy import stats

    (low, high), m = _interval(accuracies), len(accuracies)
    mean, student = (low + high) / 2, stats.t.ppf(0.975, m - 1)

    def wide(factor: float) -> list[float]:
        return [mean - factor * (high - low) / 2, mean + factor * (high - low) / 2]

    return {
        "low and high are exchanged: the lower end comes first.": [high, low],
        "these are per cent: give shares between 0 and 1.": [100 * low, 100 * high],
        "the middle of the interval is not the mean of the accuracies.": (
            not close(given.mean(), mean)
        ),
        "the deviation divides by m: with few speakers divide by m - 1.": (
            wide(math.sqrt((m - 1) / m))
        ),
        "the root of m is missing: the mean of m speakers is steadier than one.": (
            wide(math.sqrt(m))
        ),
        "you divided by m: divide the deviation by the root of m.": wide(1 / math.sqrt(m)),
        "1.96 is for many speakers: with few use Student's t, m - 1 degrees.": wide(1.96 / student),
        "0.95 leaves 5 % on each side: use 0.975.": wide(stats.t.ppf(0.95, m - 1) / student),
        "the degrees of freedom are m - 1, not m.": wide(stats.t.ppf(0.975, m) / student),
        "the interval is twice too wide: half the width goes to each side.": wide(2),
        "the interval is half too wide: the whole of t s / sqrt(m) goes to each side.": wide(0.5),
        "this is the standard error alone: multiply it by Student's t.": wide(1 / student),
    }
