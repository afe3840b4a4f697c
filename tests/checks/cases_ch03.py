"""Right and wrong answers to the exercises of chapter 3, and what the wrong ones are told."""

import math

import numpy as np
import torch

from course_utils.checks import ch03


def delta_of(x, y_true, weight, bias):
    return (x @ weight.T + bias - y_true).sign() / y_true.numel()


def mae(x, y_true, weight, bias):
    return (x @ weight.T + bias - y_true).abs().mean()


def by_autograd(x, y_true, weight, bias):
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    torch.nn.functional.l1_loss(x @ weight.T + bias, y_true).backward()
    return weight.grad, bias.grad


def in_numpy(x, y_true, weight, bias):
    x, y_true, weight, bias = (a.numpy().astype(np.float64) for a in (x, y_true, weight, bias))
    delta = np.sign(np.einsum("ni,oi->no", x, weight) + bias - y_true)
    return np.mean(delta[:, :, None] * x[:, None, :], axis=0) / len(bias), delta.mean(0) / len(bias)


def scaled_by(factor):
    def answer(x, y_true, weight, bias):
        delta = factor(*y_true.shape) * delta_of(x, y_true, weight, bias)
        return delta.T @ x, delta.sum(dim=0)

    return answer


def squared(x, y_true, weight, bias):
    delta = 2 * (x @ weight.T + bias - y_true) / y_true.numel()
    return delta.T @ x, delta.sum(dim=0)


def without_bias(x, y_true, weight, bias):
    delta = (x @ weight.T - y_true).sign() / y_true.numel()
    return delta.T @ x, delta.sum(dim=0)


def only_for_the_first_size(x, y_true, weight, bias):
    delta = (x @ weight.T + bias - y_true).sign() / 36
    return delta.T @ x, delta.sum(dim=0)


def other_gradients(change):
    return lambda *given: change(*ch03.mae_gradients(*given), delta_of(*given), *given)


def adam(
    m_keeps=0.9,
    m_takes=0.1,
    s_of=torch.square,
    correct_m=lambda m, t: m / (1 - 0.9**t),
    correct_s=lambda s, t: s / (1 - 0.999**t),
    root=lambda s: s.sqrt() + 1e-8,
    sign=-1,
    returns=lambda theta, m, s, t: (theta, m, s),
):
    def answer(theta, gradient, m, s, t, learning_rate):
        m = m_keeps * m + m_takes * gradient
        s = 0.999 * s + 0.001 * s_of(gradient)
        theta = theta + sign * learning_rate * correct_m(m, t) / root(correct_s(s, t))
        return returns(theta, m, s, t)

    return answer


def as_in_the_paper(theta, gradient, m, s, t, learning_rate):
    m, s = m.lerp(gradient, 0.1), s.lerp(gradient * gradient, 0.001)
    root = math.sqrt(1 - 0.999**t)
    rate = learning_rate * root / (1 - 0.9**t)
    return [theta - rate * m / (s**0.5 + 1e-8 * root), m, s]


def with_epsilon_too_early(theta, gradient, m, s, t, learning_rate):
    m, s = m.lerp(gradient, 0.1), s.lerp(gradient * gradient, 0.001)
    rate = learning_rate * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    return theta - rate * m / (s.sqrt() + 1e-8), m, s


def changes_theta(theta, gradient, m, s, t, learning_rate):
    theta -= learning_rate * gradient
    return theta, m, s


def hessian_of(x, outputs, factor=2.0):
    x = torch.cat([x.double(), torch.ones(len(x), 1, dtype=torch.float64)], dim=1)
    return factor / (len(x) * outputs) * x.T @ x


def by_singular_values(x, outputs):
    x = np.hstack([x.numpy(), np.ones((len(x), 1))])
    return len(x) * outputs / np.linalg.norm(x, 2) ** 2


def rate(change):
    return lambda x, outputs: change(torch.linalg.eigvalsh(hessian_of(x, outputs)), x, outputs)


def sign_by_where(x, y_true, weight, bias):
    """Return the gradients from signs that are float32, whatever the inputs are."""
    error = x @ weight.T + bias - y_true
    delta = torch.where(error > 0, 1.0, -1.0) / y_true.numel()
    return delta.T @ x, torch.ones(len(x)) @ delta


def sign_by_division(x, y_true, weight, bias):
    error = x @ weight.T + bias - y_true
    delta = error / error.abs() / y_true.numel()
    return delta.T @ x, delta.sum(dim=0)


def adam_in_numpy(theta, gradient, m, s, t, learning_rate):
    theta, gradient, m, s = (a.numpy() for a in (theta, gradient, m, s))
    m = 0.9 * m + 0.1 * gradient
    s = 0.999 * s + 0.001 * gradient**2
    step = (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)
    return theta - learning_rate * step, m, s


