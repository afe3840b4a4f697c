"""The command line: ``python -m course_utils COMMAND``.

Each sub-command imports what it needs inside its own function, so that ``doctor`` still speaks
when torch is broken, and ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def _doctor(arguments: argparse.Namespace) -> int:
    from course_utils import doctor

    return doctor.main()


def _download(arguments: argparse.Namespace) -> int:
    from course_utils import download, paths

    target = arguments.to or paths.work_folder() / "fsdd"
    return download.main(target, arguments.url or download.FSDD_URL, arguments.archive)


def _train(arguments: argparse.Namespace) -> int:
    from course_utils import commands

    return commands.train(arguments)


def _evaluate(arguments: argparse.Namespace) -> int:
    from course_utils import commands

    return commands.evaluate(arguments)


def _recognize(arguments: argparse.Namespace) -> int:
    from course_utils import commands

    return commands.recognize(arguments)


LAYOUT_HELP = (
    "what the files' names mean: speaker_digit for <speaker>_<digit>.wav (the course's own), "
    "digit_speaker_take for <digit>_<speaker>_<take>.wav (FSDD)"
)
LAYOUTS = ("speaker_digit", "digit_speaker_take")
SPLITS = """\
what --split can be:
  official      takes 0 to 4 to test (FSDD's own way; the same speakers on both sides)
  takes:A-B     takes A to B to test (the same speakers on both sides)
  clip          a fifth of the clips to test, at random (the same speakers on both sides)
  speaker:NAME  one speaker to test: somebody new
  family:NAME   one family of voices to test (from manifest.csv): voices of a new kind
  loso          leave one speaker out, each in turn: one training a speaker
  all           no test; a tenth of the speakers to validate, the rest to train
A tenth of what is left is kept to choose the best epoch by, of other speakers where the split is
by speaker. Nothing is ever chosen by the test part.

DIR gets model.pt, metrics.json, curves.png, confusion.png and checkpoint.pt. After an
interruption of any kind the same command with --resume goes on, to the same result.

examples:
  python -m course_utils train data/digits_en --layout speaker_digit --split all --out my_work/run1
  python -m course_utils train "$FSDD_DIR" --layout digit_speaker_take --split loso --out runs/loso
  torchrun --standalone --nproc-per-node 2 -m course_utils train …   (the same on two processes)
"""


def _add_download(commands: Any) -> None:
    download = commands.add_parser(
        "download",
        help="fetch real recordings (FSDD, 23 MB) and check each of them",
        description="Fetch the Free Spoken Digit Dataset v1.0.10 (Zohar Jackson and contributors, "
        "CC BY-SA 4.0) and check each of its 3,000 recordings. Run it again to go on after an "
        "interruption.",
    )
    download.add_argument("what", choices=["fsdd"], help="the data set")
    download.add_argument(
        "--to", type=Path, metavar="DIR", help="where to (fsdd in the work folder if not given)"
    )
    download.add_argument("--url", help="another address of the same archive")
    download.add_argument(
        "--archive", type=Path, metavar="FILE", help="use an archive that was fetched by hand"
    )
    download.set_defaults(run=_download)


def _add_train(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="train a recogniser of spoken digits and judge it",
        description="Train a recogniser on a folder of recordings and judge it on others.",
        epilog=SPLITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument("root", type=Path, metavar="ROOT", help="the folder of recordings")
    train.add_argument("--layout", required=True, choices=LAYOUTS, help=LAYOUT_HELP)
    train.add_argument("--split", required=True, metavar="SPLIT", help="who is tested: see below")
    train.add_argument(
        "--model",
        choices=["notes", "mlp", "lenet", "cnn"],
        default="cnn",
        help="notes: the lecture notes' network and recipe; mlp: the same repaired; lenet: "
        "LeNet-5; cnn: the three small CNNs that chapter 8 ends with (default)",
    )
    train.add_argument("--epochs", type=_count, metavar="N", help="passes over the training part")
    train.add_argument("--seed", type=int, default=0, metavar="S", help="0 if not given")
    train.add_argument("--out", required=True, type=Path, metavar="DIR", help="for the results")
    train.add_argument("--resume", action="store_true", help="go on where DIR's training stopped")
    train.add_argument("--no-augment", action="store_true", help="train on pictures as they are")
    train.add_argument(
        "--skip-unreadable", action="store_true", help="leave bad files out, with a warning"
    )
    train.set_defaults(run=_train)


def _add_evaluate(commands: Any) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="judge a trained model on other recordings",
        description="Judge a trained model on a folder of recordings: accuracy with 95 %% "
        "intervals over clips and over speakers, per speaker and per digit.",
    )
    evaluate.add_argument("model", type=Path, metavar="MODEL", help="a model.pt that train wrote")
    evaluate.add_argument("root", type=Path, metavar="ROOT", help="the folder of recordings")
    evaluate.add_argument("--layout", required=True, choices=LAYOUTS, help=LAYOUT_HELP)
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    evaluate.set_defaults(run=_evaluate)


def _add_recognize(commands: Any) -> None:
    recognize = commands.add_parser(
        "recognize",
        help="say which digit is spoken in a sound file",
        description="Print one line a file: its name, the digit, its probability, with tabs "
        "between. WAV, FLAC or MP3 of any sample rate; silence around the word does no harm.",
    )
    recognize.add_argument("model", type=Path, metavar="MODEL", help="a model.pt that train wrote")
    recognize.add_argument("files", nargs="+", metavar="FILE", help="sound files")
    recognize.set_defaults(run=_recognize)


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 1 or more")
    return number


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; ``run`` in its result is the function to call.

    Example:
        >>> parser().parse_args(["doctor"]).command
        'doctor'
    """
    main_parser = argparse.ArgumentParser(
        prog="python -m course_utils", description="Helpers of the speech-recognition course."
    )
    commands = main_parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    doctor = commands.add_parser("doctor", help="check this machine, with a cure for what fails")
    doctor.set_defaults(run=_doctor)
    _add_download(commands)
    _add_train(commands)
    _add_evaluate(commands)
    _add_recognize(commands)

    return main_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command. Returns the exit status: 0 when it did what was asked."""
    arguments = parser().parse_args(argv)
    return int(arguments.run(arguments))


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):  # any name can be printed, whatever the locale
        if hasattr(stream, "reconfigure") and stream.encoding.lower() != "utf-8":
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    sys.exit(main())
