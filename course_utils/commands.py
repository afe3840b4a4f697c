"""What `train`, `evaluate` and `recognize` do: chapter 8 as commands."""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from course_utils import audio, digits, features, paths, training
from course_utils.digits import DataError, Split, SpokenDigits
from course_utils.training import History, Recipe, TrainingError

ERRORS = (DataError, TrainingError, audio.AudioError)
MOST_THREADS = 4  # these networks are small: more threads wait for each other


def choose_threads() -> int:
    """Set and return the number of threads: OMP_NUM_THREADS, else one a core, four at most."""
    if "OMP_NUM_THREADS" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        torch.set_num_threads(min(cores or 1, MOST_THREADS))
    return torch.get_num_threads()


def train(arguments: argparse.Namespace) -> int:
    """Train and judge a model; return the exit status."""
    choose_threads()
    try:
        _join_other_processes()
        metrics = _train(arguments)
        summary = _summary(metrics) if metrics is not None and _is_first() else None
    except ERRORS as error:
        return _fail(error)
    except RuntimeError as error:
        if not distributed.is_initialized():
            raise
        reason = str(error).splitlines()[0]
        return _fail(
            f"Another process of this training ended ({reason}): run the same command again "
            "with --resume."
        )
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
    if metrics is None:
        return 130
    if summary is not None:
        print(summary)
    return 0


def _fail(error: object) -> int:
    print(f"{error}", file=sys.stderr)
    return 1


def _join_other_processes() -> None:
    """Join the processes that torchrun started, if it did."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
            distributed.init_process_group("nccl")
        else:
            distributed.init_process_group("gloo")


def _is_first() -> bool:
    return not distributed.is_initialized() or distributed.get_rank() == 0


def _say(line: str) -> None:
    if _is_first():
        print(line, file=sys.stderr, flush=True)


def _train(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Train as told; return the metrics, or None if Ctrl-C stopped it."""
    recipe = training.RECIPES[arguments.model]
    _check_split_name(arguments.split, arguments.layout)
    _check_folder(arguments.out, arguments.resume)
    data = SpokenDigits(
        arguments.root,
        layout=arguments.layout,
        unreadable="skip" if arguments.skip_unreadable else "error",
    )
    folds = _splits(data, arguments.split, arguments.seed)
    _say(f"{len(data)} recordings of {len(set(data.speakers))} speakers in {data.root}")
    pictures = _pictures(data, recipe)
    results = []
    for number, (name, split) in enumerate(folds.items()):
        folder = arguments.out
        if arguments.split == "loso":
            folder = arguments.out / "folds" / f"{number:02d}"
            _say(f"Fold {number + 1} of {len(folds)}: without {name}")
        result = _train_once(arguments, recipe, data, pictures, split, folder)
        if result is None:
            return None
        results.append(result)
    # Several folds give several models; the one that is saved is the last fold's.
    model, history, _, epochs = results[-1]
    tested = [clip for split in folds.values() for clip in split.test]
    probabilities = torch.cat([result[2] for result in results])
    metrics = _judge(data, tested, probabilities, new_speakers=_by_speaker(arguments.split))
    if arguments.split == "loso":
        shares = metrics["per_speaker"]
        metrics["mean"] = sum(shares.values()) / len(shares)
        metrics["worst"] = min(shares.values())
    first = next(iter(folds.values()))
    metrics |= {
        "model": arguments.model,
        "split": arguments.split,
        "layout": arguments.layout,
        "seed": arguments.seed,
        "augmented": _augmented(arguments, recipe),
        "parameters": training.models.count_parameters(model),
        "epochs": epochs,
        "best_epoch": history.best_epoch,
        "valid_accuracy": history.valid_accuracy[history.best_epoch - 1],
        "clips": {"train": len(first.train), "valid": len(first.valid), "test": len(tested)},
    }
    if _is_first():
        training.save_model(arguments.out / "model.pt", model, arguments.model, epochs)
        _draw(arguments.out, history, metrics)
        metrics |= _circumstances()
        text = json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
        training.write_whole(arguments.out / "metrics.json", text.encode(errors="backslashreplace"))
    return metrics


def _check_split_name(split: str, layout: str) -> None:
    if not re.fullmatch(r"official|clip|all|loso|takes:\d+-\d+|(speaker|family):.+", split):
        raise DataError(
            f"The split {split!r} is unknown: use official, takes:A-B, clip, speaker:NAME, "
            "family:NAME, all or loso."
        )
    if (split == "official" or split.startswith("takes:")) and layout != "digit_speaker_take":
        raise DataError(
            f"The split {split} needs takes, which the layout {layout} does not have: use "
            "--layout digit_speaker_take, or split by clip, speaker or family."
        )


