"""Change pictures in training as other speakers, rooms, microphones and machines would.

`augment` is a row of small steps; each draws its own random numbers for each picture of a batch
and leaves most pictures alone. A picture's unit is 10 dB: 2 is its loudest cell, -2 silence.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional


def augment(pictures: torch.Tensor, share_of_cuts: float = 0.3) -> torch.Tensor:
    """Change each picture of a batch a little, as another speaker, room or microphone would.

    In this order: hiss is weakened; beginnings and ends are cut; speed, place and frequencies
    change; bands are masked; microphones colour and cut off the spectrum; a room echoes; loud
    frames are clipped; other voices, noise and hum are added. Taught in chapter 8.

    Args:
        pictures: floating-point tensor [batch, 1, n_mels, n_frames] in [-2, 2], where 1 is 10 dB
            (from `pictures.log_mel_pictures`).
        share_of_cuts: of pictures whose beginning is silenced, and of those whose end is.
    Returns:
        a tensor of the same shape, dtype and range. A seed of PyTorch's repeats it.
    Source:
        the idea of changing spectrograms instead of sound, and of masking bands, is that of Park
        et al., "SpecAugment", Interspeech 2019.

    >>> augment(torch.full((2, 1, 40, 48), -2.0)).shape
    torch.Size([2, 1, 40, 48])
    """
    moved = _move(_cut(_weaken_hiss(pictures), share_of_cuts))
    changed = _mask(moved) + _microphone(pictures)
    # From here on sounds are added to each other: their powers add, their decibels do not.
    power = _normalised(10**changed)
    power = _clip(_echo(power))
    power = _normalised(power + _other_voices(power))
    power = power + _noise(power) + _hum(power)
    return (power.log10() + 2).clamp(-2, 2)


def _between(pictures: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Draw one number for each picture; return them as [batch, 1, 1, 1]."""
    numbers = torch.rand(len(pictures), 1, 1, 1, device=pictures.device, dtype=pictures.dtype)
    return low + (high - low) * numbers


def _some(pictures: torch.Tensor, share: float) -> torch.Tensor:
    """Choose a share of the pictures; return whether each is chosen, as [batch, 1, 1, 1]."""
    return _between(pictures, 0, 1) < share


def _bands(pictures: torch.Tensor) -> torch.Tensor:
    """Return -1 for the lowest band to 1 for the highest, as [n_mels, 1]."""
    return torch.linspace(-1, 1, pictures.shape[2]).to(pictures)[:, None]


def _normalised(power: torch.Tensor) -> torch.Tensor:
    return power / power.amax(dim=(2, 3), keepdim=True)


