"""The language in which the course speaks to a student: English, or what a catalogue says instead.

Messages stand in the code as plain English sentences. `translate` finds the sentence that a message
was made from in the catalogue, and puts its names and numbers into the translation.
"""

# Of the standard library only, in the language of Python 3.6: the set-up speaks too.
import functools
import json
import os
import re
from pathlib import Path
from typing import List, Match, Pattern, Tuple

CATALOGUES = Path(__file__).with_name("locale")
PLACE = re.compile(r"\{(\d+)\}")  # of a name or a number: {0}, {1}, ...

_chosen = ""


def use(name: str) -> None:
    """Choose the language of all messages that follow: "en" or "zh".

    >>> use("en")
    """
    global _chosen
    _chosen = name


def current() -> str:
    """Return the language: what `use` chose, else the environment variable COURSE_LANG, else "en".

    >>> current()
    'en'
    """
    return _chosen or os.environ.get("COURSE_LANG") or "en"


def translate(text: str) -> str:
    """Return a message in the current language, or as it is where the catalogue lacks it.

    >>> translate("Right.")
    'Right.'
    """
    if current() == "en":
        return text
    for pattern, wanted in _catalogue(current()):
        found = pattern.fullmatch(text)
        if found:
            return _filled(wanted, found)
    return text


def _filled(wanted: str, found: Match[str]) -> str:
    """Put the names and numbers of a message into its translation; a part may be a message, too."""
    return PLACE.sub(lambda place: translate(found.group(int(place.group(1)) + 1)), wanted)


@functools.lru_cache(maxsize=None)
def _catalogue(name: str) -> List[Tuple[Pattern[str], str]]:
    """Read a catalogue: what a message looks like, and its translation.

    The longest come first, and last those that begin with a place, which would swallow "Not yet:".
    """
    path = CATALOGUES / (name + ".json")
    if not path.is_file():
        return []
    entries = json.loads(path.read_text(encoding="utf-8"))

    def order(entry: Tuple[str, str]) -> Tuple[bool, int]:
        return entry[0].startswith("{"), -len(PLACE.sub("", entry[0]))

    ordered = sorted(entries.items(), key=order)
    return [(_pattern(text), wanted) for text, wanted in ordered if wanted]


def _pattern(template: str) -> Pattern[str]:
    parts = PLACE.split(template)  # every second one is a number
    texts = [re.escape(text) for text in parts[::2]]
    return re.compile("(.*?)".join(texts), re.DOTALL)
