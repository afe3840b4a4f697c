"""Right and wrong answers to the exercises of chapter 6, and what the wrong ones are told."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional

from course_utils.checks import ch06


def squash(a):
    return 1.7159 * torch.tanh(2 / 3 * a)


def pooled(x):
    return 4 * functional.avg_pool2d(x, 2)


def channel(values):
    return values[:, None, None]


def subsample(x, weight, bias):
    return squash(channel(weight) * pooled(x) + channel(bias))


def subsample_by_convolution(x, weight, bias):
    kernel = weight[:, None, None, None].expand(-1, 1, 2, 2)
    return squash(functional.conv2d(x, kernel, bias, stride=2, groups=len(weight)))


def subsample_by_slices(x, weight, bias):
    sums = x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]
    return squash(sums * weight.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)).numpy()


def subsample_in_place(x, weight, bias):
    x *= channel(weight)
    return squash(pooled(x) + channel(bias))


def drop(keep_of, scale_of=lambda p: 1 / (1 - p)):
    def dropout(x, p, training):
        return x * keep_of(x, p) * scale_of(p) if training else x

    return dropout


def by_value(x, p):
    return torch.rand(x.shape) >= p


def drop_by_bernoulli(x, p, training):
    return x * torch.bernoulli(torch.full_like(x, 1 - p)) / (1 - p) if training else x.clone()


def drop_by_numpy(x, p, training):
    mask = np.random.default_rng().random(x.shape) >= p
    return x.numpy() * mask / (1 - p) if training else x.numpy()


def drop_by_filling(x, p, training):
    return (x / (1 - p)).masked_fill(torch.rand_like(x) < p, 0) if training else x


def drop_always(x, p, training):
    return x * by_value(x, p) / (1 - p)


def drop_the_same(x, p, training):
    mask = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) >= p
    return x * mask / (1 - p) if training else x


def drop_in_place(x, p, training):
    x[torch.rand(x.shape) < p] = 0
    return x / (1 - p)


def scaled_outside_training(x, p, training):
    return x * by_value(x, p) / (1 - p) if training else x * (1 - p)


def nothing(x, *others):
    """No return: the result is lost."""
    x.square()


def tiny(*layers):
    """A function that makes a network for 32 x 32 pictures, new in each call."""

    def make():
        return torch.nn.Sequential(*(make_layer() for make_layer in layers))

    return make


def starter():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32 * 32, 10))


def narrow_lenet():
    """The first thing that one would try: LeNet-5 with one narrow linear layer."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 6, 5),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(6, 16, 5),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(400, 8),
        torch.nn.ReLU(),
        torch.nn.Linear(8, 10),
    )


class Tiny(torch.nn.Module):
    """The reference as a class."""

    def __init__(self):
        super().__init__()
        self.layers = ch06.ex4.reference()

    def forward(self, x):
        return self.layers(x)


class WithSoftmax(Tiny):
    def forward(self, x):
        return super().forward(x).softmax(dim=1)


ONE_NETWORK = ch06.ex4.reference()

RIGHT = [
    (ch06.ex4, ch06.ex4.reference),
    (ch06.ex4, Tiny),
    (ch06.ex1, [1008, 121080, torch.tensor(134666)]),
    (ch06.ex2, lambda x, w, b: subsample(x, w, b).tolist()),
    (ch06.ex2, lambda x, w, b: torch.stack([subsample(one, w, b) for one in x])),
    (ch06.ex3, lambda x, p, training: drop(by_value)(x, p, training).tolist()),
    (ch06.ex1, ch06.ex1.reference),
    (ch06.ex1, [1008, 121080, 134666]),
    (ch06.ex1, (1008.0, 121080.0, 134666.0)),
    (ch06.ex1, torch.tensor([1008, 121080, 134666])),
    (ch06.ex1, np.array([1008, 121080, 134666])),
    (ch06.ex2, ch06.ex2.reference),
    (ch06.ex2, subsample),
    (ch06.ex2, subsample_by_convolution),
    (ch06.ex2, subsample_by_slices),
    (ch06.ex2, lambda x, w, b: subsample(x.double(), w.double(), b.double())),
    (ch06.ex3, ch06.ex3.reference),
    (ch06.ex3, drop(by_value)),
    (ch06.ex3, drop_by_bernoulli),
    (ch06.ex3, drop_by_numpy),
    (ch06.ex3, drop_by_filling),
    (ch06.ex3, lambda x, p, training: drop(by_value)(x.double(), p, training)),
    (ch06.ex2, lambda x, w, b: squash(torch.einsum("bchw,c->bchw", pooled(x), w) + channel(b))),
]


