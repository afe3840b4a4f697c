"""Augmentation: what it may change in a picture, and what it must leave."""

import inspect

import pytest
import torch

from course_utils import augment, pictures
from course_utils.audio import load
from course_utils.augment import augment as change
from course_utils.paths import data_path


def batch(size: int = 64) -> torch.Tensor:
    waveforms = [load(data_path(f"digits_en/rms01_{digit}.wav"))[0] for digit in range(8)]
    return pictures.log_mel_pictures(waveforms, 16000).repeat(size // 8, 1, 1, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(40, 48), (32, 32), (80, 80)])
def test_every_picture_changes_but_neither_shape_nor_range(dtype, size):
    torch.manual_seed(0)
    given = torch.nn.functional.interpolate(batch(), size).to(dtype)
    before = given.clone()
    changed = change(given)
    assert torch.equal(given, before)
    assert changed.shape == given.shape and changed.dtype == dtype
    assert changed.min() >= -2 and changed.max() <= 2 and changed.isfinite().all()
    assert all(not torch.equal(a, b) for a, b in zip(changed, given, strict=True))


def test_a_seed_repeats_the_changes():
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        results.append(change(batch()))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_most_of_a_picture_stays():
    """A network must still see the word: a changed picture is like its own original."""
    torch.manual_seed(0)
    given = batch()
    likeness = torch.corrcoef(torch.cat([given, change(given)]).flatten(1))[: len(given), 64:]
    own = likeness.diagonal()
    others = [likeness[i, j] for i in range(64) for j in range(64) if i % 8 != j % 8]
    assert own.mean() > torch.stack(others).mean() + 0.2


def test_silence_and_a_single_picture_are_no_trouble():
    for given in (torch.full((3, 1, 40, 48), -2.0), batch(8)[:1]):
        changed = change(given)
        assert changed.isfinite().all() and changed.max() <= 2


def test_an_echo_only_adds_and_only_later():
    torch.manual_seed(0)
    power = torch.full((200, 1, 4, 20), 1e-4)
    power[..., 8] = 1
    echoed = augment._echo(power)
    assert torch.allclose(echoed[..., :9], power[..., :9], atol=3e-4)
    assert (echoed >= power).all() and (echoed[..., 9] > 1e-3).any()


def test_clipping_makes_loud_frames_alike():
    torch.manual_seed(0)
    power = 10 ** torch.linspace(-4, 0, 48).expand(200, 1, 40, 48)
    loudest = augment._clip(power).amax(dim=2)[:, 0]
    flat = loudest[:, -1] < 0.999
    assert 0.02 < flat.float().mean() < 0.3
    assert torch.allclose(loudest[flat][:, -1], loudest[flat][:, -2], rtol=0.3)


def test_masks_are_rows_of_silent_bands_in_some_pictures():
    torch.manual_seed(0)
    masked = augment._mask(torch.ones(400, 1, 40, 48))
    silent = masked[:, 0] == -2
    assert torch.equal(silent.any(dim=2), silent.all(dim=2)), "a band is silent as a whole"
    bands = silent.all(dim=2)
    some = bands.any(dim=1)
    assert 0.15 < some.float().mean() < 0.35
    assert bands.sum(dim=1).max() <= 8
    edges = bands[some].int().diff(dim=1).abs().sum(dim=1)
    assert edges.max() <= 2, "they lie next to each other"


def test_functions_are_short():
    for name, function in inspect.getmembers(augment, inspect.isfunction):
        assert len(inspect.getsource(function).splitlines()) <= 40, name
