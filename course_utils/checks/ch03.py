"""Checks of the exercises in chapter 3, training a simple model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from course_utils import audio, features
from course_utils.checks.exercise import Fault, as_number, as_tensor, close, exercise, explain
from course_utils.paths import data_path


def _tensors(result: Any, count: int, otherwise: str) -> list[torch.Tensor]:
    if not isinstance(result, tuple | list) or len(result) != count:
        raise Fault(otherwise)
    return [as_tensor(value) for value in result]


def mae_gradients(
    x: torch.Tensor, y_true: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradients of the mean absolute error of a linear layer."""
    delta = (x @ weight.T + bias - y_true).sign() / y_true.numel()
    return delta.T @ x, delta.sum(dim=0)


@exercise(reference=mae_gradients)
def ex1(answer: Callable[..., Any]) -> Iterator[str | None]:
    """Check a function `(x, y_true, weight, bias) -> (weight gradient, bias gradient)`."""
    two = "return two tensors: the gradient of the weight, then that of the bias."
    for samples, inputs, outputs in ((12, 4, 3), (7, 2, 5)):
        numbers = torch.Generator().manual_seed(samples)
        shapes = ((samples, inputs), (samples, outputs), (outputs, inputs), (outputs,))
        x, y_true, weight, bias = (torch.randn(*shape, generator=numbers) for shape in shapes)
        of_weight, of_bias = _tensors(answer(x, y_true, weight, bias), 2, two)
        wanted, wanted_bias = mae_gradients(x, y_true, weight, bias)
        error = x @ weight.T + bias - y_true
        shape = list(of_weight.shape)
        hints = {
            "the two are swapped: return the gradient of the weight first.": (
                of_weight.shape == bias.shape and of_bias.shape == weight.shape
            ),
            f"your gradient of the weight is transposed, {shape}: it has the shape of the weight, "
            f"{list(weight.shape)}.": of_weight.shape == weight.T.shape,
            f"your gradient of the weight has the shape {shape}: it must have that of the weight, "
            f"{list(weight.shape)}.": of_weight.shape != weight.shape,
            "the sign is wrong: the error is the prediction minus the right answer.": -wanted,
            "yours is twice too large: the factor 2 belongs to the square, not to |e|.": 2 * wanted,
            "yours is a sum: divide by the number of samples times outputs.": (
                y_true.numel() * wanted
            ),
            "divide by samples times outputs: you divided by the samples only.": outputs * wanted,
            "divide by samples times outputs: you divided by the outputs only.": samples * wanted,
            "that is the squared error's gradient: the slope of |e| is the sign of e, not e.": (
                2 * error.T @ x / y_true.numel(),
                error.T @ x / y_true.numel(),
            ),
            "your prediction lacks the bias: it is x @ weight.T + bias.": (
                mae_gradients(x, y_true, weight, 0 * bias)[0]
            ),
        }
        otherwise = (
            "the values are wrong: let autograd compute the gradient of "
            "(y_pred - y_true).abs().mean() and compare one entry."
        )
        yield explain(of_weight, wanted, hints, otherwise)
        hints = {
            f"your gradient of the bias has the shape {list(of_bias.shape)}: sum over the samples, "
            f"so that {list(bias.shape)} is left.": of_bias.shape != bias.shape
        }
        otherwise = (
            "the gradient of the weight is right, that of the bias is not: sum delta over dim 0."
        )
        yield explain(of_bias, wanted_bias, hints, otherwise)

    ones, y_true = torch.ones(2, 2), torch.tensor([[2.0], [0.0]])  # the first error is exactly 0
    for gradient in _tensors(answer(ones, y_true, ones[:1], torch.zeros(1)), 2, two):
        if not gradient.isfinite().all():
            yield "an error of exactly 0 gives nan: e / e.abs() divides 0 by 0, and sign gives 0."


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
def ex2(answer: Callable[..., Any]) -> Iterator[str | None]:
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
    three = "return three tensors, theta, m and s, each of the shape of theta."
    # The last step first: in step 1 a sum and a corrected mean look the same.
    for theta, gradient, m, s, t, after in reversed(steps):
        new_theta, new_m, new_s = _tensors(answer(theta, gradient, m, s, t, RATE), 3, three)
        if not new_theta.shape == new_m.shape == new_s.shape == start.shape:
            yield three
        _, right_m, right_s = adam_step(theta, gradient, m, s, t, RATE)
        hints = {
            "m and s are swapped: return theta, m, s in this order.": (
                close(new_m, right_s) and close(new_s, right_m)
            ),
            "the m you return is the corrected one: return the running mean itself.": (
                right_m / (1 - 0.9**t)
            ),
            "the factors of m are swapped: 0.9 keeps the old mean, 0.1 takes the new.": (
                0.1 * m + 0.9 * gradient
            ),
            "m is a mean, not a sum: the gradient enters with the factor 0.1.": 0.9 * m + gradient,
        }
        otherwise = "m is wrong: it is 0.9 times the old m plus 0.1 times the gradient."
        yield explain(new_m, right_m, hints, otherwise)
        hints = {
            "s takes the gradient itself: it is the running mean of its square.": (
                0.999 * s + 0.001 * gradient
            ),
            "the s you return is the corrected one: return the running mean itself.": (
                right_s / (1 - 0.999**t)
            ),
        }
        otherwise = "s is wrong: it is 0.999 times the old s plus 0.001 times the squared gradient."
        yield explain(new_s, right_s, hints, otherwise)
        otherwise = (
            "theta is wrong, m and s are right: subtract learning_rate * (corrected m) / "
            "(root of corrected s + 1e-8)."
        )
        moved, wanted = (theta - new_theta) / RATE, (theta - after) / RATE
        yield explain(moved, wanted, _step_hints(gradient, right_m, right_s, t), otherwise, 1e-3)


