"""Pictures changed a little, as another speaker, room or microphone would: taught in chapter 8."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional


def augment(pictures: torch.Tensor) -> torch.Tensor:
    """Change each picture of a batch a little, as another speaker or microphone would.

    Speed changes by 20 % at most, place by a tenth of the width, frequencies by 10 %, the tilt
    of the spectrum by 5 dB at each end, its smooth shape by 3 dB; a quarter of the pictures get
    a noise floor.

    Parameters: pictures, float32 tensor [batch, 1, n_mels, n_frames] in [-2, 2], where 1 is
        10 dB (from `features.log_mel_pictures`).
    Returns: a tensor of the same shape and range.
    Source: the idea of changing spectrograms instead of sound is that of Park et al.,
        "SpecAugment", Interspeech 2019; there are no masks here.

    >>> augment(torch.full((2, 1, 40, 48), -2.0)).shape
    torch.Size([2, 1, 40, 48])
    """
    batch, _, height, width = pictures.shape
    options: dict[str, Any] = {"device": pictures.device, "dtype": pictures.dtype}

    def between(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(batch, *shape, **options)

    # Speed and place stretch and move the time axis; the frequency axis stretches from its foot.
    warp = between(-0.1, 0.1)
    mapping = torch.zeros(batch, 2, 3, **options)
    mapping[:, 0, 0] = between(0.8, 1.2)
    mapping[:, 0, 2] = between(-0.2, 0.2)
    mapping[:, 1, 1] = 1 + warp
    mapping[:, 1, 2] = warp
    grid = functional.affine_grid(mapping, list(pictures.shape), align_corners=False)
    # Outside a picture there is silence, -2: grid_sample fills up with 0.
    changed = functional.grid_sample(pictures + 2, grid, align_corners=False) - 2

    slope = torch.linspace(-1, 1, height, **options)[:, None]
    changed = changed + between(-0.5, 0.5, 1, 1, 1) * slope
    for waves in (1, 2, 3):  # a microphone's and a room's smooth ups and downs
        ripple = torch.cos(math.pi * waves * (slope + 1) / 2)
        changed = changed + between(-0.3, 0.3, 1, 1, 1) * ripple
    changed = changed - changed.amax(dim=(2, 3), keepdim=True) + 2

    floor = between(-2.0, -0.5, 1, 1, 1) + between(-0.5, 0.5, 1, 1, 1) * slope
    floor = floor + 0.3 * torch.randn(batch, 1, height, width, **options)
    floor = floor.masked_fill(between(0, 1, 1, 1, 1) > 0.25, -9.0)
    scale = math.log(10)  # powers add, decibels do not
    return (torch.logaddexp(scale * changed, scale * floor) / scale).clamp(-2, 2)
