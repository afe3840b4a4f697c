"""Throw-away check: a model that heard only ``data/digits_en`` meets real people (FSDD_DIR)."""

import os
import sys
from pathlib import Path

import numpy as np
import soundfile as sf
import torch
from scipy.signal import resample_poly
from torch import nn
from torch.nn import functional as F
from torchaudio.transforms import MelSpectrogram

DATA = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "data"
REAL = Path(os.environ["FSDD_DIR"]) / "recordings"
EPOCHS, BATCH = 20, 64
CHOSEN_BY = ("george", "jackson")  # the data's settings were chosen by these two, not the others
LAYERS = (1, 24, 5, 2, 1), (24, 48, 3, 1, 2), (48, 96, 3, 1, 2), (96, 96, 3, 1, 1)
mel = MelSpectrogram(16000, 512, 400, 160, f_min=60, f_max=4000, n_mels=40, power=2)
torch.manual_seed(int(sys.argv[2]) if len(sys.argv) > 2 else 0)


def features(path: Path) -> torch.Tensor:
    """Log-mel picture [40, 48] in [-2, 2], trimmed to the word, 40 dB deep."""
    samples, rate = sf.read(path, dtype="float32")
    waveform = torch.from_numpy(resample_poly(samples, 16000, rate))
    power = mel(F.pad(waveform, (400, 400)))
    loud = torch.nonzero(power.sum(0) > power.sum(0).max() * 1e-4).flatten()
    decibels = 10 * power[:, max(loud[0] - 3, 0) : loud[-1] + 4].clamp(1e-10).log10()
    decibels = (decibels - decibels.max()).clamp(-40) / 10 + 2
    return F.interpolate(decibels[None], 48, mode="linear")


def augment(pictures: torch.Tensor) -> torch.Tensor:
    """Random speed, shift, frequency warp, tilt and noise; pictures [n, 1, 40, 48]."""
    n = len(pictures)
    grid = F.affine_grid(torch.eye(2, 3).repeat(n, 1, 1), pictures.shape, align_corners=False)
    warp = 1 + (torch.rand(n, 1, 1, 2) * 2 - 1) * torch.tensor([0.2, 0.1])
    shift = (torch.rand(n, 1, 1, 2) * 2 - 1) * torch.tensor([0.1, 0.04])
    moved = F.grid_sample(pictures, grid * warp + shift, "bilinear", "border", False)
    tilt = torch.linspace(-1, 1, 40)[:, None] * (torch.rand(n, 1, 1, 1) * 2 - 1) * 0.6
    noise = torch.randn_like(moved) * torch.rand(n, 1, 1, 1) * 0.3
    floor = torch.rand(n, 1, 1, 1) * 1.5 - 2  # a raised noise floor hides the weak parts
    return torch.maximum(moved + tilt + noise, floor)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for last, width, size, stride, pool in LAYERS:
            layers += [nn.Conv2d(last, width, size, stride, size // 2), nn.BatchNorm2d(width)]
            layers += [nn.ReLU(), nn.MaxPool2d(pool)]
        self.layers, self.head = nn.Sequential(*layers), nn.Linear(192, 10)

    def forward(self, x):
        x = self.layers(x)
        pooled = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        return self.head(F.dropout(pooled, 0.3, self.training))


files = sorted((DATA / "digits_en").glob("*.wav"))
x = torch.stack([features(f) for f in files])
y = torch.tensor([int(f.stem[-1]) for f in files])
model, steps = Network(), EPOCHS * (len(x) // BATCH)
optimiser = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.01)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, steps)
for _ in range(steps):
    rows = torch.randint(len(x), (BATCH,))
    loss = F.cross_entropy(model(augment(x[rows])), y[rows], label_smoothing=0.1)
    optimiser.zero_grad(), loss.backward(), optimiser.step(), schedule.step()
real = sorted(REAL.glob("*.wav"))
truth, who = np.array([f.name.split("_")[:2] for f in real]).T
with torch.no_grad():
    guess = model.eval()(torch.stack([features(f) for f in real])).argmax(1).numpy()
right = guess == truth.astype(int)
for name in sorted(set(who)):
    print(name, "(chosen by)" if name in CHOSEN_BY else "", f"{right[who == name].mean():.1%}")
print(f"all: {right.mean():.1%}", {d: f"{right[truth == str(d)].mean():.0%}" for d in range(10)})
