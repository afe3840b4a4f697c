"""Checks of chapter 6: another picture size, the pooling of 1998, dropout, few weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional

from course_utils import models, splits
from course_utils.checks.exercise import Fault, as_numbers, as_tensor, close, exercise, explain
from course_utils.paths import data_path, output_path
from course_utils.recordings import SpokenWords

FLAT = 16 * 7 * 9  # 40 x 48 cells after two convolutions and two poolings
LINEAR1 = 120 * (FLAT + 1)
WHOLE = 61706 - 120 * (400 + 1) + LINEAR1


@exercise(reference=[FLAT, LINEAR1, WHOLE])
def ex1(answer: Any) -> Iterator[str | None]:
    """LeNet-5 for 40 x 48 pictures: values after flatten, weights of linear1, all weights."""
    flat, linear1, whole = as_numbers(answer, 3)
    hints = {
        "flatten also lays out the 16 feature maps: multiply by the channels.": 7 * 9,
        "400 belongs to 32 x 32 pictures: go through the sizes again from 40 and 48.": 400,
        "10 x 12 is 40 x 48 pooled twice: each convolution also takes 4 cells off.": 16 * 10 * 12,
        "the pooling is missing: it halves both sides after each convolution.": (
            16 * 32 * 40,
            16 * 36 * 44,
        ),
        "this is after the first round: a second convolution and pooling follow.": 6 * 18 * 22,
        "the picture is not square: 40 bins and 48 frames give two different sides.": (
            16 * 7 * 7,
            16 * 9 * 9,
        ),
    }
    otherwise = (
        f"flatten does not give {flat:g} values: a side of N cells becomes (N - 4) // 2, twice, "
        "and there are 16 maps."
    )
    yield explain(flat, FLAT, hints, otherwise, tolerance=0)
    hints = {
        "linear1 also has biases: one for each of its 120 outputs.": 120 * FLAT,
        "linear1 has one bias for each output (120), not for each input.": 120 * FLAT + FLAT,
        "48,120 is linear1 for 32 x 32 pictures: use your first number as its inputs.": 120 * 401,
    }
    otherwise = (
        f"linear1 has not {linear1:g}: 120 outputs, each with a weight for every input and a bias."
    )
    yield explain(linear1, LINEAR1, hints, otherwise, tolerance=0)
    hints = {
        "61,706 is the network for 32 x 32 pictures: exchange linear1's share.": 61706,
        "the old linear1 (48,120) is still counted: take it off before you add the new one.": (
            61706 + LINEAR1
        ),
        "the whole network is 120 short: count the biases of linear1.": WHOLE - 120,
        "the whole network is 120 too many: take the old linear1 off with its biases.": WHOLE + 120,
    }
    otherwise = (
        f"the whole network has not {whole:g}: only linear1 changes; all others keep theirs."
    )
    yield explain(whole, WHOLE, hints, otherwise, tolerance=0)


def _squash(a: torch.Tensor) -> torch.Tensor:
    return 1.7159 * torch.tanh(2 / 3 * a)


def _subsample(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    sums = x.unfold(-2, 2, 2).unfold(-2, 2, 2).sum(dim=(-2, -1))
    return _squash(weight[:, None, None] * sums + bias[:, None, None])


AXES = (
    "weight and bias do not fit the sums: give them two more axes, weight[:, None, None], so that "
    "each channel gets its own."
)


@exercise(reference=_subsample, errors={"must match": AXES})
def ex2(answer: Callable[..., Any]) -> Iterator[str | None]:
    """The trained pooling of 1998: `[batch, channels, height, width]`, sides halved."""
    generator = torch.Generator().manual_seed(6)
    otherwise = (
        "the shape is right and the values are not: sum of four cells, times the channel's weight, "
        "plus its bias, then 1.7159 * tanh(2/3 * a)."
    )
    # With as many channels as columns of the result a wrong axis would broadcast in silence.
    for shape in ((2, 4, 6, 8), (3, 2, 10, 4)):
        x = torch.randn(shape, generator=generator) / 2
        weight = 0.3 + torch.rand(shape[1], generator=generator)
        bias = torch.rand(shape[1], generator=generator) - 1
        what = "a tensor [batch, channels, height, width]"
        given = as_tensor(answer(x, weight, bias), what)
        halved = "the sides were not halved: squares of 2 x 2 lie side by side, in strides of 2."
        hints = {halved: given.shape == x.shape} | _subsample_hints(x, weight, bias)
        yield explain(given, _subsample(x, weight, bias), hints, otherwise)


def _subsample_hints(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> dict[str, Any]:
    squares = x.unfold(-2, 2, 2).unfold(-2, 2, 2)
    sums, largest = squares.sum(dim=(-2, -1)), squares.amax(dim=(-2, -1))
    w, b = weight[:, None, None], bias[:, None, None]
    a = w * sums + b
    return {
        "the squashing is missing, or its bracket closes too early (1.7159 * tanh(2/3) is 1): "
        "1.7159 * tanh(2/3 * a).": a,
        "this is the mean of the four cells, and 1998's pooling takes their sum.": (
            _squash(w * sums / 4 + b)
        ),
        "this is the largest cell, and 1998's pooling adds all four.": _squash(w * largest + b),
        "the bias was multiplied too: first the weight, then add the bias.": (
            _squash(w * (sums + b))
        ),
        "the bias was added to each of the four cells: it is added once, to their sum.": (
            _squash(w * (sums + 4 * b)),
            _squash(a + 3 * b),
        ),
        "the bias is missing.": _squash(w * sums),
        "the weight is missing: each channel has one, for the sum of its four cells.": (
            _squash(sums + b)
        ),
        "the two constants are missing: the paper's is 1.7159 * tanh(2/3 * a).": torch.tanh(a),
        "the factor 2/3 inside the tanh is missing.": 1.7159 * torch.tanh(a),
        "the factor 1.7159 in front of the tanh is missing.": torch.tanh(2 / 3 * a),
        "this is the logistic sigmoid, and the paper's is 1.7159 * tanh(2/3 * a).": a.sigmoid(),
        "weight and bias went along the width: "
        "give them two more axes, weight[:, None, None].": _squash(weight * sums + bias),
    }


def _dropout(x: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    return x * (torch.rand(x.shape) >= p) / (1 - p) if training else x


@exercise(reference=_dropout, forbidden=".*dropout.*")
def ex3(answer: Callable[..., Any]) -> Iterator[str | None]:
    """Dropout: zeros with probability p and the rest divided by 1 - p, in training only."""
    x = 1 + torch.rand(200, 150, generator=torch.Generator().manual_seed(6))  # no zeros of its own
    for p in (0.2, 0.6):
        first, second = (as_tensor(answer(x, p, True), "a tensor of the shape of x") for _ in "12")
        zeros = first == 0
        share = float(zeros.double().mean())
        if first.shape != x.shape:
            yield f"the shape is {list(first.shape)} and should stay {list(x.shape)}."
        known = {
            f"with p = {p} in training nothing was dropped.": close(first, x),
            f"with p = {p} no value became 0: "
            "dropout sets values to 0, it does not only scale them.": share == 0,
            f"with p = {p} all values became 0.": share == 1,
            "this is the mask: multiply x by it.": torch.equal(first, first.sign()),
            "whole rows or columns were dropped together: "
            "draw one random number for each value.": _in_lines(zeros),
            f"with p = {p} a share of {share:.2f} became 0: p is the probability to drop, not to "
            "keep.": abs(share - (1 - p)) < 0.03,
            f"with p = {p} a share of {share:.2f} became 0: compare torch.rand numbers with p.": (
                abs(share - p) > 0.03
            ),
        }
        yield next((hint for hint, happened in known.items() if happened), None)
        given, kept = first[~zeros], x[~zeros]
        hints = {
            "the values that stay are not scaled: "
            "divide them by 1 - p, so that the mean stays.": kept,
            "the values that stay were multiplied by 1 - p: divide by it.": kept * (1 - p),
            "the values that stay were divided by p: divide by 1 - p, the share that stays.": (
                kept / p
            ),
            "this is the mask, scaled: multiply x by it.": given[:1].expand_as(given),
        }
        yield explain(given, kept / (1 - p), hints, "the values that stay must be x / (1 - p).")
        if torch.equal(first, second):
            yield "two calls dropped the same values: draw new random numbers in each call."
    quiet = as_tensor(answer(x, 0.6, False), "a tensor of the shape of x")
    shape = "with training False a tensor of the shape of x is needed, x itself."
    otherwise = "with training False nothing may change: return x as it is."
    yield explain(quiet, x, {shape: quiet.shape != x.shape}, otherwise)


def _in_lines(zeros: torch.Tensor) -> bool:
    """Whether rows or columns are dropped as a whole: each of them is all zero or not at all."""
    return any(torch.equal(zeros.all(dim), zeros.any(dim)) for dim in (0, 1))


MOST_WEIGHTS = 6170  # a tenth of LeNet-5's
WANTED = 0.73  # LeNet-5 itself reaches about 0.75; narrower linear layers alone about 0.70
SEEDS = (0, 1, 2)
_reached: dict[tuple[str, str], float] = {}  # what was trained before, by network and first answers


def _tiny() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 5),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 12, 3),
        torch.nn.BatchNorm2d(12),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(12 * 6 * 6, 10),
    )


INSTANCE = (
    "give the function that makes a network, not a network: each seed needs a new one, so write "
    "def make_tiny(): and return it."
)
INPUTS = (
    "the first linear layer expects another number of inputs: print the shape that Flatten gives, "
    "and write its second number there."
)
CHANNELS = (
    "a convolution or BatchNorm expects another number of channels: it must be what the layer "
    "before gives, and 1 for the picture."
)
MISFITS = {
    "cannot be multiplied": INPUTS,
    "channels, but got": CHANNELS,
    "running_mean should contain": CHANNELS,
    "Kernel size can't be greater": "the maps are smaller than a kernel: use fewer poolings.",
    "Output size is too small": "the maps are too small for one more pooling: leave one out.",
}


@exercise(reference=_tiny, errors={"missing 1 required positional argument": INSTANCE})
def ex4(answer: Callable[..., Any]) -> Iterator[str | None]:
    """A network with a tenth of LeNet-5's weights, trained here, nearly as good as LeNet-5."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEEDS[0])
        model = answer()
        if not isinstance(model, torch.nn.Module):
            yield f"return a network, a torch.nn.Module, not a {type(model).__name__}."
            return
        weights = models.count_parameters(model)
        if weights == 0:
            yield "your network has nothing to train: give it convolutions and a linear layer."
            return
        if weights > MOST_WEIGHTS:
            yield (
                f"your network has {weights:,} weights, at most {MOST_WEIGHTS:,} are allowed: "
                "count them layer by layer, as in section 6.2."
            )
        pictures, labels, split = _clips()
        logits = _first_answers(model, pictures[:8])
        if logits.shape != (8, 10):
            yield (
                f"8 pictures give the shape {list(logits.shape)}: logits [8, 10] are needed, one "
                "row a clip and one column a digit."
            )
        if close(logits.sum(dim=1), torch.ones(8)):
            yield "leave the softmax out: cross-entropy applies its own (chapter 4)."
        if answer() is model:
            yield "each call must return a new network: build the layers inside the function."
        known = (repr(model), repr(logits.tolist()))
        if known not in _reached:
            found = [_train_and_judge(answer, seed, pictures, labels, split) for seed in SEEDS]
            _reached[known] = sum(found) / len(found)
        if _reached[known] < WANTED:
            yield (
                f"{weights:,} weights, {_reached[known]:.1%} of the validation clips, and "
                f"{WANTED:.0%} are wanted: give the convolutions more of the weights and the "
                "linear layers fewer, and think of section 6.6."
            )


