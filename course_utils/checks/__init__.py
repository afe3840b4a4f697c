"""The checks of the exercises: `checks.ch05.ex2(answer)` says whether an answer is right."""

import importlib
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    """Import a chapter's checks when they are first used."""
    if name.startswith("ch0"):
        return importlib.import_module(f"course_utils.checks.{name}")
    raise AttributeError(f"checks has no {name}: its chapters are ch01 to ch08.")
