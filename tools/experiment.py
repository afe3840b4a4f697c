"""A whole experiment, as the command line runs it: train on a split, judge, keep what came out.

It is chapter 8 as functions: data, split, pictures, training, judgement, files.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from course_utils import metrics, models, paths, processes, splits, training
from course_utils.errors import DataError, TrainingError
from course_utils.recogniser import Recogniser
from course_utils.recordings import SpokenWords
from course_utils.splits import Split
from course_utils.training import History, Recipe
from few_voices import FEW_SPEAKERS, augment_few_voices

Report = Callable[[str], Any]
LONGER = 1.5  # how much longer the last training lasts, where nobody asked for a number of epochs


@dataclass(frozen=True)
class Plan:
    """What one training of the command line is asked to do."""

    model: str  # a key of training.RECIPES
    split: str  # as splits_named takes it
    out: Path
    seed: int = 0
    epochs: int | None = None
    augmented: bool = True
    resume: bool = False

    @property
    def recipe(self) -> Recipe:
        """The model's recipe with what was asked for in its place."""
        recipe = training.RECIPES[self.model]
        return replace(
            recipe,
            epochs=self.epochs or recipe.epochs,
            augment=recipe.augment if self.augmented else None,
        )

    @property
    def new_speakers(self) -> bool:
        """Whether nobody is on two sides of the split."""
        return self.split.startswith(("speaker:", "family:")) or self.split in ("loso", "all")


@dataclass
class Fold:
    """What one training of a plan gave: a recogniser, its history, its answers on the test."""

    name: str
    split: Split
    recogniser: Recogniser
    history: History
    epochs: int
    probabilities: torch.Tensor


def train(data: SpokenWords, plan: Plan, report: Report, started: float) -> dict[str, Any] | None:
    """Train as planned, judge, and write model, metrics and pictures into the plan's folder.

    Leaving one speaker out gives a model a speaker, each in a folder of its own below `folds`,
    and none as the whole's. `metrics.json` is written last: it marks a finished run.

    Args:
        data: the recordings.
        plan: what to do.
        report: called with each line of progress.
        started: the `time.perf_counter()` from which its seconds count.
    Returns: the metrics, or None if Ctrl-C stopped the training.
    Raises: CourseError, if something cannot be read, trained or written.
    """
    check_folder(plan.out, plan.resume)
    named = splits_named(data, plan.split, plan.seed)
    pictures = cached_pictures(data, plan.recipe)
    folds: list[Fold] = []
    for number, (name, split) in enumerate(named.items()):
        folder = plan.out
        if plan.split == "loso":
            folder = plan.out / "folds" / f"{number:02d}"
            report(f"Fold {number + 1} of {len(named)}: without {name}")
        fold = _train_fold(data, pictures, plan, name, split, folder, report)
        if fold is None:
            report(f"Run the same command with --resume to go on; {folder} holds what was done.")
            return None
        folds.append(fold)
    result = _judge_folds(data, plan, folds) | circumstances(started)
    if processes.rank() == 0:
        _write(plan, folds, result)
    return result


def word_counts(data: SpokenWords) -> dict[str, int]:
    """Return how many clips there are of each word."""
    counts = data.labels.bincount(minlength=len(data.words))
    return dict(zip(data.words, counts.tolist(), strict=True))


def lonely_words(data: SpokenWords) -> list[str]:
    """Return the words of a single speaker, where there are others: perhaps typing errors."""
    heard = defaultdict(set)
    for label, speaker in zip(data.labels.tolist(), data.speakers, strict=True):
        heard[data.words[label]].add(speaker)
    alone = [word for word in data.words if len(heard[word]) == 1]
    return alone if len(set(data.speakers)) > 1 else []


def check_folder(out: Path, resume: bool) -> None:
    """Refuse before a training what would fail or overwrite something after it.

    Raises: TrainingError, if a finished run is there; FolderError, if nothing can be written.
    """
    if not resume and any((out / name).exists() for name in ("model.pt", "metrics.json")):
        raise TrainingError(
            f"{out} holds a trained model already: choose another folder with --out, or add "
            "--resume."
        )
    probe = out / f".probe-{os.getpid()}"
    paths.save_file(probe, b"")
    probe.unlink()