def _first_answers(model: torch.nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    model.eval()
    try:
        with torch.no_grad():
            return as_tensor(model(pictures), "logits [batch, 10]")
    except RuntimeError as error:
        for words, hint in MISFITS.items():
            if words in str(error):
                raise Fault(hint) from None
        raise


@functools.lru_cache(maxsize=1)
def _clips() -> tuple[torch.Tensor, torch.Tensor, splits.Split]:
    data = SpokenWords(data_path("digits_en"), layout="speaker_digit")
    pictures = data.pictures(n_mels=32, n_frames=32, cache=output_path("pictures"))
    return pictures, data.labels, splits.split_by_clip(data)


def _train_and_judge(
    make_model: Callable[[], torch.nn.Module],
    seed: int,
    pictures: torch.Tensor,
    labels: torch.Tensor,
    split: splits.Split,
) -> float:
    """Train a network as section 6.3 does; return its accuracy on the validation part."""
    torch.manual_seed(seed)
    model = make_model().train()
    clips = torch.tensor(split.train)
    optimizer = torch.optim.Adam(model.parameters(), 0.003, fused=True)
    for _ in range(8):
        for batch in clips[torch.randperm(len(clips))].split(64):
            loss = functional.cross_entropy(model(pictures[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    right = models.predict(model, pictures[split.valid]).argmax(dim=1) == labels[split.valid]
    return float(right.float().mean())
