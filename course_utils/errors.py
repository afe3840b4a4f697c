"""What can go wrong: every error of the course is one sentence with its cure."""

import re


class CourseError(Exception):
    """Something that the course cannot do, in one sentence that says what is wrong and the cure."""

    def __init__(self, sentence: object) -> None:
        # A line break in a file's name would tear the sentence.
        super().__init__(re.sub(r"[\r\n]+", " ", str(sentence)))


class AudioError(CourseError):
    """A sound that cannot be read or written."""


class DataError(CourseError):
    """A folder of recordings that cannot be used."""


class TrainingError(CourseError):
    """A training that cannot start or go on, or a model that cannot be used."""


class DownloadError(CourseError):
    """A download that cannot go on."""


class FolderError(CourseError):
    """A folder or file of the course that is not there or cannot be written."""