WRONG = [
    (ch06.ex1, lambda: [1008, 121080, 134666], "in one list"),
    (ch06.ex1, None, "no answer"),
    (ch06.ex2, nothing, "return"),
    (ch06.ex2, torch.zeros(2, 4, 3, 4), "function"),
    (ch06.ex2, lambda x, w, b: subsample(x[0], w, b), "the shape is"),
    (ch06.ex3, nothing, "return"),
    (ch06.ex3, torch.zeros(200, 150), "function"),
    (ch06.ex4, starter, "10,250 weights"),
    (ch06.ex4, narrow_lenet, "more of the weights"),
    (ch06.ex4, lambda: ..., "no answer"),
    (ch06.ex4, lambda: None, "return"),
    (ch06.ex4, 0.75, "function"),
    (ch06.ex4, ONE_NETWORK, "not a network"),
    (ch06.ex4, lambda: ONE_NETWORK, "a new network"),
    (ch06.ex4, lambda: [torch.nn.Flatten()], "a torch.nn.Module"),
    (ch06.ex4, lambda: torch.nn.Linear, "a torch.nn.Module"),
    (ch06.ex4, WithSoftmax, "softmax out"),
    (ch06.ex4, tiny(torch.nn.Flatten), "nothing to train"),
    (ch06.ex4, tiny(torch.nn.Flatten, lambda: torch.nn.Linear(400, 10)), "Flatten gives"),
    (ch06.ex4, tiny(lambda: torch.nn.Conv2d(6, 16, 5)), "number of channels"),
    (ch06.ex4, tiny(lambda: torch.nn.Conv2d(1, 10, 5)), "logits [8, 10]"),
    (ch06.ex4, tiny(lambda: torch.nn.MaxPool2d(8), lambda: torch.nn.Conv2d(1, 4, 5)), "smaller"),
    (ch06.ex1, [..., ..., ...], "dots"),
    (ch06.ex1, [1008, 121080], "three numbers"),
    (ch06.ex1, [63, 121080, 134666], "feature maps"),
    (ch06.ex1, [400, 48120, 61706], "400 belongs"),
    (ch06.ex1, [1920, 121080, 134666], "pooled twice"),
    (ch06.ex1, [16 * 32 * 40, 121080, 134666], "pooling is missing"),
    (ch06.ex1, [6 * 18 * 22, 121080, 134666], "first round"),
    (ch06.ex1, [16 * 49, 121080, 134666], "not square"),
    (ch06.ex1, [1000, 121080, 134666], "(N - 4) // 2"),
    (ch06.ex1, [1008, 120960, 134666], "also has biases"),
    (ch06.ex1, [1008, 121968, 134666], "not for each input"),
    (ch06.ex1, [1008, 48120, 134666], "48,120 is linear1"),
    (ch06.ex1, [1008, 5, 134666], "120 outputs"),
    (ch06.ex1, [1008, 121080, 61706], "exchange"),
    (ch06.ex1, [1008, 121080, 61706 + 121080], "old linear1"),
    (ch06.ex1, [1008, 121080, 134546], "120 short"),
    (ch06.ex1, [1008, 121080, 134786], "120 too many"),
    (ch06.ex1, [1008, 121080, 1], "only linear1 changes"),
    (ch06.ex2, lambda x, w, b: ..., "no answer"),
    (ch06.ex2, 0.5, "function"),
    (ch06.ex2, lambda x, w, b: "small", "tensor"),
    (ch06.ex2, lambda x, w, b: squash(channel(w) * x + channel(b)), "not halved"),
    (ch06.ex2, lambda x, w, b: subsample(x, w, b).flatten(1), "the shape is"),
    (ch06.ex2, lambda x, w, b: channel(w) * pooled(x) + channel(b), "closes too early"),
    (ch06.ex2, lambda x, w, b: subsample(x / 4, w, b), "mean of the four"),
    (
        ch06.ex2,
        lambda x, w, b: squash(channel(w) * functional.max_pool2d(x, 2) + channel(b)),
        "largest cell",
    ),
    (
        ch06.ex2,
        lambda x, w, b: squash(channel(w) * (pooled(x) + channel(b))),
        "bias was multiplied",
    ),
    (ch06.ex2, lambda x, w, b: subsample(x, w, b) / 1.7159, "factor 1.7159"),
    (ch06.ex2, lambda x, w, b: subsample(x, w, 4 * b), "each of the four"),
    (ch06.ex2, lambda x, w, b: squash(channel(w) * pooled(x)), "bias is missing"),
    (ch06.ex2, lambda x, w, b: squash(pooled(x) + channel(b)), "weight is missing"),
    (
        ch06.ex2,
        lambda x, w, b: torch.tanh(channel(w) * pooled(x) + channel(b)),
        "constants are missing",
    ),
    (
        ch06.ex2,
        lambda x, w, b: 1.7159 * torch.tanh(channel(w) * pooled(x) + channel(b)),
        "2/3 inside",
    ),
    (ch06.ex2, lambda x, w, b: (channel(w) * pooled(x) + channel(b)).sigmoid(), "logistic"),
    (ch06.ex2, lambda x, w, b: squash(w * pooled(x) + b), "along the width"),
    (ch06.ex2, lambda x, w, b: subsample(x.flip(-1), w, b), "sum of four cells"),
    (ch06.ex2, subsample_in_place, "in place"),
    (ch06.ex2, lambda x, w, b: x @ w, "RuntimeError"),
    (ch06.ex2, lambda x, w, b: squash(w[:, None] * pooled(x) + b[:, None]), "two more axes"),
    (
        ch06.ex2,
        lambda x, w, b: 1.7159 * math.tanh(2 / 3) * (channel(w) * pooled(x) + channel(b)),
        "closes too early",
    ),
    (ch06.ex3, lambda x, p, training: ..., "no answer"),
    (ch06.ex3, 0.5, "function"),
    (ch06.ex3, lambda x, p, training: "zeros", "a tensor of the shape"),
    (ch06.ex3, lambda x, p, training: x[0], "should stay"),
    (ch06.ex3, lambda x, p, training: by_value(x, p), "this is the mask:"),
    (ch06.ex3, lambda x, p, training: x, "nothing was dropped"),
    (ch06.ex3, lambda x, p, training: x * (1 - p), "no value became 0"),
    (ch06.ex3, lambda x, p, training: x * 0, "all values"),
    (ch06.ex3, drop(lambda x, p: torch.rand(x.shape[1]) >= p), "whole rows or columns"),
    (ch06.ex3, drop(lambda x, p: torch.rand(len(x), 1) >= p), "whole rows or columns"),
    (ch06.ex3, drop(lambda x, p: torch.rand(x.shape) < p), "not to keep"),
    (ch06.ex3, drop(lambda x, p: torch.randn(x.shape) >= p), "torch.rand"),
    (ch06.ex3, drop(by_value, lambda p: 1), "not scaled"),
    (ch06.ex3, drop(by_value, lambda p: 1 - p), "were multiplied"),
    (ch06.ex3, drop(by_value, lambda p: 1 / p), "divided by p"),
    (ch06.ex3, lambda x, p, training: by_value(x, p) / (1 - p), "mask, scaled"),
    (ch06.ex3, drop(by_value, lambda p: 3), "must be x / (1 - p)"),
    (ch06.ex3, drop_the_same, "two calls"),
    (ch06.ex3, drop_always, "nothing may change"),
    (ch06.ex3, scaled_outside_training, "nothing may change"),
    (ch06.ex3, lambda x, p, t: drop_always(x, p, t) if t else x[0], "with training False a"),
    (ch06.ex3, drop_in_place, "in place"),
    (ch06.ex1, 1008, "in one list"),
    (ch06.ex1, "1008, 121080, 134666", "in one list"),
    (ch06.ex1, ["1008", "121080", "134666"], "quotation marks"),
    (ch06.ex1, [16 * 8 * 10, 121080, 134666], "(N - 4) // 2"),
    (ch06.ex2, lambda x, w, b: subsample(x, b, w), "sum of four cells"),
    (ch06.ex2, lambda x, w, b: channel(w) * pooled(squash(x)) + channel(b), "sum of four cells"),
    (
        ch06.ex3,
        lambda x, p, training: functional.dropout(x, p, not training),
        "nothing was dropped",
    ),
    (ch06.ex3, lambda x, p, training: functional.dropout(x, 0.5, training), "torch.rand"),
    (ch06.ex3, functional.dropout, "without PyTorch's `dropout`"),
    (
        ch06.ex3,
        lambda x, p, training: torch.nn.Dropout(p).train(training)(x),
        "without PyTorch's `dropout`",
    ),
]
