"""Right and wrong answers to the exercises of chapter 1, and what the wrong ones are told."""

import math

import numpy as np
import torch

from course_utils.checks import ch01


def by_hand(time):
    """Return a periodic Hann window of so many samples."""
    return 0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(time, dtype=torch.float64) / time)


def level_by_loop(waveform):
    power = 0.0
    for sample in waveform[0]:
        power += float(sample) ** 2 / len(waveform[0])
    return 10 * math.log10(power)


def power_by_matrix(frame):
    """Return the power by sums over cosines and sines, in float32 only."""
    time = len(frame)
    angle = 2 * math.pi / time * torch.outer(torch.arange(time // 2 + 1), torch.arange(time))
    windowed = torch.hann_window(time) * frame
    return (angle.cos() @ windowed) ** 2 + (angle.sin() @ windowed) ** 2


RIGHT = [
    (ch01.ex1, lambda w: 20 * torch.log10(w.square().mean().sqrt())),
    (ch01.ex1, lambda w: 10 * np.log10(np.mean(w.numpy().astype(float) ** 2))),
    (ch01.ex1, lambda w: float(10 * torch.log10((w.double() ** 2).mean()))),
    (ch01.ex1, lambda w: (10 * torch.log10(w.square().mean()))[None]),
    (ch01.ex2, lambda t, n, h, c: (t - (0 if c else n)) // h + 1),
    (ch01.ex2, lambda t, n, h, c: 1 + int((t if c else t - n) / h)),
    (
        ch01.ex3,
        lambda x: torch.fft.fft(x.double() * by_hand(len(x)))[: len(x) // 2 + 1].abs() ** 2,
    ),
    (
        ch01.ex3,
        lambda x: (
            torch.view_as_real(torch.fft.rfft(x * torch.hann_window(len(x)))).square().sum(-1)
        ),
    ),
    (ch01.ex1, lambda w: 20 * math.log10(float(torch.linalg.vector_norm(w)) / w.numel() ** 0.5)),
    (ch01.ex2, lambda t, n, h, c: len(range(0, (t if c else t - n) + 1, h))),
    (ch01.ex3, lambda x: np.abs(np.fft.rfft((x * by_hand(len(x))).numpy())) ** 2),
    (ch01.ex1, level_by_loop),
    (ch01.ex1, lambda w: 10 * torch.log10(w[0].square().mean())),
    (ch01.ex1, lambda w: 10 * torch.log10(w.square().mean(-1))),
    (ch01.ex3, power_by_matrix),
    (ch01.ex3, lambda x: torch.fft.rfft(x.double() * by_hand(len(x))).abs() ** 2),
    (ch01.ex3, lambda x: (torch.fft.rfft(x * torch.hann_window(len(x))).abs() ** 2).tolist()),
    (ch01.ex3, lambda x: np.abs(np.fft.rfft(x.numpy() * np.hanning(len(x) + 1)[:-1])) ** 2),
    (ch01.ex1, lambda w: [10 * math.log10(float((w**2).mean()))]),
    (ch01.ex2, lambda t, n, h, c: float((t if c else t - n) // h + 1)),
    (ch01.ex4, [600, 160]),
    (ch01.ex4, (700, 107)),
    (ch01.ex4, torch.tensor([640, 200])),
    (ch01.ex4, np.array([680.0, 128.0])),
]


WRONG = [
    (ch01.ex1, lambda w: 10 * torch.log10(w.square().sum()), "mean of the power"),
    (ch01.ex1, lambda w: 10 * torch.log10(w.abs().mean()), "square the samples"),
    (
        ch01.ex1,
        lambda w: 10 * torch.log10(w.square().mean().sqrt()),
        "the root of the power takes 20",
    ),
    (ch01.ex1, lambda w: 20 * torch.log10(w.square().mean()), "the factor is 10"),
    (ch01.ex1, lambda w: torch.log(w.square().mean()), "log10"),
    (ch01.ex1, lambda w: 10 * torch.log(w.square().mean()), "log10"),
    (ch01.ex1, lambda w: torch.log10(w.square().mean()), "factor 10 is missing"),
    (ch01.ex1, lambda w: 10 * torch.log10(w.square()), "one number"),
    (ch01.ex1, lambda w: 20 * torch.log10(w.abs().mean()), "the logarithm last"),
    (ch01.ex2, lambda t, n, h, c: t // h, "add 1"),
    (ch01.ex2, lambda t, n, h, c: t // h + 1, "subtract n_fft"),
    (ch01.ex2, lambda t, n, h, c: t // h + 1 if c else t // h, "subtract n_fft"),
    (ch01.ex2, lambda t, n, h, c: (t - n) // h + 1, "you ignore center"),
    (ch01.ex2, lambda t, n, h, c: (t if not c else t - n) // h + 1, "wrong way round"),
    (ch01.ex2, lambda t, n, h, c: t / h + 1 if c else (t - n) / h + 1, "//"),
    (ch01.ex2, lambda t, n, h, c: round((t if c else t - n) / h) + 1, "too many"),
    (ch01.ex2, lambda t, n, h, c: -(-(t if c else t - n) // h) + 1, "too many"),
    (ch01.ex2, lambda t, n, h, c: t, "65328 samples"),
    (ch01.ex3, lambda x: torch.fft.rfft(x * torch.hann_window(400)).abs(), "amplitudes"),
    (ch01.ex3, lambda x: torch.fft.rfft(x).abs() ** 2, "window is missing"),
    (ch01.ex3, lambda x: torch.fft.fft(x * torch.hann_window(400)).abs() ** 2, "[201]"),
    (ch01.ex3, lambda x: torch.fft.rfft(x * torch.hann_window(400)), "complex"),
    (ch01.ex3, lambda x: torch.fft.rfft(x.mul_(torch.hann_window(400))).abs() ** 2, "in place"),
    (
        ch01.ex3,
        lambda x: torch.fft.rfft(x * torch.hann_window(400, periodic=False)).abs() ** 2,
        "symmetric",
    ),
    (ch01.ex1, lambda w: 20 * torch.log10(w.abs().max()), "the logarithm last"),
    (ch01.ex1, lambda w: 10 * torch.log10(w.var()), "has 0 dB and yours"),
    (ch01.ex2, lambda t, n, h, c: (t + n) // h + 1 if c else (t - n) // h + 1, "yours says 415"),
    (ch01.ex2, lambda t, n, h, c: t // h + 1 if c else (t - n) // h, "center=False"),
    (ch01.ex3, lambda x: torch.fft.rfft(x * torch.hamming_window(len(x))).abs() ** 2, "Hamming"),
    (ch01.ex3, lambda x: ch01.power_spectrum(x) / len(x), "divide by the length"),
    (ch01.ex3, lambda x: torch.fft.rfft(x).abs() ** 2 * by_hand(len(x) // 2 + 1), "values differ"),
    (ch01.ex3, lambda x: ch01.power_spectrum(torch.cat([x, x])[:400]), "[129]"),
    (ch01.ex1, lambda w: None, "end it with return"),
    (ch01.ex2, 409, "give the function itself"),
    (ch01.ex3, lambda x: torch.fft.rfft(x * torch.hann_window(1024)).abs() ** 2, "as long as each"),
    (ch01.ex4, [1024, 512], "the two clicks is 0.0 dB deep"),  # the starter
    (ch01.ex4, [400, 160], "a longer window parts tones"),  # the usual 25 ms and 10 ms
    (ch01.ex4, [512, 160], "the two tones is 4.6 dB deep"),
    (ch01.ex4, [1024, 128], "a shorter window parts clicks"),
    (ch01.ex4, [680, 160], "Take a shorter hop"),
    (ch01.ex4, [640, 64], "251 frames"),
    (ch01.ex4, [640.5, 128], "whole numbers"),
    (ch01.ex4, [16000, 200], "longer than half"),
    (ch01.ex4, [128, 160], "longer than the window"),
    (ch01.ex4, [640], "in one list"),
    (ch01.ex4, ["640", "128"], "without quotation marks"),
    (ch01.ex4, [640, ...], "dots left"),
]
