"""The checks of chapter 1 accept what is right and say what is wrong."""

import numpy as np
import pytest
import torch

from course_utils.checks import ch01

RIGHT = [
    (ch01.ex1, lambda w: 20 * torch.log10(w.square().mean().sqrt())),
    (ch01.ex1, lambda w: 10 * np.log10(np.mean(w.numpy().astype(float) ** 2))),
    (ch01.ex1, lambda w: float(10 * torch.log10((w.double() ** 2).mean()))),
    (ch01.ex1, lambda w: (10 * torch.log10(w.square().mean()))[None]),
    (ch01.ex2, lambda t, n, h, c: (t - (0 if c else n)) // h + 1),
    (ch01.ex2, lambda t, n, h, c: 1 + int((t if c else t - n) / h)),
    (
        ch01.ex3,
        lambda x: (
            torch.fft.fft(x.double() * torch.hann_window(400, dtype=torch.float64))[:201].abs() ** 2
        ),
    ),
    (
        ch01.ex3,
        lambda x: torch.view_as_real(torch.fft.rfft(x * torch.hann_window(400))).square().sum(-1),
    ),
]
WRONG = [
    (ch01.ex1, lambda w: 10 * torch.log10(w.square().sum()), "mean of the power"),
    (ch01.ex1, lambda w: 10 * torch.log10(w.abs().mean()), "square the samples"),
    (ch01.ex1, lambda w: 10 * torch.log10(w.square().mean().sqrt()), "take no root"),
    (ch01.ex1, lambda w: 20 * torch.log10(w.square().mean()), "the factor is 10"),
    (ch01.ex1, lambda w: torch.log(w.square().mean()), "log10"),
    (ch01.ex1, lambda w: 10 * torch.log(w.square().mean()), "log10"),
    (ch01.ex1, lambda w: torch.log10(w.square().mean()), "factor 10 is missing"),
    (ch01.ex1, lambda w: 10 * torch.log10(w.square()), "one number"),
    (ch01.ex1, lambda w: 20 * torch.log10(w.abs().mean()), "the logarithm last"),
    (ch01.ex2, lambda t, n, h, c: t // h, "add 1"),
    (ch01.ex2, lambda t, n, h, c: t // h + 1, "center"),
    (ch01.ex2, lambda t, n, h, c: t / h + 1 if c else (t - n) / h + 1, "//"),
    (ch01.ex2, lambda t, n, h, c: round((t if c else t - n) / h) + 1, "too many"),
    (ch01.ex2, lambda t, n, h, c: -(-(t if c else t - n) // h) + 1, "too many"),
    (ch01.ex2, lambda t, n, h, c: t, "65328 samples"),
    (ch01.ex3, lambda x: torch.fft.rfft(x * torch.hann_window(400)).abs(), "amplitudes"),
    (ch01.ex3, lambda x: torch.fft.rfft(x).abs() ** 2, "window is missing"),
    (ch01.ex3, lambda x: torch.fft.fft(x * torch.hann_window(400)).abs() ** 2, "[201]"),
    (ch01.ex3, lambda x: torch.fft.rfft(x * torch.hann_window(400)), "complex"),
    (ch01.ex3, lambda x: torch.fft.rfft(x.mul_(torch.hann_window(400))).abs() ** 2, "in place"),
    (
        ch01.ex3,
        lambda x: torch.fft.rfft(x * torch.hann_window(400, periodic=False)).abs() ** 2,
        "symmetric",
    ),
]
EXERCISES = [ch01.ex1, ch01.ex2, ch01.ex3]


@pytest.mark.parametrize("check", EXERCISES, ids=lambda check: check.__name__)
def test_the_starter_is_told_what_to_do(check, capsys):
    assert check(lambda *_: ...) is False
    assert "replace the dots" in capsys.readouterr().out


@pytest.mark.parametrize("check", EXERCISES, ids=lambda check: check.__name__)
def test_the_reference_is_right(check):
    assert check(check.reference) is True


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_another_right_answer_is_accepted(check, answer):
    assert check(answer) is True


@pytest.mark.parametrize(("check", "answer", "words"), WRONG)
def test_a_wrong_answer_gets_its_own_hint(check, answer, words, capsys):
    assert check(answer) is False
    hint = capsys.readouterr().out
    assert words in hint and hint.count("\n") == 1
    assert check.or_reference(answer) is check.reference


@pytest.mark.parametrize("answer", [5, "text", lambda: 3, lambda *_: 1 / 0, print])
@pytest.mark.parametrize("check", EXERCISES, ids=lambda check: check.__name__)
def test_no_answer_makes_a_check_raise(check, answer):
    assert check(answer) is False
