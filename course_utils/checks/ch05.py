"""Checks of the exercises of chapter 5: an echo, counting, overlapping max pooling, no echo."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional

from course_utils.checks.exercise import Fault, as_numbers, as_tensor, close, exercise, explain


def _add_echo(waveform: torch.Tensor, delay: int, strength: float) -> torch.Tensor:
    silence = waveform.new_zeros(waveform.shape[0], delay)
    return torch.cat([waveform, silence], 1) + strength * torch.cat([silence, waveform], 1)


TWO_CHANNELS = (
    "two channels went in, and conv1d's kernel takes one: put them into the batch, "
    "waveform[:, None], so that each gets an echo of its own."
)


@exercise(reference=_add_echo, errors={"expected input": TWO_CHANNELS})
def ex1(answer: Callable[..., Any]) -> Iterator[str | None]:
    """An echo: `[channels, time]` in, `[channels, time + delay]` out, the echo after the sound."""
    stereo = torch.randn(2, 40, generator=torch.Generator().manual_seed(5))
    otherwise = (
        "the values are not waveform + strength * (waveform, delay samples later): try it on "
        "torch.tensor([[1.0, 0.0, 0.0]]) and look where the echo stands."
    )
    for waveform, delay, strength in ((stereo[:1], 6, 0.5), (stereo, 15, 0.25), (stereo, 50, 0.8)):
        given = as_tensor(answer(waveform, delay, strength), "a tensor [channels, time + delay]")
        wanted = _add_echo(waveform, delay, strength)
        hints = _echo_hints(given, waveform, delay, strength)
        yield explain(given, wanted, hints, otherwise)


def _echo_hints(
    given: torch.Tensor, waveform: torch.Tensor, delay: int, strength: float
) -> dict[str, Any]:
    channels, time = waveform.shape
    silence = waveform.new_zeros(channels, delay)
    first, second = torch.cat([waveform, silence], 1), torch.cat([silence, waveform], 1)
    shape = list(given.shape)
    return {
        f"the shape is {shape}: take off the axis that conv1d added, so that "
        "[channels, time + delay] is left.": given.ndim == 3 and 1 in shape[:2],
        "the end of the echo is cut off: the result needs delay more samples than the waveform "
        "(padding=delay).": shape == [channels, time],
        "the echo comes one sample early: between the two weights lie delay - 1 zeros, so the "
        "kernel has delay + 1 weights.": shape == [channels, time + delay - 1],
        f"the shape is {shape}: the channels come first, [channels, time + delay].": (
            shape == [time + delay, channels]
        ),
        f"{channels} channels went in and {shape[0] if shape else 0} came out: each channel gets "
        "an echo of its own.": given.ndim == 2 and len(given) != channels,
        f"the shape is {shape} and should be {list(first.shape)}: "
        "[channels, time + delay].": given.shape != first.shape,
        "the echo comes before the word: strength belongs to the copy that comes later. conv1d "
        "does not flip, so there the kernel is written back to front.": strength * first + second,
        "only the echo is left: the sound itself needs a weight of 1.": strength * second,
        "the echo is as loud as the sound: its weight is strength.": first + second,
        "the echo is too quiet: strength is a factor of the amplitude, not of the power.": (
            first + strength**2 * second
        ),
        "all channels came out alike: they were mixed; convolve each channel on its own.": (
            channels == 2 and shape[:1] == [2] and close(given[0], given[1])
        ),
    }


LAYERS = ("Conv2d(1, 6, 5)", "Conv2d(6, 16, 5)", "Conv1d(80, 32, 3)")
SIZES = ((1, 6, 25), (6, 16, 25), (80, 32, 3))  # input channels, output channels, cells
FIELD = 1 + 2 * (1 + 2 + 4)  # frames seen through dilations 1, 2, 4


@exercise(reference=[*(out * (c * cells + 1) for c, out, cells in SIZES), FIELD])
def ex2(answer: Any) -> Iterator[str | None]:
    """The parameters of three convolutions, biases included, and a receptive field."""
    given = as_numbers(answer, len(SIZES) + 1)
    for name, number, (channels, out, cells) in zip(LAYERS, given[:3], SIZES, strict=True):
        otherwise = (
            f"{number:g} is not output channels x (input channels x weights of a kernel + 1): "
            "count one kernel first."
        )
        wanted, hints = out * (channels * cells + 1), _count_hints(channels, out, cells)
        hint = explain(number, wanted, hints, otherwise, tolerance=0)
        yield hint and f"the count for {name}: {hint}"
    hints = {
        "the receptive field is wider: the dilations 1, 2 and 4 spread the weights.": 1 + 3 * 2,
        "the receptive field is neither a sum nor a product of the layers' reaches: the reaches "
        "overlap, and each layer adds only dilation * (3 - 1).": (3 + 5 + 9, 27),
        "the receptive field is one off: start from the 1 cell of the output itself.": (
            FIELD - 1,
            FIELD + 1,
        ),
    }
    otherwise = (
        f"the receptive field is not {given[3]:g} frames: go back layer by layer, from 1 cell, "
        "adding dilation * (kernel - 1) each time."
    )
    yield explain(given[3], FIELD, hints, otherwise, tolerance=0)


def _count_hints(channels: int, out: int, cells: int) -> dict[str, Any]:
    weights, side = out * channels * cells, 5 if cells == 25 else 3
    line, square = out * channels * side, out * channels * side**2
    return {
        "the biases are missing: one for each output channel.": weights,
        "a bias belongs to an output channel, not to each pair of channels.": (
            weights + out * channels
        ),
        "a bias belongs to each output channel, not to the input channels.": weights + channels,
        "each output channel has a kernel for every input channel: multiply by those too.": (
            out * (cells + 1),
            out * cells,
        ),
        "the kernel of Conv2d has 5 rows and 5 columns: 25 weights, not 5.": (line + out, line),
        "the kernel of Conv1d slides in one direction: 3 weights, not 9.": (square + out, square),
    }


def _max_pool(x: torch.Tensor, size: int, stride: int) -> torch.Tensor:
    return x.unfold(-2, size, stride).unfold(-2, size, stride).amax(dim=(-2, -1))


@exercise(reference=_max_pool, forbidden=".*max_pool.*")
def ex3(answer: Callable[..., Any]) -> Iterator[str | None]:
    """Overlapping max pooling of `[..., height, width]`, without PyTorch's layers."""
    # Levels in dB, all below 0; height and width differ, so that exchanged axes show. The last
    # ones lie so low that any number from which a maximum might be started shows.
    batch = -20 - 30 * torch.rand(2, 3, 9, 14, generator=torch.Generator().manual_seed(5))
    cases = (
        (batch[0, 0], 2, 2),
        (batch[0, 0], 3, 2),
        (batch[0, 0], 2, 3),
        (batch[0], 3, 1),
        (batch, 3, 2),
        (1000 * batch, 3, 2),
    )
    for x, size, stride in cases:
        result, wanted = answer(x, size, stride), _max_pool(x, size, stride)
        if isinstance(result, tuple):
            yield "max over an axis returns values and places: take its .values, or use amax."
        given = as_tensor(result, "a tensor [..., height, width]")
        if given.shape != wanted.shape:
            hint = explain(given, wanted, _pool_shape_hints(given, x, size, stride))
            yield f"with size {size} and stride {stride}, {hint}"
        squares = x.unfold(-2, size, stride).unfold(-2, size, stride)
        lowest = float(given.real.min())
        hints = {
            "this is the average of each square, and its maximum is wanted.": (
                squares.mean((-2, -1))
            ),
            "this is the smallest cell of each square, and the largest is wanted.": (
                squares.amin((-2, -1))
            ),
            f"negative levels came out as {lowest:g}: the maximum was started from {lowest:g} (or "
            "padded with it); start from the square's own cells.": wanted.clamp(min=lowest),
            "the channels were mixed: pool each channel for itself.": (
                x.ndim > 2 and close(given, wanted.amax(dim=-3, keepdim=True).expand_as(wanted))
            ),
        }
        otherwise = (
            f"with size {size} and stride {stride} the shape is right and the values are not: the "
            "square of output (i, j) starts at row i * stride and column j * stride."
        )
        yield explain(given, wanted, hints, otherwise)


