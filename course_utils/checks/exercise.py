"""What every exercise check has in common: one sentence, right or not yet, never an exception."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from course_utils.language import translate

NO_ANSWER = "there is no answer yet: replace the dots in the cell above."
NO_RESULT = "your function gives no answer back: end it with return; print only shows a value."
CHANGED_INPUT = "your function changes its input in place: work on a new tensor instead."


class Fault(Exception):
    """A hint found while an answer was running."""


class Verdict:
    """What a check returns: true or false. Its sentence is printed, so Jupyter shows no more."""

    def __init__(self, hint: str | None) -> None:
        self.hint = hint

    def __bool__(self) -> bool:
        return self.hint is None

    def __repr__(self) -> str:
        return translate("Right." if self.hint is None else f"Not yet: {self.hint}")

    def _ipython_display_(self) -> None:
        """Keep Jupyter from echoing the verdict below the sentence."""


@dataclass(eq=False)
class Check:
    """A check of one exercise, made by `@exercise(reference=…)`.

    Call it with an answer: it prints one sentence and returns a `Verdict`, true or false, and
    `solved` says from then on whether the last answer was right. `accepts(answer)` is as silent as
    a test wants it, and does not count.
    `reference` is an answer that is right; `or_reference(answer)` returns the answer if it is
    right and the reference otherwise, so that the cells below an unsolved exercise still run.
    """

    find_faults: Callable[[Any], Iterator[str | None]]
    reference: Any
    errors: Mapping[str, str]
    forbidden: str
    solved: bool = False

    def __post_init__(self) -> None:
        self.__doc__, self.__name__ = self.find_faults.__doc__, self.find_faults.__name__

    def __call__(self, answer: Any) -> Verdict:
        verdict = Verdict(self._hint(answer))
        print(verdict)
        self.solved = bool(verdict)
        return verdict

    def accepts(self, answer: Any) -> bool:
        """Return whether the answer is right, and print nothing."""
        return self._hint(answer) is None

    def or_reference(self, answer: Any) -> Any:
        """Return the answer if it is right; if not, say so and return the reference."""
        if self._hint(answer) is None:
            return answer
        print(translate("The course's own answer is used below, until yours is right."))
        return self.reference

    def _hint(self, answer: Any) -> str | None:
        if answer is None or answer is ...:
            return NO_ANSWER
        called: set[str] = set()
        if callable(self.reference):
            if not callable(answer):
                return (
                    f"a function is needed, and this is of type {type(answer).__name__}: give the "
                    "function itself, without calling it."
                )
            answer = self._watched(answer, called)
        try:
            hint = next(filter(None, self.find_faults(answer)), None)
        except Fault as fault:
            return str(fault)
        except Exception as error:  # an answer may fail in any way; the student gets a sentence
            first_line = str(error).partition("\n")[0]
            return f"your answer raised {type(error).__name__}: {first_line}"
        road = min((name for name in called if re.fullmatch(self.forbidden, name)), default=None)
        if hint is None and road is not None:
            return f"the values are right, but the task is to do it without PyTorch's `{road}`."
        return hint

    def _watched(self, function: Callable[..., Any], called: set[str]) -> Callable[..., Any]:
        """The function, with a hint for what can go wrong in any exercise."""

        def call(*arguments: Any) -> Any:
            given = copy.deepcopy(arguments)
            try:
                with _NamesOfCalls(called):
                    result = function(*given)
            except Exception as error:
                for words, hint in self.errors.items():
                    if words in str(error):
                        raise Fault(hint) from None
                raise
            if result is None or result is ...:
                raise Fault(NO_RESULT if result is None else NO_ANSWER)
            if not all(map(_equal, arguments, given)):
                raise Fault(CHANGED_INPUT)
            return result

        return call


class _NamesOfCalls(TorchFunctionMode):
    """Collects the names of PyTorch's functions and methods that are called."""

    def __init__(self, names: set[str]) -> None:
        super().__init__()
        self._names = names

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._names.add(getattr(func, "__name__", repr(func)))
        return func(*args, **(kwargs or {}))


def _equal(old: Any, new: Any) -> bool:
    if isinstance(old, torch.Tensor):
        return torch.equal(old, new)
    return bool(np.array_equal(old, new) if isinstance(old, np.ndarray) else old == new)


def progress(chapter: ModuleType) -> str:
    """Return a line that says how many exercises of a chapter are done, and which are left.

    >>> from course_utils.checks import ch01
    >>> progress(ch01)[:15]
    'Exercises done:'
    """
    found = {name: value for name, value in vars(chapter).items() if isinstance(value, Check)}
    left = [name.removeprefix("ex") for name, check in found.items() if not check.solved]
    done, whole = len(found) - len(left), len(found)
    if left:
        return translate(f"Exercises done: {done} of {whole}; left: {', '.join(left)}.")
    return translate(f"Exercises done: {done} of {whole}.")


