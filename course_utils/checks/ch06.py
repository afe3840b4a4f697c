"""Checks of the exercises of chapter 6: another picture size, the pooling of 1998, dropout."""

from __future__ import annotations

from typing import Any

import torch

from course_utils.checks.exercise import as_numbers, as_tensor, exercise

FLAT = 16 * 7 * 9  # 40 x 48 cells after two convolutions and two poolings
LINEAR1 = 120 * (FLAT + 1)
WHOLE = 61706 - 120 * (400 + 1) + LINEAR1


def _close(result: torch.Tensor, wanted: torch.Tensor) -> bool:
    return result.shape == wanted.shape and torch.allclose(
        result.double(), wanted.double(), atol=2e-4
    )


@exercise(reference=[FLAT, LINEAR1, WHOLE])
def ex1(answer: Any) -> str | None:
    """LeNet-5 for 40 x 48 pictures: values after flatten, weights of linear1, all weights."""
    given = as_numbers(answer, 3)
    return _flat_fault(given[0]) or _linear1_fault(given[1]) or _whole_fault(given[2])


def _flat_fault(number: float) -> str | None:
    if number == FLAT:
        return None
    if number == 7 * 9:
        return "flatten also lays out the 16 feature maps: multiply by the channels."
    if number == 400:
        return "400 belongs to 32 x 32 pictures: go through the sizes again from 40 and 48."
    if number == 16 * 10 * 12:
        return "10 x 12 is 40 x 48 pooled twice: each convolution also takes 4 cells off."
    if number in (16 * 32 * 40, 16 * 36 * 44):
        return "the pooling is missing: it halves both sides after each convolution."
    if number == 6 * 18 * 22:
        return "this is after the first round: a second convolution and pooling follow."
    if number in (16 * 7 * 7, 16 * 9 * 9):
        return "the picture is not square: 40 bins and 48 frames give two different sides."
    return (
        f"flatten does not give {number:g} values: a side of N cells becomes (N - 4) // 2, twice, "
        "and there are 16 maps."
    )


def _linear1_fault(number: float) -> str | None:
    if number == LINEAR1:
        return None
    if number == 120 * FLAT:
        return "linear1 also has biases: one for each of its 120 outputs."
    if number == 120 * FLAT + FLAT:
        return "linear1 has one bias for each output (120), not for each input."
    if number == 120 * 401:
        return "48,120 is linear1 for 32 x 32 pictures: use your first number as its inputs."
    return (
        f"linear1 has not {number:g}: 120 outputs, each with a weight for every input and a bias."
    )


def _whole_fault(number: float) -> str | None:
    if number == WHOLE:
        return None
    if number == 61706:
        return "61,706 is the network for 32 x 32 pictures: exchange linear1's share."
    if number == 61706 + LINEAR1:
        return "the old linear1 (48,120) is still counted: take it off before you add the new one."
    if number == WHOLE - 120:
        return "the whole network is 120 short: count the biases of linear1."
    if number == WHOLE + 120:
        return "the whole network is 120 too many: take the old linear1 off with its biases."
    return f"the whole network has not {number:g}: only linear1 changes; all others keep theirs."


def _squash(a: torch.Tensor) -> torch.Tensor:
    return 1.7159 * torch.tanh(2 / 3 * a)


def _sums(x: torch.Tensor) -> torch.Tensor:
    return x.unfold(-2, 2, 2).unfold(-2, 2, 2).sum(dim=(-2, -1))