def cached_pictures(data: SpokenWords, recipe: Recipe) -> torch.Tensor:
    """Return the pictures of all clips, from the cache in the work folder if they are there."""
    cache = paths.work_folder() / "cache"
    if processes.rank() > 0:
        processes.wait_for_all()  # the first process writes the cache, the others read it
    pictures = data.pictures(recipe.n_mels, recipe.n_frames, recipe.kind, cache)
    if processes.rank() == 0:
        processes.wait_for_all()
    return pictures


def evaluate(recogniser: Recogniser, data: SpokenWords, started: float) -> dict[str, Any]:
    """Judge a recogniser on all clips of a folder, whose speakers it never heard.

    Args: as `train`.
    Returns: the metrics.
    Raises: DataError, if the clips hold words that the recogniser lacks.
    """
    labels = data.labels_for(recogniser.words)
    recogniser.model.to(processes.choose_device())
    probabilities = models.predict(recogniser.model, cached_pictures(data, recogniser.recipe))
    clips = range(len(data))
    judged = judge(data, clips, labels, probabilities, recogniser.words, new_speakers=True)
    about = {
        "model": recogniser.about.get("model"),
        "layout": data.layout,
        "parameters": models.count_parameters(recogniser.model),
        "epochs": recogniser.about.get("epochs"),
        "clips": {"test": len(data)},
    }
    return judged | about | circumstances(started)


def _train_fold(
    data: SpokenWords,
    pictures: torch.Tensor,
    plan: Plan,
    name: str,
    split: Split,
    folder: Path,
    report: Report,
) -> Fold | None:
    """Train on one split; None, if it was stopped.

    Where the split is by speaker, validation takes whole speakers away from a training part
    that may have few. So the network is trained again at the end, on both parts together.
    """

    def run(train: list[int], valid: list[int], recipe: Recipe, file: str) -> tuple[Any, History]:
        training.seed_everything(plan.seed)
        model = recipe.network(classes=len(data.words))
        history = training.fit(
            model,
            pictures[train],
            data.labels[train],
            pictures[valid] if valid else None,
            data.labels[valid] if valid else None,
            recipe,
            seed=plan.seed,
            checkpoint=folder / file,
            resume=plan.resume,
            report=report,
        )
        return model, history

    recipe = _recipe_for(plan, {data.speakers[clip] for clip in split.train + split.valid})
    epochs = recipe.epochs_for(len(split.train))
    model, history = run(split.train, split.valid, recipe, "checkpoint.pt")
    if plan.new_speakers and not history.stopped:
        clips = sorted(split.train + split.valid)
        epochs = _epochs_of_the_last_training(recipe, history, len(clips))
        report(f"Again with the validation speakers, for {epochs} epochs")
        model, again = run(clips, [], replace(recipe, epochs=epochs), "checkpoint-final.pt")
        history.stopped = again.stopped
    if history.stopped:
        return None
    recogniser = Recogniser(model, data.words, plan.recipe)
    return Fold(
        name, split, recogniser, history, epochs, models.predict(model, pictures[split.test])
    )


def _recipe_for(plan: Plan, speakers: set[str]) -> Recipe:
    """Return the plan's recipe; where few speakers must stand for all, it makes other voices."""
    recipe = plan.recipe
    if recipe.augment is None or not plan.new_speakers or len(speakers) > FEW_SPEAKERS:
        return recipe
    return replace(recipe, augment=augment_few_voices)


def _epochs_of_the_last_training(recipe: Recipe, history: History, clips: int) -> int:
    """Return for how many epochs to train again, when nobody is left to say which was the best.

    One cycle of the learning rate is best at its end, however long it is. Half as many epochs more
    changed nothing on clean recordings, and gave two points in white noise and where the beginning
    is cut. With a constant rate the best epoch counts.
    """
    if recipe.schedule == "constant":
        return history.best_epoch
    return recipe.epochs or round(LONGER * recipe.epochs_for(clips))


