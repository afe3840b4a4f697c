"""Checks of the exercises in chapter 3, training a simple model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from course_utils.checks.exercise import exercise


def mae_gradients(
    x: torch.Tensor, y_true: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradients of the mean absolute error of a linear layer."""
    delta = (x @ weight.T + bias - y_true).sign() / y_true.numel()
    return delta.T @ x, delta.sum(dim=0)


@exercise(reference=mae_gradients)
def ex1(answer: Callable[..., Any]) -> str | None:
    """Check a function `(x, y_true, weight, bias) -> (weight gradient, bias gradient)`."""
    for samples, inputs, outputs, dtype in (
        (12, 4, 3, torch.float32),
        (7, 2, 5, torch.float64),
    ):
        numbers = torch.Generator().manual_seed(samples)
        shapes = ((samples, inputs), (samples, outputs), (outputs, inputs), (outputs,))
        given = [torch.randn(*shape, generator=numbers, dtype=dtype) for shape in shapes]
        gradients = _tensors(answer(*given), 2)
        if gradients is None:
            return "return two tensors: the gradient of the weight, then that of the bias."
        hint = _gradient_hint(gradients, given)
        if hint:
            return hint
    return None


def _gradient_hint(gradients: list[torch.Tensor], given: list[torch.Tensor]) -> str | None:
    x, y_true, weight, bias = given
    samples, outputs = y_true.shape
    wanted = mae_gradients(x, y_true, weight, bias)
    error = x @ weight.T + bias - y_true
    if gradients[0].shape == bias.shape and gradients[1].shape == weight.shape:
        return "the two are swapped: return the gradient of the weight first."
    if gradients[0].shape == weight.T.shape:
        return (
            f"your gradient of the weight is transposed, {list(gradients[0].shape)}: it has the "
            f"shape of the weight, {list(weight.shape)}."
        )
    if gradients[0].shape != weight.shape:
        return (
            f"your gradient of the weight has the shape {list(gradients[0].shape)}: it must have "
            f"that of the weight, {list(weight.shape)}."
        )
    if gradients[1].shape != bias.shape:
        return (
            f"your gradient of the bias has the shape {list(gradients[1].shape)}: sum over the "
            f"samples, so that {list(bias.shape)} is left."
        )
    if _close(gradients[0], wanted[0]):
        if _close(gradients[1], wanted[1]):
            return None
        return "the gradient of the weight is right, that of the bias is not: sum delta over dim 0."
    for factor, hint in (
        (-1, "the sign is wrong: the error is the prediction minus the right answer."),
        (2, "yours is twice too large: the factor 2 belongs to the square, not to |e|."),
        (samples * outputs, "yours is a sum: divide by the number of samples times outputs."),
        (outputs, "divide by samples times outputs: you divided by the samples only."),
        (samples, "divide by samples times outputs: you divided by the outputs only."),
    ):
        if _close(gradients[0], factor * wanted[0]):
            return hint
    if _close(gradients[0], 2 * error.T @ x / y_true.numel()) or _close(
        gradients[0], error.T @ x / y_true.numel()
    ):
        return "that is the squared error's gradient: the slope of |e| is the sign of e, not e."
    if _close(gradients[0], (x @ weight.T - y_true).sign().T @ x / y_true.numel()):
        return "your prediction lacks the bias: it is x @ weight.T + bias."
    return (
        "the values are wrong: let autograd compute the gradient of (y_pred - y_true).abs().mean() "
        "and compare one entry."
    )