def _pool_shape_hints(
    given: torch.Tensor, x: torch.Tensor, size: int, stride: int
) -> dict[str, Any]:
    wanted = _max_pool(x, size, stride).shape
    height, width = given.shape[-2:] if given.ndim > 1 else (0, 0)
    went_in = f"{x.ndim} axes went in and {given.ndim} came out: "
    return {
        "the squares lie side by side: they must start stride cells apart, not size.": (
            _max_pool(x, size, size)
        ),
        "the squares start one cell apart: the stride is not used.": _max_pool(x, size, 1),
        "the width was not pooled: x.unfold(-2, …) puts its new axis last, so that the width is "
        "axis -2 afterwards.": width == x.shape[-1],
        went_in + "pool over the last two axes and keep the batch and the channels.": (
            given.ndim < x.ndim
        ),
        went_in + "take the maximum over both axes of each square.": given.ndim > x.ndim,
        "the height was not pooled: squares reach over both of the last two axes.": (
            height == x.shape[-2]
        ),
        "height and width are exchanged: the last axis is the width.": (
            (width, height) == wanted[-2:]
        ),
        f"{[height, width]} squares came out and {list(wanted[-2:])} fit: leave out those that "
        "reach over the edge.": height > wanted[-2] or width > wanted[-1],
        f"the shape is {list(given.shape)} and should be {list(wanted)}: a side of N cells gives "
        "(N - size) // stride + 1; mind the + 1.": True,
    }


