"""Every check of chapter 2 accepts right answers and has its own hint for each wrong one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from course_utils.checks import ch02, exercise

CHECKS = {"ex1": ch02.ex1, "ex2": ch02.ex2, "ex3": ch02.ex3}


def softmax_by_numpy(logits):
    values = logits.double().numpy()
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return torch.from_numpy(powers / powers.sum(axis=-1, keepdims=True)).to(logits.dtype)


def softmax_shifted_too_low(logits):
    powers = (logits - logits.min(dim=-1, keepdim=True).values).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


def softmax_with_one_maximum(logits):
    powers = (logits - logits.max()).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


def softmax_in_place(logits):
    logits -= logits.max(dim=-1, keepdim=True).values
    return logits.exp() / logits.exp().sum(dim=-1, keepdim=True)


def parts_by_stack(levels, length):
    starts = range(0, levels.shape[1] - length + 1, length)
    return torch.stack([levels[:, start : start + length].T for start in starts])


def parts_by_unfold(levels, length):
    return levels.unfold(1, length, length).permute(1, 2, 0)


def parts_of_two(levels, length):
    count = levels.shape[1] // length
    return levels[:, : count * length].reshape(levels.shape[0], count, length).permute(1, 2, 0)


def whole(levels, length):
    return levels[:, : levels.shape[1] // length * length]


def parts_with_padding(levels, length):
    missing = -levels.shape[1] % length
    padded = torch.nn.functional.pad(levels, (0, missing))
    return padded.T.reshape(-1, length, levels.shape[0])


def parts_from_the_end(levels, length):
    first = levels.shape[1] % length
    return levels[:, first:].T.reshape(-1, length, levels.shape[0])


def standardise_per_clip(features):
    done = []
    for clip in features:
        done.append((clip - clip.mean()) / (clip.std(correction=0) + 1e-6))
    return torch.stack(done)


def standardise_flat(features):
    flat = features.flatten(start_dim=1)
    flat = flat - flat.mean(dim=1, keepdim=True)
    return (flat / flat.std(dim=1, keepdim=True).clamp(min=1e-4)).reshape(features.shape)


def standardise_over(dim):
    def answer(features):
        mean = features.mean(dim=dim, keepdim=True)
        return (features - mean) / features.std(dim=dim, keepdim=True)

    return answer


def centred(features):
    return features - features.mean(dim=(1, 2), keepdim=True)


RIGHT: dict[str, list[Callable[..., Any]]] = {
    "ex1": [
        ch02.softmax,
        softmax_by_numpy,
        lambda z: z.softmax(-1),
        lambda z: torch.exp(z - torch.logsumexp(z, dim=-1, keepdim=True)),
        lambda z: (
            (z - z.amax(-1)[..., None]).exp() / (z - z.amax(-1)[..., None]).exp().sum(-1)[..., None]
        ),
    ],
    "ex2": [
        ch02.cut_into_parts,
        parts_by_stack,
        parts_by_unfold,
        parts_of_two,
        lambda s, n: whole(s, n).T.contiguous().view(-1, n, s.shape[0]),
        lambda s, n: parts_by_stack(s.double(), n),
    ],
    "ex3": [
        ch02.standardise,
        standardise_per_clip,
        standardise_flat,
        lambda x: centred(x) / (x.std(dim=(1, 2), keepdim=True) + 1e-5),
        lambda x: torch.nn.functional.layer_norm(x, x.shape[1:], eps=1e-8),
    ],
}

# Each wrong answer, and a word of the hint that it must get.
WRONG: dict[str, list[tuple[Callable[..., Any], str]]] = {
    "ex1": [
        (lambda z: z.exp() / z.exp().sum(dim=-1, keepdim=True), "of 1000 overflow"),
        (softmax_shifted_too_low, "not the minimum"),
        (softmax_with_one_maximum, "own maximum"),
        (lambda z: z.softmax(0), "wrong axis"),
        (lambda z: z.exp() / z.exp().sum(), "whole tensor sums"),
        (lambda z: z.exp() / z.exp().sum(-1), "keepdim"),
        (lambda z: z.log_softmax(-1), "without log"),
        (lambda z: (z - z.amax(-1, keepdim=True)).exp(), "divide by their sum"),
        (lambda z: z / z.sum(-1, keepdim=True), "exp is missing"),
        (lambda z: z.argmax(-1), "shape of the logits"),
        (lambda z: z.sigmoid(), "exp of each logit"),
        (lambda z: z.double().softmax(-1), "dtype"),
        (softmax_in_place, "in place"),
        (lambda z: "a word", "one tensor"),
    ],
    "ex2": [
        (lambda s, n: whole(s, n).reshape(-1, n, s.shape[0]), "scrambled"),
        (lambda s, n: whole(s, n).reshape(-1, s.shape[0], n).transpose(1, 2), "before transpose"),
        (lambda s, n: s.T.reshape(-1, n, s.shape[0]), "left over"),
        (lambda s, n: ch02.cut_into_parts(s, n).transpose(1, 2), "bins come last"),
        (
            lambda s, n: whole(s, n).T.reshape(n, -1, s.shape[0]).transpose(0, 1),
            "take turns",
        ),
        (parts_with_padding, "one more"),
        (parts_from_the_end, "begin too late"),
        (lambda s, n: whole(s, n).T, "[parts, length, bins]"),
        (lambda s, n: ch02.cut_into_parts(s.flip(1), n), "wrong places"),
    ],
    "ex3": [
        (standardise_over((0, 1, 2)), "whole batch"),
        (standardise_over((1,)), "each bin"),
        (standardise_over((2,)), "each frame"),
        (standardise_over((0,)), "over the batch"),
        (standardise_over((1, 2)), "silent clip gives nan"),
        (lambda x: (x - x.mean((1, 2))) / x.std((1, 2)), "keepdim"),
        (lambda x: centred(x), "division"),
        (lambda x: centred(x) / x.var((1, 2), keepdim=True), "variance"),
        (lambda x: x / x.std((1, 2), keepdim=True), "subtracting"),
        (
            lambda x: (
                (x - x.amin((1, 2), keepdim=True))
                / (x.amax((1, 2), keepdim=True) - x.amin((1, 2), keepdim=True))
            ),
            "minimum and maximum",
        ),
        (lambda x: centred(x) / x.std((1, 2), keepdim=True).clamp(min=5.0), "far smaller"),
        (lambda x: x.mean((1, 2)), "shape must stay"),
        (lambda x: x.sub_(x.mean((1, 2), keepdim=True)), "in place"),
        (lambda x: torch.nan_to_num(standardise_over((1, 2))(x), nan=1.0), "must give zeros"),
    ],
}


@pytest.mark.parametrize("name", CHECKS)
def test_starter_runs_and_asks_for_an_answer(name, capsys):
    assert CHECKS[name](lambda *arguments: ...) is False
    assert exercise.NO_ANSWER in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, answer", [(name, answer) for name, answers in RIGHT.items() for answer in answers]
)
def test_right_answers_are_accepted(name, answer, capsys):
    accepted = CHECKS[name](answer)
    assert accepted, capsys.readouterr().out
    assert CHECKS[name].or_reference(answer) is answer


@pytest.mark.parametrize(
    "name, answer, word", [(name, *case) for name, cases in WRONG.items() for case in cases]
)
def test_wrong_answers_get_a_hint_that_fits(name, answer, word, capsys):
    assert CHECKS[name](answer) is False
    said = capsys.readouterr().out
    assert said.startswith("Not yet: ") and said.count("\n") == 1
    assert word in said
    assert CHECKS[name].or_reference(answer) is CHECKS[name].reference


@pytest.mark.parametrize("name", CHECKS)
def test_hints_differ(name, capsys):
    words = {word for _, word in WRONG[name]}
    hints = set()
    for answer, _ in WRONG[name]:
        CHECKS[name](answer)
        hints.add(capsys.readouterr().out)
    assert len(hints) >= len(words)


@pytest.mark.parametrize("name", CHECKS)
def test_an_answer_that_raises_gets_a_sentence(name, capsys):
    def answer(*arguments):
        raise KeyError("levels")

    assert CHECKS[name](answer) is False
    assert "KeyError" in capsys.readouterr().out
