"""Pictures changed a little."""

import torch
from learning import task

from course_utils.augment import augment


def test_augmentation_changes_pictures_but_neither_shape_nor_range():
    torch.manual_seed(0)
    pictures = task(64)[0]
    changed = augment(pictures)
    assert changed.shape == pictures.shape and changed.isfinite().all()
    assert changed.min() >= -2 and changed.max() <= 2
    assert all(not torch.equal(a, b) for a, b in zip(changed, pictures, strict=True))
