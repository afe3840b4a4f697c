"""Right and wrong answers to the exercises of chapter 4, and what the wrong ones are told."""

import math

import numpy as np
import torch
from torch.nn import functional

from course_utils.checks import ch04


def each(logits, targets):
    return functional.cross_entropy(logits, targets, reduction="none")


def with_maximum(logits, targets):
    shifted = logits - logits.max(dim=1, keepdim=True).values
    log_p = shifted - shifted.exp().sum(dim=1, keepdim=True).log()
    return -log_p.gather(1, targets[:, None]).mean().item()


def in_numpy(logits, targets):
    z = logits.numpy().astype(np.float64)
    top = z.max(axis=1)
    log_sum = top + np.log(np.exp(z - top[:, None]).sum(axis=1))
    return np.mean(log_sum - z[np.arange(len(z)), targets.numpy()])


def through_one_hot(logits, targets):
    y = functional.one_hot(targets, logits.shape[1])
    return -(y * logits.log_softmax(dim=1)).sum() / len(logits)


def overflowing(logits, targets):
    right = logits[torch.arange(len(targets)), targets]
    return (logits.exp().sum(dim=1).log() - right).mean()


def padded(logits, targets):
    p = logits.softmax(dim=1)[torch.arange(len(targets)), targets]
    return -(p + 1e-12).log().mean()


def clamped(logits, targets):
    return each(logits.clamp(min=-100, max=100), targets).mean()


def one_maximum_for_all(logits, targets):
    shifted = logits - logits.max()
    right = shifted[torch.arange(len(targets)), targets]
    return (shifted.exp().sum(dim=1).log() - right).mean()


def maximum_in_the_sum_only(logits, targets):
    shifted = logits - logits.max(dim=1, keepdim=True).values
    right = logits[torch.arange(len(targets)), targets]
    return (shifted.exp().sum(dim=1).log() - right).mean()


def changes_logits(logits, targets):
    logits -= logits.max(dim=1, keepdim=True).values
    return each(logits, targets).mean()


def by_autograd(z, targets):
    z = z.clone().requires_grad_()
    functional.cross_entropy(z.softmax(dim=-1), targets).backward()
    return z.grad


def by_jacobian(z, targets):
    p = z.softmax(dim=-1)
    jacobian = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    g = p.softmax(dim=-1) - functional.one_hot(targets, z.shape[1])
    return (jacobian @ g[:, :, None])[:, :, 0] / len(z)


def gradient(change):
    """Return an answer made by `change(p, g, y)`, where g is divided by the batch."""

    def answer(z, targets):
        p, y = z.softmax(dim=-1), functional.one_hot(targets, z.shape[1])
        return change(p, (p.softmax(dim=-1) - y) / len(z), y)

    return answer


def back(p, g, sum_over=-1):
    return p * (g - (p * g).sum(dim=sum_over, keepdim=True))


def averaged(classes, accuracy):
    right = -math.log(math.e / (math.e + classes - 1))
    wrong = -math.log(1 / (math.e + classes - 1))
    return torch.tensor(accuracy * right + (1 - accuracy) * wrong, dtype=torch.float64)