def valley(kind=torch.optim.SGD, **settings):
    return lambda weight, bias: kind([weight, bias], **settings)


def starts_at_the_goal(weight, bias):
    weight.data[:] = 1.5
    bias.data[:] = 0.2
    return torch.optim.SGD([weight, bias], lr=0.1)


RIGHT = [
    (ch03.ex2, adam_in_numpy),
    (ch03.ex4, valley(lr=0.5, momentum=0.75)),
    (ch03.ex4, valley(lr=0.52, momentum=0.7)),
    (ch03.ex4, valley(torch.optim.Rprop, lr=0.1)),
    (
        ch03.ex4,
        lambda w, b: torch.optim.SGD([{"params": [w]}, {"params": [b]}], lr=0.5, momentum=0.75),
    ),
    (ch03.ex1, by_autograd),
    (ch03.ex1, in_numpy),
    (ch03.ex1, sign_by_where),
    (ch03.ex1, lambda *given: list(ch03.mae_gradients(*(a.double() for a in given)))),
    (ch03.ex2, adam()),
    (ch03.ex2, as_in_the_paper),
    (ch03.ex2, lambda *given: tuple(a.float() for a in ch03.adam_step(*given))),
    (ch03.ex3, by_singular_values),
    (ch03.ex3, lambda x, outputs: 2 / torch.linalg.matrix_norm(hessian_of(x, outputs), 2)),
    (ch03.ex3, lambda x, outputs: [2 / torch.linalg.eigvalsh(hessian_of(x, outputs))[-1]]),
    (ch03.ex1, lambda x, y, w, b: torch.func.grad(lambda p: mae(x, y, *p))((w, b))),
    (ch03.ex3, lambda x, outputs: 2 / torch.linalg.eigvals(hessian_of(x, outputs)).real.max()),
]


