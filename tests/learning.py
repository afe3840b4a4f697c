"""A small task that a network learns in no time, for tests of the training and its files."""

from __future__ import annotations

from dataclasses import replace

import torch

from course_utils import models, training
from course_utils.training import Recipe

QUICK = Recipe(models.SmallCNN, batch_size=16, epochs=3)


def task(clips: int = 60, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Ten kinds of pictures with some noise on them."""
    generator = torch.Generator().manual_seed(42)
    kinds = torch.randn(10, 1, 16, 16, generator=generator)
    labels = torch.arange(clips) % 10
    noise = torch.randn(clips, 1, 16, 16, generator=generator.manual_seed(seed))
    return (kinds[labels] + noise).clamp(-2, 2), labels


def fit(seed: int = 0, report=None, checkpoint=None, resume: bool = False, **settings):
    """Train a small network on the task with some settings of `QUICK` changed."""
    training.seed_everything(seed)
    model = models.SmallCNN()
    history = training.fit(
        model, *task(), *task(30, seed=1), replace(QUICK, **settings),
        seed=seed, device="cpu", checkpoint=checkpoint, resume=resume, report=report,
    )  # fmt: skip
    return model, history


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    """Whether two networks are equal bit for bit."""
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)
