"""Checks of the exercises in chapter 4, classification."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from course_utils.checks.exercise import exercise


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of logits [batch, classes], targets int64 [batch]."""
    right = logits[torch.arange(len(targets)), targets]
    return (logits.logsumexp(dim=1) - right).mean()


@exercise(reference=cross_entropy)
def ex1(answer: Callable[..., Any]) -> str | None:
    """Check a function `(logits [batch, classes], targets [batch]) -> mean loss`."""
    for batch, classes, dtype in ((6, 4, torch.float32), (9, 10, torch.float64), (5, 5, None)):
        logits, targets = _example(batch, classes, dtype or torch.float32)
        loss = torch.as_tensor(answer(logits, targets)).detach().double()
        hint = _loss_hint(loss, logits.double(), targets)
        if hint:
            return hint
    logits = torch.tensor([[1000.0, 0.0, -1000.0], [-1000.0, 1000.0, 999.0]])
    targets = torch.tensor([0, 2])
    loss = torch.as_tensor(answer(logits, targets)).detach().double()
    if not torch.isfinite(loss).all():
        return (
            "it gives inf or nan for logits of 1,000: exp overflows, so subtract each row's "
            "maximum first, or use logsumexp."
        )
    if not _close(loss, functional.cross_entropy(logits.double(), targets)):
        return (
            "it is wrong for logits of 1,000, where two logits differ by 1: use the logits as they "
            "are, without limits."
        )
    logits = torch.tensor([[1000.0, 999.0], [-1000.0, -999.0]])
    targets = torch.tensor([0, 1])
    loss = torch.as_tensor(answer(logits, targets)).detach().double()
    if not _close(loss, functional.cross_entropy(logits.double(), targets)):
        return (
            "it is wrong where one clip has logits near 1,000 and another near -1,000: subtract "
            "from each row its own maximum."
        )
    logits = torch.tensor([[0.0, 200.0], [0.0, 0.0]])
    targets = torch.tensor([0, 1])
    loss = torch.as_tensor(answer(logits, targets)).detach().double()
    if not _close(loss, functional.cross_entropy(logits.double(), targets)):
        return (
            "a clip that is sure and wrong, with logits 0 and 200, must cost 200: softmax rounds "
            "its probability to 0, so compute the logarithm from the logits."
        )
    return None


def _loss_hint(loss: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor) -> str | None:
    batch, classes = logits.shape
    rows = torch.arange(batch)
    each = functional.cross_entropy(logits, targets, reduction="none")
    if loss.numel() != 1:
        if loss.numel() == batch and _close(loss.reshape(-1), each):
            return f"these are the losses of the {batch} clips: return their mean."
        return f"return one number, the mean loss: yours has the shape {list(loss.shape)}."
    loss = loss.reshape(())
    if _close(loss, each.mean()):
        return None
    p = logits.softmax(dim=1)
    other_axis = -logits.log_softmax(dim=0)[rows, targets]
    for wrong, hint in (
        (-each.mean(), "the sign is wrong: the loss is minus the logarithm, 0 at least."),
        (each.sum(), "yours is a sum: divide by the number of clips in the batch."),
        (each.mean() / classes, "divide by the number of clips only, not by the classes too."),
        (each.mean() / math.log(2), "yours is in bits: take the natural logarithm."),
        (each.mean() / math.log(10), "yours uses log10: take the natural logarithm."),
        (
            functional.cross_entropy(p, targets),
            "that is softmax twice, the notes' fault: use the logits as they are given.",
        ),
        (-p[rows, targets].mean(), "the logarithm is missing: -ln p, not -p."),
        (other_axis.mean(), "your softmax runs over the batch: sum over the classes, dim=1."),
        (-logits[rows, targets].mean(), "the logarithm of the sum of the powers is missing."),
        (logits.logsumexp(dim=1).mean(), "the logit of the right class is not subtracted."),
        (
            (each - logits.amax(dim=1)).mean(),
            "the maximum is subtracted in the sum only: subtract it from the right logit too.",
        ),
        (
            -p.log().mean(),
            "that is the mean over all classes: only the right class of each clip counts.",
        ),
        (-p.log().sum(dim=1).mean(), "that sums over all classes: only the right class counts."),
    ):
        if _close(loss, wrong):
            return hint
    return (
        "the value is wrong: for each clip it is logsumexp of its logits minus the logit of its "
        "right class, and then the mean over the clips."
    )


