"""Right and wrong answers to the exercises of chapter 7, and what the wrong ones are told."""

from __future__ import annotations

import math

import numpy as np
import torch

from course_utils.checks import ch07


def to_mel(hz):
    return 2595 * math.log10(1 + hz / 700)


def to_hz(mel):
    return 700 * (10 ** (mel / 2595) - 1)


def centres_by_loop(n_mels, f_min, f_max):
    low, high = to_mel(f_min), to_mel(f_max)
    return [to_hz(low + (high - low) * (j + 1) / (n_mels + 1)) for j in range(n_mels)]


def centres_natural(n_mels, f_min, f_max):
    ends = 1127 * np.log1p(np.array([f_min, f_max]) / 700)
    return 700 * np.expm1(np.linspace(*ends, n_mels + 2)[1:-1] / 1127)


def centres_with_torch(n_mels, f_min, f_max):
    mel = torch.linspace(to_mel(f_min), to_mel(f_max), n_mels + 2)
    return to_hz(mel[1:-1])


def pitch_by_autocorrelation(frame, sample_rate):
    lags = np.correlate(frame, frame, "full")[len(frame) - 1 :]
    first, last = sample_rate // 400, sample_rate // 60
    return sample_rate / (first + np.argmax(lags[first : last + 1]))


def pitch_with_torch(frame, sample_rate):
    frame = torch.as_tensor(frame)
    size = torch.fft.rfft(frame * torch.hann_window(len(frame))).abs()
    cepstrum = torch.fft.irfft(torch.log(size + 1e-3))
    first = sample_rate // 400
    return sample_rate / (first + cepstrum[first : sample_rate // 60].argmax())


def normalise_biased(levels):
    mean, spread = levels.mean(-1, keepdim=True), levels.std(-1, correction=0, keepdim=True)
    return (levels - mean) / (spread + 1e-6)


def normalise_by_layer_norm(levels):
    return torch.nn.functional.layer_norm(levels, levels.shape[-1:])


def normalise_in_numpy(levels):
    levels = levels.numpy()
    centred = levels - levels.mean(-1, keepdims=True)
    return centred / np.maximum(levels.std(-1, keepdims=True), 1e-5)


WAVES = np.cos(np.pi / 80 * np.outer(np.arange(80), np.arange(80) + 0.5)) / math.sqrt(40)
WAVES[0] /= math.sqrt(2)


def parts_of(cepstra, count):
    return np.concatenate([part.mean(axis=0) for part in np.array_split(cepstra, count)])


def describe_centred(levels):
    return parts_of((levels - levels.mean(axis=0)) @ WAVES[1:13].T, 3)


def describe_with_torch(levels):
    levels = torch.as_tensor(levels).float()
    cepstra = (levels - levels.mean(0)) @ torch.as_tensor(WAVES[1:13]).float().T
    return torch.cat([part.mean(0) for part in torch.tensor_split(cepstra, 3)])


RIGHT = [
    (ch07.ex4, describe_centred),
    (ch07.ex4, describe_with_torch),
    (ch07.ex4, lambda levels: describe_centred(levels).tolist()),
    (ch07.ex1, lambda n, a, b: centres_with_torch(n, a, b).float()),
    (ch07.ex2, lambda frame, rate: pitch_by_autocorrelation(frame.astype("float32"), rate)),
    (ch07.ex3, lambda levels: normalise_biased(levels).tolist()),
    (ch07.ex1, centres_by_loop),
    (ch07.ex1, centres_natural),
    (ch07.ex1, centres_with_torch),
    (ch07.ex2, pitch_by_autocorrelation),
    (ch07.ex2, pitch_with_torch),
    (ch07.ex2, lambda frame, rate: np.float32(pitch_by_autocorrelation(frame, rate))),
    (ch07.ex3, normalise_biased),
    (ch07.ex3, normalise_by_layer_norm),
    (ch07.ex3, lambda levels: normalise_biased(levels.double())),
    (ch07.ex1, lambda n, a, b: [torch.tensor(hz) for hz in centres_by_loop(n, a, b)]),
    (ch07.ex2, lambda frame, rate: torch.tensor([pitch_by_autocorrelation(frame, rate)])),
    (ch07.ex3, lambda x: (x - x.mean(-1)[..., None]) / x.std(-1)[..., None].clamp(min=1e-6)),
    (ch07.ex3, normalise_in_numpy),
]


def mels_between(n, low, high):
    return np.linspace(to_mel(low), to_mel(high), n)


def centres_of_mixed_bases(n_mels, f_min, f_max):
    return 700 * (np.exp(mels_between(n_mels + 2, f_min, f_max)[1:-1] / 2595) - 1)


def centres_between_edges(n_mels, f_min, f_max):
    edges = to_hz(mels_between(n_mels + 2, f_min, f_max))
    return (edges[:-2] + edges[2:]) / 2


def centres_of_slaney(n_mels, f_min, f_max):
    low, high = (
        hz * 0.015 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)
        for hz in (f_min, f_max)
    )
    mel = np.linspace(low, high, n_mels + 2)[1:-1]
    return [m / 0.015 if m < 15 else 1000 * 6.4 ** ((m - 15) / 27) for m in mel]


def cepstrum_of(frame):
    size = np.abs(np.fft.rfft(frame * np.hanning(len(frame))))
    return np.fft.irfft(np.log(size + 1e-6 * size.max()))


def pitch_from_envelope(frame, sample_rate):
    return sample_rate / (1 + cepstrum_of(frame)[1 : sample_rate // 60].argmax())


def strongest_harmonic(frame, sample_rate):
    return np.abs(np.fft.rfft(frame)).argmax() * sample_rate / len(frame)


def pitch_without_offset(frame, sample_rate):
    first = sample_rate // 400
    return sample_rate / max(1, cepstrum_of(frame)[first : sample_rate // 60].argmax())


def pitch_between(first, last):
    """Return an answer whose bounds are places in the cepstrum, whatever the sample rate."""
    return lambda frame, rate: rate / (first + cepstrum_of(frame)[first:last].argmax())


def normalise_plus(small):
    def normalise(levels):
        return (levels - levels.mean(-1, True)) / (levels.std(-1, keepdim=True) + small)

    return normalise


def normalise_at_least(small):
    def normalise(levels):
        return (levels - levels.mean(-1, True)) / levels.std(-1, keepdim=True).clamp(min=small)

    return normalise


def normalise_global(levels):
    return (levels - levels.mean()) / levels.std()


def normalise_batch(levels):
    if levels.ndim < 4:
        return ch07.ex3.reference(levels)
    return (levels - levels.mean((0, 3), True)) / levels.std((0, 3), keepdim=True)


def normalise_in_place(levels):
    levels -= levels.mean(-1, keepdim=True)
    return levels / levels.std(-1, keepdim=True)


def normalise_plain(levels):
    return (levels - levels.mean(-1, keepdim=True)) / levels.std(-1, keepdim=True)


def pitch_by_zero_crossings(frame, sample_rate):
    return sample_rate * np.count_nonzero(np.diff(np.sign(frame))) / 2 / len(frame)


def zeros_for_all_beside_silence(levels):
    silent = (levels.std(-1) == 0).any()
    return torch.zeros_like(levels) if silent else normalise_biased(levels)


WRONG = [
    (ch07.ex4, lambda levels: levels.mean(axis=0)[:60], "forgets what came first"),  # the starter
    (ch07.ex4, lambda levels: (levels @ WAVES[:13].T).mean(axis=0), "forgets what came first"),
    (ch07.ex4, lambda levels: parts_of(levels @ WAVES[1:13].T, 3), "remove each bin's mean"),
    (ch07.ex4, lambda levels: (levels - levels.mean(0)).mean(0)[:60], "all your descriptions"),
    (ch07.ex4, lambda levels: levels.mean(axis=0), "these are 80 numbers"),
    (ch07.ex4, lambda levels: levels @ WAVES[:13].T, "one row of numbers"),
    (ch07.ex4, lambda levels: levels.max(axis=1)[::4], "grow with the clip"),
    (ch07.ex4, lambda levels: np.full(13, np.nan), "NaN or infinite"),
    (ch07.ex4, lambda levels: "a four", "return at most 60 numbers"),
    (ch07.ex1, lambda n, a, b: to_hz(mels_between(n + 2, a, b)), "edges: leave out"),
    (ch07.ex1, lambda n, a, b: np.linspace(a, b, n + 2)[1:-1], "equal steps in Hz"),
    (ch07.ex1, lambda n, a, b: mels_between(n + 2, a, b)[1:-1], "these are mels"),
    (ch07.ex1, lambda n, a, b: to_hz(mels_between(n + 2, a, b)[1:-1]) + 700, "subtract the 1"),
    (ch07.ex1, lambda n, a, b: to_hz(mels_between(n, a, b)), "lie on f_min and f_max"),
    (ch07.ex1, lambda n, a, b: centres_by_loop(n, 0.0, b), "begin at f_min"),
    (ch07.ex1, lambda n, a, b: centres_by_loop(n, a, 8000.0), "end at f_max"),
    (ch07.ex1, centres_of_mixed_bases, "1127 with the base e"),
    (ch07.ex1, lambda n, a, b: b, "one for each filter"),
    (ch07.ex1, lambda n, a, b: to_hz(mels_between(n + 2, a, b)[:-2]), "edges on one side"),
    (ch07.ex1, centres_between_edges, "half-way between two edges"),
    (ch07.ex1, lambda n, a, b: np.round(centres_by_loop(n, a, b)), "unrounded"),
    (ch07.ex1, lambda n, a, b: centres_by_loop(n, a, b)[::-1], "lowest first"),
    (ch07.ex1, centres_of_slaney, "Slaney's scale"),
    (ch07.ex2, lambda x, rate: rate / ch07.ex2.reference(x, rate), "period in samples"),
    (ch07.ex2, lambda x, rate: 1 / ch07.ex2.reference(x, rate), "seconds"),
    (ch07.ex2, lambda x, rate: 1024 * ch07.ex2.reference(x, rate) / rate, "bin"),
    (ch07.ex2, lambda x, rate: ch07.ex2.reference(x, 16000), "sample_rate that is given"),
    (ch07.ex2, pitch_from_envelope, "above any voice"),
    (ch07.ex2, lambda x, rate: ch07.ex2.reference(x, rate) / 2, "octave"),
    (ch07.ex2, lambda x, rate: 2 * ch07.ex2.reference(x, rate), "harmonic 2"),
    (ch07.ex2, lambda x, rate: np.zeros(3), "one number"),
    (ch07.ex2, lambda x, rate: float("inf"), "no pitch"),
    (ch07.ex2, lambda x, rate: 80.0, "logarithm"),
    (ch07.ex2, strongest_harmonic, "strongest harmonic"),
    (ch07.ex2, pitch_without_offset, "add that to"),
    (ch07.ex3, lambda x: (x - x.mean(-2, True)) / x.std(-2, keepdim=True), "dim=-2"),
    (ch07.ex3, normalise_global, "whole picture"),
    (ch07.ex3, lambda x: x - x.mean(-1, keepdim=True), "mean is gone"),
    (ch07.ex3, lambda x: (x - x.mean(-1, True)) / x.var(-1, keepdim=True), "variance"),
    (ch07.ex3, lambda x: x / x.std(-1, keepdim=True), "subtract the mean"),
    (ch07.ex3, normalise_plain, "never changes"),
    (ch07.ex3, normalise_batch, "each clip"),
    (ch07.ex3, normalise_in_place, "in place"),
    (ch07.ex3, lambda x: x.mean(-1), "keepdim"),
    (ch07.ex3, lambda x: (x - x.mean(-1)) / x.std(-1), "the sizes do not match"),
    (ch07.ex3, lambda x: (x - x.mean(2, True)) / x.std(2, keepdim=True).clamp(1e-5), "dim=-1"),
    (ch07.ex3, lambda x: (x - x.mean(-1, True)) / x.std(), "means are right"),
    (ch07.ex3, lambda x: "flat", "return a tensor"),
    (ch07.ex1, lambda n, a, b: np.geomspace(max(a, 1), b, n + 2)[1:-1], "n_mels + 2 equal steps"),
    (ch07.ex1, lambda n, a, b: to_hz(mels_between(n + 1, a, b)[1:]), "n_mels + 2 equal steps"),
    (ch07.ex2, pitch_by_zero_crossings, "above any voice"),
    (ch07.ex2, lambda x, rate: float("nan"), "no pitch"),
    (ch07.ex3, lambda x: x / x.abs().amax(-1, keepdim=True), "mean 0 and standard deviation 1"),
    (ch07.ex3, zeros_for_all_beside_silence, "must not touch the other bins"),
    (ch07.ex2, pitch_between(40, 267), "search from sample_rate // 400"),
    (ch07.ex2, pitch_between(60, 401), "60 and 400 are frequencies"),
    (ch07.ex3, lambda x: normalise_plain(x).nan_to_num(), "must become 0, and yours becomes"),
    (ch07.ex3, normalise_plus(1e-8), "must become 0, and yours becomes"),
    (ch07.ex3, normalise_at_least(1.0), "far smaller"),
]
