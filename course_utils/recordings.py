"""Recordings of words in a folder: which file is which word, by whom, and which take.

A file's name says it in one of three layouts. The layout is stated and never guessed, because
`0_jackson_3.wav` fits two of them and means a 3 in one and a 0 in the other.
"""

from __future__ import annotations

import contextlib
import csv
import re
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import torch

from course_utils import audio
from course_utils.errors import AudioError, DataError
from course_utils.language import translate

MISNAMED = "does not fit the layout"
_TAKE = r"(?:_take(?P<take>[0-9]+))?"
LAYOUTS = {
    "speaker_digit": re.compile(rf"(?P<speaker>.+)_(?P<word>[0-9]){_TAKE}"),
    "speaker_word": re.compile(rf"(?P<speaker>.+)_(?!take[0-9]+$)(?P<word>[^_]+){_TAKE}"),
    "digit_speaker_take": re.compile(r"(?P<word>[0-9])_(?P<speaker>.+)_(?P<take>[0-9]+)"),
}
FORMS = {
    "speaker_digit": "<speaker>_<digit>.wav or <speaker>_<digit>_take2.wav",
    "speaker_word": "<speaker>_<word>.wav or <speaker>_<word>_take2.wav",
    "digit_speaker_take": "<digit>_<speaker>_<take>.wav",
}
SOUNDS = {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus"}
SOUNDS |= {".aiff", ".aif", ".au", ".w64", ".rf64", ".caf"}
OTHER_SOUNDS = {".m4a", ".m4b", ".mp4", ".webm", ".mkv", ".mov", ".aac", ".wma", ".3gp", ".amr"}


class SpokenWords(torch.utils.data.Dataset):
    """The recordings of a folder, in the order of their names; item i is (waveform, label).

    Hidden files, sub-folders and files that are not sound are passed over. If the folder itself
    holds no sound but a sub-folder `recordings` does, that one is taken (as FSDD comes).
    Taught in chapter 8.

    Args:
        root: the folder.
        layout: a key of `LAYOUTS`: what the names mean.
        sample_rate: in Hz, of the waveforms that items hold.
        unreadable: `"error"`, or `"skip"` to leave bad files out with a warning.
    Attributes:
        paths: the files, in the order of their names.
        words: the different words, in order.
        labels: int64 tensor [clips], the place of each clip's word in `words`.
        speakers, families: a name a clip; the family is the speaker where no manifest tells it.
        takes: a number a clip.
    Raises:
        DataError: if the folder or a name is wrong; all bad files are named at once.

    >>> from course_utils.paths import data_path
    >>> data = SpokenWords(data_path("digits_zh"), layout="speaker_digit")
    >>> waveform, label = data[0]
    >>> waveform.shape[0], data.words[label]
    (1, '0')
    """

    def __init__(
        self,
        root: str | Path,
        layout: str,
        sample_rate: int = 16000,
        unreadable: Literal["error", "skip"] = "error",
    ) -> None:
        if layout not in LAYOUTS:
            raise DataError(f"The layout {layout!r} is unknown: use one of {', '.join(LAYOUTS)}.")
        if unreadable not in ("error", "skip"):
            raise DataError(f"unreadable is {unreadable!r}: use 'error' or 'skip'.")
        self.root = _folder_with_sounds(Path(root))
        self.layout = layout
        self.sample_rate = sample_rate
        found = self._usable_files(skip=unreadable == "skip")
        names = [_normal(match["word"]) for match in found.values()]
        self.paths = list(found)
        self.words = sorted(set(names))
        self.labels = torch.tensor([self.words.index(name) for name in names])
        self.speakers = [_normal(match["speaker"]) for match in found.values()]
        self.takes = [int(match["take"] or 1) for match in found.values()]
        families = _manifest_column(self.root, "family")
        files = zip(self.paths, self.speakers, strict=True)
        self.families = [families.get(_normal(path.name), speaker) for path, speaker in files]
        _warn_of_old_takes(set(self.speakers))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Return (waveform [1, time] at `sample_rate`, label); raise AudioError if unreadable."""
        waveform, sample_rate = self.load(index)
        return audio.resample(waveform, sample_rate, self.sample_rate), int(self.labels[index])

    def __repr__(self) -> str:
        speakers = len(set(self.speakers))
        words = ", ".join(self.words[:12]) + ", …" * (len(self.words) > 12)
        return translate(
            f"{len(self):,} clips of {speakers:,} speakers, {len(self.words)} words: {words}"
        )

    def load(self, index: int) -> tuple[torch.Tensor, int]:
        """Return (waveform [1, time], sample rate in Hz) as recorded, channels averaged."""
        waveform, sample_rate = audio.load(self.paths[index])
        return audio.to_mono(waveform), sample_rate

    def pictures(
        self,
        n_mels: int = 40,
        n_frames: int = 48,
        kind: Literal["log_mel", "notes"] = "log_mel",
        cache: str | Path | None = None,
    ) -> torch.Tensor:
        """Compute the pictures of all clips, once; with a cache, read them from there next time.

        Args:
            n_mels, n_frames: height and width of a picture.
            kind: `"log_mel"` or `"notes"` (always 80 x 80), as in `pictures.picture_and_word`.
            cache: a folder for the pictures; none keeps them in memory. Its files are named by a
                digest of the recordings and the settings, so a change is noticed.
        Returns:
            float32 tensor [clips, 1, n_mels, n_frames].
        Raises:
            DataError: if recordings cannot be read: all of them are named at once.
        """
        from course_utils.cache import all_pictures

        return all_pictures(self, cache, n_mels=n_mels, n_frames=n_frames, kind=kind)

    def labels_for(self, words: Sequence[str]) -> torch.Tensor:
        """Number the clips' words as another list of words does, such as a model's.

        Args:
            words: the list whose places are the labels.
        Returns:
            int64 tensor [clips].
        Raises:
            DataError: if a word of the clips is not in the list.
        """
        foreign = sorted(set(self.words) - set(words))
        if foreign:
            raise DataError(
                f"{self.root} holds words that the model was not trained on "
                f"({', '.join(foreign[:12])}): it knows {', '.join(words[:12])}; choose other "
                "recordings, or train on these words."
            )
        return torch.tensor([words.index(word) for word in self.words])[self.labels]

    def _usable_files(self, skip: bool) -> dict[Path, re.Match[str]]:
        """Return the files whose names fit, in order; name all others in one error or warning."""
        found, problems = _read_names(self.root, self.layout)
        if problems or skip:  # the report should be complete, so the sounds are tried as well
            broken = {path: text for path in found if (text := _sound_problem(path))}
            problems |= broken
            found = {path: match for path, match in found.items() if path not in broken}
        if problems and not skip:
            raise DataError(self.problem_report(problems))
        if problems:
            warnings.warn(translate(self.problem_report(problems, skipped=True)), stacklevel=3)
        if not found:
            raise DataError(
                f"{self.root} holds no WAV, FLAC or MP3 file that can be used: check the folder."
            )
        return found

    def problem_report(self, problems: dict[Path, str], skipped: bool = False) -> str:
        """Return one sentence on all files that cannot be used, with the layouts that would fit."""
        shown = [f"{path.name} {problem}" for path, problem in list(problems.items())[:20]]
        if len(problems) > 20:
            shown.append(f"{len(problems) - 20} more")
        files = "1 file" if len(problems) == 1 else f"{len(problems)} files"
        if skipped:
            return f"{files} in {self.root} left out ({'; '.join(shown)}): mend or remove them."
        strange = [path for path, problem in problems.items() if problem == MISNAMED]
        fitting = [
            name
            for name, form in LAYOUTS.items()
            if strange and all(form.fullmatch(path.stem) for path in strange)
        ]
        hint = f"; these names fit the layout {' or '.join(fitting)}" if fitting else ""
        return (
            f"{files} in {self.root} cannot be used ({'; '.join(shown)}): with the layout "
            f"{self.layout} names look like {FORMS[self.layout]}{hint}, so mend or remove these "
            "files, or pass unreadable='skip' (on the command line --skip-unreadable)."
        )


def _folder_with_sounds(root: Path) -> Path:
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: name the folder that holds the recordings.")
    try:
        has_sounds = any(path.suffix.lower() in SOUNDS for path in root.iterdir())
    except OSError as error:
        raise DataError(
            f"{root} cannot be read ({error.strerror}): change its permissions."
        ) from None
    inner = root / "recordings"
    return inner if not has_sounds and inner.is_dir() else root


def _normal(name: str) -> str:
    """Return one spelling of a name: macOS writes é as two characters, Linux as one.

    Where the locale is not UTF-8, Python hands out names with their bytes escaped.
    """
    name = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", name)


def _read_names(root: Path, layout: str) -> tuple[dict[Path, re.Match[str]], dict[Path, str]]:
    """Match the names in a folder; return those that fit, in order, and what ails the others."""
    found, problems = {}, {}
    for path in sorted(root.iterdir(), key=lambda path: _normal(path.name)):
        suffix = path.suffix.lower()
        if path.name.startswith(".") or suffix not in SOUNDS | OTHER_SOUNDS or path.is_dir():
            continue
        match = LAYOUTS[layout].fullmatch(path.stem)
        if suffix in OTHER_SOUNDS:
            problems[path] = "is not a WAV, FLAC or MP3 file"
        elif match is None:
            problems[path] = MISNAMED
        else:
            found[path] = match
    return found, problems


def _sound_problem(path: Path) -> str | None:
    try:
        audio.load(path)
    except AudioError as error:
        return f"cannot be used ({error})"
    return None


def _warn_of_old_takes(speakers: set[str]) -> None:
    """`mei-2` beside `mei` was once how a second take was named; it stays another speaker."""
    for speaker in sorted(speakers):
        base = re.fullmatch(r"(.+)-[0-9]+", speaker)
        if base and base[1] in speakers:
            warnings.warn(
                translate(
                    f"{speaker} and {base[1]} count as two speakers: if they are one person, "
                    f"rename {speaker}_….wav to {base[1]}_…_take2.wav."
                ),
                stacklevel=3,
            )


def _manifest_column(root: Path, column: str) -> dict[str, str]:
    """Return one column of `manifest.csv` beside or above the folder, by file name."""
    for manifest in (root / "manifest.csv", root.parent / "manifest.csv"):
        if manifest.is_file():
            present = {_normal(path.name) for path in root.iterdir()}
            try:
                tables = [_column_of(text, root, column) for text in _table_texts(manifest)]
                # In a wrong encoding a table names files that are not there.
                return max(tables, key=lambda table: len(present & table.keys()))
            except OSError as error:
                raise DataError(
                    f"{manifest} cannot be read ({error.strerror}): change its permissions."
                ) from None
            except (csv.Error, ValueError):
                raise DataError(f"{manifest} is damaged: save it again as CSV in UTF-8.") from None
    return {}


def _table_texts(table: Path) -> Iterator[str]:
    """Yield a table's text in each encoding of spreadsheets that its bytes may be."""
    content = table.read_bytes()
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ["utf-16"] if utf16 else ["utf-8-sig", "gb18030", "cp1252", "latin-1"]:
        with contextlib.suppress(UnicodeDecodeError):
            yield content.decode(encoding)
            if encoding.startswith("utf"):  # nothing else reads as these by chance
                return


def _column_of(text: str, root: Path, column: str) -> dict[str, str]:
    lines = text.splitlines()
    separator = max(",;\t", key=lines[0].count) if lines else ","
    return {
        _normal(Path(row["file"]).name): row[column]
        for row in csv.DictReader(lines, delimiter=separator)
        if row.get("file") and row.get(column)
        if Path(row["file"]).parent.name in ("", root.name)
    }