def trained(epochs=0, rate=0.001, pool=1, end=lambda model: model):
    """Return an answer to exercise 4 with these settings; `end` makes what it gives back."""

    def answer(clips, targets):
        model = torch.nn.Sequential(
            torch.nn.AvgPool2d(pool),
            torch.nn.Flatten(),
            torch.nn.Linear((80 // pool) ** 2, 512),
            torch.nn.Sigmoid() if pool == 1 else torch.nn.ReLU(),
            torch.nn.Linear(512, 10),
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        for _ in range(epochs):
            for batch in torch.randperm(len(clips)).split(32):
                loss = functional.cross_entropy(model(clips[batch]), targets[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return end(model)

    return answer


RIGHT = [
    (ch04.ex4, lambda clips, targets: ch04.train_network(clips, targets).double()),
    (ch04.ex1, with_maximum),
    (ch04.ex1, in_numpy),
    (ch04.ex1, through_one_hot),
    (ch04.ex2, by_jacobian),
    (ch04.ex3, averaged),
    (ch04.ex3, lambda classes, accuracy: np.float32(ch04.stuck_loss(classes, accuracy))),
    (ch04.ex1, lambda z, t: functional.nll_loss(z.log_softmax(1), t)[None]),
    (ch04.ex3, lambda c, a: math.log1p((c - 1) / math.e) + 1 - a),
]


WRONG = [
    (ch04.ex1, lambda z, t: -each(z, t).mean(), "the sign is wrong"),
    (ch04.ex1, lambda z, t: each(z, t).sum(), "yours is a sum"),
    (ch04.ex1, each, "return their mean"),
    (ch04.ex1, lambda z, t: z, "return one number"),
    (ch04.ex1, lambda z, t: each(z, t).mean() / z.shape[1], "not by the classes too"),
    (ch04.ex1, lambda z, t: each(z, t).mean() / math.log(2), "in bits"),
    (ch04.ex1, lambda z, t: each(z, t).mean() / math.log(10), "log10"),
    (ch04.ex1, lambda z, t: each(z.softmax(dim=1), t).mean(), "softmax twice"),
    (
        ch04.ex1,
        lambda z, t: -z.softmax(dim=1)[torch.arange(len(t)), t].mean(),
        "the logarithm is missing",
    ),
    (
        ch04.ex1,
        lambda z, t: -z.log_softmax(dim=0)[torch.arange(len(t)), t].mean(),
        "runs over the batch",
    ),
    (
        ch04.ex1,
        lambda z, t: -z[torch.arange(len(t)), t].mean(),
        "logarithm of the sum of the powers",
    ),
    (ch04.ex1, lambda z, t: z.logsumexp(dim=1).mean(), "is not subtracted"),
    (ch04.ex1, lambda z, t: -z.log_softmax(dim=1).mean(), "the mean over all classes"),
    (ch04.ex1, lambda z, t: -z.log_softmax(dim=1).sum(dim=1).mean(), "sums over all classes"),
    (ch04.ex1, overflowing, "exp overflows"),
    (ch04.ex1, padded, "must cost 200"),
    (ch04.ex1, clamped, "wrong for logits of 1,000"),
    (ch04.ex1, one_maximum_for_all, "its own maximum"),
    (ch04.ex1, maximum_in_the_sum_only, "in the sum only"),
    (ch04.ex1, changes_logits, "in place"),
    (ch04.ex1, lambda z, t: torch.tensor(0.3), "the value is wrong"),
    (ch04.ex2, gradient(lambda p, g, y: -back(p, g)), "the sign is wrong"),
    (ch04.ex2, gradient(lambda p, g, y: len(p) * back(p, g)), "the loss is a mean"),
    (ch04.ex2, gradient(lambda p, g, y: back(p, g) / p.shape[1]), "not by the classes too"),
    (ch04.ex2, gradient(lambda p, g, y: (p - y) / len(p)), "gradient of the repaired network"),
    (ch04.ex2, gradient(lambda p, g, y: p - y), "not divided by the batch"),
    (ch04.ex2, gradient(lambda p, g, y: g), "back through the first softmax"),
    (ch04.ex2, gradient(lambda p, g, y: p * g), "the sum is missing"),
    (ch04.ex2, gradient(lambda p, g, y: back(p, g) / p), "the factor p_k is missing"),
    (ch04.ex2, gradient(lambda p, g, y: back(p.softmax(-1), g)), "come out of the first"),
    (ch04.ex2, gradient(lambda p, g, y: p * (1 - p) * g), "softmax is not sigmoid"),
    (ch04.ex2, gradient(lambda p, g, y: back(p, (p - y) / len(p))), "g holds the first softmax"),
    (ch04.ex2, gradient(lambda p, g, y: back(p, g, sum_over=0)), "over the classes, dim=-1"),
    (ch04.ex2, gradient(lambda p, g, y: p * (g - (p * g).sum())), "a sum of its own"),
    (ch04.ex2, gradient(lambda p, g, y: back(p, g).T), "the shape of z"),
    (ch04.ex2, gradient(lambda p, g, y: 0.5 * back(p, g)), "compare one row"),
    (ch04.ex3, lambda c, a: math.log(math.e + c - 1) - 1 + a, "errors are swapped"),
    (ch04.ex3, lambda c, a: math.log(math.e + 9) - a, "is for ten classes"),
    (ch04.ex3, lambda c, a: math.log(math.e + c) - a, "one zero too many"),
    (ch04.ex3, lambda c, a: math.log(c) - a, "e is missing"),
    (ch04.ex3, lambda c, a: math.log(c), "knowing nothing"),
    (ch04.ex3, lambda c, a: math.log(math.e + c - 1) - 1, "that is the floor"),
    (ch04.ex3, lambda c, a: math.log(math.e + c - 1), "that is the ceiling"),
    (ch04.ex3, lambda c, a: math.log(math.e + c - 1) - a / 100, "no / 100"),
    (ch04.ex3, lambda c, a: math.log(math.e + c - 1) - 100 * a, "not in per cent."),
    (ch04.ex3, lambda c, a: math.e + c - 1 - a, "the logarithm is missing"),
    (ch04.ex3, lambda c, a: 1 - a, "the floor is missing"),
    (ch04.ex3, lambda c, a: -math.log(a), "average the losses"),
    (ch04.ex3, lambda c, a: math.log2(math.e + c - 1) - a, "base 2"),
    (ch04.ex3, lambda c, a: math.log10(math.e + c - 1) - a, "base 10"),
    (ch04.ex3, lambda c, a: [1.0, 2.0], "return one number"),
    (ch04.ex3, lambda c, a: 2.361, "it is not 2.361"),
    (ch04.ex3, lambda c, a: "2.361", "not a str"),
    (ch04.ex1, torch.nn.CrossEntropyLoss(), "without PyTorch's `cross_entropy`"),
    (ch04.ex1, functional.cross_entropy, "without PyTorch's `cross_entropy`"),
    (ch04.ex2, by_autograd, "without PyTorch's `backward`"),
    (
        ch04.ex2,
        lambda z, t: torch.func.grad(lambda q: each(q.softmax(-1), t).mean())(z),
        "without PyTorch's `grad`",
    ),
    (ch04.ex1, lambda z, t: each(z, z.argmax(1)).mean(), "the value is wrong"),
    (
        ch04.ex1,
        lambda z, t: z.logsumexp((0, 1)) - z[torch.arange(len(t)), t].mean(),
        "the value is wrong",
    ),
    (ch04.ex2, lambda z, t: each(z.softmax(-1), t).mean(), "the shape of z"),
    (ch04.ex2, gradient(lambda p, g, y: p * g - p * (p * p * g).sum(-1, keepdim=True)), "one row"),
    (ch04.ex3, lambda c, a: math.log(1 + (c - 1) * math.e) - a, "it is not 2.9373"),
    (ch04.ex3, lambda c, a: math.log(math.e + c - 1) * (1 - a), "it is not 1.7228"),
    # one clip instead of a batch, a list of losses, float64 and NumPy of the wrong value
    (ch04.ex1, lambda z, t: each(z[:1], t[:1]).mean(), "the value is wrong"),
    (ch04.ex1, lambda z, t: each(z, t).tolist(), "return their mean"),
    (
        ch04.ex1,
        lambda z, t: -np.log(z.double().softmax(1).numpy()).mean(),
        "the mean over all classes",
    ),
    (ch04.ex2, gradient(lambda p, g, y: back(p, g)[0]), "the shape of z"),
    (ch04.ex2, gradient(lambda p, g, y: back(p, g).mean(dim=0)), "the shape of z"),
    (ch04.ex3, lambda c, a: [math.log(math.e + c - 1)] * c, "return one number"),
    (ch04.ex4, trained(epochs=4), "has not learned its own clips yet"),  # the starter
    (ch04.ex4, trained(epochs=20, rate=0.003, pool=4), "by heart"),  # without moving the words
    (ch04.ex4, trained(epochs=1, rate=0.1), "has not learned its own clips yet"),
    (ch04.ex4, trained(end=lambda model: None), "end it with return"),
    (ch04.ex4, trained(end=lambda model: model(torch.zeros(4, 1, 80, 80))), "not a Tensor"),
    (ch04.ex4, trained(end=lambda model: model[:-1]), "ten outputs a clip"),
]
