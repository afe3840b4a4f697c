"""What can go wrong: every error of the course is one sentence with its cure."""

import re

from course_utils.language import translate


class CourseError(Exception):
    """Something that the course cannot do, in one sentence that says what is wrong and the cure."""

    def __init__(self, sentence: object) -> None:
        # A line break in a file's name would tear the sentence.
        super().__init__(re.sub(r"[\r\n]+", " ", str(sentence)))

    def __str__(self) -> str:
        return translate(super().__str__())


class AudioError(CourseError):
    """A sound that cannot be read or written."""


class DataError(CourseError):
    """A folder of recordings that cannot be used."""


class TrainingError(CourseError):
    """A training that cannot start or go on, or a model that cannot be used."""


class FolderError(CourseError):
    """A folder or file of the course that is not there or cannot be written."""


class FeatureError(CourseError, ValueError):
    """A spectrogram or a picture that cannot be computed or drawn."""


def check_tensor(value: object, what: str) -> None:
    """Refuse what is no tensor.

    Args:
        value: what was given.
        what: the beginning of the sentence.
    Raises:
        FeatureError: with the way from a number, a list or an array to a tensor.

    >>> import torch
    >>> check_tensor(torch.zeros(1), "The spectrogram cannot be computed")
    """
    import torch

    if isinstance(value, torch.Tensor):
        return
    way = "torch.from_numpy(array)" if hasattr(value, "__array__") else "torch.tensor(value)"
    kind = type(value).__name__
    raise FeatureError(f"{what}: a tensor is needed, not {kind}; make one with {way}.")