def _check_folder(out: Path, resume: bool) -> None:
    """Refuse before the training what would fail or overwrite something after it."""
    if not resume and (out / "model.pt").exists():
        raise TrainingError(
            f"{out} holds a trained model already: choose another folder with --out, or add "
            "--resume."
        )
    probe = out / f".probe-{os.getpid()}"
    training.write_whole(probe, b"")
    probe.unlink()


def _splits(data: SpokenDigits, split: str, seed: int) -> dict[str, Split]:
    """Return the splits that a name asks for, by the name of the fold."""
    kind, _, name = split.partition(":")
    if kind == "loso":
        speakers = sorted(set(data.speakers))
        return {speaker: digits.split_by_speaker(data, speaker, seed) for speaker in speakers}
    if kind == "takes":
        first, last = (int(take) for take in name.split("-"))
        return {split: digits.split_by_takes(data, first, last, seed)}
    if kind == "speaker":
        return {split: digits.split_by_speaker(data, name, seed)}
    if kind == "family":
        return {split: digits.split_by_family(data, name, seed)}
    plain = {
        "official": digits.split_official,
        "clip": digits.split_by_clip,
        "all": digits.split_all,
    }
    return {split: plain[kind](data, seed)}


def _by_speaker(split: str) -> bool:
    return split.startswith(("speaker:", "family:")) or split in ("loso", "all")


def _augmented(arguments: argparse.Namespace, recipe: Recipe) -> bool:
    return recipe.augmented and not arguments.no_augment


def _pictures(data: SpokenDigits, recipe: Recipe) -> torch.Tensor:
    """Return the pictures of all clips, from the cache in the work folder if they are there."""
    cache = paths.work_folder() / "cache"
    if distributed.is_initialized() and distributed.get_rank() > 0:
        distributed.barrier()  # the first process writes the cache, the others read it
    pictures = digits.pictures(data, recipe.kind, recipe.n_mels, recipe.n_frames, cache=cache)
    if distributed.is_initialized() and distributed.get_rank() == 0:
        distributed.barrier()
    return pictures


def _train_once(
    arguments: argparse.Namespace,
    recipe: Recipe,
    data: SpokenDigits,
    pictures: torch.Tensor,
    split: Split,
    folder: Path,
) -> tuple[torch.nn.Module, History, torch.Tensor, int] | None:
    """Train on one split; return model, history, test probabilities and epochs.

    Where the split is by speaker, validation takes whole speakers away from a training part
    that may have few. So the best number of epochs is found on them, and then the network is
    trained again, on both parts together, for so many.
    """
    epochs = arguments.epochs or recipe.epochs

    def run(
        train: list[int], valid: list[int], epochs: int, name: str
    ) -> tuple[torch.nn.Module, History]:
        training.seed_everything(arguments.seed)
        model = recipe.model()
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster
        history = training.fit(
            model,
            pictures[train],
            data.digits[train],
            pictures[valid] if valid else None,
            data.digits[valid] if valid else None,
            epochs=epochs,
            lr=recipe.lr,
            batch_size=recipe.batch_size,
            weight_decay=recipe.weight_decay,
            label_smoothing=recipe.label_smoothing,
            schedule=recipe.schedule,
            augment=training.augment if _augmented(arguments, recipe) else None,
            seed=arguments.seed,
            checkpoint=folder / name,
            resume=arguments.resume,
            report=_say,
        )
        return model, history

    model, history = run(split.train, split.valid, epochs, "checkpoint.pt")
    if _by_speaker(arguments.split) and not history.stopped:
        epochs = history.best_epoch
        _say(f"Again with the validation speakers, for the {epochs} epochs that were best for them")
        model, again = run(sorted(split.train + split.valid), [], epochs, "checkpoint-final.pt")
        history.stopped = again.stopped
    if history.stopped:
        _say(f"Run the same command with --resume to go on; {folder} holds what was done.")
        return None
    return model, history, training.predict(model, pictures[split.test]), epochs


def _judge(
    data: SpokenDigits, clips: list[int], probabilities: torch.Tensor, new_speakers: bool
) -> dict[str, Any]:
    """Count what was recognised, over clips, speakers and digits."""
    names = ("test_accuracy", "test_interval", "speaker_interval", "per_speaker", "per_digit")
    if not clips:
        return dict.fromkeys(names) | {"confusion": None}
    labels = data.digits[clips]
    predicted = probabilities.argmax(dim=-1)
    right = (predicted == labels).tolist()
    speakers, spoken = defaultdict(list), defaultdict(list)
    for clip, correct in zip(clips, right, strict=True):
        speakers[data.speakers[clip]].append(correct)
        spoken[str(int(data.digits[clip]))].append(correct)
    per_speaker = {name: sum(all_) / len(all_) for name, all_ in sorted(speakers.items())}
    values = (
        sum(right) / len(right),
        training.wilson_interval(sum(right), len(right)),
        training.speaker_interval(list(per_speaker.values())) if new_speakers else None,
        per_speaker,
        {name: sum(all_) / len(all_) for name, all_ in sorted(spoken.items())},
    )
    counts = training.confusion(predicted, labels).tolist()
    return dict(zip(names, values, strict=True)) | {"confusion": counts}