def _step_hints(gradient: torch.Tensor, m: torch.Tensor, s: torch.Tensor, t: int) -> dict[str, Any]:
    """What mistakes make of a step of Adam, divided by the learning rate."""
    m_hat, s_hat = m / (1 - 0.9**t), s / (1 - 0.999**t)
    step = m_hat / (s_hat.sqrt() + 1e-8)
    return {
        "the step goes uphill: subtract it from theta.": -step,
        "the corrections are missing, as in the notes' comment: divide m and s by 1 - beta**t.": (
            m / (s.sqrt() + 1e-8)
        ),
        "s is not corrected: divide it by 1 - 0.999**t too.": m_hat / (s.sqrt() + 1e-8),
        "m is not corrected: divide it by 1 - 0.9**t.": m / (s_hat.sqrt() + 1e-8),
        "the square root of s is missing.": m_hat / (s_hat + 1e-8),
        "epsilon is added under the root: add it to the root.": m_hat / (s_hat + 1e-8).sqrt(),
        "epsilon is added too early: divide s by 1 - 0.999**t first, then take the root.": (
            (1 - 0.999**t) ** 0.5 * m_hat / (s.sqrt() + 1e-8)
        ),
        "epsilon is missing: add 1e-8 to the root of s.": m_hat / s_hat.sqrt(),
        "the learning rate is missing from the step.": step / RATE,
        "that is the step of SGD: divide the corrected m by the root of s.": gradient,
        **{
            f"your step has the fixed rate {rate}: use learning_rate, which is {RATE} here.": (
                rate / RATE * step
            )
            for rate in (0.1, 0.01, 0.001)
        },
        "your corrections stay those of the first step: they need the power t.": (
            m / 0.1 / ((s / 0.001).sqrt() + 1e-8)
        ),
    }


def largest_rate(x: torch.Tensor, outputs: int) -> float:
    """Return the learning rate above which SGD diverges for a linear layer with a bias."""
    x_and_1 = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
    hessian = 2 / (len(x) * outputs) * x_and_1.T @ x_and_1
    return 2 / torch.linalg.eigvalsh(hessian).max().item()