def _weaken_hiss(pictures: torch.Tensor) -> torch.Tensor:
    """Weaken, for some pictures, the frames without low bands: s, f and th by 20 dB at most.

    They are what small microphones, 8 kHz and a cut close to the word take away first.
    """
    low = pictures[:, :, : pictures.shape[2] // 2].amax(dim=2, keepdim=True)
    gain = _between(pictures, -2, 0.5) * _some(pictures, 0.3)
    return torch.where(low < -0.5, pictures + gain, pictures).clamp(-2, 2)


def _cut(pictures: torch.Tensor, share: float) -> torch.Tensor:
    """Silence up to a quarter of the picture from where the word begins, or before its end."""
    n_frames = pictures.shape[3]
    place = torch.arange(n_frames, device=pictures.device)
    loud = (pictures.amax(dim=2, keepdim=True) > -1).to(pictures.dtype)
    first = loud.argmax(dim=3, keepdim=True)
    last = n_frames - 1 - loud.flip(3).argmax(dim=3, keepdim=True)
    early = (place < first + _between(pictures, 0, n_frames / 4)) & _some(pictures, share)
    late = (place > last - _between(pictures, 0, n_frames / 4)) & _some(pictures, share)
    return pictures.masked_fill(early | late, -2)


def _move(pictures: torch.Tensor) -> torch.Tensor:
    """Change speed by 20 %, place by a tenth of the width and frequencies by 10 % at most."""
    warp = _between(pictures, -0.1, 0.1).flatten()
    mapping = pictures.new_zeros(len(pictures), 2, 3)
    mapping[:, 0, 0] = _between(pictures, 0.8, 1.2).flatten()
    mapping[:, 0, 2] = _between(pictures, -0.2, 0.2).flatten()
    mapping[:, 1, 1] = 1 + warp  # the frequency axis stretches from its foot
    mapping[:, 1, 2] = warp
    grid = functional.affine_grid(mapping, list(pictures.shape), align_corners=False)
    # Outside a picture there is silence, -2: grid_sample fills up with 0.
    return functional.grid_sample(pictures + 2, grid, align_corners=False) - 2


def _mask(pictures: torch.Tensor) -> torch.Tensor:
    """Silence neighbouring bands of some pictures, a fifth of all at most.

    So no band alone decides: what one voice or microphone lacks, the others must make up for.
    """
    n_mels = pictures.shape[2]
    band = torch.arange(n_mels, device=pictures.device)[:, None]
    first = _between(pictures, -n_mels / 10, n_mels)
    width = _between(pictures, 0, n_mels / 5)
    masked = (band >= first) & (band < first + width) & _some(pictures, 0.3)
    return pictures.masked_fill(masked, -2)


def _microphone(pictures: torch.Tensor) -> torch.Tensor:
    """Return gains [batch, 1, n_mels, 1]: a tilt, smooth ups and downs, a low-pass for some."""
    bands = _bands(pictures)
    gain = _between(pictures, -0.5, 0.5) * bands
    for waves in (1, 2, 3):
        ripple = torch.cos(math.pi * waves * (bands + 1) / 2)
        gain = gain + _between(pictures, -0.3, 0.3) * ripple
    above = (bands - _between(pictures, 0.1, 1)).clamp(min=0)  # from 1.4 kHz up
    return gain - _some(pictures, 0.1) * _between(pictures, 2, 16) * above


def _echo(power: torch.Tensor) -> torch.Tensor:
    """Let some pictures fade as in a room: by 60 dB in 0.3 to 1.2 s."""
    frame = torch.arange(power.shape[3], device=power.device)
    later = (frame[:, None] - frame).clamp(min=0).to(power.dtype)  # [to, from]
    decay = _between(power, 0.06, 0.25)  # 10 dB in a frame
    strength = _some(power, 0.1) * 10 ** _between(power, -1, 0.2) * (1 - 10**-decay)
    tail = strength * 10 ** (-decay * later) * (later > 0)
    return power + power @ tail.transpose(2, 3)


def _clip(power: torch.Tensor) -> torch.Tensor:
    """Press down the loud frames of some pictures by up to 18 dB, with a floor of distortion."""
    loudest = power.amax(dim=2, keepdim=True)
    most = 10 ** -_between(power, 0.3, 1.8)
    gain = torch.where(loudest > most, most / loudest, 1)
    tilt = _between(power, -0.3, 0.3) * _bands(power)
    distortion = (gain < 1) * most * 10 ** (tilt - _between(power, 0.8, 2.5))
    return torch.where(_some(power, 0.1), power * gain + distortion, power)


def _other_voices(power: torch.Tensor) -> torch.Tensor:
    """Return, for some pictures, two others of the batch, 5 to 20 dB weaker."""
    half = power.shape[3] // 2
    others = power.roll(1, dims=0) + power.roll((2, half), dims=(0, 3))
    return others * _some(power, 0.15) * 10 ** -_between(power, 0.5, 2)


def _noise(power: torch.Tensor) -> torch.Tensor:
    """Return steady noise, for some pictures, from white to pink, 18 to 40 dB below the top."""
    level = _between(power, -4, -2.2) + _between(power, -0.6, 0.6) * _bands(power)
    return _some(power, 0.4) * 10 ** (level + 0.4 * torch.randn_like(power))


def _hum(power: torch.Tensor) -> torch.Tensor:
    """Return, for some pictures, the mains' hum: steady, strongest in the lowest bands."""
    band = torch.arange(power.shape[2], device=power.device, dtype=power.dtype)[:, None]
    level = _between(power, -3, 0) - _between(power, 0.1, 0.6) * band * 40 / len(band)
    return _some(power, 0.1) * 10 ** (level + 0.5 * torch.randn_like(power[..., :1]))
