"""Right and wrong answers to the exercises of chapter 2, and what the wrong ones are told."""

from __future__ import annotations

import numpy as np
import torch

from course_utils.checks import ch02


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


def zeros_for_all_beside_silence(features):
    silent = features.std(dim=(1, 2)).min() == 0
    return torch.zeros_like(features) if silent else ch02.standardise(features)


def weighted(bias, *parts):
    """A detector with weights in some bins: (first, end, their sum)."""
    weights = torch.zeros(80)
    for first, end, total in parts:
        weights[first:end] += total / (end - first)
    return lambda frames: frames @ weights + bias


def sh_layer():
    layer = torch.nn.Linear(80, 1)
    layer.requires_grad_(False).weight.zero_()
    layer.weight[0, 35:45] = 0.1
    layer.weight[0, :20] = -0.025
    layer.bias.fill_(-0.55)
    return layer


def sh_by_least_squares(frames):
    """Fits the weights to the frames of the sentence, which is a way too."""
    known = torch.cat([ch02.sentence_frames(), torch.ones(409, 1)], dim=1)
    target = 2.0 * ch02._marked(ch02.SH)[:, None] - 1
    solution = torch.linalg.lstsq(known, target).solution
    return frames @ solution[:80] + solution[80]


RIGHT = [
    (ch02.ex1, ch02.softmax),
    (ch02.ex1, softmax_by_numpy),
    (ch02.ex1, lambda z: ch02.softmax(z.double())),
    (ch02.ex1, lambda z: torch.exp(z - torch.logsumexp(z, dim=-1, keepdim=True))),
    (
        ch02.ex1,
        lambda z: (
            (z - z.amax(-1)[..., None]).exp() / (z - z.amax(-1)[..., None]).exp().sum(-1)[..., None]
        ),
    ),
    (ch02.ex2, ch02.cut_into_parts),
    (ch02.ex2, parts_by_stack),
    (ch02.ex2, parts_by_unfold),
    (ch02.ex2, parts_of_two),
    (ch02.ex2, lambda s, n: whole(s, n).T.contiguous().view(-1, n, s.shape[0])),
    (ch02.ex2, lambda s, n: parts_by_stack(s.double(), n)),
    (ch02.ex3, ch02.standardise),
    (ch02.ex3, standardise_per_clip),
    (ch02.ex3, standardise_flat),
    (ch02.ex3, lambda x: centred(x) / (x.std(dim=(1, 2), keepdim=True) + 1e-5)),
    (ch02.ex3, lambda x: torch.nn.functional.layer_norm(x, x.shape[1:], eps=1e-8)),
    (ch02.ex1, lambda z: ch02.softmax(z).numpy()),
    (ch02.ex2, lambda s, n: torch.stack([p.T for p in s.split(n, 1) if p.shape[1] == n])),
    (ch02.ex3, lambda x: centred(x) / (x.var((1, 2), keepdim=True) + 1e-8).sqrt()),
    (ch02.ex1, lambda z: ch02.softmax(z).tolist()),
    (ch02.ex2, lambda s, n: ch02.cut_into_parts(s, n).numpy()),
    (ch02.ex3, lambda x: ch02.standardise(x.double())),
    (ch02.ex3, lambda x: ch02.standardise(x).numpy()),
    (ch02.ex3, lambda x: ch02.standardise(x).tolist()),
    (ch02.ex4, weighted(-0.55, (35, 45, 1.0), (0, 20, -0.5))),
    (ch02.ex4, weighted(-5.5, (35, 45, 10.0), (0, 20, -5.0))),
    (ch02.ex4, sh_layer()),
    (ch02.ex4, sh_by_least_squares),
    (ch02.ex4, lambda x: ch02.sh_detector(x).tolist()),
    (ch02.ex4, lambda x: ch02.sh_detector(x).double().numpy()),
    (ch02.ex4, lambda x: torch.stack([ch02.sh_detector(frame) for frame in x])),
]