def adam_step(
    theta: torch.Tensor,
    gradient: torch.Tensor,
    m: torch.Tensor,
    s: torch.Tensor,
    t: int,
    learning_rate: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return theta and the two running means after one step of Adam."""
    m = 0.9 * m + 0.1 * gradient
    s = 0.999 * s + 0.001 * gradient**2
    m_corrected = m / (1 - 0.9**t)
    s_corrected = s / (1 - 0.999**t)
    theta = theta - learning_rate * m_corrected / (s_corrected.sqrt() + 1e-8)
    return theta, m, s


RATE = 0.03  # of the steps that are checked; a rate that an answer sets itself must show


@exercise(reference=adam_step)
def ex2(answer: Callable[..., Any]) -> str | None:
    """Check a function `(theta, gradient, m, s, t, learning_rate) -> (theta, m, s)`."""
    # The third number's gradients are as small as epsilon, so that its place shows.
    gradients = torch.tensor(
        [[1.0, -4.0, 2e-8], [0.5, 2.0, -1e-8], [-2.0, -1.0, 3e-8]], dtype=torch.float64
    )
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    expected = torch.nn.Parameter(start.clone())
    adam = torch.optim.Adam([expected], lr=RATE)
    theta, m, s = start, torch.zeros_like(start), torch.zeros_like(start)
    steps = []
    for t, gradient in enumerate(gradients, 1):
        expected.grad = gradient.clone()
        adam.step()
        steps.append((theta, gradient, m, s, t, expected.detach().clone()))
        theta, m, s = adam_step(theta, gradient, m, s, t, RATE)
    # The last step first: in step 1 a sum and a corrected mean look the same.
    for theta, gradient, m, s, t, wanted in reversed(steps):
        result = _tensors(answer(theta, gradient, m, s, t, RATE), 3)
        if result is None or any(value.shape != start.shape for value in result):
            return "return three tensors, theta, m and s, each of the shape of theta."
        hint = _adam_hint(result, (theta, gradient, m, s), t, wanted)
        if hint:
            return hint
    return None


def _adam_hint(
    result: list[torch.Tensor],
    given: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
    t: int,
    expected: torch.Tensor,
) -> str | None:
    theta, gradient, m, s = given
    right_theta, right_m, right_s = adam_step(theta, gradient, m, s, t, RATE)
    at = f"in step t = {t} "
    if _close(result[1], right_s) and _close(result[2], right_m):
        return "m and s are swapped: return theta, m, s in this order."
    if not _close(result[1], right_m):
        if _close(result[1], right_m / (1 - 0.9**t)):
            return "the m you return is the corrected one: return the running mean itself."
        if _close(result[1], 0.1 * m + 0.9 * gradient):
            return at + "the factors of m are swapped: 0.9 keeps the old mean, 0.1 takes the new."
        if _close(result[1], 0.9 * m + gradient):
            return at + "m is a mean, not a sum: the gradient enters with the factor 0.1."
        return at + "m is wrong: it is 0.9 times the old m plus 0.1 times the gradient."
    if not _close(result[2], right_s):
        if _close(result[2], 0.999 * s + 0.001 * gradient):
            return at + "s takes the gradient itself: it is the running mean of its square."
        if _close(result[2], right_s / (1 - 0.999**t)):
            return "the s you return is the corrected one: return the running mean itself."
        return at + "s is wrong: it is 0.999 times the old s plus 0.001 times the squared gradient."
    moved = theta - result[0]
    if _close(result[0], expected):
        return None
    m_hat, s_hat = right_m / (1 - 0.9**t), right_s / (1 - 0.999**t)
    for step, hint in (
        (-RATE * m_hat / (s_hat.sqrt() + 1e-8), "the step goes uphill: subtract it from theta."),
        (
            RATE * right_m / (right_s.sqrt() + 1e-8),
            "the corrections are missing, as in the notes' comment: divide m and s by 1 - beta**t.",
        ),
        (
            RATE * m_hat / (right_s.sqrt() + 1e-8),
            "s is not corrected: divide it by 1 - 0.999**t too.",
        ),
        (RATE * right_m / (s_hat.sqrt() + 1e-8), "m is not corrected: divide it by 1 - 0.9**t."),
        (RATE * m_hat / (s_hat + 1e-8), "the square root of s is missing."),
        (
            RATE * m_hat / (s_hat + 1e-8).sqrt(),
            "epsilon is added under the root: add it to the root.",
        ),
        (
            RATE * (1 - 0.999**t) ** 0.5 / (1 - 0.9**t) * right_m / (right_s.sqrt() + 1e-8),
            "epsilon is added too early: divide s by 1 - 0.999**t first, then take the root.",
        ),
        (RATE * m_hat / s_hat.sqrt(), "epsilon is missing: add 1e-8 to the root of s."),
        (m_hat / (s_hat.sqrt() + 1e-8), "the learning rate is missing from the step."),
        (RATE * gradient, "that is the step of SGD: divide the corrected m by the root of s."),
    ):
        if _close(moved, step, atol=1e-9):
            return hint
    for rate in (0.1, 0.01, 0.001):
        if _close(moved, rate * m_hat / (s_hat.sqrt() + 1e-8), atol=1e-9):
            return f"your step has the fixed rate {rate}: use learning_rate, which is {RATE} here."
    if t > 1 and _close(moved, RATE * right_m / 0.1 / ((right_s / 0.001).sqrt() + 1e-8), atol=1e-9):
        return "your corrections stay those of the first step: they need the power t."
    return (
        at + "theta is wrong, m and s are right: subtract learning_rate * (corrected m) / "
        "(root of corrected s + 1e-8)."
    )


def largest_rate(x: torch.Tensor, outputs: int) -> float:
    """Return the learning rate above which SGD diverges for a linear layer with a bias."""
    x_and_1 = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
    hessian = 2 / (len(x) * outputs) * x_and_1.T @ x_and_1
    return 2 / torch.linalg.eigvalsh(hessian).max().item()


@exercise(reference=largest_rate)
def ex3(answer: Callable[..., Any]) -> str | None:
    """Check a function `(x [samples, inputs], outputs) -> largest learning rate`."""
    for samples, inputs, outputs, dtype in (
        (50, 3, 4, torch.float32),
        (80, 6, 7, torch.float64),
    ):
        numbers = torch.Generator().manual_seed(samples)
        x = 0.5 + torch.randn(samples, inputs, generator=numbers, dtype=dtype)
        x[:, 0] *= 3
        given = answer(x.clone(), outputs)
        values = torch.as_tensor(given)
        if values.numel() != 1:
            return f"return one number, the largest rate; yours are {values.numel()}."
        hint = _rate_hint(float(values), x.double(), outputs)
        if hint:
            return hint
    return None


def _rate_hint(rate: float, x: torch.Tensor, outputs: int) -> str | None:
    right = largest_rate(x, outputs)
    x_and_1 = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
    hessian = 2 / (len(x) * outputs) * x_and_1.T @ x_and_1
    eigenvalues = torch.linalg.eigvalsh(hessian)
    without_bias = 2 / torch.linalg.eigvalsh(2 / (len(x) * outputs) * x.T @ x).max().item()
    if _near(rate, right):
        return None
    for wrong, hint in (
        (without_bias, "the bias is missing: add a column of ones to x."),
        (2 / eigenvalues.min().item(), "take the largest eigenvalue: the steepest way decides."),
        (eigenvalues.max().item(), "that is the curvature itself: the rate is 2 divided by it."),
        (right / 2, "yours is half of it: up to 1/lambda SGD does not even overshoot; 2/lambda."),
        (right * 2, "yours is twice too large: the square puts a factor 2 into the Hessian."),
        (right / outputs, "the mean goes over the outputs too: divide the Hessian by outputs."),
        (right / len(x), "the loss is a mean: divide the Hessian by the number of samples."),
        (
            right / (len(x) * outputs),
            "the loss is a mean: divide the Hessian by the samples and the outputs.",
        ),
    ):
        if _near(rate, wrong):
            return hint
    return (
        f"for {len(x)} samples and {outputs} outputs it is not {rate:.4g}: take 2 divided by the "
        "largest eigenvalue of 2 / (N C) [X, 1]' [X, 1]."
    )


def _tensors(answer: Any, count: int) -> list[torch.Tensor] | None:
    """Return the answer as float64 tensors, or None if it is not `count` of them."""
    if not isinstance(answer, tuple | list) or len(answer) != count:
        return None
    return [torch.as_tensor(value).detach().double() for value in answer]


def _close(given: torch.Tensor, wanted: torch.Tensor, atol: float = 1e-6) -> bool:
    wanted = wanted.double()
    return given.shape == wanted.shape and torch.allclose(given, wanted, rtol=1e-4, atol=atol)


def _near(given: float, wanted: float) -> bool:
    return abs(given - wanted) < 1e-3 * abs(wanted)
