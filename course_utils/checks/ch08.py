"""Checks of the exercises of chapter 8: a masked mean, a leak detector, an interval, a training."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch

from course_utils import metrics, models, recordings, splits
from course_utils.checks.exercise import as_tensor, close, exercise, explain
from course_utils.paths import data_path


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
            given = as_tensor(answer(batch, lengths), "one tensor of the shape [batch]")
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


PICTURES_SEEN, GOAL, SEEDS = 3, 72.0, (0, 1)  # times each picture; per cent; of the two trainings


@functools.lru_cache(maxsize=1)
def _parts() -> tuple[torch.Tensor, ...]:
    """Return the pictures and labels to train on, then those to test on: the split of 8.4."""
    data = recordings.SpokenWords(data_path("digits_en"), layout="speaker_digit")
    x, y = data.pictures(n_mels=32, n_frames=32), data.labels
    split = splits.split_by_clip(data)
    return x[split.train], y[split.train], x[split.test], y[split.test]


def _my_training(
    network: Callable[[], torch.nn.Module], x: torch.Tensor, y: torch.Tensor
) -> torch.nn.Module:
    model = network()
    optimizer = torch.optim.Adam(model.parameters())
    steps = 3 * len(torch.arange(len(x)).split(4))
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.002, total_steps=steps)
    for _ in range(3):
        for indices in torch.randperm(len(x)).split(4):
            loss = torch.nn.functional.cross_entropy(model(x[indices]), y[indices])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
    return model


@exercise(reference=_my_training)
def ex4(answer: Callable[..., Any]) -> Iterator[str | None]:
    """A training of LeNet-5 that may see each picture three times: the network it makes."""
    x, y, x_test, y_test = _parts()
    reached = []
    for seed in SEEDS:
        seen = _Counted()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = answer(_counting_network(seen), x, y)
            yield _training_fault(model, seen, len(x))
            reached.append(100 * metrics.accuracy(model, x_test, y_test))
        if reached[0] < GOAL - 15:  # no second seed lifts this one
            break
    mean = sum(reached) / len(reached)
    if mean < GOAL:
        yield (
            f"{mean:.1f} % of the test clips are right, and {GOAL:.0f} % are wanted. "
            f"{_training_advice(seen, len(x))}"
        )


class _Counted:
    """What LeNet-5 has seen in training."""

    def __init__(self) -> None:
        self.pictures = self.batches = 0
        self.made: list[torch.nn.Module] = []


def _counting_network(seen: _Counted) -> Callable[[], torch.nn.Module]:
    """Return a function that makes LeNet-5, which counts what it trains on."""

    def count(model: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if torch.is_grad_enabled():
            seen.pictures += len(inputs[0])
            seen.batches += 1

    def network() -> torch.nn.Module:
        model = models.LeNet5()
        model.register_forward_pre_hook(count)
        seen.made.append(model)
        return model

    return network


def _training_fault(model: Any, seen: _Counted, clips: int) -> str | None:
    if isinstance(model, int | float | torch.Tensor):
        return "a number came back: return the trained network, the check measures it."
    if isinstance(model, tuple | list):
        return "several things came back: return the trained network alone."
    if isinstance(model, type) or not isinstance(model, torch.nn.Module):
        return f"return the trained network, not a {type(model).__name__}."
    if not any(model is made for made in seen.made):
        return "this is another network: make it with model = network(), train it, return it."
    if seen.pictures == 0:
        return "the network was not trained: it saw no picture with gradients."
    if seen.pictures > PICTURES_SEEN * clips:
        return (
            f"the network saw {seen.pictures:,} pictures in training, and three times "
            f"{clips:,} are allowed: fewer epochs, each picture once in each."
        )
    if not all(bool(weights.isfinite().all()) for weights in model.parameters()):
        return "the weights are not numbers any more: the learning rate is too high."
    return None


def _training_advice(seen: _Counted, clips: int) -> str:
    if seen.pictures < 2.9 * clips:
        return "You may use each picture three times: so far it was fewer."
    if seen.batches < PICTURES_SEEN * clips / 12:
        return "Smaller batches give more steps; and try other learning rates, one at a time."
    return (
        "Let the learning rate fall towards the end: torch.optim.lr_scheduler.OneCycleLR, with "
        "cycle.step() after each batch."
    )