def stuck_gradient(z: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the gradient at z of the cross-entropy that is given softmax(z) as logits."""
    p = z.softmax(dim=-1)
    y = functional.one_hot(targets, z.shape[1])
    g = (p.softmax(dim=-1) - y) / len(z)
    return p * (g - (p * g).sum(dim=-1, keepdim=True))


@exercise(reference=stuck_gradient)
def ex2(answer: Callable[..., Any]) -> str | None:
    """Check a function `(z [batch, classes], targets [batch]) -> gradient [batch, classes]`."""
    for batch, classes, dtype in ((6, 4, torch.float32), (5, 5, torch.float64)):
        z, targets = _example(batch, classes, dtype)
        gradient = torch.as_tensor(answer(z, targets)).detach().double()
        hint = _gradient_hint(gradient, z.double(), targets)
        if hint:
            return hint
    return None


def _gradient_hint(gradient: torch.Tensor, z: torch.Tensor, targets: torch.Tensor) -> str | None:
    wanted = stuck_gradient(z, targets)
    if gradient.shape != z.shape:
        return (
            f"the gradient must have the shape of z, {list(z.shape)}: yours has "
            f"{list(gradient.shape)}."
        )
    if _close(gradient, wanted):
        return None
    batch, classes = z.shape
    p, y = z.softmax(dim=-1), functional.one_hot(targets, classes)
    twice = p.softmax(dim=-1)
    g, from_p = (twice - y) / batch, (p - y) / batch
    for wrong, hint in (
        (-wanted, "the sign is wrong: g is the second softmax minus y, not y minus it."),
        (batch * wanted, "the loss is a mean: divide g by the number of clips in the batch."),
        (wanted / classes, "divide by the number of clips only, not by the classes too."),
        (from_p, "that is p - y, the gradient of the repaired network: here softmax comes first."),
        (batch * from_p, "that is p - y, not divided by the batch, and of the repaired network."),
        (g, "that is the gradient at the probabilities: take it back through the first softmax."),
        (p * g, "the sum is missing: from each g_k subtract the sum of p_j g_j of its row."),
        (
            g - (p * g).sum(dim=-1, keepdim=True),
            "the factor p_k is missing: multiply the bracket by p, place by place.",
        ),
        (
            twice * (g - (twice * g).sum(dim=-1, keepdim=True)),
            "p_k and p_j come out of the first softmax, z.softmax(-1): yours are of the second.",
        ),
        (p * (1 - p) * g, "softmax is not sigmoid: each output depends on every logit of the row."),
        (
            p * (from_p - (p * from_p).sum(dim=-1, keepdim=True)),
            "g holds the first softmax: it needs the second, p.softmax(-1), minus y.",
        ),
        (
            p * (g - (p * g).sum(dim=0, keepdim=True)),
            "your sum runs over the batch: sum p_j g_j over the classes, dim=-1.",
        ),
        (p * (g - (p * g).sum()), "your sum runs over all clips: each row has a sum of its own."),
    ):
        if _close(gradient, wrong):
            return hint
    return (
        "the values are wrong: compare one row with autograd's gradient of "
        "ce(z.softmax(-1), targets)."
    )


def stuck_loss(classes: int, accuracy: float) -> float:
    """Return the loss of a network that is sure, with a softmax before the cross-entropy."""
    return math.log(math.e + classes - 1) - accuracy


@exercise(reference=stuck_loss)
def ex3(answer: Callable[..., Any]) -> str | None:
    """Check a function `(classes, accuracy 0 to 1) -> loss`."""
    for classes, accuracy in ((10, 0.3), (3, 0.6), (1000, 0.25), (2, 1.0)):
        given = torch.as_tensor(answer(classes, accuracy)).double()
        if given.numel() != 1:
            return f"return one number, the loss: yours are {given.numel()}."
        hint = _stuck_hint(float(given), classes, accuracy)
        if hint:
            return hint
    return None


def _stuck_hint(loss: float, classes: int, accuracy: float) -> str | None:
    ceiling = math.log(math.e + classes - 1)
    if _near(loss, ceiling - accuracy):
        return None
    for wrong, hint in (
        (ceiling - 1 + accuracy, "accuracy and errors are swapped: errors make the loss larger."),
        (
            math.log(math.e + 9) - accuracy,
            "the number 9 is for ten classes: beside the 1 there are classes - 1 zeros.",
        ),
        (
            math.log(math.e + classes) - accuracy,
            "one zero too many: beside the single 1 there are classes - 1 zeros.",
        ),
        (math.log(classes) - accuracy, "e is missing: the sum of the powers is e + classes - 1."),
        (math.log(classes), "that is the loss of knowing nothing: this network is sure."),
        (ceiling - 1, "that is the floor, where every answer is right: errors cost 1 more."),
        (ceiling, "that is the ceiling, where every answer is wrong: right answers cost 1 less."),
        (ceiling - accuracy * 100, "accuracy is a share from 0 to 1, not in per cent."),
        (ceiling - accuracy / 100, "accuracy is a share from 0 to 1, not in per cent: no / 100."),
        (math.e + classes - 1 - accuracy, "the logarithm is missing: ln(e + classes - 1)."),
        (1 - accuracy, "the floor is missing: a right answer costs ln(e + classes - 1) - 1."),
        (-math.log(accuracy), "-ln p is for probabilities: average the losses of right and wrong."),
        (
            math.log2(math.e + classes - 1) - accuracy,
            "take the natural logarithm, not the one to base 2.",
        ),
        (
            math.log10(math.e + classes - 1) - accuracy,
            "take the natural logarithm, not the one to base 10.",
        ),
    ):
        if _near(loss, wrong):
            return hint
    return (
        f"for {classes} classes and accuracy {accuracy} it is not {loss:.4f}: average the floor "
        "and the ceiling of section 4.3, weighted by right and wrong."
    )


def _example(batch: int, classes: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    numbers = torch.Generator().manual_seed(batch)
    logits = 2 * torch.randn(batch, classes, generator=numbers, dtype=dtype)
    return logits, torch.randint(0, classes, (batch,), generator=numbers)


def _close(given: torch.Tensor, wanted: torch.Tensor) -> bool:
    return torch.allclose(given, wanted.double(), rtol=1e-4, atol=1e-6)


def _near(given: float, wanted: float) -> bool:
    return abs(given - wanted) < 1e-4 * max(1, abs(wanted))
