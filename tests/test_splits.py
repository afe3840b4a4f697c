"""Splits: nobody is on two sides who should not be, and nothing is left out in silence."""

import pytest
from sounds import write

import experiment
from course_utils import splits
from course_utils.errors import DataError
from course_utils.recordings import SpokenWords


def disjoint(split: splits.Split) -> bool:
    parts = [set(part) for part in split]
    return sum(map(len, parts)) == len(set.union(*parts))


def speakers_of(data: SpokenWords, clips: list[int]) -> set[str]:
    return {data.speakers[i] for i in clips}


@pytest.mark.parametrize("seed", range(5))
def test_split_by_clip_is_stratified_and_seeded(people, seed):
    data = SpokenWords(people, layout="speaker_digit")
    split = splits.split_by_clip(data, seed)
    assert disjoint(split) and sum(map(len, split)) == len(data)
    assert split == splits.split_by_clip(data, seed)
    assert split != splits.split_by_clip(data, seed + 1)
    for part in split:
        counts = data.labels[part].bincount(minlength=10)
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("seed", range(5))
def test_split_by_speaker_keeps_everybody_on_one_side(people, seed):
    data = SpokenWords(people, layout="speaker_digit")
    split = splits.split_by_speaker(data, "p04", seed)
    assert disjoint(split) and sum(map(len, split)) == len(data)
    sides = [speakers_of(data, part) for part in split]
    assert sides[2] == {"p04"}
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]


def test_split_by_family_keeps_families_and_speakers_on_one_side(people):
    data = SpokenWords(people, layout="speaker_digit")
    split = splits.split_by_family(data, "a")
    assert disjoint(split) and sum(map(len, split)) == len(data)
    assert {data.families[i] for i in split.test} == {"a"}
    assert {data.families[i] for i in split.train + split.valid} == {"b"}
    assert not speakers_of(data, split.train) & speakers_of(data, split.valid)


def test_a_speaker_of_two_families_is_not_on_both_sides(people):
    data = SpokenWords(people, layout="speaker_digit")
    data.families[data.speakers.index("p01")] = "a"
    split = splits.split_by_family(data, "a")
    assert "p01" not in speakers_of(data, split.train + split.valid)


def test_split_by_takes(takes):
    data = SpokenWords(takes, layout="digit_speaker_take")
    split = splits.split_by_takes(data, 1, 2)
    assert disjoint(split) and sum(map(len, split)) == len(data)
    assert {data.takes[i] for i in split.test} == {1, 2}
    assert {data.takes[i] for i in split.train + split.valid} == {0, 3}
    with pytest.raises(DataError, match="the part to train is empty"):
        splits.split_official(data)


def test_split_official_is_takes_0_to_4(tmp_path):
    for take in range(7):
        for digit in range(10):
            write(tmp_path / f"{digit}_ann_{take}.wav")
    data = SpokenWords(tmp_path, layout="digit_speaker_take")
    split = splits.split_official(data)
    assert {data.takes[i] for i in split.test} == {0, 1, 2, 3, 4}
    assert disjoint(split) and sum(map(len, split)) == 70


def test_split_all_has_no_test(people):
    data = SpokenWords(people, layout="speaker_digit")
    split = splits.split_all(data)
    assert split.test == [] and disjoint(split) and sum(map(len, split)) == len(data)
    assert not speakers_of(data, split.train) & speakers_of(data, split.valid)


def test_impossible_splits_are_refused_in_a_sentence(people, takes):
    data = SpokenWords(people, layout="speaker_digit")
    with pytest.raises(DataError, match="has no takes"):
        splits.split_official(data)
    with pytest.raises(DataError, match="No speaker is called p99: there are p00"):
        splits.split_by_speaker(data, "p99")
    with pytest.raises(DataError, match="No family is called c"):
        splits.split_by_family(data, "c")


def test_one_speaker_only(tmp_path):
    for digit in range(10):
        write(tmp_path / f"ann_{digit}.wav")
    data = SpokenWords(tmp_path, layout="speaker_digit")
    with pytest.raises(DataError, match="Fewer than two speakers"):
        splits.split_by_speaker(data, "ann")


def test_a_speakers_third_take_is_on_the_side_of_the_first_in_every_split(tmp_path):
    for speaker in ("mei", "anna-1", "anna-2", "bob", "eve"):
        for word in ("yes", "no"):
            write(tmp_path / f"{speaker}_{word}.wav")
    for take in (2, 3):
        write(tmp_path / f"mei_yes_take{take}.wav")
    data = SpokenWords(tmp_path, layout="speaker_word")
    folds = experiment.splits_named(data, "loso")
    assert list(folds) == ["anna-1", "anna-2", "bob", "eve", "mei"]
    assert sum(len(split.test) for split in folds.values()) == len(data) == 12
    named = experiment.splits_named(data, "speaker:mei")["speaker:mei"]
    assert len(named.test) == 4 and named == folds["mei"]
    for seed in range(5):
        split = splits.split_all(data, seed)
        assert not speakers_of(data, split.train) & speakers_of(data, split.valid)
    for split in folds.values():
        sides = [speakers_of(data, part) for part in split]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 5


@pytest.mark.parametrize(
    "name", ["clip", "all", "loso", "speaker:p04", "family:a", "official", "takes:1-2"]
)
def test_each_name_of_the_command_line_gives_its_split(people, takes, name):
    with_takes = name == "official" or name.startswith("takes")
    layout = "digit_speaker_take" if with_takes else "speaker_digit"
    experiment.check_split_name(name, layout)
    data = SpokenWords(takes if with_takes else people, layout=layout)
    if name == "official":  # all of these takes are below 5
        with pytest.raises(DataError, match="is empty"):
            experiment.splits_named(data, name)
        return
    found = experiment.splits_named(data, name)
    assert all(disjoint(split) for split in found.values())
    assert list(found) == ([f"p{i:02d}" for i in range(12)] if name == "loso" else [name])


@pytest.mark.parametrize("name", ["", "speaker", "speaker:", "takes:4", "takes:a-b", "Loso"])
def test_an_unknown_split_is_refused_with_the_known_ones(name):
    with pytest.raises(DataError, match="is unknown: use official, takes:A-B, clip"):
        experiment.check_split_name(name, "speaker_digit")


@pytest.mark.parametrize("layout", ["speaker_digit", "speaker_word"])
def test_takes_are_split_in_one_layout_only(layout):
    with pytest.raises(DataError, match="use --layout digit_speaker_take"):
        experiment.check_split_name("official", layout)
