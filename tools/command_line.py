"""The command line: ``python -m course_utils COMMAND``. It only parses and prints.

Each command imports what it needs inside its own function, so that ``doctor`` still speaks when
PyTorch is broken, and ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from course_utils.errors import CourseError
from course_utils.language import current, translate
from set_up import calm_threads

LAYOUTS = ("speaker_digit", "speaker_word", "digit_speaker_take")
LAYOUT_HELP = (
    "what the files' names mean: speaker_digit for <speaker>_<digit>.wav (the course's own), "
    "speaker_word for <speaker>_<word>.wav (any words), digit_speaker_take for "
    "<digit>_<speaker>_<take>.wav (FSDD); a second take by the same speaker is "
    "<speaker>_<word>_take2.wav"
)
SPLITS = """\
what --split can be:
  official      takes 0 to 4 to test (FSDD's own way; the same speakers on both sides)
  takes:A-B     takes A to B to test (the same speakers on both sides)
  clip          a fifth of the clips to test, at random (the same speakers on both sides)
  speaker:NAME  one speaker to test: somebody new
  family:NAME   one family of voices to test (from manifest.csv): voices of a new kind
  loso          leave one speaker out, each in turn: one training and one model a speaker
  all           no test; a tenth of the speakers to validate, the rest to train
A tenth of what is left is kept to choose the best epoch by, of other speakers where the split is
by speaker. Nothing is ever chosen by the test part. With ten speakers or fewer to learn from,
and others to understand, pictures are changed towards other voices.

DIR gets model.pt, metrics.json, curves.png, confusion.png and checkpoint.pt. After an
interruption of any kind the same command with --resume goes on, to the same result.

examples:
  python -m course_utils train data/digits_en --layout speaker_digit --split all --out my_work/run1
  python -m course_utils train "$FSDD_DIR" --layout digit_speaker_take --split loso --out runs/loso
  torchrun --standalone --nproc-per-node 2 -m course_utils train …   (the same on two processes)
"""


def _doctor(arguments: argparse.Namespace) -> int:
    import doctor

    return doctor.main()


def _download(arguments: argparse.Namespace) -> int:
    import download
    from course_utils import paths

    target = arguments.to or paths.work_folder() / "fsdd"
    recordings = download.fetch_fsdd(target, arguments.url or download.FSDD_URL, arguments.archive)
    _tell(f"All {download.FSDD_FILES:,} recordings are in {recordings}, checked by their digests.")
    _tell(f"Set the environment variable FSDD_DIR to {recordings.parent}")
    return 0


def _train(arguments: argparse.Namespace) -> int:
    started = time.perf_counter()  # before PyTorch is imported, which counts too
    import experiment
    from course_utils import processes

    experiment.check_split_name(arguments.split, arguments.layout)
    _choose_threads()
    plan = experiment.Plan(
        arguments.model,
        arguments.split,
        arguments.out,
        arguments.seed,
        arguments.epochs,
        augmented=not arguments.no_augment,
        resume=arguments.resume,
    )
    try:
        processes.join()
        first = processes.rank() == 0
        say = _say if first else _say_nothing
        experiment.check_folder(plan.out, plan.resume)
        data = _recordings(arguments.root, arguments.layout, arguments.skip_unreadable)
        _introduce(data, say)
        metrics = experiment.train(data, plan, say, started)
    except RuntimeError as error:
        if processes.count() == 1:
            raise
        reason = str(error).splitlines()[0]
        raise CourseError(
            f"Another process of this training ended ({reason}): run the same command again "
            "with --resume."
        ) from None
    finally:
        processes.leave()
    if metrics is None:
        return 130
    if first:
        _tell(_summary(metrics))
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    started = time.perf_counter()
    import experiment
    from course_utils.recogniser import Recogniser

    _choose_threads()
    recogniser = Recogniser.load(arguments.model)
    data = _recordings(arguments.root, arguments.layout, arguments.skip_unreadable)
    metrics = experiment.evaluate(recogniser, data, started)
    if arguments.json is not None:
        experiment.save_json(arguments.json, metrics)
    _tell(_summary(metrics))
    return 0


def _recognize(arguments: argparse.Namespace) -> int:
    from course_utils import audio
    from course_utils.recogniser import Recogniser

    _choose_threads()
    recogniser = Recogniser.load(arguments.model)
    status = 0
    for file in arguments.files:
        try:
            heard = recogniser.recognise(*audio.load(file))
        except audio.AudioError as error:
            _say(str(error))
            status = 1
            continue
        answer = (
            f"{heard.word}\t{heard.probability:.3f}"
            if heard.word
            else "-\t" + translate("no speech found")
        )
        print(f"{file}\t{answer}", flush=True)
    return status


def _export(arguments: argparse.Namespace) -> int:
    from course_utils.recogniser import Recogniser

    if arguments.to.suffix not in (".html", ".onnx"):
        raise CourseError(
            f"{arguments.to.name} is neither a page nor an ONNX file: name one that ends in .html "
            "or .onnx."
        )
    recogniser = Recogniser.load(arguments.model)
    if arguments.to.suffix == ".html":
        from course_utils.export_page import save_page

        save_page(recogniser, arguments.to, by=arguments.by)
    else:
        from export_onnx import save_onnx

        save_onnx(recogniser, arguments.to)
    print(f"{arguments.to} ({arguments.to.stat().st_size / 1e6:.2f} MB)")
    return 0


def _choose_threads() -> None:
    """Compute with as many threads as OMP_NUM_THREADS says, else one a core, four at most."""
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        # The networks are small: more threads wait for each other.
        torch.set_num_threads(min(cores or 1, 4))


def _recordings(root: Path, layout: str, skip_unreadable: bool) -> Any:
    from course_utils.recordings import SpokenWords

    return SpokenWords(root, layout, unreadable="skip" if skip_unreadable else "error")


def _tell(text: str) -> None:
    """Print what was asked for, line by line in the reader's language."""
    for line in text.split("\n"):
        print(translate(line), flush=True)


def _say(line: str) -> None:
    print(translate(line), file=sys.stderr, flush=True)


def _say_nothing(line: str) -> None:
    pass


def _introduce(data: Any, say: Any) -> None:
    """Say what is trained on: the words with their counts, and which may be typing errors."""
    import experiment

    say(f"{len(data)} recordings of {len(set(data.speakers))} speakers in {data.root}")
    counts = [f"{word} ({count})" for word, count in experiment.word_counts(data).items()]
    say(f"{len(counts)} words: {', '.join(counts)}")
    lonely = experiment.lonely_words(data)
    if lonely and len(lonely) < len(data.words):
        say(f"Only one speaker says {', '.join(lonely)}: correct the names if that is an error.")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _summary(metrics: dict[str, Any]) -> str:
    """Return what a person wants to know of the metrics, a line each."""
    lines = [
        f"model {metrics['model']}: {metrics['parameters']:,} parameters, "
        f"{metrics['seconds']:.1f} s, {metrics['threads']} threads"
    ]
    if metrics.get("valid_accuracy") is not None:
        lines.append(f"validation accuracy {_percent(metrics['valid_accuracy'])}")
    if metrics["test_accuracy"] is None:
        return "\n".join([*lines, "no test part: judge the model with `evaluate`"])
    low, high = metrics["test_interval"]
    lines.append(
        f"test accuracy {_percent(metrics['test_accuracy'])} "
        f"(95 % over clips: {_percent(low)} to {_percent(high)})"
    )
    if metrics["speaker_interval"]:
        low, high = metrics["speaker_interval"]
        lines.append(f"95 % over speakers, who are new: {_percent(low)} to {_percent(high)}")
    for fold in metrics.get("folds", []):
        accuracy = _percent(fold["test_accuracy"])
        lines.append(f"without {fold['speaker']}: {accuracy} ({fold['epochs']} epochs)")
    if "mean" in metrics:
        mean, worst = _percent(metrics["mean"]), _percent(metrics["worst"])
        lines.append(f"mean over speakers {mean}, worst {worst}")
    worst_first = sorted(metrics["per_speaker"].items(), key=lambda item: item[1])[:6]
    shown = ", ".join(f"{name} {_percent(share)}" for name, share in worst_first)
    lines.append(f"per speaker, the hardest first: {shown}")
    shown = ", ".join(f"{name} {_percent(share)}" for name, share in metrics["per_digit"].items())
    lines.append(f"per word: {shown}")
    return "\n".join(lines)


def _add_download(commands: Any) -> None:
    download = commands.add_parser(
        "download",
        help="fetch real recordings (FSDD, 23 MB) and check each of them",
        description="Fetch the Free Spoken Digit Dataset v1.0.10 (Zohar Jackson and contributors, "
        "CC BY-SA 4.0) and check each of its 3,000 recordings.",
    )
    download.add_argument("what", choices=["fsdd"], help="the data set")
    download.add_argument(
        "--to", type=Path, metavar="DIR", help="where to (fsdd in the work folder if not given)"
    )
    download.add_argument("--url", help="another address of the same archive")
    download.add_argument(
        "--archive",
        type=Path,
        metavar="FILE",
        help="use an archive that was fetched by hand (.tar.gz, .tar or .zip)",
    )
    download.set_defaults(run=_download)


def _add_train(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="train a recogniser of spoken words and judge it",
        description="Train a recogniser on a folder of recordings and judge it on others.",
        epilog=SPLITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_folder(train)
    train.add_argument("--split", required=True, metavar="SPLIT", help="who is tested: see below")
    train.add_argument(
        "--model",
        choices=["notes", "mlp", "lenet", "cnn"],
        default="cnn",
        help="notes: the lecture notes' network and recipe; mlp: the same repaired; lenet: "
        "LeNet-5; cnn: the three small CNNs that chapter 8 ends with (default)",
    )
    train.add_argument(
        "--epochs",
        type=_count,
        metavar="N",
        help="passes over the training part (20 to 100, the more the fewer clips there are)",
    )
    train.add_argument("--seed", type=_seed, default=0, metavar="S", help="0 if not given")
    train.add_argument("--out", required=True, type=Path, metavar="DIR", help="for the results")
    train.add_argument("--resume", action="store_true", help="go on where DIR's training stopped")
    train.add_argument("--no-augment", action="store_true", help="train on pictures as they are")
    train.set_defaults(run=_train)


def _add_evaluate(commands: Any) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="judge a trained model on other recordings",
        description="Judge a trained model on a folder of recordings: accuracy with 95 % "
        "intervals over clips and over speakers, per speaker and per word.",
    )
    evaluate.add_argument("model", type=Path, metavar="MODEL", help="a model.pt that train wrote")
    _add_folder(evaluate)
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    evaluate.set_defaults(run=_evaluate)


def _add_folder(command: argparse.ArgumentParser) -> None:
    command.add_argument("root", type=Path, metavar="ROOT", help="the folder of recordings")
    command.add_argument("--layout", required=True, choices=LAYOUTS, help=LAYOUT_HELP)
    command.add_argument(
        "--skip-unreadable", action="store_true", help="leave bad files out, with a warning"
    )


def _add_recognize(commands: Any) -> None:
    recognize = commands.add_parser(
        "recognize",
        help="say which word is spoken in a sound file",
        description="Print one line a file: its name, the word, its probability, with tabs "
        "between. WAV, FLAC or MP3 of any sample rate; silence around the word does no harm.",
    )
    recognize.add_argument("model", type=Path, metavar="MODEL", help="a model.pt that train wrote")
    recognize.add_argument("files", nargs="+", metavar="FILE", help="sound files")
    recognize.set_defaults(run=_recognize)


def _add_export(commands: Any) -> None:
    export = commands.add_parser(
        "export",
        help="write a trained model as one web page, or as an ONNX file",
        description="Write a trained model as one web page that runs offline on any laptop or "
        "phone, or as an ONNX file with the features in its graph.",
    )
    export.add_argument("model", type=Path, metavar="MODEL", help="a model.pt that train wrote")
    export.add_argument(
        "--to", required=True, type=Path, metavar="FILE", help="a name that ends in .html or .onnx"
    )
    export.add_argument("--by", default="", metavar="NAME", help="whose model it is, for the page")
    export.set_defaults(run=_export)


def _count(text: str, least: int = 1, most: int = 10**9) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from {least} to {most}")
    return number


def _seed(text: str) -> int:
    return _count(text, least=0, most=2**32 - 1)  # NumPy takes no others


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; `run` in its result is the function to call.

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
    _add_export(commands)
    if current() != "en":
        _translate(main_parser)
    return main_parser


def _translate(parser: argparse.ArgumentParser) -> None:
    """Put a parser's help into the reader's language; argparse's own words stay as they are."""
    parser.description = translate(parser.description or "") or None
    parser.epilog = translate(parser.epilog or "") or None
    for action in parser._actions:
        action.help = translate(action.help) if action.help else action.help
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                choice.help = translate(choice.help or "")
            for child in action.choices.values():
                _translate(child)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns: the exit status: 0 when it did what was asked, 1 when the work was done with a bad
        answer, 2 when it could not be done, 130 after Ctrl-C.
    """
    calm_threads(os.environ)
    try:
        arguments = parser().parse_args(argv)
        status = int(arguments.run(arguments))
        sys.stdout.flush()
        return status
    except CourseError as error:
        _say(str(error))
        return 2
    except KeyboardInterrupt:
        _say("\nStopped: run the same command again to go on.")
        return 130
    except BrokenPipeError:  # whoever read what was printed has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
