"""A trained recogniser: a network, the words it knows, and the pictures it takes.

Chapter 8 puts it together from the parts of all chapters, and saves it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from course_utils import checkpoints, models
from course_utils.audio import to_mono
from course_utils.augment import augment
from course_utils.errors import TrainingError
from course_utils.paths import save_file
from course_utils.pictures import STEP_SECONDS, picture_and_word
from course_utils.training import RECIPES, Recipe

FORMAT, OLD_FORMAT = "course_utils model 2", "course_utils model 1"
OLD_WORDS = list("0123456789")  # what models of the first format know


@dataclass(frozen=True)
class Heard:
    """What was heard in a clip: the word (None if nobody spoke), and where, in seconds.

    `probabilities` is a float32 tensor [words], in the order of the recogniser's words. A network
    always prefers one of its words, so they are given for a clip without speech too.
    """

    word: str | None
    probabilities: torch.Tensor
    start: float
    end: float

    @property
    def probability(self) -> float:
        """How sure the network is of its answer, 0 to 1."""
        return float(self.probabilities.max())


@dataclass
class Recogniser:
    """A network with all that is needed to use it on a recording. Taught in chapter 8.

    Args:
        model: the network, trained.
        words: what its answers mean, in their order.
        recipe: such as `training.RECIPES["cnn"]`: which pictures the network takes.
        about: what else is worth keeping: data, split, metrics (plain values).

    >>> recogniser = Recogniser(models.LeNet5(4), ["yes", "no", "up", "down"], RECIPES["lenet"])
    >>> recogniser.recognise(torch.zeros(1, 16000), 16000).word is None
    True
    """

    model: torch.nn.Module
    words: list[str]
    recipe: Recipe
    about: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        count = models.count_parameters(self.model)
        return f"recogniser of {len(self.words)} words ({', '.join(self.words)}), {count:,} weights"

    def recognise(self, waveform: torch.Tensor, sample_rate: int) -> Heard:
        """Say which word is spoken in a clip, how surely, and where.

        Args:
            waveform: floating-point tensor [channels, time].
            sample_rate: in Hz; any will do.
        Returns:
            a Heard, whose word is None if nobody spoke.
        Raises:
            AudioError: if the waveform is wrong or too long.
        """
        recipe = self.recipe
        picture, place = picture_and_word(
            to_mono(waveform), sample_rate, recipe.n_mels, recipe.n_frames, recipe.kind
        )
        probabilities = models.predict(self.model, picture[None])[0]
        if place is None:
            return Heard(None, probabilities, 0.0, 0.0)
        word = self.words[int(probabilities.argmax())]
        start, end = (frame * STEP_SECONDS for frame in place)
        return Heard(word, probabilities, start, end)

    def save(self, path: str | Path) -> None:
        """Write the recogniser to a file, whole or not at all.

        Raises:
            FolderError: if the file cannot be written.
        """
        content = {
            "format": FORMAT,
            "words": list(self.words),
            "recipe": self.recipe.as_dict(),
            "about": self.about,
            "weights": models.copy_weights(self.model),
        }
        save_file(path, checkpoints.packed(content))

    @classmethod
    def load(cls, path: str | Path) -> Recogniser:
        """Read a recogniser that `save` wrote; a file that holds code is refused, not run.

        Raises:
            TrainingError: if the file is missing, damaged or something else.
        """
        path = Path(path)
        content = checkpoints.read_safely(path, "a model of this course")
        try:
            made = _from_content(content)
            made.model.load_state_dict(content["weights"])
        except (RuntimeError, KeyError, TypeError, AttributeError, ValueError):
            raise TrainingError(
                f"{path.name} is not a model of this course: train one and name its model.pt."
            ) from None
        made.model.eval()
        return made


def _from_content(content: dict[str, Any]) -> Recogniser:
    if content["format"] == OLD_FORMAT:
        words, recipe = OLD_WORDS, RECIPES[content["model"]]
        about = {"model": content["model"], "epochs": content.get("epochs", 0)}
    elif content["format"] == FORMAT:
        words, about = [str(word) for word in content["words"]], dict(content["about"])
        recipe = _recipe_of(content["recipe"])
    else:
        raise KeyError(content["format"])
    model = recipe.network(classes=len(words))
    if isinstance(model, models.Ensemble) and not _fits(model, content["weights"]):
        model = models.Ensemble(len(words), grid=None)  # before it had a grid
    return Recogniser(model, words, recipe, about)


def _fits(model: models.Ensemble, weights: dict[str, torch.Tensor]) -> bool:
    name = "members.0.linear.weight"
    return model.state_dict()[name].shape == weights[name].shape


def _recipe_of(settings: dict[str, Any]) -> Recipe:
    """Turn saved settings back into a recipe; only the course's own networks are made."""
    plain = {name: value for name, value in settings.items() if name not in ("network", "augment")}
    changed = augment if settings["augment"] else None
    return Recipe(models.NETWORKS[settings["network"]], augment=changed, **plain)
