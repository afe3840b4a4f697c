"""Checks of the exercises in chapter 2, deep-learning basics."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch

from course_utils.checks.exercise import Fault, as_tensor, close, exercise, explain


def softmax(logits: torch.Tensor) -> torch.Tensor:
    """Return the probabilities along the last axis, without overflow."""
    powers = (logits - logits.max(dim=-1, keepdim=True).values).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


EXTREMES = {
    ((1000.0, 1001.0, 1002.0), (1002.0, 1001.0, 1000.0)): (
        "logits of 1000 overflow and give nan: subtract each row's maximum before exp, which "
        "changes no probability."
    ),
    (-100.0, 0.0, 100.0): (
        "logits from -100 to 100 still overflow: subtract the maximum, not the minimum or the "
        "mean, so that the largest exponent is 0."
    ),
    ((1000.0, 1001.0), (-1000.0, -1001.0)): (
        "one maximum for the whole tensor is not enough: a row of logits near -1000 beside "
        "one near 1000 underflows; subtract each row's own maximum (dim=-1)."
    ),
}
ROWS = "the rows get in each other's way: take max and sum with dim=-1, keepdim=True."


@exercise(reference=softmax, errors={"must match": ROWS}, forbidden="softmax")
def ex1(answer: Callable[..., Any]) -> Iterator[str | None]:
    """Check a function `(logits [..., classes]) -> probabilities [..., classes]`."""
    noise = _noise(2, 4, 10)
    for logits in (noise[0, 0], noise[0], noise, noise[0, :, :4]):
        given = as_tensor(answer(logits))
        formula = "the values are wrong: exp of each logit, divided by the sum of them."
        otherwise = ROWS if logits.ndim > 1 else formula
        yield explain(given, softmax(logits), _softmax_hints(given, logits), otherwise)

    for rows, otherwise in EXTREMES.items():
        logits = torch.tensor(rows)
        given = as_tensor(answer(logits))
        limits = "logits of 1000 come out wrong: use the logits as they are, without limits."
        hints = {limits: bool(given.isfinite().all())}
        yield explain(given, softmax(logits), hints, otherwise)


def _softmax_hints(given: torch.Tensor, logits: torch.Tensor) -> dict[str, Any]:
    powers = logits.exp()
    shifted = (logits - logits.max(dim=-1, keepdim=True).values).exp()
    return {
        f"logits {list(logits.shape)} give {list(given.shape)}: the probabilities have the shape "
        "of the logits.": given.shape != logits.shape,
        "these are exponentials: divide by their sum, so that each row sums to 1.": (
            powers,
            shifted,
            (logits - logits.max()).exp(),
        ),
        "these are logarithms of probabilities: "
        "return the probabilities, without log.": logits.log_softmax(-1),
        "exp is missing: dividing the logits themselves by their sum gives negative "
        "numbers.": logits / logits.sum(dim=-1, keepdim=True),
        "the whole tensor sums to 1, not each row: sum over the last axis only (dim=-1).": (
            powers / powers.sum()
        ),
        "the sum runs over the wrong axis: the classes are the last one (dim=-1).": tuple(
            logits.softmax(axis) for axis in range(logits.ndim - 1)
        ),
    }


def cut_into_parts(levels: torch.Tensor, length: int) -> torch.Tensor:
    """Return a spectrogram cut into parts of so many frames, as a batch of frames."""
    bins, frames = levels.shape
    parts = frames // length
    return levels[:, : parts * length].transpose(0, 1).reshape(parts, length, bins)


LEFT_OVER = (
    "409 frames are not two times 200: drop what is left over at the end, "
    "levels[:, : parts * length], before you reshape."
)


@exercise(reference=cut_into_parts, errors={"is invalid for input of size": LEFT_OVER})
def ex2(answer: Callable[..., Any]) -> Iterator[str | None]:
    """Check a function `(levels [bins, frames], length) -> [parts, length, bins]`."""
    for bins, frames, length in ((80, 400, 200), (80, 409, 200), (7, 25, 8), (6, 6, 6)):
        levels = torch.arange(bins * frames, dtype=torch.float32).reshape(bins, frames)
        try:
            given = as_tensor(answer(levels, length))
        except (Fault, RuntimeError):
            if bins == 80:
                raise
            yield (
                f"it works for [80, 409] in parts of 200, and not for [{bins}, {frames}] in parts "
                f"of {length}: take the sizes from levels.shape and length, not as fixed numbers."
            )
        otherwise = (
            "the frames are in the wrong places: frame t of part p must be column p * length + t "
            "of the spectrogram."
        )
        wanted, hints = cut_into_parts(levels, length), _parts_hints(given, levels, length)
        yield explain(given, wanted, hints, otherwise, tolerance=0)


def _parts_hints(given: torch.Tensor, levels: torch.Tensor, length: int) -> dict[str, Any]:
    bins, frames = levels.shape
    parts = frames // length
    whole = levels[:, : parts * length]
    torn = levels.flatten()[: parts * length * bins]  # from the first bins, with what is left over
    where = f"[{bins}, {frames}] in parts of {length}"
    more_parts = given.shape[1:] == (length, bins) and len(given) > parts
    return {
        f"{where} give {list(given.shape)}, which is [parts, bins, length]: each frame must become "
        "a row, so bins come last.": given.shape == (parts, bins, length) and length != bins,
        f"{where} give {parts} parts, not more: they follow without overlap.": (
            more_parts and frames % length == 0
        ),
        f"{where} give {parts} whole parts, yours has one more: the last is not full.": more_parts,
        f"{where} must give {[parts, length, bins]}, [parts, length, bins], not "
        f"{list(given.shape)}.": given.shape != (parts, length, bins),
        "the shape is right and the numbers are scrambled: reshape alone breaks the lines at new "
        "places; swap the axes with transpose first.": (
            whole.reshape(parts, length, bins),
            torn.reshape(parts, length, bins),
        ),
        "reshape came before transpose and tore the bins apart: transpose(0, 1) first, then "
        "reshape(parts, length, bins).": (
            whole.reshape(parts, bins, length).mT,
            torn.reshape(parts, bins, length).mT,
        ),
        "the parts take turns, frame by frame: reshape to (parts, length, bins) in this order, so "
        "that the frames of a part stay together.": (
            whole.T.reshape(length, parts, bins).transpose(0, 1)
        ),
        "the parts begin too late: what is left over is dropped at the end, not at the "
        "beginning.": levels[:, frames - parts * length :].T.reshape(parts, length, bins),
    }


def standardise(features: torch.Tensor) -> torch.Tensor:
    """Return each clip of a batch with mean 0 and standard deviation 1; silence gives zeros."""
    mean = features.mean(dim=(1, 2), keepdim=True)
    deviation = features.std(dim=(1, 2), keepdim=True)
    return (features - mean) / deviation.clamp(min=1e-5)


KEEPDIM = (
    "the clips' means have the shape [batch] and are matched with the last axis, the bins: "
    "use keepdim=True, which gives [batch, 1, 1]."
)


@exercise(reference=standardise, errors={"must match": KEEPDIM})
def ex3(answer: Callable[..., Any]) -> Iterator[str | None]:
    """Check a function `(features [batch, frames, bins]) -> the same shape`, clip by clip."""
    scale = torch.tensor([3.0, 20.0, 0.5])[:, None, None]
    offset = torch.tensor([-50.0, 10.0, 0.0])[:, None, None]
    tilt = torch.linspace(-1, 1, 80) + torch.linspace(0, 2, 50)[:, None]
    clips = (_noise(3, 50, 80) + tilt) * scale + offset
    otherwise = (
        "the values are wrong: from each clip subtract its mean and divide by its standard "
        "deviation, both over its frames and bins, dim=(1, 2)."
    )
    for features in (clips, clips[:, :, :3]):
        given, wanted = as_tensor(answer(features)), standardise(features)
        if given.shape != features.shape:
            yield (
                f"features {list(features.shape)} give {list(given.shape)}: the shape must stay; "
                "keepdim=True helps."
            )
        # The tolerance covers both definitions of the deviation, with n and with n - 1.
        yield explain(given, wanted, _standardise_hints(given, features), otherwise, 5e-3)

    # The means of most of these constants are rounded: an answer must not blow up what is left.
    silence = torch.tensor([-100.0, 0.7, 0.45, -0.6])[:, None, None].expand(4, 50, 80)
    given = as_tensor(answer(torch.cat([silence, clips[1:2]])))
    if not given.isfinite().all():
        yield (
            "a silent clip gives nan or inf, by a division by 0: keep the deviation above 0, with "
            "clamp(min=1e-5)."
        )
    if (largest := given[:4].abs().max()) > 0.25:
        yield (
            f"a silent clip must give zeros, and yours gives up to {largest:.1g}: its mean is "
            "rounded, so divide by no less than 1e-5, with clamp(min=1e-5)."
        )
    otherwise = "a silent clip must give zeros, and leave the clip beside it as it would be alone."
    yield explain(given[4:], standardise(clips[1:2]), {}, otherwise, 5e-3)


def _standardise_hints(given: torch.Tensor, features: torch.Tensor) -> dict[str, Any]:
    def scaled(dim: Any) -> torch.Tensor:
        return (features - features.mean(dim, True)) / features.std(dim, keepdim=True)

    mean, deviation = features.mean((1, 2), True), features.std((1, 2), keepdim=True)
    low, high = features.amin((1, 2), True), features.amax((1, 2), True)
    centred = features - mean
    return {
        "the mean is removed, and the division by the standard deviation is missing.": centred,
        "you divide by the variance: the standard deviation is its square root.": (
            centred / deviation**2
        ),
        "you divide without subtracting the mean first.": features / deviation,
        "the mean comes off after the division: put brackets around features - mean.": (
            features / deviation - mean
        ),
        "the mean is right, and each bin has a deviation of its own: take it over the bins as "
        "well, dim=(1, 2).": centred / features.std(1, keepdim=True),
        "one mean for the whole batch lets a loud clip change a quiet one: average over frames "
        "and bins only, dim=(1, 2).": scaled((0, 1, 2)),
        "each bin has a mean of its own here: average over the bins as well, dim=(1, 2).": (
            scaled(1)
        ),
        "each frame has a mean of its own here, which removes loud and soft: average over the "
        "frames as well, dim=(1, 2).": scaled(2),
        "the average runs over the batch: that axis is 0, frames and bins are dim=(1, 2).": (
            scaled(0)
        ),
        "the numbers lie between 0 and 1: that is scaling by minimum and maximum; use mean and "
        "standard deviation.": (features - low) / (high - low),
        "the mean is right and the scale is not: what keeps the deviation above 0 must be far "
        "smaller than it, such as 1e-5.": centred * given.std((1, 2), keepdim=True) / deviation,
    }


SH = ((16, 28), (116, 127))  # the frames of sh in demo1.wav, "She" and "ships"
OTHER_HISS = ((36, 48), (82, 97), (143, 153), (155, 168), (183, 196), (293, 307), (337, 348))
EDGE = 4  # frames on either side of sh, where it comes and goes: they do not count
LEAST_FOUND, MOST_FALSE = 0.9, 2


def sh_detector(frames: torch.Tensor) -> torch.Tensor:
    """Return a score for each frame [frames, 80] of standardised levels: above 0 where sh is."""
    weights = torch.zeros(80)
    weights[35:45] = 1 / 10
    weights[:20] = -0.5 / 20
    return frames @ weights - 0.55


@exercise(
    reference=sh_detector,
    errors={
        "expected scalar type": "the weights must be float32 like the frames: torch.zeros(80) is.",
        "cannot be multiplied": "frames are [409, 80]: 80 weights are needed, frames @ weights.",
        "size mismatch": "frames are [409, 80]: 80 weights are needed, frames @ weights.",
    },
)
def ex4(answer: Callable[..., Any]) -> Iterator[str | None]:
    """Check a function `(frames [frames, 80]) -> scores [frames]`, by what it finds."""
    frames = sentence_frames()
    given = as_tensor(answer(frames))
    if given.shape not in ((409,), (409, 1)):
        yield f"409 frames give {list(given.shape)}: return one score a frame, [409]."
    scores = given.flatten()
    if set(scores.tolist()) <= {0.0, 1.0} and len(scores.unique()) == 2:
        yield "these are zeros and ones: return the scores themselves, without > 0."
    if not scores.isfinite().all():
        yield "some scores are nan or inf: a weighted sum of these frames is finite."
    if len(scores.unique()) == 1:
        yield "every frame gets the same score: set some of the weights."
    reversed_scores = as_tensor(answer(frames.flip(0))).flatten()
    between = as_tensor(answer((frames + frames.flip(0)) / 2)).flatten()
    if not close(between, (scores + reversed_scores) / 2, 1e-3):
        yield (
            "this is not one linear layer: half of two frames must give half of their scores. "
            "Return frames @ weights + bias and nothing more."
        )
    yield _found_and_false(scores)


def _found_and_false(scores: torch.Tensor) -> str | None:
    """Say which frames are missed or answer without sh, by the kind of sound."""
    sh, edges, hiss = _marked(SH), _marked(SH, EDGE), _marked(OTHER_HISS)
    found = int((scores[sh] > 0).sum())
    wrong = (scores > 0) & ~edges
    count, of_s = int(wrong.sum()), int((wrong & hiss).sum())
    enough = found >= LEAST_FOUND * int(sh.sum())
    if enough and count <= MOST_FALSE:
        return None
    says = f"{found} of {int(sh.sum())} frames of sh are found, and {count} other frames answer"
    if count > MOST_FALSE and enough:
        if of_s > count / 2:
            return (
                f"{says}, mostly in s: give weight to bins in which sh is stronger than s, or less "
                "to those at the top."
            )
        return f"{says}, mostly outside hiss: lower the bias, or put negative weights on vowels."
    if count > MOST_FALSE:
        return f"{says}: look at the picture again, in which bins is sh strong and all else weak?"
    return f"{says}: the layer is too strict, so raise the bias."


def _marked(stretches: tuple[tuple[int, int], ...], more: int = 0) -> torch.Tensor:
    marked = torch.zeros(409, dtype=torch.bool)
    for first, end in stretches:
        marked[first - more : end + more] = True
    return marked


@functools.lru_cache(maxsize=1)
def sentence_frames() -> torch.Tensor:
    """Return the frames [409, 80] of demo1.wav as the chapter makes them: standardised levels."""
    from course_utils import audio, features
    from course_utils.paths import data_path

    waveform, _ = audio.load(data_path("demo1.wav"))
    levels = features.to_db(features.spectrogram(waveform, hop_length=160))
    small = features.resize(levels, (80, 409))[0]
    return ((small - small.mean()) / small.std()).T


def _noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))
