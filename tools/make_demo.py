"""Make the book's demo page: a recogniser trained on the course's own English speech.

The training takes a minute or two. Its model is kept in ``build/demo`` under a digest of all that
it depends on, so that it is trained again only when one of these has changed.
"""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

from filelock import FileLock

import experiment
from course_utils import paths
from course_utils.export_page import save_page
from course_utils.recogniser import Recogniser
from course_utils.recordings import SpokenWords

REPOSITORY = Path(__file__).resolve().parents[1]
CACHE = REPOSITORY / "build" / "demo"
# A family of voices that the training never hears, so that the page can say how well it does.
SPLIT = "family:awb"
SOURCES = ("audio", "augment", "features", "models", "pictures", "splits", "training")


def digest() -> str:
    """Name a training by its sounds and by the files that decide what comes of it."""
    files = [REPOSITORY / "course_utils" / f"{name}.py" for name in SOURCES]
    files.append(paths.data_path("manifest.csv"))  # holds the digest of each sound
    whole = hashlib.sha256(SPLIT.encode())
    for path in files:
        whole.update(path.read_bytes())
    return whole.hexdigest()[:16]


def recogniser() -> Recogniser:
    """Return the demo's recogniser, trained now or before."""
    folder = CACHE / digest()
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / "training.lock"):  # two books may be made at a time
        if not (folder / "metrics.json").exists():
            print("Training the recogniser of the demo page ...", flush=True)
            data = SpokenWords(paths.data_path("digits_en"), "speaker_digit")
            plan = experiment.Plan("cnn", SPLIT, folder, resume=folder.exists())
            if experiment.train(data, plan, _say, time.perf_counter()) is None:
                raise KeyboardInterrupt
    return Recogniser.load(folder / "model.pt")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def make(path: Path) -> None:
    """Write the demo page, which also takes the model of a student's page."""
    save_page(recogniser(), path, by="the course, on its synthetic English voices", hosted=True)