def _circumstances() -> dict[str, Any]:
    import soundfile

    return {
        "seconds": round(training.seconds_since_process_start(), 2),
        "threads": torch.get_num_threads(),
        "processes": distributed.get_world_size() if distributed.is_initialized() else 1,
        "device": str(training.choose_device()),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "soundfile": soundfile.__version__,
        },
    }


def _draw(folder: Path, history: History, metrics: dict[str, Any]) -> None:
    """Save the learning curves, and the confusion matrix if there was a test, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from course_utils import plots

    def save(figure: Figure, name: str) -> None:
        picture = io.BytesIO()
        FigureCanvasAgg(figure).print_png(picture)
        training.write_whole(folder / name, picture.getvalue())

    figure = Figure(figsize=(8.0, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    plots.plot_curves({"training": history.loss, "validation": history.valid_loss}, ax=left)
    plots.plot_curves({"validation": history.valid_accuracy}, ax=right, ylabel="Accuracy")
    save(figure, "curves.png")
    if metrics["confusion"] is not None:
        figure = Figure(figsize=(4.4, 4.0), layout="constrained")
        plots.plot_confusion(torch.tensor(metrics["confusion"]), ax=figure.subplots())
        save(figure, "confusion.png")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _summary(metrics: dict[str, Any]) -> str:
    """Return what a person wants to know of the metrics, a line each."""
    lines = [
        f"model {metrics['model']}: {metrics['parameters']:,} parameters, "
        f"{metrics['seconds']:.1f} s from the start of the process, {metrics['threads']} threads"
    ]
    if "valid_accuracy" in metrics:
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
    if "mean" in metrics:
        mean, worst = _percent(metrics["mean"]), _percent(metrics["worst"])
        lines.append(f"mean over speakers {mean}, worst {worst}")
    worst_first = sorted(metrics["per_speaker"].items(), key=lambda item: item[1])[:6]
    shown = ", ".join(f"{name} {_percent(share)}" for name, share in worst_first)
    lines.append(f"per speaker, the hardest first: {shown}")
    if "per_digit" in metrics:
        shown = ", ".join(f"{name} {_percent(s)}" for name, s in metrics["per_digit"].items())
        lines.append(f"per digit: {shown}")
    return "\n".join(lines)


def evaluate(arguments: argparse.Namespace) -> int:
    """Judge a saved model on a folder of recordings; return the exit status."""
    choose_threads()
    try:
        model, recipe, about = training.load_model_with_details(arguments.model)
        data = SpokenDigits(arguments.root, layout=arguments.layout)
        model.to(training.choose_device())
        probabilities = training.predict(model, _pictures(data, recipe))
        metrics = _judge(data, list(range(len(data))), probabilities, new_speakers=True)
        metrics |= {
            "model": about["model"],
            "layout": arguments.layout,
            "parameters": training.models.count_parameters(model),
            "epochs": about["epochs"],
            "clips": {"test": len(data)},
        }
        metrics |= _circumstances()
        if arguments.json is not None:
            text = json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
            training.write_whole(arguments.json, text.encode(errors="backslashreplace"))
    except ERRORS as error:
        return _fail(error)
    print(_summary(metrics))
    return 0


def recognize(arguments: argparse.Namespace) -> int:
    """Print what digit each file holds; return the exit status, 1 if a file was unreadable."""
    choose_threads()
    try:
        model, recipe, _ = training.load_model_with_details(arguments.model)
    except TrainingError as error:
        return _fail(error)
    status = 0
    for file in arguments.files:
        try:
            print(f"{file}\t{recognize_file(model, recipe, file)}", flush=True)
        except audio.AudioError as error:
            status = _fail(error)
    return status


def recognize_file(model: torch.nn.Module, recipe: Recipe, file: str | Path) -> str:
    """Return `digit<TAB>probability` for a recording, or that nobody speaks in it.

    Raises: AudioError, if the file cannot be read.
    """
    waveform, sample_rate = audio.load(file)
    waveform = audio.to_mono(waveform)
    (frames,) = features.log_mel_frames([waveform], sample_rate)
    if features.find_word(frames) is None:
        return "-\tno speech found"
    if recipe.kind == "notes":
        picture = features.notes_pictures([waveform], sample_rate)
    else:
        picture = features.log_mel_pictures([waveform], sample_rate, recipe.n_mels, recipe.n_frames)
    probability, digit = training.predict(model, picture)[0].max(dim=0)
    return f"{int(digit)}\t{float(probability):.3f}"