ECHO_DELAY, ECHO_STRENGTH = 3, 0.5  # as in the chapter
ALLOWED_DB = -30.0  # power of the error that may be left
NOT_TRAINED_DB = -12.0  # even four weights get further
ENOUGH = 13  # fewer weights leave more, however well they are trained


def _train_echo_remover() -> torch.nn.Module:
    """The layer to which training leads: each copy cancels the echo that the last one left."""
    layer = torch.nn.Conv1d(1, 1, 22, bias=False)
    torch.nn.init.zeros_(layer.weight)
    for number in range(8):
        layer.weight.data[0, 0, 21 - ECHO_DELAY * number] = (-ECHO_STRENGTH) ** number
    return layer


@exercise(
    reference=_train_echo_remover,
    errors={
        "required positional argument": "the check calls your function with empty brackets: hand "
        "over the function that trains the layer and returns it.",
        "must match the size": "the output is kernel_size - 1 samples shorter than the input: "
        "compare it with noise[:, :, kernel_size - 1 :].",
    },
)
def ex4(answer: Callable[..., Any]) -> Iterator[str | None]:
    """A layer that takes the echo of 5.3 away again, down to an error of -30 dB."""
    layer = answer()
    if not isinstance(layer, torch.nn.Module):
        raise Fault(
            "return the trained layer itself, not its weights, its output or the loss; yours is of "
            f"type {type(layer).__name__}."
        )
    try:
        level = _error_db(layer)
    except RuntimeError:
        raise Fault(
            "the layer must take [1, 1, time] and give one channel: Conv1d(1, 1, kernel_size)."
        ) from None
    if math.isnan(level):
        yield "the weights are no numbers any more: the learning rate is too high."
    if level > ALLOWED_DB:
        yield (
            f"an error of {level:.0f} dB is left, and {ALLOWED_DB:.0f} dB are wanted: "
            f"{_why_so_much(layer, level)}"
        )
    yield None


def _error_db(layer: torch.nn.Module) -> float:
    """How much of the echo, and of what the layer does to the sound, is left in new noise."""
    clean = torch.randn(1, 1, 4000, generator=torch.Generator().manual_seed(5))
    echo = functional.pad(clean, (ECHO_DELAY, 0))[..., :4000]
    kind = next(layer.parameters(), clean).dtype
    with torch.no_grad():
        output = layer((clean + ECHO_STRENGTH * echo).to(kind))
    if output.ndim != 3 or output.shape[:2] != (1, 1):
        raise RuntimeError(f"the layer gives {list(output.shape)}")
    # Without padding the first outputs are missing, with padding on both sides there are more.
    time = min(output.shape[2], 4000)
    wanted = clean[..., -time:]
    left = (output[..., :time] - wanted).square().mean() / wanted.square().mean()
    return float(10 * torch.log10(left.clamp(min=1e-12))) if left.isfinite() else math.nan


def _why_so_much(layer: torch.nn.Module, level: float) -> str:
    parts = [part for part in layer.modules() if isinstance(part, torch.nn.Conv1d)]
    seen = 1 + sum((part.kernel_size[0] - 1) * part.dilation[0] for part in parts)
    turned = copy.deepcopy(layer)
    for part in turned.modules():
        if isinstance(part, torch.nn.Conv1d):
            part.weight.data = part.weight.data.flip(2)
    if _error_db(turned) < ALLOWED_DB:
        return "the weights stand back to front, for Conv1d does not flip them."
    if level > 3:
        return "it has grown: the learning rate is too high, or the steps end too early."
    if seen <= ECHO_DELAY:
        return f"the layer sees {seen} samples, and the echo comes from {ECHO_DELAY} before."
    if level > NOT_TRAINED_DB:
        return "the layer is not trained to the end yet: more steps, or a higher learning rate."
    if seen < ENOUGH:
        return (
            f"the layer sees {seen} samples. What cancels the echo leaves an echo of its own, "
            "three samples later: give the kernel more weights."
        )
    return f"{seen} samples are enough, so train on: more steps, or another learning rate."
