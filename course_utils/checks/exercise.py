"""What every exercise check has in common: one sentence, True or False, never an exception."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

NO_ANSWER = "there is no answer yet: replace the dots in the cell above."
CHANGED_INPUT = "your function changes its input in place: work on a new tensor instead."


class Fault(Exception):
    """A hint found while an answer was running."""


class Check:
    """A check of one exercise, made by `@exercise(reference=…)`.

    Call it with an answer: it prints one sentence and returns whether the answer is right.
    `reference` is an answer that is right; `or_reference(answer)` returns the answer if it is
    right and the reference otherwise, so that the cells below an unsolved exercise still run.
    """

    def __init__(self, find_fault: Callable[[Any], str | None], reference: Any) -> None:
        self._find_fault = find_fault
        self.reference = reference
        self.__doc__ = find_fault.__doc__
        self.__name__ = find_fault.__name__

    def __call__(self, answer: Any) -> bool:
        hint = self._hint(answer)
        print("Right." if hint is None else f"Not yet: {hint}")
        return hint is None

    def or_reference(self, answer: Any) -> Any:
        """Return the answer if it is right; if not, say so and return the reference."""
        if self._hint(answer) is None:
            return answer
        print("The course's own answer is used below, until yours is right.")
        return self.reference

    def _hint(self, answer: Any) -> str | None:
        if answer is None or answer is ...:
            return NO_ANSWER
        try:
            return self._find_fault(_guarded(answer) if inspect.isroutine(answer) else answer)
        except Fault as fault:
            return str(fault)
        except Exception as error:  # an answer may fail in any way; the student gets a sentence
            first_line = str(error).partition("\n")[0]
            return f"your answer raised {type(error).__name__}: {first_line}"


def exercise(reference: Any) -> Callable[[Callable[[Any], str | None]], Check]:
    """Turn a function that returns a hint, or None for a right answer, into a `Check`.

    A function given as answer is watched: one that returns nothing, or that changes a tensor
    or an array that it was given, gets its hint here, and the check need not look for it.

    Parameters: reference, an answer that is right (a function or a value).

    >>> @exercise(reference=4)
    ... def ex1(answer):
    ...     return None if answer == 4 else "add the two numbers once more."
    >>> ex1(4), ex1(5)
    Right.
    Not yet: add the two numbers once more.
    (True, False)
    """
    return lambda find_fault: Check(find_fault, reference)


def as_tensor(result: Any) -> torch.Tensor | None:
    """Return a tensor, an array or a list of numbers as a tensor; None for anything else.

    >>> as_tensor([1.0, 2.0]), as_tensor("loud")
    (tensor([1., 2.], dtype=torch.float64), None)
    """
    try:
        return torch.as_tensor(np.asarray(result.detach() if hasattr(result, "detach") else result))
    except (TypeError, ValueError):
        return None


def as_numbers(answer: Any, count: int) -> list[float]:
    """Return an answer of `count` numbers, a list, a tuple or a tensor of them, as floats.

    Raises: Fault, with the hint, if it is anything else.

    >>> as_numbers((156, 2416), 2)
    [156.0, 2416.0]
    """
    word = {3: "three", 4: "four"}.get(count, str(count))
    if isinstance(answer, str | dict) or not hasattr(answer, "__len__"):
        raise Fault(f"{word} numbers are needed, in one list.")
    if any(number is ... for number in answer):
        raise Fault(f"there are dots left: give all {word} numbers.")
    if any(isinstance(number, str) for number in answer):
        raise Fault("these are texts: write the numbers without quotation marks.")
    if len(answer) != count:
        raise Fault(f"{word} numbers are needed, in one list, and there are {len(answer)}.")
    return [float(number) for number in answer]


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        given = [
            a for a in (*arguments, *named.values()) if isinstance(a, torch.Tensor | np.ndarray)
        ]
        before = [
            copy.deepcopy(np.asarray(a.detach() if isinstance(a, torch.Tensor) else a))
            for a in given
        ]
        result = function(*arguments, **named)
        if result is None or result is ...:
            raise Fault(NO_ANSWER)
        for old, now in zip(before, given, strict=True):
            values = now.detach().numpy() if isinstance(now, torch.Tensor) else now
            if not np.array_equal(old, values, equal_nan=old.dtype.kind == "f"):
                raise Fault(CHANGED_INPUT)
        return result

    return call
