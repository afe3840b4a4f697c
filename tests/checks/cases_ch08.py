"""Right and wrong answers to the exercises of chapter 8, and what the wrong ones are told."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import torch
from scipy import stats

from course_utils import metrics
from course_utils.checks import ch08


def mask_of(batch, lengths):
    return torch.arange(batch.shape[-1]) < lengths[:, None]


def power_by_loop(batch, lengths):
    return [batch[i, 0, : int(n)].double().square().mean() for i, n in enumerate(lengths)]


def power_by_numpy(batch, lengths):
    return np.array([np.mean(b[0, :n] ** 2) for b, n in zip(batch.numpy(), lengths, strict=True)])


def power_by_stack(batch, lengths):
    return torch.stack([batch[i, :, : int(n)].pow(2).mean() for i, n in enumerate(lengths)])


def power_by_where(batch, lengths):
    mask = mask_of(batch, lengths)[:, None]
    return (torch.where(mask, batch, 0.0).double() ** 2).sum((1, 2)) / mask.sum((1, 2))


def power_in_place(batch, lengths):
    batch[:, 0][~mask_of(batch, lengths)] = 0
    return batch.square().sum((1, 2)) / lengths


def mean_of(function):
    def mean(batch, lengths):
        values = function(batch[:, 0]).masked_fill(~mask_of(batch, lengths), 0)
        return values.sum(-1) / lengths

    return mean


def leaks_by_count(speakers, split):
    parts = [{speakers[i] for i in part} for part in split]
    return {s for s in speakers if sum(s in part for part in parts) > 1}


def leaks_by_pairs(speakers, split):
    pairs = itertools.combinations(split, 2)
    return frozenset(
        speakers[i] for a, b in pairs for i in a for j in b if speakers[i] == speakers[j]
    )


def leaks_by_name(speakers, split):
    train, valid, test = (names(speakers, part) for part in (split.train, split.valid, split.test))
    return (train & valid) | (train & test) | (valid & test)


def names(speakers, part):
    return {speakers[i] for i in part}


def interval_with(width, shift=0.0):
    def interval(accuracies):
        mean, m = statistics.mean(accuracies) + shift, len(accuracies)
        half = width(statistics.stdev(accuracies), m)
        return mean - half, mean + half

    return interval


def training(batch_size=16, rate=0.01, epochs=3, returned=lambda model, x: model, **cycle):
    """An answer to exercise 4: a loop with these settings."""

    def my_training(network, x, y):
        model = network()
        adam = torch.optim.Adam(model.parameters(), rate)
        steps = epochs * math.ceil(len(x) / batch_size)
        schedule = torch.optim.lr_scheduler.OneCycleLR(adam, rate, total_steps=max(steps, 2))
        for _ in range(epochs):
            for indices in torch.randperm(len(x)).split(batch_size):
                loss = torch.nn.functional.cross_entropy(model(x[indices]), y[indices])
                adam.zero_grad()
                loss.backward()
                if cycle:
                    adam.step()
                    schedule.step()
                else:
                    adam.param_groups[0]["lr"] = rate
                    adam.step()
        return returned(model, x)

    return my_training


def judged(model, x):
    with torch.no_grad():
        return model(x).argmax(dim=-1)


def t_of(m):
    return stats.t.ppf(0.975, m - 1)


def interval_by_scipy(accuracies):
    error = stats.sem(accuracies)
    return stats.t.interval(0.95, len(accuracies) - 1, loc=np.mean(accuracies), scale=error)


def interval_by_torch(accuracies):
    low, high = interval_by_scipy(accuracies)
    return torch.tensor([low, high])


RIGHT = [
    (ch08.ex1, ch08.ex1.reference),
    (ch08.ex1, power_by_loop),
    (ch08.ex1, power_by_numpy),
    (ch08.ex1, power_by_where),
    (ch08.ex2, ch08.ex2.reference),
    (ch08.ex2, leaks_by_count),
    (ch08.ex2, leaks_by_pairs),
    (ch08.ex3, ch08.ex3.reference),
    (ch08.ex3, interval_by_scipy),
    (ch08.ex3, interval_by_torch),
    (ch08.ex3, metrics.speaker_interval),
    (ch08.ex3, lambda a: list(interval_by_scipy(a))),
    (ch08.ex1, power_by_stack),
    (ch08.ex2, lambda s, p: {i for i in s if sum(i in names(s, part) for part in p) >= 2}),
    (ch08.ex3, lambda a: np.array(interval_by_scipy(a))),
    (ch08.ex2, leaks_by_name),
    (ch08.ex1, lambda b, n: power_by_where(b, n).float()),
    (ch08.ex1, lambda b, n: [float(power) for power in power_by_where(b, n)]),
    (ch08.ex4, training(8, 0.004, cycle=True)),
]


WRONG = [
    (ch08.ex1, lambda b, n: ..., "no answer"),
    (ch08.ex1, 0.5, "function"),
    (ch08.ex1, lambda b, n: "loud", "tensor"),
    (ch08.ex1, lambda b, n: b.square().mean((1, 2)), "padding counts"),
    (ch08.ex1, lambda b, n: b.square().sum((1, 2)) / n, "not always zero"),
    (ch08.ex1, lambda b, n: b.square().mean(), "whole batch"),
    (ch08.ex1, lambda b, n: power_by_where(b, n)[:, None], "channel axis"),
    (ch08.ex1, lambda b, n: power_by_where(b, n)[None], "should be"),
    (ch08.ex1, lambda b, n: power_by_where(b, n).sqrt(), "root"),
    (ch08.ex1, lambda b, n: 10 * power_by_where(b, n).log10(), "dB"),
    (ch08.ex1, lambda b, n: power_by_where(b, n) * n, "sum of the squares"),
    (ch08.ex1, mean_of(torch.abs), "absolute"),
    (ch08.ex1, mean_of(lambda x: x), "square them"),
    (ch08.ex1, lambda b, n: power_by_where(b, n) + 1, "ones"),
    (ch08.ex1, power_in_place, "in place"),
    (ch08.ex1, lambda b, n: b.reshape(7, 9), "RuntimeError"),
    (ch08.ex2, lambda s, p: None, "no answer"),
    (ch08.ex2, {"ann"}, "function"),
    (ch08.ex2, lambda s, p: bool(leaks_by_count(s, p)), "True or False"),
    (ch08.ex2, lambda s, p: len(leaks_by_count(s, p)), "how many"),
    (ch08.ex2, lambda s, p: sorted(leaks_by_count(s, p)), "return a set"),
    (ch08.ex2, lambda s, p: "ann", "set of speakers"),
    (ch08.ex2, lambda s, p: set(p[0]) & set(p[2]), "leak was missed"),
    (ch08.ex2, lambda s, p: set(p[0]), "clip numbers"),
    (ch08.ex2, lambda s, p: names(s, p[0]) & names(s, p[2]), "in train and valid"),
    (ch08.ex2, lambda s, p: names(s, p[0] + p[1]) & names(s, p[2]), "in train and valid"),
    (ch08.ex2, lambda s, p: names(s, p[0]) & names(s, p[1] + p[2]), "in valid and test"),
    (ch08.ex2, lambda s, p: names(s, p[0] + p[1] + p[2]), "all speakers"),
    (ch08.ex2, lambda s, p: names(s, p[0]), "one part only"),
    (ch08.ex3, lambda a: ..., "no answer"),
    (ch08.ex3, (0.1, 0.2), "function"),
    (ch08.ex3, lambda a: sum(a) / len(a), "two numbers"),
    (ch08.ex3, lambda a: (0.1, 0.2, 0.3), "the shape is [3]"),
    (ch08.ex3, lambda a: interval_by_scipy(a)[::-1], "exchanged"),
    (ch08.ex3, lambda a: [100 * end for end in interval_by_scipy(a)], "per cent"),
    (ch08.ex3, interval_with(lambda s, m: t_of(m) * s / m**0.5, shift=0.1), "middle"),
    (
        ch08.ex3,
        interval_with(lambda s, m: t_of(m) * s * math.sqrt((m - 1) / m) / m**0.5),
        "by m - 1",
    ),
    (ch08.ex3, interval_with(lambda s, m: t_of(m) * s), "root of m is missing"),
    (ch08.ex3, interval_with(lambda s, m: t_of(m) * s / m), "by the root"),
    (ch08.ex3, interval_with(lambda s, m: 1.96 * s / m**0.5), "1.96"),
    (ch08.ex3, interval_with(lambda s, m: stats.t.ppf(0.95, m - 1) * s / m**0.5), "0.95"),
    (
        ch08.ex3,
        interval_with(lambda s, m: stats.t.ppf(0.975, m) * s / m**0.5),
        "degrees of freedom",
    ),
    (ch08.ex3, interval_with(lambda s, m: 2 * t_of(m) * s / m**0.5), "twice"),
    (ch08.ex3, interval_with(lambda s, m: 0.5 * t_of(m) * s / m**0.5), "half too wide"),
    (ch08.ex3, interval_with(lambda s, m: s / m**0.5), "standard error"),
    (ch08.ex3, interval_with(lambda s, m: 0.3), "times as wide"),
    (ch08.ex1, lambda b, n: power_by_where(b, n) * n / (n - 1), "ones"),
    (ch08.ex1, lambda b, n: mean_of(lambda x: x)(b, n) ** 2, "ones"),
    (ch08.ex2, lambda s, p: names(s, p[0]) & names(s, p[1]) & names(s, p[2]), "leak was missed"),
    (ch08.ex2, lambda s, p: dict.fromkeys(leaks_by_count(s, p)), "set of speakers"),
    (ch08.ex3, lambda a: (min(a), max(a)), "times as wide"),
    (ch08.ex3, lambda a: (sum(a) / len(a), t_of(len(a)) * stats.sem(a)), "middle"),
    (ch08.ex3, interval_with(lambda s, m: t_of(m) * s**2 / m**0.5), "times as wide"),
    (ch08.ex1, lambda b, n: (b[:, 0].square() * ~mask_of(b, n)).sum(-1) / n, "ones"),
    (ch08.ex1, lambda b, n: [power_by_where(b[:1], n[:1])], "should be"),
    (ch08.ex2, lambda s, p: names(s, p[0]) ^ names(s, p[2]), "no leak"),
    (ch08.ex3, lambda a: interval_by_scipy(a)[1] - interval_by_scipy(a)[0], "two numbers"),
    (ch08.ex4, lambda network, x, y: ..., "no answer"),
    (ch08.ex4, training(), "% are wanted. Smaller batches"),  # the starter
    (ch08.ex4, training(rate=0.001), "% are wanted. Smaller batches"),
    (ch08.ex4, training(4, 0.01), "Let the learning rate fall"),
    (ch08.ex4, training(16, 0.001, epochs=1), "so far it was fewer"),
    (ch08.ex4, training(64, 0.002, epochs=9), "pictures in training, and three times"),
    (ch08.ex4, lambda network, x, y: network(), "was not trained"),
    (ch08.ex4, lambda network, x, y: network, "not a function"),
    (ch08.ex4, lambda network, x, y: 0.8, "a number came back"),
    (ch08.ex4, training(64, returned=judged), "a number came back"),
    (ch08.ex4, training(64, returned=lambda model, x: (model, 0.9)), "several things"),
    (ch08.ex4, lambda network, x, y: torch.nn.Linear(2, 2), "another network"),
    (ch08.ex4, training(64, 1e30), "learning rate is too high"),
]