WRONG = [
    (ch03.ex1, scaled_by(lambda n, c: -1), "sign is wrong"),
    (ch03.ex1, sign_by_division, "divides 0 by 0"),
    (ch03.ex1, scaled_by(lambda n, c: 2), "twice too large"),
    (ch03.ex1, scaled_by(lambda n, c: n * c), "yours is a sum"),
    (ch03.ex1, scaled_by(lambda n, c: c), "the samples only"),
    (ch03.ex1, scaled_by(lambda n, c: n), "the outputs only"),
    (ch03.ex1, squared, "sign of e, not e"),
    (ch03.ex1, without_bias, "lacks the bias"),
    (ch03.ex1, only_for_the_first_size, "values are wrong"),
    (ch03.ex1, other_gradients(lambda w, b, *_: (w.T, b)), "transposed"),
    (ch03.ex1, other_gradients(lambda w, b, *_: (b, w)), "swapped"),
    (ch03.ex1, other_gradients(lambda w, b, *_: w), "two tensors"),
    (ch03.ex1, other_gradients(lambda w, b, *_: (w.sum(), b)), "that of the weight, ["),
    (ch03.ex1, other_gradients(lambda w, b, delta, *_: (w, delta)), "sum over the samples"),
    (ch03.ex1, other_gradients(lambda w, b, *_: (w, 2 * b)), "that of the bias is not"),
    (ch03.ex1, lambda x, y_true, weight, bias: (weight.sub_(1), bias), "in place"),
    (ch03.ex2, adam(correct_m=lambda m, t: m, correct_s=lambda s, t: s), "the notes' comment"),
    (ch03.ex2, adam(correct_s=lambda s, t: s), "s is not corrected"),
    (ch03.ex2, adam(correct_m=lambda m, t: m), "m is not corrected"),
    (ch03.ex2, adam(root=lambda s: s + 1e-8), "square root"),
    (ch03.ex2, adam(root=lambda s: (s + 1e-8).sqrt()), "under the root"),
    (ch03.ex2, adam(root=lambda s: s.sqrt()), "epsilon is missing"),
    (ch03.ex2, with_epsilon_too_early, "too early"),
    (ch03.ex2, adam(sign=1), "uphill"),
    (ch03.ex2, adam(s_of=lambda g: g), "its square"),
    (ch03.ex2, adam(m_keeps=0.1, m_takes=0.9), "factors of m are swapped"),
    (ch03.ex2, adam(m_takes=1), "Not yet: m is a mean"),
    (
        ch03.ex2,
        adam(correct_m=lambda m, t: m / 0.1, correct_s=lambda s, t: s / 0.001),
        "power t",
    ),
    (
        ch03.ex2,
        adam(returns=lambda theta, m, s, t: (theta, m / (1 - 0.9**t), s)),
        "the m you return is the corrected",
    ),
    (
        ch03.ex2,
        adam(returns=lambda theta, m, s, t: (theta, m, s / (1 - 0.999**t))),
        "the s you return is the corrected",
    ),
    (ch03.ex2, adam(returns=lambda theta, m, s, t: (theta, s, m)), "m and s are swapped"),
    (ch03.ex2, adam(returns=lambda theta, m, s, t: theta), "three tensors"),
    (
        ch03.ex2,
        lambda theta, g, m, s, t, r: (
            theta - r * g,
            0.9 * m + 0.1 * g,
            0.999 * s + 0.001 * g**2,
        ),
        "step of SGD",
    ),
    (ch03.ex2, changes_theta, "in place"),
    (
        ch03.ex3,
        lambda x, outputs: 2 / torch.linalg.eigvalsh(2 / (len(x) * outputs) * x.T @ x).max().item(),
        "the bias is missing",
    ),
    (ch03.ex3, rate(lambda e, x, c: 2 / e.min()), "take the largest eigenvalue"),
    (ch03.ex3, rate(lambda e, x, c: e.max()), "the curvature itself"),
    (ch03.ex3, rate(lambda e, x, c: 1 / e.max()), "half of it"),
    (ch03.ex3, rate(lambda e, x, c: 4 / e.max()), "twice too large"),
    (ch03.ex3, rate(lambda e, x, c: 2 / e.max() / c), "goes over the outputs"),
    (ch03.ex3, rate(lambda e, x, c: 2 / e.max() / len(x)), "number of samples"),
    (ch03.ex3, rate(lambda e, x, c: 2 / e.max() / len(x) / c), "samples and the outputs"),
    (ch03.ex3, rate(lambda e, x, c: 2 / e), "return one number"),
    (ch03.ex3, lambda x, outputs: 4.6, "it is not 4.6"),
    (ch03.ex3, lambda x, outputs: "large", "not a str"),
    (ch03.ex1, lambda *given: mae(*given), "two tensors"),
    (
        ch03.ex1,
        other_gradients(lambda w, b, delta, *_: (w, delta.mean(0))),
        "that of the bias is not",
    ),
    (ch03.ex2, lambda *given: ch03.adam_step(*given[:5], 0.1), "fixed rate 0.1"),
    (ch03.ex2, adam(correct_m=lambda m, t: m / (1 - 0.9 * t)), "theta is wrong"),
    (
        ch03.ex2,
        adam(returns=lambda theta, m, s, t: (theta, m, 1000 * s)),
        "0.999 times the old s",
    ),
    (ch03.ex3, rate(lambda e, x, c: 2 / e.sum()), "it is not 0.2948"),
    (ch03.ex3, rate(lambda e, x, c: 2 / e.mean()), "it is not 1.179"),
    (ch03.ex4, valley(lr=0.01), "Plain SGD creeps"),
    (ch03.ex4, valley(lr=0.1), "Plain SGD creeps"),
    (ch03.ex4, valley(lr=0.3), "Plain SGD creeps"),
    (ch03.ex4, valley(lr=1.0), "ran away"),
    (ch03.ex4, valley(lr=0.3, momentum=0.5), "on the right way"),
    (ch03.ex4, valley(lr=0.1, momentum=0.9), "on the right way"),
    (ch03.ex4, valley(lr=0.01, momentum=0.9), "on the right way"),
    (ch03.ex4, valley(lr=0.4, momentum=0.7), "on the right way"),  # the walk of 3.9
    (ch03.ex4, valley(lr=5.0, momentum=0.9), "ran away"),
    (ch03.ex4, valley(torch.optim.Adam, lr=0.01), "Adam arrives and circles"),
    (ch03.ex4, valley(torch.optim.Adam, lr=0.1), "Adam arrives and circles"),
    (ch03.ex4, valley(torch.optim.LBFGS), "take one of chapter 3"),
    (ch03.ex4, lambda weight, bias: torch.optim.SGD([weight], lr=0.1), "move both"),
    (
        ch03.ex4,
        lambda weight, bias: torch.optim.SGD(torch.nn.Linear(5, 5).parameters(), lr=0.1),
        "move both",
    ),
    (ch03.ex4, lambda weight, bias: torch.optim.SGD, "return an optimizer"),
    (ch03.ex4, lambda weight, bias: {"lr": 0.1}, "return an optimizer"),
    (ch03.ex4, lambda weight, bias: 0.1, "return an optimizer"),
    (ch03.ex4, starts_at_the_goal, "in place"),
    (ch03.ex1, lambda *given: dict(enumerate(ch03.mae_gradients(*given))), "two tensors"),
    (ch03.ex1, lambda x, y, w, b: ch03.mae_gradients(x[:1], y[:1], w, b), "values are wrong"),
    (
        ch03.ex2,
        lambda *given: tuple(a[:1] for a in ch03.adam_step(*given)),
        "three tensors",
    ),
    (ch03.ex3, lambda x, outputs: ch03.largest_rate(x[:1], outputs), "it is not"),
]
