"""Checks of the exercises in chapter 2, deep-learning basics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from course_utils.checks.exercise import Fault, exercise


def softmax(logits: torch.Tensor) -> torch.Tensor:
    """Return the probabilities along the last axis, without overflow."""
    powers = (logits - logits.max(dim=-1, keepdim=True).values).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


@exercise(reference=softmax)
def ex1(answer: Callable[..., Any]) -> str | None:
    """Check a function `(logits [..., classes]) -> probabilities [..., classes]`."""
    axis = "the rows get in each other's way: take max and sum with dim=-1, keepdim=True."
    logits = _noise(2, 4, 10)
    for inputs in (logits[0, 0], logits[0], logits, logits[0, :, :4].float()):
        wanted = softmax(inputs)
        given = _tensor(_ask(answer, inputs, mismatch=axis))
        if given.shape != wanted.shape:
            return (
                f"logits {list(inputs.shape)} give {list(given.shape)}: the probabilities have "
                "the shape of the logits."
            )
        if not _near(given, wanted):
            formula = "the values are wrong: exp of each logit, divided by the sum of them."
            return _hint_on_softmax(given, inputs) or (axis if inputs.ndim > 1 else formula)
    if given.dtype != logits.float().dtype:
        return f"float32 logits came back as {given.dtype}: keep the dtype."
    large = torch.tensor([[1000.0, 1001.0, 1002.0], [1002.0, 1001.0, 1000.0]])
    given = _tensor(answer(large))
    if given.isfinite().all() and not _near(given, softmax(large), 1e-3):
        return "logits of 1000 come out wrong: use the logits as they are, without limits."
    if not _near(given, softmax(large), 1e-3):
        return (
            "logits of 1000 overflow and give nan: subtract each row's maximum before exp, which "
            "changes no probability."
        )
    wide = torch.tensor([-100.0, 0.0, 100.0])
    if not _near(_tensor(answer(wide)), softmax(wide), 1e-3):
        return (
            "logits from -100 to 100 still overflow: subtract the maximum, not the minimum or the "
            "mean, so that the largest exponent is 0."
        )
    apart = torch.tensor([[1000.0, 1001.0], [-1000.0, -1001.0]])
    if not _near(_tensor(answer(apart)), softmax(apart), 1e-3):
        return (
            "one maximum for the whole tensor is not enough: a row of logits near -1000 beside "
            "one near 1000 underflows; subtract each row's own maximum (dim=-1)."
        )
    return None


def _hint_on_softmax(given: torch.Tensor, logits: torch.Tensor) -> str | None:
    """Name the formula that gives these wrong numbers, if it is one of the usual ones."""
    powers = logits.exp()
    shifted = (logits - logits.max(dim=-1, keepdim=True).values).exp()
    wrong = {
        "these are exponentials: divide by their sum, so that each row sums to 1.": (
            powers,
            shifted,
            (logits - logits.max()).exp(),
        ),
        "these are logarithms of probabilities: return the probabilities, without log.": (
            logits.log_softmax(-1),
        ),
        "exp is missing: dividing the logits themselves by their sum gives negative numbers.": (
            logits / logits.sum(dim=-1, keepdim=True),
        ),
        "the whole tensor sums to 1, not each row: sum over the last axis only (dim=-1).": (
            powers / powers.sum(),
        ),
        "the sum runs over the wrong axis: the classes are the last one (dim=-1).": tuple(
            logits.softmax(axis) for axis in range(logits.ndim - 1)
        ),
    }
    for hint, values in wrong.items():
        if any(_near(given, candidate) for candidate in values):
            return hint
    return None


def cut_into_parts(levels: torch.Tensor, length: int) -> torch.Tensor:
    """Return a spectrogram cut into parts of so many frames, as a batch of frames."""
    bins, frames = levels.shape
    parts = frames // length
    return levels[:, : parts * length].transpose(0, 1).reshape(parts, length, bins)


@exercise(reference=cut_into_parts)
def ex2(answer: Callable[..., Any]) -> str | None:
    """Check a function `(levels [bins, frames], length) -> [parts, length, bins]`."""
    left_over = (
        "409 frames are not two times 200: drop what is left over at the end, "
        "levels[:, : parts * length], before you reshape."
    )
    for bins, frames, length in ((80, 400, 200), (80, 409, 200), (7, 25, 8), (6, 6, 6)):
        levels = torch.arange(bins * frames, dtype=torch.float64).reshape(bins, frames)
        if length == 8:
            levels = levels.float()
        wanted = cut_into_parts(levels, length)
        given = _tensor(_ask(answer, levels, length, mismatch=left_over))
        if given.shape != wanted.shape:
            return _hint_on_shape(given, wanted, frames)
        if not torch.equal(given, wanted.to(given.dtype)):
            return _hint_on_parts(given, levels, length)
    return None


def _hint_on_shape(given: torch.Tensor, wanted: torch.Tensor, frames: int) -> str:
    parts, length, bins = wanted.shape
    where = f"[{bins}, {frames}] in parts of {length}"
    if given.shape == (parts, bins, length):
        return (
            f"{where} give {list(given.shape)}, which is [parts, bins, length]: each frame must "
            "become a row, so bins come last."
        )
    if given.ndim == 3 and given.shape[1:] == (length, bins) and len(given) > parts:
        if frames % length == 0:
            return f"{where} give {parts} parts, not {len(given)}: they follow without overlap."
        return f"{where} give {parts} whole parts, yours has one more: the last is not full."
    return (
        f"{where} must give {list(wanted.shape)}, [parts, length, bins], not {list(given.shape)}."
    )


def _hint_on_parts(given: torch.Tensor, levels: torch.Tensor, length: int) -> str:
    bins, frames = levels.shape
    parts = frames // length
    whole = levels[:, : parts * length]
    wrong = {
        "the shape is right and the numbers are scrambled: reshape alone breaks the lines at new "
        "places; swap the axes with transpose first.": (
            whole.reshape(parts, length, bins),
            levels.flatten()[: parts * length * bins].reshape(parts, length, bins),
        ),
        "reshape came before transpose and tore the bins apart: transpose(0, 1) first, then "
        "reshape(parts, length, bins).": (
            whole.reshape(parts, bins, length).transpose(1, 2),
            levels.flatten()[: parts * length * bins].reshape(parts, bins, length).transpose(1, 2),
        ),
        "the parts take turns, frame by frame: reshape to (parts, length, bins) in this order, so "
        "that the frames of a part stay together.": (
            whole.T.reshape(length, parts, bins).transpose(0, 1),
        ),
        "the parts begin too late: what is left over is dropped at the end, not at the "
        "beginning.": (levels[:, frames - parts * length :].T.reshape(parts, length, bins),),
    }
    for hint, values in wrong.items():
        if any(torch.equal(given.double(), candidate.double()) for candidate in values):
            return hint
    return (
        "the frames are in the wrong places: frame t of part p must be column p * length + t "
        "of the spectrogram."
    )


def standardise(features: torch.Tensor) -> torch.Tensor:
    """Return each clip of a batch with mean 0 and standard deviation 1; silence gives zeros."""
    mean = features.mean(dim=(1, 2), keepdim=True)
    deviation = features.std(dim=(1, 2), keepdim=True)
    return (features - mean) / deviation.clamp(min=1e-5)


@exercise(reference=standardise)
def ex3(answer: Callable[..., Any]) -> str | None:
    """Check a function `(features [batch, frames, bins]) -> the same shape`, clip by clip."""
    keepdim = (
        "the clips' means have the shape [batch] and are matched with the last axis, the bins: "
        "use keepdim=True, which gives [batch, 1, 1]."
    )
    scale = torch.tensor([3.0, 20.0, 0.5], dtype=torch.float64)[:, None, None]
    offset = torch.tensor([-50.0, 10.0, 0.0], dtype=torch.float64)[:, None, None]
    tilt = torch.linspace(-1, 1, 80, dtype=torch.float64) + torch.linspace(0, 2, 50)[:, None]
    clips = (_noise(3, 50, 80) + tilt) * scale + offset
    for inputs in (clips, clips.float(), clips[:, :3, :3], clips[:1]):
        given, wanted = _tensor(_ask(answer, inputs, mismatch=keepdim)), standardise(inputs)
        if given.shape != inputs.shape:
            return (
                f"features {list(inputs.shape)} give {list(given.shape)}: the shape must stay; "
                "keepdim=True helps."
            )
        # With few numbers the two definitions of the deviation (n and n - 1) differ.
        count = inputs[0].numel()
        if not any(
            _near(given, wanted * factor, 2e-3) for factor in (1, (count / (count - 1)) ** 0.5)
        ):
            return _hint_on_standardise(given, inputs)
    silence = torch.full((2, 50, 80), -100.0)
    silence[1] = clips[1].float()
    given = _tensor(answer(silence))
    if not given.isfinite().all():
        return (
            "a silent clip gives nan, 0 divided by 0: keep the deviation above 0, with "
            "clamp(min=1e-5)."
        )
    if not _near(given, standardise(silence), 2e-3):
        return "a silent clip must give zeros, and leave the clip beside it as it would be alone."
    return None


def _hint_on_standardise(given: torch.Tensor, features: torch.Tensor) -> str:
    """Name the formula that gives these wrong numbers, if it is one of the usual ones."""

    def scaled(dim: tuple[int, ...]) -> torch.Tensor:
        mean, deviation = features.mean(dim, keepdim=True), features.std(dim, keepdim=True)
        return (features - mean) / deviation

    mean, deviation = (value(dim=(1, 2), keepdim=True) for value in (features.mean, features.std))
    centred = features - mean
    wrong = {
        "the mean is removed, and the division by the standard deviation is missing.": centred,
        "you divide by the variance: the standard deviation is its square root.": (
            centred / features.var(dim=(1, 2), keepdim=True)
        ),
        "you divide without subtracting the mean first.": features / deviation,
        "the mean comes off after the division: put brackets around features - mean.": (
            features / deviation - mean
        ),
        "the mean is right, and each bin has a deviation of its own: take it over the bins as "
        "well, dim=(1, 2).": centred / features.std(1, keepdim=True),
        "one mean for the whole batch lets a loud clip change a quiet one: average over frames "
        "and bins only, dim=(1, 2).": scaled((0, 1, 2)),
        "each bin has a mean of its own here: average over the bins as well, dim=(1, 2).": scaled(
            (1,)
        ),
        "each frame has a mean of its own here, which removes loud and soft: average over the "
        "frames as well, dim=(1, 2).": scaled((2,)),
        "the average runs over the batch: that axis is 0, frames and bins are dim=(1, 2).": scaled(
            (0,)
        ),
        "the numbers lie between 0 and 1: that is scaling by minimum and maximum; use mean and "
        "standard deviation.": (features - features.amin((1, 2), keepdim=True))
        / (features.amax((1, 2), keepdim=True) - features.amin((1, 2), keepdim=True)),
    }
    for hint, values in wrong.items():
        if _near(given, values, 2e-3):
            return hint
    scale = given.std(dim=(1, 2), keepdim=True) / features.std(dim=(1, 2), keepdim=True)
    if _near(given, centred * scale, 2e-3):
        return (
            "the mean is right and the scale is not: what keeps the deviation above 0 must be far "
            "smaller than it, such as 1e-5."
        )
    return (
        "the values are wrong: from each clip subtract its mean and divide by its standard "
        "deviation, both over its frames and bins, dim=(1, 2)."
    )


def _ask(answer: Callable[..., Any], *arguments: Any, mismatch: str) -> Any:
    """Return what the answer gives; sizes that do not fit each other get the hint `mismatch`."""
    try:
        return answer(*arguments)
    except RuntimeError as error:
        if "must match" in str(error) or "is invalid for input of size" in str(error):
            raise Fault(mismatch) from None
        raise


def _tensor(value: Any) -> torch.Tensor:
    """Return a tensor, without its gradient, from what an answer returned."""
    try:
        return torch.as_tensor(value).detach()
    except (TypeError, ValueError, RuntimeError):
        raise Fault(f"return one tensor, not {type(value).__name__}.") from None


def _near(given: torch.Tensor, wanted: torch.Tensor, tolerance: float = 1e-5) -> bool:
    return bool(torch.allclose(given.double(), wanted.double(), rtol=tolerance, atol=tolerance))


def _noise(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)
