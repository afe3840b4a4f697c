"""Who is trained on and who is tested: splits that share no clip, and say what they leave out.

Taught in chapter 8. Nothing is ever chosen by the test part: what training takes is `train`, what
decides when to stop is `valid`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from course_utils.errors import DataError
from course_utils.recordings import SpokenWords, _normal

OFFICIAL_TAKES = (0, 4)


class Split(NamedTuple):
    """Three lists of clip numbers that share none: to train on, to choose by, to judge by."""

    train: list[int]
    valid: list[int]
    test: list[int]


def split_by_clip(data: SpokenWords, seed: int = 0) -> Split:
    """Split clips at random, a fifth to test: the speakers are the same on both sides.

    Returns:
        a Split; every word has its share of each part.

    >>> from course_utils.paths import data_path
    >>> split = split_by_clip(SpokenWords(data_path("digits_en"), layout="speaker_digit"))
    >>> set(split.train) & set(split.test)
    set()
    """
    rest, test = _share_of_clips(data, range(len(data)), 0.2, seed)
    train, valid = _share_of_clips(data, rest, 0.1, seed)
    return _checked(Split(train, valid, test), "by clip")


def split_by_takes(data: SpokenWords, first: int, last: int, seed: int = 0) -> Split:
    """Split FSDD by take: takes first to last to test, the same speakers on both sides.

    Returns:
        a Split; a tenth of the clips that are not tested are the validation part.
    Raises:
        DataError: if the layout has no takes or the range holds none or all of them.

    >>> from course_utils.paths import data_path
    >>> data = SpokenWords(data_path("digits_en"), layout="speaker_digit")
    >>> split_by_takes(data, 0, 4)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    course_utils.errors.DataError: The layout speaker_digit has no takes: ...
    """
    if data.layout != "digit_speaker_take":
        raise DataError(
            f"The layout {data.layout} has no takes: split by clip, speaker or family instead."
        )
    test = [i for i, take in enumerate(data.takes) if first <= take <= last]
    rest = [i for i, take in enumerate(data.takes) if not first <= take <= last]
    train, valid = _share_of_clips(data, rest, 0.1, seed)
    return _checked(Split(train, valid, test), f"by takes {first} to {last}")


def split_official(data: SpokenWords, seed: int = 0) -> Split:
    """Split FSDD its authors' way: takes 0 to 4 to test (300 of 3,000 recordings).

    Returns:
        a Split, as `split_by_takes(data, 0, 4)`.
    Raises:
        DataError: as `split_by_takes`.

    >>> OFFICIAL_TAKES
    (0, 4)
    """
    return split_by_takes(data, *OFFICIAL_TAKES, seed=seed)


def split_by_speaker(data: SpokenWords, speaker: str, seed: int = 0) -> Split:
    """Keep one speaker, with all takes, for the test; nobody is on two sides.

    Returns:
        a Split, where a tenth of the other speakers (one at least) are the validation part.
    Raises:
        DataError: if nobody has this name or too few are left.

    >>> from course_utils.paths import data_path
    >>> data = SpokenWords(data_path("digits_en"), layout="speaker_digit")
    >>> split = split_by_speaker(data, data.speakers[0])
    >>> len(split.test), data.speakers[0] in {data.speakers[i] for i in split.train + split.valid}
    (10, False)
    """
    return _split_by_group(data, data.speakers, speaker, "speaker", seed)


def split_by_family(data: SpokenWords, family: str, seed: int = 0) -> Split:
    """Keep one family of voices (a column of `manifest.csv`) for the test.

    Returns:
        a Split, whose validation part is of other speakers than its training part.
    Raises:
        DataError: if there is no such family or too few speakers are left.

    >>> from course_utils.paths import data_path
    >>> data = SpokenWords(data_path("digits_en"), layout="speaker_digit")
    >>> split = split_by_family(data, data.families[0])
    >>> {data.families[i] for i in split.test} & {data.families[i] for i in split.train}
    set()
    """
    return _split_by_group(data, data.families, family, "family", seed)


def split_all(data: SpokenWords, seed: int = 0) -> Split:
    """Keep a tenth of the speakers for validation, and nothing for a test.

    Returns:
        a Split whose test part is empty. A single speaker's clips are split at random.
    Raises:
        DataError: if there are too few clips.

    >>> from course_utils.paths import data_path
    >>> split_all(SpokenWords(data_path("digits_en"), layout="speaker_digit")).test
    []
    """
    if len(set(data.speakers)) < 2:
        train, valid = _share_of_clips(data, range(len(data)), 0.1, seed)
    else:
        train, valid = _share_of_speakers(data, range(len(data)), seed)
    return _checked(Split(train, valid, []), "with validation only", test=False)


def _split_by_group(data: SpokenWords, groups: list[str], name: str, kind: str, seed: int) -> Split:
    name = _normal(name)
    if name not in groups:
        known = sorted(set(groups))
        more = ", …" if len(known) > 12 else ""
        raise DataError(
            f"No {kind} is called {name}: there are {', '.join(known[:12])}{more}; choose one of "
            "them."
        )
    test = [i for i, group in enumerate(groups) if group == name]
    heard = {data.speakers[i] for i in test}
    rest = [i for i, speaker in enumerate(data.speakers) if speaker not in heard]
    if len({data.speakers[i] for i in rest}) < 2:
        raise DataError(
            f"Fewer than two speakers are left without the {kind} {name}: one is needed to train "
            "and another to validate; split by clip, or add recordings."
        )
    train, valid = _share_of_speakers(data, rest, seed)
    return _checked(Split(train, valid, test), f"by {kind}")


def _share_of_clips(
    data: SpokenWords, clips: Sequence[int], share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Part clips in two, each word in the same proportion, the second part `share` of them."""
    generator = random.Random(f"clips {seed}")
    kept, taken = [], []
    labels = data.labels.tolist()
    for label in range(len(data.words)):
        same = [i for i in clips if labels[i] == label]
        generator.shuffle(same)
        count = max(1, round(share * len(same))) if len(same) > 1 else 0
        taken += same[:count]
        kept += same[count:]
    return sorted(kept), sorted(taken)


def _share_of_speakers(
    data: SpokenWords, clips: Sequence[int], seed: int
) -> tuple[list[int], list[int]]:
    """Part clips in two, by speaker: a tenth of the speakers, one at least, to the second part."""
    speakers = sorted({data.speakers[i] for i in clips})
    random.Random(f"speakers {seed}").shuffle(speakers)
    chosen = set(speakers[: max(1, round(0.1 * len(speakers)))])
    kept = [i for i in clips if data.speakers[i] not in chosen]
    taken = [i for i in clips if data.speakers[i] in chosen]
    return kept, taken


def _checked(split: Split, how: str, test: bool = True) -> Split:
    empty = [name for name, part in zip(split._fields, split, strict=True) if not part]
    if empty and not (empty == ["test"] and not test):
        raise DataError(
            f"Split {how}, the part to {empty[0]} is empty: there are too few recordings, or the "
            "split does not fit them."
        )
    return split
