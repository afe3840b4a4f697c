"""Right and wrong answers to the exercises of chapter 5, and what the wrong ones are told."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from course_utils.checks import ch05


def echo_by_conv(waveform, delay, strength):
    kernel = torch.zeros(1, 1, delay + 1, dtype=waveform.dtype)
    kernel[..., delay] = 1.0
    kernel[..., 0] = strength
    return functional.conv1d(waveform[:, None], kernel, padding=delay)[:, 0]


def echo_with(kernel_of, padding_of=lambda delay: delay):
    def add_echo(waveform, delay, strength):
        kernel = kernel_of(delay, strength)[None, None]
        return functional.conv1d(waveform[:, None], kernel, padding=padding_of(delay))[:, 0]

    return add_echo


def taps(length, **weights):
    kernel = torch.zeros(length)
    for place, weight in weights.items():
        kernel[{"first": 0, "last": -1}[place]] = weight
    return kernel


def echo_by_numpy(waveform, delay, strength):
    kernel = np.zeros(delay + 1)
    kernel[0], kernel[delay] = 1, strength
    return np.stack([np.convolve(channel, kernel) for channel in waveform.numpy()])


def echo_in_place(waveform, delay, strength):
    waveform *= 0.5
    return echo_by_conv(waveform, delay, strength)


def echo_mixed(waveform, delay, strength):
    return echo_by_conv(waveform.mean(0, keepdim=True).expand_as(waveform), delay, strength)


def echo_of_the_wrong_copy(waveform, delay, strength):
    return strength * functional.pad(waveform, (0, delay)) + functional.pad(waveform, (delay, 0))


def echo_without_a_batch(waveform, delay, strength):
    kernel = torch.zeros(1, 1, delay + 1)
    kernel[..., delay], kernel[..., 0] = 1.0, strength
    return functional.conv1d(waveform, kernel, padding=delay)


def pool_from(start):
    """Return an answer that begins each maximum at `start`."""

    def pool(x, size, stride):
        return pool_by_unfold(x, size, stride).clamp(min=start)

    return pool


def pool_by_loops(x, size, stride):
    rows = (x.shape[-2] - size) // stride + 1
    columns = (x.shape[-1] - size) // stride + 1
    y = torch.zeros(*x.shape[:-2], rows, columns, dtype=torch.float64)
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride, j * stride
            y[..., i, j] = x[..., top : top + size, left : left + size].amax((-2, -1))
    return y


def pool_by_library(x, size, stride):
    pictures = x.reshape(-1, 1, *x.shape[-2:])
    y = functional.max_pool2d(pictures, size, stride)
    return y.reshape(*x.shape[:-2], *y.shape[-2:])


def pool_by_unfold(x, size, stride, how="amax"):
    parts = x.unfold(-2, size, stride).unfold(-2, size, stride)
    return getattr(parts, how)(dim=(-2, -1))


def pool_in_place(x, size, stride):
    x.clamp_(min=-30)
    return pool_by_unfold(x, size, stride)


def pool_over_the_lower_edge(x, size, stride):
    return pool_by_unfold(functional.pad(x, (0, 0, 0, stride), value=-1000.0), size, stride)


def pool_over_the_edge(x, size, stride):
    x = functional.pad(x, (0, stride, 0, stride), value=-1000.0)
    return pool_by_unfold(x, size, stride)


def pool_channels_mixed(x, size, stride):
    y = pool_by_unfold(x, size, stride)
    return y.amax(dim=-3, keepdim=True).expand_as(y) if x.ndim > 2 else y


NOISE = torch.randn(1, 1, 2000, generator=torch.Generator().manual_seed(8))
WITH_ECHO = NOISE + 0.5 * functional.pad(NOISE, (3, 0))[..., :2000]


def remover(kernel_size, learning_rate=0.05, steps=200, padding=0, make=torch.nn.Conv1d):
    """Return an answer to exercise 4 that trains as the chapter does."""

    def train():
        torch.manual_seed(0)
        layer = make(1, 1, kernel_size, padding=padding)
        optimizer = torch.optim.Adam(layer.parameters(), lr=learning_rate)
        for _ in range(steps):
            output = layer(WITH_ECHO)[..., :2000]
            loss = functional.mse_loss(output, NOISE[..., -output.shape[2] :])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return layer

    return train


def remover_in_two_layers():
    """Two short layers in a row: the second takes away what the first one leaves."""
    first, second = torch.nn.Conv1d(1, 1, 4, bias=False), torch.nn.Conv1d(1, 1, 19, bias=False)
    for layer in (first, second):
        torch.nn.init.zeros_(layer.weight)
    first.weight.data[0, 0, [3, 0]] = torch.tensor([1.0, -0.5])
    for copy in range(4):
        second.weight.data[0, 0, 18 - 6 * copy] = 0.25**copy
    return torch.nn.Sequential(first, second)


def remover_by_hand(dtype=torch.float32):
    layer = torch.nn.Conv1d(1, 1, 16, bias=False, dtype=dtype)
    torch.nn.init.zeros_(layer.weight)
    layer.weight.data[0, 0, [15, 12, 9, 6, 3, 0]] = (-0.5) ** torch.arange(6).to(dtype)
    return layer


def remover_written_as_numpy_does():
    layer = remover_by_hand()
    layer.weight.data = layer.weight.data.flip(2)
    return layer


RIGHT = [
    (ch05.ex1, ch05.ex1.reference),
    (ch05.ex1, echo_by_conv),
    (ch05.ex1, echo_by_numpy),
    (ch05.ex1, lambda w, d, s: echo_by_conv(w.double(), d, s)),
    (ch05.ex2, ch05.ex2.reference),
    (ch05.ex2, [156, 2416, 7712, 15]),
    (ch05.ex2, (156, 2416, 7712, 15)),
    (ch05.ex2, torch.tensor([156, 2416, 7712, 15])),
    (ch05.ex2, np.array([156.0, 2416.0, 7712.0, 15])),
    (ch05.ex3, ch05.ex3.reference),
    (ch05.ex3, pool_by_loops),
    (ch05.ex3, pool_by_unfold),
    (ch05.ex3, lambda x, size, stride: pool_by_unfold(x, size, stride).numpy()),
    (ch05.ex3, lambda x, size, stride: pool_by_unfold(x.double(), size, stride)),
    (ch05.ex1, lambda w, d, s: functional.pad(w, (0, d)) + s * functional.pad(w, (d, 0))),
    (ch05.ex1, lambda w, d, s: echo_by_conv(w, d, s).tolist()),
    (ch05.ex2, [np.int64(156), torch.tensor(2416), 7712, 15]),
    (ch05.ex3, lambda x, s, t: x.unfold(-2, s, t).amax(-1).unfold(-1, s, t).amax(-1)),
    (ch05.ex3, pool_from(float("-inf"))),
    (ch05.ex4, ch05.ex4.reference),
    (ch05.ex4, remover(16)),
    (ch05.ex4, remover(20, learning_rate=0.02, steps=300)),
    (ch05.ex4, remover(16, padding=15)),
    (ch05.ex4, remover_by_hand),
    (ch05.ex4, lambda: remover_by_hand(torch.float64)),
    (ch05.ex4, remover_in_two_layers),
]


WRONG = [
    (ch05.ex1, lambda w, d, s: ..., "no answer"),
    (ch05.ex1, 0.5, "function"),
    (ch05.ex1, lambda w, d, s: "echo", "tensor"),
    (ch05.ex1, echo_with(lambda d, s: taps(d + 1, first=1.0, last=s)), "the copy that comes later"),
    (ch05.ex1, lambda w, d, s: echo_by_conv(w, d, s)[:, : w.shape[1]], "cut off"),
    (ch05.ex1, lambda w, d, s: echo_by_conv(w, d - 1, s), "one sample early"),
    (ch05.ex1, lambda w, d, s: echo_by_conv(w, d, s)[None], "axis"),
    (ch05.ex1, lambda w, d, s: echo_by_conv(w.mean(0, keepdim=True), d, s), "channels went in"),
    (ch05.ex1, lambda w, d, s: echo_by_conv(w, d, s).T, "channels come first"),
    (ch05.ex1, echo_with(lambda d, s: taps(d + 1, first=s)), "only the echo"),
    (ch05.ex1, lambda w, d, s: echo_by_conv(w, d, 1.0), "as loud"),
    (ch05.ex1, lambda w, d, s: echo_by_conv(w, d, s**2), "power"),
    (ch05.ex1, echo_mixed, "mixed"),
    (ch05.ex1, echo_in_place, "in place"),
    (ch05.ex1, lambda w, d, s: 0.5 * echo_by_conv(w, d, s), "later"),
    (ch05.ex1, lambda w, d, s: w.reshape(7, 7), "RuntimeError"),
    (ch05.ex1, echo_of_the_wrong_copy, "the copy that comes later"),
    (ch05.ex1, echo_without_a_batch, "two channels went in"),
    (ch05.ex2, [..., ..., ..., ...], "dots"),
    (ch05.ex2, [156, 2416, 7712], "four numbers"),
    (ch05.ex2, 156, "in one list"),
    (ch05.ex2, [150, 2400, 7680, 15], "biases are missing"),
    (ch05.ex2, [156, 16 * 6 * 26, 7712, 15], "each pair"),
    (ch05.ex2, [156, 6 * (16 * 25 + 1), 7712, 15], "not to the input channels"),
    (ch05.ex2, [156, 416, 7712, 15], "every input channel"),
    (ch05.ex2, [36, 2416, 7712, 15], "5 rows"),
    (ch05.ex2, [156, 2416, 32 * (80 * 9 + 1), 15], "one direction"),
    (ch05.ex2, [156, 2416, 1, 15], "count one kernel"),
    (ch05.ex2, [156, 2416, 7712, 7], "wider"),
    (ch05.ex2, [156, 2416, 7712, 17], "overlap"),
    (ch05.ex2, [156, 2416, 7712, 14], "one off"),
    (ch05.ex2, [156, 2416, 7712, 20], "layer by layer"),
    (ch05.ex3, lambda x, size, stride: None, "no answer"),
    (ch05.ex3, lambda x, size, stride: pool_by_unfold(x, size, stride, "mean"), "average"),
    (ch05.ex3, lambda x, size, stride: pool_by_unfold(x, size, stride, "amin"), "smallest"),
    (ch05.ex3, lambda x, size, stride: pool_by_unfold(x, size, stride).clamp(min=0), "negative"),
    (ch05.ex3, lambda x, size, stride: pool_by_unfold(x, size, size), "side by side"),
    (ch05.ex3, lambda x, size, stride: pool_by_unfold(x, size, 1), "one cell apart"),
    (ch05.ex3, lambda x, size, stride: pool_by_unfold(x, size, stride).mT, "exchanged"),
    (ch05.ex3, lambda x, size, stride: pool_by_unfold(x[..., 1:, 1:], size, stride), "mind the"),
    (ch05.ex3, pool_over_the_edge, "over the edge"),
    (ch05.ex3, pool_over_the_lower_edge, "over the edge"),
    (ch05.ex3, lambda x, size, stride: x.unfold(-2, size, stride).max(-1), "amax"),
    (ch05.ex3, lambda x, s, t: x.unfold(-2, s, t).unfold(-2, s, t).amax(-1), "both axes"),
    (ch05.ex3, lambda x, s, t: x.unfold(-1, s, t).amax(-1), "height was not pooled"),
    (ch05.ex3, lambda x, s, t: x.unfold(-2, s, t).unfold(-1, s, t).amax((-2, -1)), "not pooled"),
    (ch05.ex3, pool_channels_mixed, "channels were mixed"),
    (ch05.ex3, lambda x, size, stride: pool_by_unfold(x, size, stride).reshape(-1), "axes went in"),
    (ch05.ex3, lambda x, size, stride: pool_by_unfold(x.flip(-1), size, stride), "i * stride"),
    (ch05.ex3, pool_in_place, "in place"),
    (ch05.ex3, 3, "function"),
    (ch05.ex1, lambda w, d, s: echo_by_conv(w, d, s)[:, d:], "cut off"),
    (ch05.ex1, lambda w, d, s: echo_by_conv(w, d, -s), "later"),
    (ch05.ex1, lambda w, d, s: echo_by_conv(echo_by_conv(w, d, s), d, s), "should be"),
    (ch05.ex2, ["156", "2416", "7712", "15"], "quotation marks"),
    (ch05.ex2, [156, 2416, ..., 15], "dots"),
    (ch05.ex2, [2416, 156, 7712, 15], "Conv2d(1, 6, 5): 2416"),
    (ch05.ex3, lambda x, s, t: pool_by_unfold(x.abs(), s, t), "i * stride"),
    (ch05.ex3, lambda x, s, t: pool_by_unfold(x, t, s), "mind the"),
    (ch05.ex3, pool_from(-100.0), "started from -100"),
    (ch05.ex3, pool_from(-10000.0), "started from -10000"),
    (ch05.ex3, pool_by_library, "without PyTorch's `max_pool2d`"),
    (ch05.ex1, lambda w, d, s: None, "end it with return"),
    (ch05.ex1, torch.zeros(1, 10), "without calling it"),
    (ch05.ex1, lambda w, d, s: echo_by_conv(w[:1], d, s)[0], "should be"),
    (ch05.ex2, {"a": 156}, "in one list"),
    (ch05.ex4, lambda: ..., "no answer"),
    (ch05.ex4, lambda: None, "end it with return"),
    (ch05.ex4, remover_by_hand(), "empty brackets"),
    (ch05.ex4, [1, 0, 0, -0.5], "without calling it"),
    (ch05.ex4, lambda: remover_by_hand().weight, "not its weights"),
    (ch05.ex4, lambda: [0.5, 0.25], "type list"),
    (ch05.ex4, lambda: torch.nn.Conv1d(1, 2, 16), "give one channel"),
    (ch05.ex4, lambda: torch.nn.Conv1d(2, 1, 16), "must take [1, 1, time]"),
    (ch05.ex4, lambda: WITH_ECHO[..., 3:] - NOISE, "shorter than the input"),
    (ch05.ex4, remover(4, learning_rate=0.002), "not trained to the end"),
    (ch05.ex4, remover(4), "more weights"),
    (ch05.ex4, remover(10), "more weights"),
    (ch05.ex4, remover(3), "comes from 3 before"),
    (ch05.ex4, remover(20, learning_rate=0.002), "not trained to the end"),
    (ch05.ex4, remover(20, learning_rate=0.01, steps=120), "samples are enough"),
    (ch05.ex4, remover(20, learning_rate=5.0, steps=10), "it has grown"),
    (ch05.ex4, remover(20, learning_rate=1e30, steps=5), "no numbers any more"),
    (ch05.ex4, remover_written_as_numpy_does, "back to front"),
]
