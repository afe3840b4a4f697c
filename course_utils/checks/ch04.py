"""Checks of the exercises in chapter 4, classification."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional

from course_utils import metrics, models, splits
from course_utils.checks.exercise import Fault, as_number, as_tensor, exercise, explain
from course_utils.paths import data_path
from course_utils.pictures import log_mel_pictures
from course_utils.recordings import SpokenWords

WANTED_ACCURACY = 0.70  # exercise 4: settings alone end near 0.66, words that move at 0.73 to 0.77


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of logits [batch, classes], targets int64 [batch]."""
    right = logits[torch.arange(len(targets)), targets]
    return (logits.logsumexp(dim=1) - right).mean()


@exercise(reference=cross_entropy, forbidden="cross_entropy.*")
def ex1(answer: Callable[..., Any]) -> Iterator[str | None]:
    """Check a function `(logits [batch, classes], targets [batch]) -> mean loss`."""
    otherwise = (
        "the value is wrong: for each clip it is logsumexp of its logits minus the logit of its "
        "right class, and then the mean over the clips."
    )
    for batch, classes in ((6, 4), (9, 10), (5, 5)):
        logits, targets = _example(batch, classes)
        loss = as_tensor(answer(logits, targets)).squeeze()
        wanted, hints = cross_entropy(logits, targets), _loss_hints(loss, logits, targets)
        yield explain(loss, wanted, hints, otherwise)

    logits = torch.tensor([[1000.0, 0.0, -1000.0], [-1000.0, 1000.0, 999.0]])
    targets = torch.tensor([0, 2])
    loss = as_tensor(answer(logits, targets)).squeeze()
    overflow = (
        "it gives inf or nan for logits of 1,000: exp overflows, so subtract each row's maximum "
        "first, or use logsumexp."
    )
    otherwise = (
        "it is wrong for logits of 1,000, where two logits differ by 1: use the logits as they "
        "are, without limits."
    )
    wanted = cross_entropy(logits, targets)
    yield explain(loss, wanted, {overflow: not loss.isfinite().all()}, otherwise)
    logits, targets = torch.tensor([[1000.0, 999.0], [-1000.0, -999.0]]), torch.tensor([0, 1])
    otherwise = (
        "it is wrong where one clip has logits near 1,000 and another near -1,000: subtract "
        "from each row its own maximum."
    )
    loss = as_tensor(answer(logits, targets)).squeeze()
    yield explain(loss, cross_entropy(logits, targets), {}, otherwise)
    logits = torch.tensor([[0.0, 200.0], [0.0, 0.0]])
    otherwise = (
        "a clip that is sure and wrong, with logits 0 and 200, must cost 200: softmax rounds "
        "its probability to 0, so compute the logarithm from the logits."
    )
    loss = as_tensor(answer(logits, targets)).squeeze()
    yield explain(loss, cross_entropy(logits, targets), {}, otherwise)


def _loss_hints(loss: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor) -> dict[str, Any]:
    batch, classes = logits.shape
    rows = torch.arange(batch)
    each = functional.cross_entropy(logits, targets, reduction="none")
    p = logits.softmax(dim=1)
    return {
        f"these are the losses of the {batch} clips: return their mean.": each,
        f"return one number, the mean loss: yours has the shape {list(loss.shape)}.": (
            loss.numel() != 1
        ),
        "the sign is wrong: the loss is minus the logarithm, 0 at least.": -each.mean(),
        "yours is a sum: divide by the number of clips in the batch.": each.sum(),
        "divide by the number of clips only, not by the classes too.": each.mean() / classes,
        "yours is in bits: take the natural logarithm.": each.mean() / math.log(2),
        "yours uses log10: take the natural logarithm.": each.mean() / math.log(10),
        "that is softmax twice, the notes' fault: "
        "use the logits as they are given.": functional.cross_entropy(p, targets),
        "the logarithm is missing: -ln p, not -p.": -p[rows, targets].mean(),
        "your softmax runs over the batch: sum over the classes, dim=1.": (
            -logits.log_softmax(dim=0)[rows, targets].mean()
        ),
        "the logarithm of the sum of the powers is missing.": -logits[rows, targets].mean(),
        "the logit of the right class is not subtracted.": logits.logsumexp(dim=1).mean(),
        "the maximum is subtracted in the sum only: subtract it from the right logit too.": (
            each - logits.amax(dim=1)
        ).mean(),
        "that is the mean over all classes: "
        "only the right class of each clip counts.": -p.log().mean(),
        "that sums over all classes: only the right class counts.": -p.log().sum(dim=1).mean(),
    }


