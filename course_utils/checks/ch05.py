"""Checks of the exercises of chapter 5: an echo, counting, overlapping max pooling."""

from __future__ import annotations

from typing import Any

import torch

from course_utils.checks.exercise import as_numbers, as_tensor, exercise


def _close(result: torch.Tensor, wanted: torch.Tensor) -> bool:
    return result.shape == wanted.shape and torch.allclose(
        result.double(), wanted.double(), atol=1e-4
    )


def _add_echo(waveform: torch.Tensor, delay: int, strength: float) -> torch.Tensor:
    silence = waveform.new_zeros(waveform.shape[0], delay)
    return torch.cat([waveform, silence], 1) + strength * torch.cat([silence, waveform], 1)


@exercise(reference=_add_echo)
def ex1(answer: Any) -> str | None:
    """An echo: `[channels, time]` in, `[channels, time + delay]` out, the echo after the sound."""
    if not callable(answer):
        return f"a function is needed, and this is of type {type(answer).__name__}."
    generator = torch.Generator().manual_seed(5)
    stereo = torch.randn(2, 40, generator=generator)
    for waveform, delay, strength in ((stereo[:1], 6, 0.5), (stereo, 15, 0.25), (stereo, 50, 0.8)):
        hint = _echo_fault(answer(waveform.clone(), delay, strength), waveform, delay, strength)
        if hint:
            return hint
    return None


def _echo_fault(result: Any, waveform: torch.Tensor, delay: int, strength: float) -> str | None:
    given = as_tensor(result)
    if given is None:
        return f"a tensor [channels, time + delay] is needed, not a {type(result).__name__}."
    wanted = _add_echo(waveform, delay, strength)
    if _close(given, wanted):
        return None
    channels, time = waveform.shape
    if given.shape == (1, *wanted.shape) or given.shape == (channels, 1, time + delay):
        return (
            f"the shape is {list(given.shape)}: take off the axis that conv1d added, so that "
            "[channels, time + delay] is left."
        )
    if given.shape == (channels, time):
        return (
            "the end of the echo is cut off: the result needs delay more samples than the "
            "waveform (padding=delay)."
        )
    if given.shape == (channels, time + delay - 1):
        return (
            "the echo comes one sample early: between the two weights lie delay - 1 zeros, so "
            "the kernel has delay + 1 weights."
        )
    if given.shape == wanted.T.shape:
        return (
            f"the shape is {list(given.shape)}: the channels come first, [channels, time + delay]."
        )
    if given.ndim == 2 and given.shape[0] != channels:
        return (
            f"{channels} channels went in and {given.shape[0]} came out: each channel gets an "
            "echo of its own."
        )
    if given.shape != wanted.shape:
        return (
            f"the shape is {list(given.shape)} and should be {list(wanted.shape)}: "
            "[channels, time + delay]."
        )
    return _wrong_echo(given, waveform, delay, strength)


def _wrong_echo(
    given: torch.Tensor, waveform: torch.Tensor, delay: int, strength: float
) -> str | None:
    silence = waveform.new_zeros(waveform.shape[0], delay)
    first, second = torch.cat([waveform, silence], 1), torch.cat([silence, waveform], 1)
    if _close(given, strength * first + second):
        return (
            "the echo comes before the word: conv1d does not flip, so write the kernel back to "
            "front."
        )
    if _close(given, strength * second):
        return "only the echo is left: the sound itself needs a weight of 1."
    if _close(given, first + second):
        return "the echo is as loud as the sound: its weight is strength."
    if _close(given, first + strength**2 * second):
        return "the echo is too quiet: strength is a factor of the amplitude, not of the power."
    if len(waveform) > 1 and _close(given, given[:1].expand_as(given)):
        return "all channels came out alike: they were mixed; convolve each channel on its own."
    return (
        "the values are not waveform + strength * (waveform, delay samples later): try it on "
        "torch.tensor([[1.0, 0.0, 0.0]]) and look where the echo stands."
    )


LAYERS = ("Conv2d(1, 6, 5)", "Conv2d(6, 16, 5)", "Conv1d(80, 32, 3)")
SIZES = ((1, 6, 25), (6, 16, 25), (80, 32, 3))  # input channels, output channels, cells
FIELD = 1 + 2 * (1 + 2 + 4)  # frames seen through dilations 1, 2, 4


@exercise(reference=[*(out * (c * cells + 1) for c, out, cells in SIZES), FIELD])
def ex2(answer: Any) -> str | None:
    """The parameters of three convolutions, biases included, and a receptive field."""
    given = as_numbers(answer, len(SIZES) + 1)
    for name, number, (channels, out, cells) in zip(LAYERS, given[:3], SIZES, strict=True):
        hint = _count_fault(number, channels, out, cells)
        if hint:
            return f"{name}: {hint}"
    return _field_fault(given[3])


def _field_fault(number: float) -> str | None:
    if number == FIELD:
        return None
    if number == 1 + 3 * 2:
        return "the receptive field is wider: the dilations 1, 2 and 4 spread the weights."
    if number in (3 + 5 + 9, 27):
        return (
            "the receptive field is neither a sum nor a product of the layers' reaches: the "
            "reaches overlap, and each layer adds only dilation * (3 - 1)."
        )
    if number in (FIELD - 1, FIELD + 1):
        return "the receptive field is one off: start from the 1 cell of the output itself."
    return (
        f"the receptive field is not {number:g} frames: go back layer by layer, from 1 cell, "
        "adding dilation * (kernel - 1) each time."
    )


