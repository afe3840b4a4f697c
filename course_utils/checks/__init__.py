"""The checks of the exercises: `checks.ch05.ex2(answer)` says whether an answer is right.

`checks.ch05.progress()` says how many of the chapter's exercises are done.
"""

import functools
import importlib
import re
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    """Import a chapter's checks when they are first used."""
    if re.fullmatch("ch0[1-8]", name):
        chapter = importlib.import_module(f"course_utils.checks.{name}")
        exercise = importlib.import_module("course_utils.checks.exercise")
        chapter.progress = functools.partial(exercise.progress, chapter)  # type: ignore[attr-defined]
        return chapter
    raise AttributeError(f"checks has no {name}: its chapters are ch01 to ch08.")