def _judge_folds(data: SpokenWords, plan: Plan, folds: list[Fold]) -> dict[str, Any]:
    """Return the metrics of all folds together, and for loso those of each fold too."""
    tested = [clip for fold in folds for clip in fold.split.test]
    answers = torch.cat([fold.probabilities for fold in folds])
    new = plan.new_speakers
    judged = judge(data, tested, data.labels[tested], answers, data.words, new)
    first = folds[0]
    about = {
        "model": plan.model,
        "split": plan.split,
        "layout": data.layout,
        "seed": plan.seed,
        "augmented": plan.recipe.augment is not None,
        "parameters": models.count_parameters(first.recogniser.model),
    }
    if plan.split != "loso":
        return judged | about | _of_fold(first)
    shares = judged["per_speaker"].values()
    each = []
    for number, fold in enumerate(folds):
        share = judged["per_speaker"][fold.name]
        found = {"speaker": fold.name, "folder": f"folds/{number:02d}", "test_accuracy": share}
        each.append(found | {"per_speaker": {fold.name: share}} | _of_fold(fold))
    # What differs from fold to fold has no value for the whole.
    nothing = {"epochs": None, "best_epoch": None, "valid_accuracy": None}
    clips = {"train": None, "valid": None, "test": len(tested)}
    together = {"mean": sum(shares) / len(shares), "worst": min(shares), "folds": each}
    return judged | about | nothing | {"clips": clips} | together


def _of_fold(fold: Fold) -> dict[str, Any]:
    best = fold.history.best_epoch
    return {
        "epochs": fold.epochs,
        "best_epoch": best,
        "valid_accuracy": fold.history.valid_accuracy[best - 1],
        "clips": {part: len(clips) for part, clips in fold.split._asdict().items()},
    }


def circumstances(started: float) -> dict[str, Any]:
    """Return where and how a result came about; `started` is a time.perf_counter()."""
    import soundfile

    return {
        "seconds": round(time.perf_counter() - started, 2),
        "threads": torch.get_num_threads(),
        "processes": processes.count(),
        "device": str(processes.choose_device()),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "soundfile": soundfile.__version__,
        },
    }


def save_json(path: Path, values: dict[str, Any]) -> None:
    """Write values as JSON, whole or not at all. Raises: FolderError."""
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    paths.save_file(path, text.encode(errors="backslashreplace"))


def _write(plan: Plan, folds: list[Fold], result: dict[str, Any]) -> None:
    """Write models, learning curves and confusion matrix, and at the end the metrics."""
    kept = ("test_accuracy", "test_interval", "speaker_interval", "per_speaker", "valid_accuracy")
    for number, fold in enumerate(folds):
        folder = plan.out
        numbers = {name: result[name] for name in kept}
        if plan.split == "loso":
            folder = plan.out / "folds" / f"{number:02d}"
            numbers = result["folds"][number]
        clips = _of_fold(fold)["clips"]
        data = {"clips": clips, "layout": result["layout"], "words": result["words"]}
        about = {"model": plan.model, "split": plan.split, "epochs": fold.epochs}
        fold.recogniser.about = about | {"data": data, "metrics": numbers}
        fold.recogniser.save(folder / "model.pt")
        _draw_curves(folder / "curves.png", fold.history)
    if result["confusion"] is not None:
        _draw_confusion(plan.out / "confusion.png", result["confusion"], result["words"])
    save_json(plan.out / "metrics.json", result)


