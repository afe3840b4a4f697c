"""Mark a submission of assignment C on recordings that its author never had.

``python tools/mark_submission.py SUBMISSION HIDDEN`` prints the figures and the points
that a script can give. The assignment and the scheme are in ``book/instructor/assignments.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_utils import metrics, models
from course_utils.errors import CourseError, DataError
from course_utils.recogniser import Recogniser
from course_utils.recordings import LAYOUTS, SpokenWords

HEADINGS = ("Data", "Protocol", "Results", "Limits")
FIELDS: dict[str, type | tuple[type, ...]] = {
    "claimed_accuracy": (int, float),
    "claimed_interval": list,
    "interval_over": str,
    "training_speakers": list,
    "seeds": list,
}


class SubmissionError(CourseError):
    """A submission that can't be marked, in a sentence for its author."""


@dataclass(frozen=True)
class Result:
    """A model's accuracy on the hidden data, with the interval over its speakers."""

    accuracy: float
    interval: tuple[float, float]
    clips: int
    speakers: list[str]


@dataclass(frozen=True)
class Points:
    """What was given, of how many, for what, and why."""

    given: int
    possible: int
    what: str
    why: str


def read_card(folder: Path) -> dict[str, Any]:
    """The claims in ``card.json``. Raises SubmissionError when it is missing or incomplete."""
    path = folder / "card.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise SubmissionError(f"{path} can't be read: hand in the card beside model.pt.") from None
    except ValueError as error:
        raise SubmissionError(f"{path} is no JSON ({error}): correct that place.") from None
    for name, kind in FIELDS.items():
        if not isinstance(card, dict) or not isinstance(card.get(name), kind):
            raise SubmissionError(f"{path} lacks {name}, or it has another form: see the example.")
    ends = card["claimed_interval"]
    if len(ends) != 2 or not all(isinstance(end, int | float) for end in ends):
        raise SubmissionError(f"{path}: claimed_interval is two numbers, such as [0.66, 0.90].")
    if not 0 <= ends[0] <= card["claimed_accuracy"] <= ends[1] <= 1:
        raise SubmissionError(
            f"{path}: the claimed accuracy lies in its interval, and all are between 0 and 1."
        )
    return card


def missing_headings(folder: Path) -> list[str]:
    """The headings that ``card.md`` lacks."""
    path = folder / "card.md"
    lines = path.read_text("utf-8", errors="replace").splitlines() if path.exists() else []
    found = {line.lstrip("#").strip() for line in lines if line.startswith("#")}
    return [heading for heading in HEADINGS if heading not in found]


def judge(model_path: Path, data: SpokenWords) -> Result:
    """The accuracy of a saved model on all clips of ``data``."""
    recogniser = Recogniser.load(model_path)
    recipe = recogniser.recipe
    pictures = data.pictures(recipe.n_mels, recipe.n_frames, recipe.kind)
    answers = models.predict(recogniser.model, pictures).argmax(dim=1)
    right = (answers == data.labels_for(recogniser.words)).tolist()
    by_speaker = defaultdict(list)
    for speaker, correct in zip(data.speakers, right, strict=True):
        by_speaker[speaker].append(correct)
    interval = metrics.speaker_interval([sum(all_) / len(all_) for all_ in by_speaker.values()])
    if interval is None:
        raise DataError("The hidden data need two speakers or more: one says nothing of others.")
    return Result(sum(right) / len(right), interval, len(right), sorted(by_speaker))


def protocol(card: dict[str, Any], hidden: Result) -> Points:
    """Nobody in the hidden data was heard in training."""
    heard = {str(name).casefold() for name in card["training_speakers"]}
    both = [name for name in hidden.speakers if name.casefold() in heard]
    if not card["training_speakers"]:
        return Points(0, 15, "protocol", "no training speakers are named")
    if both:
        return Points(0, 15, "protocol", f"in training and in the hidden data: {', '.join(both)}")
    return Points(15, 15, "protocol", "no speaker of the hidden data was in training")


def interval(card: dict[str, Any], hidden: Result) -> Points:
    """The claim is for new speakers, agrees with the hidden data, and says something."""
    low, high = card["claimed_interval"]
    if card["interval_over"] != "speakers":
        return Points(0, 30, "interval", f"it is over {card['interval_over']}, not over speakers")
    if high < hidden.interval[0] or low > hidden.interval[1]:
        return Points(0, 30, "interval", "it and the interval on the hidden data do not overlap")
    inside = low <= hidden.accuracy <= high
    width = round(100 * (high - low), 6)
    narrow = 10 if width <= 20 else 5 if width <= 30 else 0
    where = "holds" if inside else "overlaps that of"
    why = f"it {where} the hidden accuracy and is {width:.0f} points wide"
    return Points((20 if inside else 12) + narrow, 30, "interval", why)


def seeds(card: dict[str, Any]) -> Points:
    """Three seeds or more."""
    count = len(set(map(str, card["seeds"])))
    return Points(5 * min(count, 3), 15, "seeds", f"{count} given, 3 wanted")


def accuracy(hidden: Result, baseline: Result) -> Points:
    """Better than the baseline on the same clips."""
    better = hidden.accuracy > baseline.accuracy
    why = f"{hidden.accuracy:.1%}, the baseline {baseline.accuracy:.1%}"
    return Points(10 if better else 0, 10, "accuracy", why)


def report(card: dict[str, Any], hidden: Result, points: list[Points], missing: list[str]) -> str:
    """What is printed."""
    low, high = hidden.interval
    claimed_low, claimed_high = card["claimed_interval"]
    lines = [
        f"hidden data: {hidden.clips} clips of {len(hidden.speakers)} speakers",
        f"accuracy on it: {hidden.accuracy:.1%} (95 % over speakers: {low:.1%} to {high:.1%})",
        f"claimed: {card['claimed_accuracy']:.1%} "
        f"({claimed_low:.1%} to {claimed_high:.1%}, over {card['interval_over']})",
        "",
    ]
    lines += [f" {item.given:2} of {item.possible:2}  {item.what}: {item.why}" for item in points]
    lines.append(" __ of 30  by hand: the protocol in the card (10), what failed and for whom (20)")
    if missing:
        lines.append(f"           card.md lacks the headings {', '.join(missing)}")
    total, possible = sum(p.given for p in points), sum(p.possible for p in points)
    return "\n".join([*lines, "", f" {total:2} of {possible} points by script"])


def main() -> int:
    """Mark one submission. Returns the exit status; 2 after a sentence on what is wrong."""
    parser = argparse.ArgumentParser(description="Mark a submission of assignment C.")
    parser.add_argument("submission", type=Path, help="a folder with model.pt, card.json, card.md")
    parser.add_argument("hidden", type=Path, help="a folder of recordings that nobody had")
    parser.add_argument("--layout", choices=LAYOUTS, default="speaker_digit")
    parser.add_argument(
        "--baseline", type=Path, metavar="MODEL", help="the baseline's model.pt, for 10 points"
    )
    arguments = parser.parse_args()
    try:
        card = read_card(arguments.submission)
        data = SpokenWords(arguments.hidden, layout=arguments.layout)
        hidden = judge(arguments.submission / "model.pt", data)
        points = [protocol(card, hidden), interval(card, hidden), seeds(card)]
        if arguments.baseline is not None:
            points.append(accuracy(hidden, judge(arguments.baseline, data)))
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    print(report(card, hidden, points, missing_headings(arguments.submission)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