def exercise(
    reference: Any, errors: Mapping[str, str] | None = None, forbidden: str = ""
) -> Callable[[Callable[[Any], Iterator[str | None]]], Check]:
    """Turn a generator of hints, with None for what is right, into a `Check`.

    The first hint counts. A function given as answer is watched: one that returns nothing, or
    that changes what it was given, gets its hint here, and the check need not look for it.

    Parameters:
        reference: an answer that is right (a function or a value).
        errors: hints for exceptions in an answer, each by words of its message.
        forbidden: a pattern of the names of PyTorch's functions that the task rules out.

    >>> @exercise(reference=4)
    ... def ex1(answer):
    ...     yield explain(answer, 4, {"the first number counts too.": 3}, "add once more.")
    >>> [bool(ex1(number)) for number in (4, 3, 5)]
    Right.
    Not yet: the first number counts too.
    Not yet: add once more.
    [True, False, False]
    """
    return lambda find_faults: Check(find_faults, reference, errors or {}, forbidden)


def explain(
    given: Any,
    wanted: Any,
    hints: Mapping[str, Any] = MappingProxyType({}),
    otherwise: str = "the shape is right and the values are not.",
    tolerance: float = 1e-4,
) -> str | None:
    """Return None if `given` is what is wanted, and else the sentence of the mistake.

    Parameters:
        given: what the answer gave, a number or a tensor.
        wanted: what is right.
        hints: a sentence for each mistake, in the order in which they are tried. A mistake is
            what it would give, a tuple of such things, or True where it is known already.
        otherwise: the sentence for any other values.
        tolerance: of each value, as a share of the largest one.

    >>> hints = {"that is the square.": [1.0, 4.0], "that is the half.": [0.5, 1.0]}
    >>> explain([1, 2], [1.0, 2.0], hints), explain([1, 4], [1.0, 2.0], hints)
    (None, 'that is the square.')
    >>> explain([1, 2, 0], [1.0, 2.0], hints)
    'the shape is [3] and should be [2].'
    """
    given, wanted = as_tensor(given), as_tensor(wanted)
    if close(given, wanted, tolerance):
        return None
    for hint, mistakes in hints.items():
        for mistake in mistakes if isinstance(mistakes, tuple) else (mistakes,):
            if mistake is True or (mistake is not False and close(given, mistake, tolerance)):
                return hint
    if given.shape != wanted.shape:
        return f"the shape is {list(given.shape)} and should be {list(wanted.shape)}."
    return otherwise


def close(given: Any, wanted: Any, tolerance: float = 1e-4) -> bool:
    """Whether two things have one shape, and no value is off by a share of the largest one.

    >>> close(torch.tensor([1.0, 1e6]), [2.0, 1e6]), close(1.0, 2.0), close(1.0, [1.0])
    (True, False, False)
    """
    given, wanted = as_tensor(given), as_tensor(wanted)
    if given.shape != wanted.shape:
        return False
    scale = max(wanted.abs().flatten().tolist(), default=0.0)
    return math.isfinite(scale) and bool(((given - wanted).abs() <= tolerance * scale).all())


def as_tensor(result: Any, what: str = "one tensor") -> torch.Tensor:
    """Return a tensor, an array, a number or a list of numbers as a tensor: float64 or complex.

    Raises: Fault, with the hint, if it is anything else.

    >>> as_tensor([1.0, 2.0])
    tensor([1., 2.], dtype=torch.float64)
    """
    try:
        # PyTorch refuses arrays that run backwards; a copy runs forwards.
        tensor = torch.as_tensor(result.copy() if isinstance(result, np.ndarray) else result)
    except (TypeError, ValueError, RuntimeError):
        raise Fault(f"return {what}, not a {type(result).__name__}.") from None
    return tensor.detach().cpu() if tensor.is_complex() else tensor.detach().cpu().double()


def as_number(result: Any, what: str) -> float:
    """Return a number, or a tensor or a list that holds a single one, as a float.

    Raises: Fault, with the hint, if it is anything else.

    >>> as_number([0.5], "the level")
    0.5
    """
    tensor = as_tensor(result, f"one number, {what}")
    if tensor.numel() != 1:
        raise Fault(f"return one number, {what}; yours are {tensor.numel()}.")
    return float(tensor)


def as_numbers(answer: Any, count: int) -> list[float]:
    """Return an answer of `count` numbers, a list, a tuple or a tensor of them, as floats.

    Raises: Fault, with the hint, if it is anything else.

    >>> as_numbers((156, 2416), 2)
    [156.0, 2416.0]
    """
    word = {2: "two", 3: "three", 4: "four"}.get(count, str(count))
    if isinstance(answer, str | dict) or not hasattr(answer, "__len__") or np.shape(answer) == ():
        raise Fault(f"{word} numbers are needed, in one list.")
    if any(number is None for number in answer):
        raise Fault("one of the numbers is None: write a number in its place.")
    if any(number is ... for number in answer):
        raise Fault(f"there are dots left: give all {word} numbers.")
    if any(isinstance(number, str) for number in answer):
        raise Fault("these are texts: write the numbers without quotation marks.")
    if len(answer) != count:
        raise Fault(f"{word} numbers are needed, in one list, and there are {len(answer)}.")
    return [float(number) for number in answer]
