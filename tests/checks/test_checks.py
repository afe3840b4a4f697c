"""Every check accepts what is right, has a hint for what is wrong, and never raises.

The answers stand in `cases_ch01.py` to `cases_ch08.py`: `RIGHT` holds pairs of a check and an
answer, `WRONG` holds triples of a check, an answer and words of the hint that it must get.
"""

from __future__ import annotations

import importlib

import pytest
import torch
from IPython.core.formatters import DisplayFormatter

from course_utils import checks
from course_utils.checks import ch03, ch04, ch06, ch08, exercise

CASES = [importlib.import_module(f"cases_ch0{number}") for number in range(1, 9)]
RIGHT = [case for module in CASES for case in module.RIGHT]
WRONG = [case for module in CASES for case in module.WRONG]
CHECKS = [
    check
    for number in range(1, 9)
    for check in vars(importlib.import_module(f"course_utils.checks.ch0{number}")).values()
    if isinstance(check, exercise.Check)
]


# Their checks train what they are given.
TRAINED = [ch04.ex4, ch06.ex4, ch08.ex4]


def trained_slowly(cases):
    """The cases, those of a check that trains marked as slow."""
    found = []
    for case in cases:
        values = case if isinstance(case, tuple) else (case,)
        marks = [pytest.mark.slow] if values[0] in TRAINED else []
        found.append(pytest.param(*values, marks=marks))
    return found


def name_of(value):
    """Return how pytest shall call a check or the words of a hint; it counts the answers."""
    if isinstance(value, exercise.Check):
        return f"{value.find_faults.__module__.rpartition('.')[2]}.{value.__name__}"
    return value.replace(" ", "-") if isinstance(value, str) else None


def fails(*_):
    raise KeyError("levels")


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
@pytest.mark.parametrize("starter", [None, ...], ids=str)
def test_a_starter_is_told_what_to_do(check, starter, capsys):
    assert not check(starter)
    assert "replace the dots" in capsys.readouterr().out
    assert check.or_reference(starter) is check.reference


@pytest.mark.parametrize("check", [c for c in CHECKS if callable(c.reference)], ids=name_of)
def test_a_function_that_is_a_starter_is_told_what_to_do(check, capsys):
    assert not check(lambda *_: ...)
    assert "replace the dots" in capsys.readouterr().out


@pytest.mark.parametrize("check", [c for c in CHECKS if callable(c.reference)], ids=name_of)
def test_a_function_without_return_and_a_value_are_told_what_is_missing(check, capsys):
    assert not check(lambda *_: None)
    assert "gives no answer back: end it with return" in capsys.readouterr().out
    assert not check(torch.ones(3))
    assert "Tensor: give the function itself, without calling it" in capsys.readouterr().out


@pytest.mark.parametrize("answer", [ch03.largest_rate, ...])
def test_jupyter_shows_nothing_but_the_printed_sentence(answer, capsys):
    verdict = ch03.ex3(answer)
    assert capsys.readouterr().out == f"{verdict}\n"
    assert DisplayFormatter().format(verdict) == ({}, {})
    assert capsys.readouterr().out == ""


def test_an_answer_may_change_nothing_that_it_is_given(capsys):
    assert not ch08.ex3(lambda accuracies: accuracies.sort() or ch08.ex3.reference(accuracies))
    assert "in place" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("check", "answer"),
    trained_slowly([*((check, check.reference) for check in CHECKS), *RIGHT]),
    ids=name_of,
)
def test_a_right_answer_of_any_form_is_accepted(check, answer, capsys):
    accepted, said = check(answer), capsys.readouterr().out
    assert accepted and said == "Right.\n", said
    assert check.or_reference(answer) is answer


@pytest.mark.parametrize(("check", "answer", "words"), trained_slowly(WRONG), ids=name_of)
def test_a_wrong_answer_gets_its_own_hint(check, answer, words, capsys):
    assert not check(answer)
    said = capsys.readouterr().out
    assert said.startswith("Not yet: ") and said.count("\n") == 1
    assert words in said
    assert check.or_reference(answer) is check.reference


@pytest.mark.parametrize("check", trained_slowly(CHECKS), ids=name_of)
def test_the_hints_of_an_exercise_differ(check, capsys):
    hints = set()
    words = {words for other, _, words in WRONG if other is check}
    for other, answer, _ in WRONG:
        if other is check:
            check(answer)
            hints.add(capsys.readouterr().out)
    assert len(hints) >= len(words) >= 3


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
@pytest.mark.parametrize(
    "answer",
    [5, "text", object(), [1, "a", None], lambda: 3, lambda *_: 1 / 0, fails, print, torch.ones(3)],
)
def test_no_answer_makes_a_check_raise(check, answer, capsys):
    assert not check(answer)
    assert capsys.readouterr().out.splitlines()[-1].startswith("Not yet: ")


@pytest.mark.parametrize("check", [c for c in CHECKS if callable(c.reference)], ids=name_of)
def test_an_answer_that_raises_is_told_what_it_raised(check, capsys):
    assert not check(fails)
    assert "KeyError: 'levels'" in capsys.readouterr().out


def test_the_reference_of_chapter_3_is_where_sgd_begins_to_diverge():
    """The limit is measured: just below it the loss falls, just above it grows."""
    torch.manual_seed(0)
    x = torch.randn(40, 3, dtype=torch.float64) + 1
    y_true = torch.randn(40, 2, dtype=torch.float64)
    limit = ch03.largest_rate(x, 2)
    for factor, falls in ((0.98, True), (1.02, False)):
        model = torch.nn.Linear(3, 2, dtype=torch.float64)
        optimiser = torch.optim.SGD(model.parameters(), lr=factor * limit)
        losses = []
        for _ in range(600):
            loss = (y_true - model(x)).pow(2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert (losses[-1] < losses[0]) is falls


def test_progress_counts_what_was_solved_and_nothing_else(capsys):
    chapter = checks.ch01
    exercises = {name: c for name, c in vars(chapter).items() if isinstance(c, exercise.Check)}
    for check in exercises.values():
        check.solved = False
        assert check.accepts(check.reference) and not check.accepts(...)
        check.or_reference(check.reference)
    assert f"Exercises done: 0 of {len(exercises)}; left: 1, 2" in chapter.progress()
    chapter.ex2(chapter.ex2.reference)
    chapter.ex1(...)
    left = [name.removeprefix("ex") for name in exercises if name != "ex2"]
    done = f"Exercises done: 1 of {len(exercises)}; left: {', '.join(left)}."
    assert chapter.progress() == done
    for check in exercises.values():
        check(check.reference)
    assert chapter.progress() == f"Exercises done: {len(exercises)} of {len(exercises)}."
    assert "Exercises" not in capsys.readouterr().out
