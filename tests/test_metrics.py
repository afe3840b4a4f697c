"""How a recogniser is judged: accuracy, confusion, and the intervals around an accuracy."""

import pytest
import torch
from learning import task
from sounds import write

import experiment
from course_utils import metrics, models
from course_utils.errors import TrainingError
from course_utils.recordings import SpokenWords


def test_intervals_are_those_of_the_books():
    # Newcombe 1998, table I, method 3: 81 of 263 and 0 of 20.
    assert metrics.wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert metrics.wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    # t for 4 speakers is 3.182.
    low, high = metrics.speaker_interval([0.6, 0.7, 0.7, 0.8])
    assert high - low == pytest.approx(2 * 3.1824 * 0.08165 / 2, abs=1e-3)
    assert metrics.speaker_interval([0.9]) is None
    with pytest.raises(TrainingError, match="no accuracy"):
        metrics.wilson_interval(3, 0)


def test_the_interval_over_speakers_is_wider_where_speakers_differ():
    low, high = metrics.wilson_interval(280, 400)
    wide_low, wide_high = metrics.speaker_interval([0.5, 0.7, 0.75, 0.85])
    assert wide_high - wide_low > 3 * (high - low)


@pytest.mark.parametrize(("correct", "total"), [(0, 1), (1, 1), (0, 300), (300, 300)])
def test_an_interval_over_clips_stays_between_0_and_1(correct, total):
    low, high = metrics.wilson_interval(correct, total)
    assert 0 <= low <= correct / total <= high <= 1


def test_an_interval_over_speakers_without_a_spread_or_beyond_1():
    assert metrics.speaker_interval([0.9, 0.9, 0.9]) == (0.9, 0.9)
    low, high = metrics.speaker_interval([1.0, 0.9])
    assert high == 1.0 and 0.0 <= low < 0.95
    assert metrics.speaker_interval([]) is None


def test_confusion_counts_every_clip_once():
    labels = torch.tensor([0, 0, 1, 2])
    matrix = metrics.confusion(torch.tensor([0, 1, 1, 0]), labels, classes=3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_accuracy_is_the_share_of_right_answers_and_needs_clips():
    model, (pictures, labels) = models.SmallCNN(), task(30)
    right = models.predict(model, pictures).argmax(dim=1) == labels
    assert metrics.accuracy(model, pictures, labels) == pytest.approx(float(right.float().mean()))
    with pytest.raises(TrainingError, match="no clips to judge by: choose"):
        metrics.accuracy(model, pictures[:0], labels[:0])


# Judging a folder


@pytest.fixture
def four(tmp_path):
    """Clips of mei (three takes of yes), anna-1 and anna-2, in the order of their names."""
    for name in ("anna-1_yes", "anna-2_no", "mei_no", "mei_yes", "mei_yes_take2", "mei_yes_take3"):
        write(tmp_path / f"{name}.wav")
    return SpokenWords(tmp_path, layout="speaker_word")


def test_a_person_counts_once_in_the_interval_over_speakers(four):
    answers = torch.eye(2)[four.labels]
    answers[5] = answers[5].flip(0)  # mei's third take is not understood
    judged = experiment.judge(four, range(6), four.labels, answers, four.words, new_speakers=True)
    assert judged["per_speaker"] == {"anna-1": 1.0, "anna-2": 1.0, "mei": 0.75}
    assert judged["speaker_interval"] == metrics.speaker_interval([1.0, 1.0, 0.75])
    assert judged["test_accuracy"] == 5 / 6
    heard_before = experiment.judge(four, range(6), four.labels, answers, four.words, False)
    assert heard_before["speaker_interval"] is None


def test_rows_of_the_confusion_and_shares_are_named_by_words(four):
    words = ["up", "yes", "no"]  # a model's: in another order, and one more
    labels = four.labels_for(words)
    answers = torch.eye(3)[torch.zeros(6, dtype=torch.long)]  # it always hears up
    judged = experiment.judge(four, range(6), labels, answers, words, new_speakers=True)
    assert judged["words"] == words
    assert judged["confusion"] == [[0, 0, 0], [4, 0, 0], [2, 0, 0]]
    assert judged["per_digit"] == {"yes": 0.0, "no": 0.0}


def test_without_clips_there_is_nothing_to_judge(four):
    judged = experiment.judge(four, [], four.labels[:0], torch.zeros(0, 2), four.words, True)
    assert judged.pop("words") == ["no", "yes"]
    assert set(judged.values()) == {None} and "confusion" in judged