@exercise(reference=largest_rate)
def ex3(answer: Callable[..., Any]) -> Iterator[str | None]:
    """Check a function `(x [samples, inputs], outputs) -> largest learning rate`."""
    for samples, inputs, outputs in ((50, 3, 4), (80, 6, 7)):
        numbers = torch.Generator().manual_seed(samples)
        x = 0.5 + torch.randn(samples, inputs, generator=numbers)
        x[:, 0] *= 3
        rate = as_number(answer(x, outputs), "the largest rate")
        right = largest_rate(x, outputs)
        x_and_1 = torch.cat([x, torch.ones(samples, 1)], dim=1)
        eigenvalues = torch.linalg.eigvalsh(2 / (samples * outputs) * x_and_1.T @ x_and_1)
        without_bias = torch.linalg.eigvalsh(2 / (samples * outputs) * x.T @ x)
        hints = {
            "the bias is missing: add a column of ones to x.": 2 / without_bias.max(),
            "take the largest eigenvalue: the steepest way decides.": 2 / eigenvalues.min(),
            "that is the curvature itself: the rate is 2 divided by it.": eigenvalues.max(),
            "yours is half of it: up to 1/lambda SGD does not even overshoot; 2/lambda.": right / 2,
            "yours is twice too large: the square puts a factor 2 into the Hessian.": 2 * right,
            "the mean goes over the outputs too: divide the Hessian by outputs.": right / outputs,
            "the loss is a mean: divide the Hessian by the number of samples.": right / samples,
            "the loss is a mean: divide the Hessian by the samples and the outputs.": (
                right / (samples * outputs)
            ),
        }
        otherwise = (
            f"for {samples} samples and {outputs} outputs it is not {rate:.4g}: take 2 divided by "
            "the largest eigenvalue of 2 / (N C) [X, 1]' [X, 1]."
        )
        yield explain(rate, right, hints, otherwise, 1e-3)


STEPS, WANTED = 50, 1e-6  # of the open task: how long it may train, and the loss to reach


def valley_optimizer(weight: torch.Tensor, bias: torch.Tensor) -> torch.optim.Optimizer:
    """Return an optimizer that comes out of a narrow valley: SGD with momentum."""
    return torch.optim.SGD([weight, bias], lr=0.5, momentum=0.7)


@exercise(
    reference=valley_optimizer,
    errors={"'model' is not defined": "there is no model here: give the optimizer [weight, bias]."},
)
def ex4(answer: Callable[..., Any]) -> Iterator[str | None]:
    """Check a function `(weight, bias) -> optimizer` by the loss that it reaches in 50 steps."""
    weight = torch.nn.Parameter(torch.tensor([[0.4, -0.3]]))
    optimizer = answer(weight, torch.nn.Parameter(torch.zeros(1)))
    if not isinstance(optimizer, torch.optim.Optimizer):
        yield (
            f"return an optimizer, such as torch.optim.SGD([weight, bias], lr=0.1), not a "
            f"{type(optimizer).__name__}."
        )
    # A check hands over copies, so what is trained is found in the optimizer.
    held = {tuple(p.shape): p for group in optimizer.param_groups for p in group["params"]}
    if set(held) != {(1, 2), (1,)}:
        yield "your optimizer must move both, and nothing else: give it [weight, bias]."
    before, after = _train_on_raw_features(optimizer, held[1, 2], held[(1,)])
    reached = f"after {STEPS} steps the loss is {after:.1e}, and {WANTED:.0e} is wanted"
    plain = type(optimizer) is torch.optim.SGD and not optimizer.param_groups[0]["momentum"]
    if not after < before:
        yield f"{reached}: it ran away, so the learning rate is too large."
    elif after >= WANTED and plain:
        yield f"{reached}. Plain SGD creeps at any rate: which walk of 3.9 did not creep?"
    elif after >= WANTED and isinstance(optimizer, torch.optim.Adam):
        yield f"{reached}. Adam arrives and circles round the goal: which walk of 3.9 settled?"
    elif after >= WANTED:
        yield f"{reached}: on the right way; vary one setting at a time, and watch this number."
    yield None


def _train_on_raw_features(
    optimizer: torch.optim.Optimizer, weight: torch.Tensor, bias: torch.Tensor
) -> tuple[float, float]:
    """Take the steps on the raw features of section 3.9; return the first loss and the last."""
    waveform, _ = audio.load(data_path("demo1.wav"))
    speech = 0.25 * waveform / waveform.abs().max()
    magnitude = features.spectrogram(speech, 512, 160)[0].sqrt()
    low, high = magnitude[:64].mean(dim=0), magnitude[128:].mean(dim=0)
    x = torch.stack([low, high], dim=1) / low.std()
    y_true = x @ torch.tensor([[1.5], [1.5]]) + 0.2
    losses = []
    for _ in range(STEPS + 1):
        loss = (y_true - (x @ weight.T + bias)).pow(2).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        try:
            optimizer.step()
        except TypeError:
            raise Fault("this optimizer needs more than step(): take one of chapter 3.") from None
    return losses[0], losses[-1]