def _draw_curves(path: Path, history: History) -> None:
    from matplotlib.figure import Figure

    from course_utils import plots

    figure = Figure(figsize=(8.0, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    plots.plot_curves({"training": history.loss, "validation": history.valid_loss}, ax=left)
    plots.plot_curves({"validation": history.valid_accuracy}, ax=right, ylabel="Accuracy")
    _save_figure(path, figure)


def _draw_confusion(path: Path, counts: list[list[int]], words: list[str]) -> None:
    from matplotlib.figure import Figure

    from course_utils import plots

    figure = Figure(figsize=(4.4, 4.0), layout="constrained")
    plots.plot_confusion(torch.tensor(counts), figure.subplots(), words=words)
    _save_figure(path, figure)


def _save_figure(path: Path, figure: Any) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    picture = io.BytesIO()
    with warnings.catch_warnings():  # signs that no font has are boxes
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
        FigureCanvasAgg(figure).print_png(picture)
    paths.save_file(path, picture.getvalue())


def splits_named(data: SpokenWords, name: str, seed: int = 0) -> dict[str, Split]:
    """Return the splits that a name of the command line asks for: one a fold.

    Args:
        name: official, takes:A-B, clip, speaker:NAME, family:NAME, all, or loso (leave one
            speaker out, each in turn).
    Returns: Splits by the name of their fold: the speaker for loso, else the name itself.
    Raises: DataError, as the functions of `splits.py`.
    """
    kind, _, rest = name.partition(":")
    if kind == "loso":
        speakers = sorted(set(data.speakers))
        return {speaker: splits.split_by_speaker(data, speaker, seed) for speaker in speakers}
    if kind == "takes":
        first, last = (int(take) for take in rest.split("-"))
        return {name: splits.split_by_takes(data, first, last, seed)}
    if kind == "speaker":
        return {name: splits.split_by_speaker(data, rest, seed)}
    if kind == "family":
        return {name: splits.split_by_family(data, rest, seed)}
    plain = {
        "official": splits.split_official,
        "clip": splits.split_by_clip,
        "all": splits.split_all,
    }
    return {name: plain[kind](data, seed)}


def check_split_name(name: str, layout: str) -> None:
    """Refuse a name that `splits_named` does not know, or that a layout cannot have.

    Raises: DataError.

    >>> check_split_name("speaker:mei", "speaker_digit")
    """
    if not re.fullmatch(r"official|clip|all|loso|takes:\d+-\d+|(speaker|family):.+", name):
        raise DataError(
            f"The split {name!r} is unknown: use official, takes:A-B, clip, speaker:NAME, "
            "family:NAME, all or loso."
        )
    if (name == "official" or name.startswith("takes:")) and layout != "digit_speaker_take":
        raise DataError(
            f"The split {name} needs takes, which the layout {layout} does not have: use "
            "--layout digit_speaker_take, or split by clip, speaker or family."
        )


def judge(
    data: SpokenWords,
    clips: Sequence[int],
    labels: torch.Tensor,
    probabilities: torch.Tensor,
    words: Sequence[str],
    new_speakers: bool,
) -> dict[str, Any]:
    """Count what was recognised, over clips, speakers and words: what `metrics.json` holds.

    Args:
        data: the recordings.
        clips: the numbers of those that were tested.
        labels: int64 tensor [tested], the places of their words in `words`.
        probabilities: float32 tensor [tested, words], the answers.
        words: the model's.
        new_speakers: whether nobody who is tested was trained on.
    Returns: test_accuracy, test_interval, speaker_interval, per_speaker, per_digit (one entry a
        word, whatever the words are), words and confusion; without clips each is None.
    """
    if len(clips) == 0:
        names = "test_accuracy test_interval speaker_interval per_speaker per_digit confusion"
        return dict.fromkeys(names.split()) | {"words": list(words)}
    predicted = probabilities.argmax(dim=-1)
    right = (predicted == labels).tolist()
    by_speaker, by_word = defaultdict(list), defaultdict(list)
    for clip, label, correct in zip(clips, labels.tolist(), right, strict=True):
        by_speaker[data.speakers[clip]].append(correct)
        by_word[label].append(correct)
    per_speaker = {name: sum(all_) / len(all_) for name, all_ in sorted(by_speaker.items())}
    over_speakers = metrics.speaker_interval(list(per_speaker.values()))
    return {
        "test_accuracy": sum(right) / len(right),
        "test_interval": metrics.wilson_interval(sum(right), len(right)),
        "speaker_interval": over_speakers if new_speakers else None,
        "per_speaker": per_speaker,
        "per_digit": {words[k]: sum(all_) / len(all_) for k, all_ in sorted(by_word.items())},
        "words": list(words),
        "confusion": metrics.confusion(predicted, labels, len(words)).tolist(),
    }