def _count_fault(number: float, channels: int, out: int, cells: int) -> str | None:
    side = 5 if cells == 25 else 3
    if number == out * (channels * cells + 1):
        return None
    if number == out * channels * cells:
        return "the biases are missing: one for each output channel."
    if number == out * channels * (cells + 1):
        return "a bias belongs to an output channel, not to each pair of channels."
    if number in (channels * (out * cells + 1), out * channels * cells + channels):
        return "a bias belongs to each output channel, not to the input channels."
    if number in (out * (cells + 1), out * cells):
        return "each output channel has a kernel for every input channel: multiply by those too."
    if number in (out * (channels * side + 1), out * channels * side):
        return "the kernel of Conv2d has 5 rows and 5 columns: 25 weights, not 5."
    if number in (out * (channels * side**2 + 1), out * channels * side**2):
        return "the kernel of Conv1d slides in one direction: 3 weights, not 9."
    return (
        f"{number:g} is not output channels x (input channels x weights of a kernel + 1): "
        "count one kernel first."
    )


def _max_pool(x: torch.Tensor, size: int, stride: int) -> torch.Tensor:
    return x.unfold(-2, size, stride).unfold(-2, size, stride).amax(dim=(-2, -1))


@exercise(reference=_max_pool)
def ex3(answer: Any) -> str | None:
    """Overlapping max pooling of `[..., height, width]`, without PyTorch's layers."""
    if not callable(answer):
        return f"a function is needed, and this is of type {type(answer).__name__}."
    generator = torch.Generator().manual_seed(5)
    # Levels in dB, all below 0; height and width differ, so that exchanged axes show.
    batch = -20 - 30 * torch.rand(2, 3, 9, 14, generator=generator)
    cases = (
        (batch[0, 0], 2, 2),
        (batch[0, 0], 3, 2),
        (batch[0, 0], 2, 3),
        (batch[0], 3, 1),
        (batch, 3, 2),
    )
    for x, size, stride in cases:
        hint = _pool_fault(answer(x.clone(), size, stride), x, size, stride)
        if hint:
            return hint
    return None


def _pool_fault(result: Any, x: torch.Tensor, size: int, stride: int) -> str | None:
    if isinstance(result, tuple):
        return "max over an axis returns values and places: take its .values, or use amax."
    given = as_tensor(result)
    if given is None:
        return f"a tensor [..., height, width] is needed, not a {type(result).__name__}."
    wanted = _max_pool(x, size, stride)
    if _close(given, wanted):
        return None
    squares = x.unfold(-2, size, stride).unfold(-2, size, stride)
    called = f"with size {size} and stride {stride}"
    if given.shape == wanted.shape:
        if _close(given, squares.mean(dim=(-2, -1))):
            return "this is the average of each square, and its maximum is wanted."
        if _close(given, squares.amin(dim=(-2, -1))):
            return "this is the smallest cell of each square, and the largest is wanted."
        if _close(given, wanted.clamp(min=0)):
            return (
                "negative levels came out as 0: the maximum was started from 0 (or padded with "
                "it); start from the square's own cells."
            )
        if x.ndim > 2 and _close(given, wanted.amax(dim=-3, keepdim=True).expand_as(wanted)):
            return "the channels were mixed: pool each channel for itself."
        return (
            f"{called} the shape is right and the values are not: the square of output (i, j) "
            "starts at row i * stride and column j * stride."
        )
    return f"{called}, {_pool_shape_fault(given, x, size, stride)}"


def _pool_shape_fault(given: torch.Tensor, x: torch.Tensor, size: int, stride: int) -> str:
    wanted = _max_pool(x, size, stride)
    if stride != size and _close(given, _max_pool(x, size, size)):
        return "the squares lie side by side: they must start stride cells apart, not size."
    if stride != 1 and _close(given, _max_pool(x, size, 1)):
        return "the squares start one cell apart: the stride is not used."
    if given.shape[-1] == x.shape[-1] > wanted.shape[-1]:
        return (
            "the width was not pooled: x.unfold(-2, …) puts its new axis last, so that the width "
            "is axis -2 afterwards."
        )
    if given.ndim < x.ndim:
        return (
            f"{x.ndim} axes went in and {given.ndim} came out: pool over the last two axes and "
            "keep the batch and the channels."
        )
    if given.ndim > x.ndim:
        return (
            f"{x.ndim} axes went in and {given.ndim} came out: take the maximum over both axes of "
            "each square."
        )
    if given.shape[-2] == x.shape[-2] > wanted.shape[-2]:
        return "the height was not pooled: squares reach over both of the last two axes."
    if given.shape == wanted.transpose(-2, -1).shape:
        return "height and width are exchanged: the last axis is the width."
    if given.shape[-1] > wanted.shape[-1] or given.shape[-2] > wanted.shape[-2]:
        return (
            f"{list(given.shape[-2:])} squares came out and {list(wanted.shape[-2:])} fit: "
            "leave out those that reach over the edge."
        )
    return (
        f"the shape is {list(given.shape)} and should be {list(wanted.shape)}: a side of N cells "
        "gives (N - size) // stride + 1; mind the + 1."
    )