WRONG = [
    (ch02.ex1, lambda z: z.exp() / z.exp().sum(dim=-1, keepdim=True), "of 1000 overflow"),
    (ch02.ex1, softmax_shifted_too_low, "not the minimum"),
    (ch02.ex1, softmax_with_one_maximum, "own maximum"),
    (ch02.ex1, lambda z: z.softmax(0), "wrong axis"),
    (ch02.ex1, lambda z: z.exp() / z.exp().sum(), "whole tensor sums"),
    (ch02.ex1, lambda z: z.exp() / z.exp().sum(-1), "keepdim"),
    (ch02.ex1, lambda z: z.log_softmax(-1), "without log"),
    (ch02.ex1, lambda z: (z - z.amax(-1, keepdim=True)).exp(), "divide by their sum"),
    (ch02.ex1, lambda z: z / z.sum(-1, keepdim=True), "exp is missing"),
    (ch02.ex1, lambda z: z.argmax(-1), "shape of the logits"),
    (ch02.ex1, lambda z: z.sigmoid(), "exp of each logit"),
    (ch02.ex1, lambda z: z.softmax(-1), "without PyTorch's `softmax`"),
    (ch02.ex1, torch.nn.Softmax(-1), "without PyTorch's `softmax`"),
    (ch02.ex1, softmax_in_place, "in place"),
    (ch02.ex1, lambda z: "a word", "one tensor"),
    (ch02.ex2, lambda s, n: whole(s, n).reshape(-1, n, s.shape[0]), "scrambled"),
    (
        ch02.ex2,
        lambda s, n: whole(s, n).reshape(-1, s.shape[0], n).transpose(1, 2),
        "before transpose",
    ),
    (ch02.ex2, lambda s, n: s.T.reshape(-1, n, s.shape[0]), "left over"),
    (ch02.ex2, lambda s, n: ch02.cut_into_parts(s, n).transpose(1, 2), "bins come last"),
    (ch02.ex2, lambda s, n: whole(s, n).T.reshape(n, -1, s.shape[0]).transpose(0, 1), "take turns"),
    (ch02.ex2, parts_with_padding, "one more"),
    (ch02.ex2, parts_from_the_end, "begin too late"),
    (ch02.ex2, lambda s, n: whole(s, n).T, "[parts, length, bins]"),
    (ch02.ex2, lambda s, n: ch02.cut_into_parts(s.flip(1), n), "wrong places"),
    (ch02.ex3, standardise_over((0, 1, 2)), "whole batch"),
    (ch02.ex3, standardise_over((1,)), "each bin"),
    (ch02.ex3, standardise_over((2,)), "each frame"),
    (ch02.ex3, standardise_over((0,)), "over the batch"),
    (ch02.ex3, standardise_over((1, 2)), "silent clip gives nan"),
    (ch02.ex3, lambda x: (x - x.mean((1, 2))) / x.std((1, 2)), "keepdim"),
    (ch02.ex3, lambda x: centred(x), "division"),
    (ch02.ex3, lambda x: centred(x) / x.var((1, 2), keepdim=True), "variance"),
    (ch02.ex3, lambda x: x / x.std((1, 2), keepdim=True), "subtracting"),
    (
        ch02.ex3,
        lambda x: (
            (x - x.amin((1, 2), keepdim=True))
            / (x.amax((1, 2), keepdim=True) - x.amin((1, 2), keepdim=True))
        ),
        "minimum and maximum",
    ),
    (ch02.ex3, lambda x: centred(x) / x.std((1, 2), keepdim=True).clamp(min=5.0), "far smaller"),
    (ch02.ex3, lambda x: x.mean((1, 2)), "shape must stay"),
    (ch02.ex3, lambda x: x.sub_(x.mean((1, 2), keepdim=True)), "in place"),
    (ch02.ex3, lambda x: torch.nan_to_num(standardise_over((1, 2))(x), nan=1.0), "must give zeros"),
    (ch02.ex1, lambda z: z.clamp(max=80).softmax(-1), "without limits"),
    (ch02.ex1, lambda z: z.square() / z.square().sum(-1, keepdim=True), "exp of each logit"),
    (ch02.ex2, lambda s, n: s.unfold(1, n, max(1, n // 2)).permute(1, 2, 0), "without overlap"),
    (ch02.ex2, lambda s, n: ch02.cut_into_parts(s.flip(0), n), "wrong places"),
    (ch02.ex2, lambda s, n: list(ch02.cut_into_parts(s, n)), "one tensor"),
    (ch02.ex3, lambda x: x / x.abs().amax((1, 2), keepdim=True), "from each clip"),
    (ch02.ex3, lambda x: centred(x) / x.std(1, keepdim=True), "deviation of its own"),
    (
        ch02.ex3,
        lambda x: x / x.std((1, 2), keepdim=True) - x.mean((1, 2), keepdim=True),
        "put brackets",
    ),
    (ch02.ex3, zeros_for_all_beside_silence, "as it would be alone"),
    (ch02.ex2, lambda s, n: s[:, :400].T.reshape(2, 200, 80), "take the sizes from levels.shape"),
    (ch02.ex2, lambda s, n: whole(s, n).T.reshape(2, n, 80), "take the sizes from levels.shape"),
    (ch02.ex3, lambda x: standardise_over((1, 2))(x).nan_to_num(), "must give zeros"),
    (
        ch02.ex3,
        lambda x: centred(x) / (x.std((1, 2), keepdim=True) + 1e-12),
        "must give zeros",
    ),
    # What a beginner types first: the cell's own hiss detector, all of the upper half, no bias.
    (ch02.ex4, weighted(0.0, (40, 80, 1.0)), "mostly in s"),
    (ch02.ex4, weighted(0.0, (40, 80, 1.0), (0, 40, -1.0)), "mostly in s"),
    (ch02.ex4, weighted(0.0, (30, 50, 1.0)), "mostly outside hiss"),
    (ch02.ex4, weighted(-3.0, (35, 45, 1.0)), "raise the bias"),
    (ch02.ex4, weighted(0.0, (60, 80, -1.0)), "in which bins is sh strong"),
    (ch02.ex4, lambda x: (ch02.sh_detector(x) > 0).float(), "without > 0"),
    (ch02.ex4, lambda x: ch02.sh_detector(x) > 0, "without > 0"),
    (ch02.ex4, lambda x: x @ torch.zeros(80), "same score"),
    (ch02.ex4, lambda x: ch02.sh_detector(x).sigmoid() - 0.5, "not one linear layer"),
    (ch02.ex4, lambda x: x @ torch.zeros(81), "80 weights are needed"),
    (ch02.ex4, lambda x: x @ torch.zeros(80, dtype=torch.float64), "float32"),
    (ch02.ex4, lambda x: x * torch.ones(80), "one score a frame"),
    (ch02.ex4, lambda x: x @ torch.zeros(80, 10), "one score a frame"),
    (ch02.ex4, lambda x: ch02.sh_detector(x).max(), "one score a frame"),
    (ch02.ex4, lambda x: ch02.sh_detector(x) / 0, "nan or inf"),
]
