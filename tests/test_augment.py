"""Augmentation: what it may change in a picture, and what it must leave."""

import inspect

import pytest
import torch

import few_voices
from course_utils import augment, pictures
from course_utils.audio import load
from course_utils.augment import augment as change
from course_utils.paths import data_path
from few_voices import augment_few_voices

both = pytest.mark.parametrize("change", [change, augment_few_voices])


def batch(size: int = 64) -> torch.Tensor:
    waveforms = [load(data_path(f"digits_en/rms01_{digit}.wav"))[0] for digit in range(8)]
    return pictures.log_mel_pictures(waveforms, 16000).repeat(size // 8, 1, 1, 1)


@both
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(40, 48), (32, 32), (80, 80)])
def test_every_picture_changes_but_neither_shape_nor_range(dtype, size, change):
    torch.manual_seed(0)
    given = torch.nn.functional.interpolate(batch(), size).to(dtype)
    before = given.clone()
    changed = change(given)
    assert torch.equal(given, before)
    assert changed.shape == given.shape and changed.dtype == dtype
    assert changed.min() >= -2 and changed.max() <= 2 and changed.isfinite().all()
    assert all(not torch.equal(a, b) for a, b in zip(changed, given, strict=True))


@both
def test_a_seed_repeats_the_changes(change):
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        results.append(change(batch()))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@both
def test_most_of_a_picture_stays(change):
    """A network must still see the word: a changed picture is like its own original."""
    torch.manual_seed(0)
    given = batch()
    likeness = torch.corrcoef(torch.cat([given, change(given)]).flatten(1))[: len(given), 64:]
    own = likeness.diagonal()
    others = [likeness[i, j] for i in range(64) for j in range(64) if i % 8 != j % 8]
    assert own.mean() > torch.stack(others).mean() + 0.15


@both
def test_silence_and_a_single_picture_are_no_trouble(change):
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


def test_no_word_is_cut_where_no_cuts_are_wanted():
    torch.manual_seed(0)
    given = batch()
    assert torch.equal(augment._cut(given, 0), given)
    cut = (augment._cut(given.repeat(10, 1, 1, 1), 0.3)[:, 0] == -2).all(dim=1)
    silent = (given.repeat(10, 1, 1, 1)[:, 0] == -2).all(dim=1)
    changed = (cut != silent).any(dim=1).float().mean()
    assert 0.4 < changed < 0.6, "0.3 of the beginnings, 0.3 of the ends: 0.51 of the words"


def test_a_bent_picture_keeps_its_edges_and_the_order_of_its_bands():
    """A slope over the bands shows where each went: up or down a little, never past another."""
    torch.manual_seed(0)
    slope = torch.linspace(-1, 1, 40)[:, None].expand(300, 1, 40, 48)
    bent = few_voices._bend(slope)
    assert torch.allclose(bent[:, :, [0, -1]], slope[:, :, [0, -1]], atol=1e-5)
    assert (bent.diff(dim=2) > 0).all() and torch.allclose(
        bent[..., :1].expand_as(bent), bent, atol=1e-5
    )
    moved = 20 * (bent - slope).abs().amax(dim=(1, 2, 3))  # in bands
    assert 1 < moved.mean() < 2 and moved.max() < 4


def test_some_pictures_get_the_spectrum_of_another():
    torch.manual_seed(0)
    low, high = torch.linspace(2, -1.5, 40), torch.linspace(-1.5, 2, 40)
    pair = torch.stack([low, high])[:, None, :, None].repeat(100, 1, 1, 48)
    pair[..., :10] = -2  # silence stays silence
    changed = few_voices._spectrum_of_another(pair)
    assert (changed[..., :10] == -2).all()
    tilt = (changed - pair)[:, 0, -1, -1].abs()
    assert 0.35 < (tilt == 0).float().mean() < 0.65, "half of them stay as they are"
    assert tilt.max() > 3, "one can go all the way to the other"
    alone = pair[:1]
    assert torch.equal(few_voices._spectrum_of_another(alone), alone)


def test_functions_are_short():
    for name, function in inspect.getmembers(augment, inspect.isfunction):
        assert len(inspect.getsource(function).splitlines()) <= 40, name