def stuck_gradient(z: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the gradient at z of the cross-entropy that is given softmax(z) as logits."""
    p = z.softmax(dim=-1)
    y = functional.one_hot(targets, z.shape[1])
    g = (p.softmax(dim=-1) - y) / len(z)
    return p * (g - (p * g).sum(dim=-1, keepdim=True))


@exercise(reference=stuck_gradient, forbidden="backward|grad|_make_dual")
def ex2(answer: Callable[..., Any]) -> Iterator[str | None]:
    """Check a function `(z [batch, classes], targets [batch]) -> gradient [batch, classes]`."""
    otherwise = (
        "the values are wrong: compare one row with autograd's gradient of "
        "ce(z.softmax(-1), targets)."
    )
    for batch, classes in ((6, 4), (5, 5)):
        z, targets = _example(batch, classes)
        gradient = as_tensor(answer(z, targets))
        if gradient.shape != z.shape:
            yield (
                f"the gradient must have the shape of z, {list(z.shape)}: yours has "
                f"{list(gradient.shape)}."
            )
        yield explain(gradient, stuck_gradient(z, targets), _gradient_hints(z, targets), otherwise)


def _gradient_hints(z: torch.Tensor, targets: torch.Tensor) -> dict[str, Any]:
    def back(p: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return p * (g - (p * g).sum(dim=-1, keepdim=True))

    batch, classes = z.shape
    p, y = z.softmax(dim=-1), functional.one_hot(targets, classes)
    twice = p.softmax(dim=-1)
    g, from_p = (twice - y) / batch, (p - y) / batch
    wanted = back(p, g)
    return {
        "the sign is wrong: g is the second softmax minus y, not y minus it.": -wanted,
        "the loss is a mean: divide g by the number of clips in the batch.": batch * wanted,
        "divide by the number of clips only, not by the classes too.": wanted / classes,
        "that is p - y, the gradient of the repaired network: here softmax comes first.": from_p,
        "that is p - y, not divided by the batch, and of the repaired network.": batch * from_p,
        "that is the gradient at the probabilities: take it back through the first softmax.": g,
        "the sum is missing: from each g_k subtract the sum of p_j g_j of its row.": p * g,
        "the factor p_k is missing: multiply the bracket by p, place by place.": wanted / p,
        "p_k and p_j come out of the first softmax, z.softmax(-1): yours are of the second.": (
            back(twice, g)
        ),
        "softmax is not sigmoid: each output depends on every logit of the row.": p * (1 - p) * g,
        "g holds the first softmax: it needs the second, p.softmax(-1), minus y.": back(p, from_p),
        "your sum runs over the batch: sum p_j g_j over the classes, dim=-1.": (
            p * (g - (p * g).sum(dim=0, keepdim=True))
        ),
        "your sum runs over all clips: each row has a sum of its own.": p * (g - (p * g).sum()),
    }


def stuck_loss(classes: int, accuracy: float) -> float:
    """Return the loss of a network that is sure, with a softmax before the cross-entropy."""
    return math.log(math.e + classes - 1) - accuracy


@exercise(reference=stuck_loss)
def ex3(answer: Callable[..., Any]) -> Iterator[str | None]:
    """Check a function `(classes, accuracy 0 to 1) -> loss`."""
    for classes, accuracy in ((10, 0.3), (3, 0.6), (1000, 0.25), (2, 1.0)):
        loss = as_number(answer(classes, accuracy), "the loss")
        powers = math.e + classes - 1
        ceiling = math.log(powers)
        hints = {
            "accuracy and errors are swapped: errors make the loss larger.": ceiling - 1 + accuracy,
            "the number 9 is for ten classes: beside the 1 there are classes - 1 zeros.": (
                math.log(math.e + 9) - accuracy
            ),
            "one zero too many: beside the single 1 there are classes - 1 zeros.": (
                math.log(powers + 1) - accuracy
            ),
            "e is missing: the sum of the powers is e + classes - 1.": math.log(classes) - accuracy,
            "that is the loss of knowing nothing: this network is sure.": math.log(classes),
            "that is the floor, where every answer is right: errors cost 1 more.": ceiling - 1,
            "that is the ceiling, where every answer is wrong: right answers cost 1 less.": ceiling,
            "accuracy is a share from 0 to 1, not in per cent.": ceiling - accuracy * 100,
            "accuracy is a share from 0 to 1, not in per cent: no / 100.": ceiling - accuracy / 100,
            "the logarithm is missing: ln(e + classes - 1).": powers - accuracy,
            "the floor is missing: a right answer costs ln(e + classes - 1) - 1.": 1 - accuracy,
            "-ln p is for probabilities: average the losses of right and wrong.": (
                -math.log(accuracy)
            ),
            "take the natural logarithm, not the one to base 2.": math.log2(powers) - accuracy,
            "take the natural logarithm, not the one to base 10.": math.log10(powers) - accuracy,
        }
        otherwise = (
            f"for {classes} classes and accuracy {accuracy} it is not {loss:.4f}: average the "
            "floor and the ceiling of section 4.6, weighted by right and wrong."
        )
        yield explain(loss, stuck_loss(classes, accuracy), hints, otherwise)


def train_network(clips: torch.Tensor, targets: torch.Tensor) -> torch.nn.Module:
    """Return a network trained on small pictures of words that move from batch to batch."""
    model = torch.nn.Sequential(
        torch.nn.AvgPool2d(4),
        torch.nn.Flatten(),
        torch.nn.Dropout(0.3),
        torch.nn.Linear(400, 512),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.3),
        torch.nn.Linear(512, 10),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    for _ in range(80):
        for batch in torch.randperm(len(clips)).split(32):
            up, right = int(torch.randint(-6, 7, ())), int(torch.randint(-3, 4, ()))
            moved = clips[batch].roll((up, right), dims=(2, 3))
            loss = functional.cross_entropy(model(moved), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


@exercise(reference=train_network)
def ex4(answer: Callable[..., Any]) -> Iterator[str | None]:
    """Check a function `(clips [400, 1, 80, 80], targets [400]) -> trained model` by new voices."""
    (clips, targets), (new_clips, new_targets) = _forty_speakers()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = answer(clips, targets)
    if not isinstance(model, torch.nn.Module):
        raise Fault(f"return the trained model, not a {type(model).__name__}.")
    shape = list(models.predict(model, new_clips[:2]).shape)
    if shape != [2, 10]:
        yield (
            f"for two clips [2, 1, 80, 80] your model must give [2, 10], ten outputs a clip, and "
            f"it gives {shape}."
        )
    known = metrics.accuracy(model, clips, targets)
    new = metrics.accuracy(model, new_clips, new_targets)
    if new <= WANTED_ACCURACY:
        if known < 0.8:
            advice = "it has not learned its own clips yet, so show it easier pictures"
        elif known > 0.97:
            advice = "it knows its own clips by heart, so move the words a little in each batch"
        else:
            advice = "go on: train longer, or change the pictures in another way too"
        yield (
            f"it recognises {new:.1%} of the new speakers' clips, and more than "
            f"{WANTED_ACCURACY:.0%} are wanted. Of its own it recognises {known:.0%}: {advice}."
        )


@functools.cache
def _forty_speakers() -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
    """Pictures and labels of 40 training speakers, and of all who are validated or tested."""
    data = SpokenWords(data_path("digits_en"), layout="speaker_digit")
    split = splits.split_by_family(data, "awb")
    few = torch.tensor(split.train).reshape(-1, 10)[::4].flatten().tolist()
    parts = []
    for numbers in (few, split.valid + split.test):
        waveforms = [data[number][0] for number in numbers]
        pictures = log_mel_pictures(waveforms, data.sample_rate, 80, 80)
        parts.append(((pictures + 2) / 4, data.labels[numbers]))
    return tuple(parts)


def _example(batch: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    numbers = torch.Generator().manual_seed(batch)
    logits = 2 * torch.randn(batch, classes, generator=numbers)
    return logits, torch.randint(0, classes, (batch,), generator=numbers)