def _subsample(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return _squash(weight[:, None, None] * _sums(x) + bias[:, None, None])


@exercise(reference=_subsample)
def ex2(answer: Any) -> str | None:
    """The trained pooling of 1998: `[batch, channels, height, width]`, sides halved."""
    if not callable(answer):
        return f"a function is needed, and this is of type {type(answer).__name__}."
    generator = torch.Generator().manual_seed(6)
    # With as many channels as columns of the result a wrong axis would broadcast in silence.
    for shape in ((2, 4, 6, 8), (3, 6, 10, 4)):
        x = torch.randn(shape, generator=generator) / 2
        weight = 0.3 + torch.rand(shape[1], generator=generator)
        bias = torch.rand(shape[1], generator=generator) - 1
        result = answer(x.clone(), weight.clone(), bias.clone())
        hint = _subsample_fault(result, x, weight, bias)
        if hint:
            return hint
    return None


def _subsample_fault(
    result: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> str | None:
    given = as_tensor(result)
    if given is None:
        return f"a tensor [batch, channels, height, width] is needed, not {type(result).__name__}."
    wanted = _subsample(x, weight, bias)
    if _close(given, wanted):
        return None
    if given.shape == x.shape:
        return "the sides were not halved: squares of 2 x 2 lie side by side, in strides of 2."
    if given.shape != wanted.shape:
        return f"the shape is {list(given.shape)} and should be {list(wanted.shape)}."
    w, b, sums = weight[:, None, None], bias[:, None, None], _sums(x)
    largest = x.unfold(-2, 2, 2).unfold(-2, 2, 2).amax(dim=(-2, -1))
    if _close(given, w * sums + b):
        return "the squashing is missing: 1.7159 * tanh(2/3 * a)."
    if _close(given, _squash(w * sums / 4 + b)):
        return "this is the mean of the four cells, and 1998's pooling takes their sum."
    if _close(given, _squash(w * largest + b)):
        return "this is the largest cell, and 1998's pooling adds all four."
    return _subsample_value_fault(given, sums, w, b)


def _subsample_value_fault(
    given: torch.Tensor, sums: torch.Tensor, w: torch.Tensor, b: torch.Tensor
) -> str:
    if _close(given, _squash(w * (sums + b))):
        return "the bias was multiplied too: first the weight, then add the bias."
    if _close(given, _squash(w * (sums + 4 * b))) or _close(given, _squash(w * sums + 4 * b)):
        return "the bias was added to each of the four cells: it is added once, to their sum."
    if _close(given, _squash(w * sums)):
        return "the bias is missing."
    if _close(given, _squash(sums + b)):
        return "the weight is missing: each channel has one, for the sum of its four cells."
    if _close(given, torch.tanh(w * sums + b)):
        return "the two constants are missing: the paper's is 1.7159 * tanh(2/3 * a)."
    if _close(given, 1.7159 * torch.tanh(w * sums + b)):
        return "the factor 2/3 inside the tanh is missing."
    if _close(given, torch.tanh(2 / 3 * (w * sums + b))):
        return "the factor 1.7159 in front of the tanh is missing."
    if _close(given, torch.sigmoid(w * sums + b)):
        return "this is the logistic sigmoid, and the paper's is 1.7159 * tanh(2/3 * a)."
    if sums.shape[1] == sums.shape[3] and _close(given, _squash(w[:, 0, 0] * sums + b[:, 0, 0])):
        return (
            "weight and bias went along the width: give them two more axes, weight[:, None, None]."
        )
    return (
        "the shape is right and the values are not: sum of four cells, times the channel's weight, "
        "plus its bias, then 1.7159 * tanh(2/3 * a)."
    )


def _dropout(x: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    return torch.nn.functional.dropout(x, p, training)


@exercise(reference=_dropout)
def ex3(answer: Any) -> str | None:
    """Dropout: zeros with probability p and the rest divided by 1 - p, in training only."""
    if not callable(answer):
        return f"a function is needed, and this is of type {type(answer).__name__}."
    generator = torch.Generator().manual_seed(6)
    x = 1 + torch.rand(200, 150, generator=generator)  # no zeros of its own
    for p in (0.2, 0.6):
        first, second = (as_tensor(answer(x.clone(), p, True)) for _ in range(2))
        if first is None or second is None:
            return "a tensor of the shape of x is needed."
        hint = _dropped_fault(first, x, p)
        if hint:
            return hint
        if torch.equal(first, second):
            return "two calls dropped the same values: draw new random numbers in each call."
    quiet = as_tensor(answer(x.clone(), 0.6, False))
    if quiet is None or quiet.shape != x.shape:
        return "with training False a tensor of the shape of x is needed, x itself."
    if not _close(quiet, x):
        return "with training False nothing may change: return x as it is."
    return None


def _dropped_fault(given: torch.Tensor, x: torch.Tensor, p: float) -> str | None:
    if given.shape != x.shape:
        return f"the shape is {list(given.shape)} and should stay {list(x.shape)}."
    if given.dtype == torch.bool:
        return "this is the mask: multiply x by it."
    zeros, called = (given == 0).double(), f"with p = {p}"
    if _close(given, x):
        return f"{called} in training nothing was dropped."
    if zeros.mean() == 0:
        return f"{called} no value became 0: dropout sets values to 0, it does not only scale them."
    if zeros.mean() == 1:
        return f"{called} all values became 0."
    if _in_lines(zeros):
        return "whole rows or columns were dropped together: draw one random number for each value."
    share = float(zeros.mean())
    if abs(share - (1 - p)) < 0.03:
        return (
            f"{called} a share of {share:.2f} became 0: p is the probability to drop, not to keep."
        )
    if abs(share - p) > 0.03:
        return f"{called} a share of {share:.2f} became 0: compare torch.rand numbers with p."
    kept = zeros == 0
    return _scale_fault(given[kept], x[kept], p)


def _scale_fault(given: torch.Tensor, x: torch.Tensor, p: float) -> str | None:
    if _close(given, x / (1 - p)):
        return None
    if _close(given, x):
        return "the values that stay are not scaled: divide them by 1 - p, so that the mean stays."
    if _close(given, x * (1 - p)):
        return "the values that stay were multiplied by 1 - p: divide by it."
    if _close(given, x / p):
        return "the values that stay were divided by p: divide by 1 - p, the share that stays."
    if _close(given, torch.full_like(given, float(given.flatten()[0]))):
        return "this is the mask, scaled: multiply x by it."
    return "the values that stay must be x / (1 - p)."


def _in_lines(zeros: torch.Tensor) -> bool:
    """Whether rows or columns are dropped as a whole: each of them is all zero or not at all."""
    return any(bool(((line := zeros.mean(dim=axis)) * (1 - line) == 0).all()) for axis in (0, 1))
