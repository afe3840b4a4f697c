"""Spoken digits in a folder: which file is which, honest splits, and their pictures, cached.

A file's name says its digit and its speaker in one of two layouts, which is stated and never
guessed, because `0_jackson_3.wav` fits both and means a 3 in one and a 0 in the other:

- `speaker_digit`: `<speaker>_<digit>.wav`, the lecture notes' way;
- `digit_speaker_take`: `<digit>_<speaker>_<take>.wav`, the Free Spoken Digit Dataset's way.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import random
import re
import tempfile
import time
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from course_utils import audio, features

LAYOUTS = {
    "speaker_digit": re.compile(r"(?P<speaker>.+)_(?P<digit>[0-9])"),
    "digit_speaker_take": re.compile(r"(?P<digit>[0-9])_(?P<speaker>.+)_(?P<take>[0-9]+)"),
}
SOUNDS = {".wav", ".flac", ".mp3"}
OTHER_SOUNDS = {".m4a", ".mp4", ".ogg", ".opus", ".webm", ".aac", ".wma", ".aiff", ".aif"}
OFFICIAL_TAKES = (0, 4)
CHUNK = 256  # clips read and transformed at a time


class DataError(Exception):
    """A folder of recordings that cannot be used, in a sentence that says what to do."""


class SpokenDigits(torch.utils.data.Dataset):
    """The recordings of a folder, in the order of their names; item i is (waveform, digit).

    Hidden files, sub-folders and files that are not sound are passed over. If the folder itself
    holds no sound but a sub-folder `recordings` does, that one is taken (as FSDD comes).

    Parameters:
        root: the folder.
        layout: `"speaker_digit"` or `"digit_speaker_take"`: what the names mean.
        sample_rate: int, in Hz, of the waveforms that items hold.
        unreadable: `"error"`, or `"skip"` to leave bad files out with a warning.
    Attributes: `paths`; `digits`, int64 tensor [clips]; `speakers`, `families` (list of str;
        the family is the speaker where no `manifest.csv` tells it); `takes` (list of int).
    Raises: DataError, if the folder or a name is wrong; all bad files are named at once.

    >>> from course_utils.paths import data_path
    >>> data = SpokenDigits(data_path("digits_en"), layout="speaker_digit")
    >>> waveform, digit = data[0]
    >>> waveform.shape[0], 0 <= digit <= 9
    (1, True)
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
        found, problems = _read_names(self.root, layout)
        if problems or unreadable == "skip":
            # The report should be complete, so the sounds are tried as well.
            decoding = {path: problem for path in found if (problem := _sound_problem(path))}
            problems |= decoding
            found = {path: match for path, match in found.items() if path not in decoding}
        if problems and unreadable == "error":
            raise DataError(_report(self.root, layout, problems))
        if problems:
            warnings.warn(_report(self.root, layout, problems, skipped=True), stacklevel=2)
        if not found:
            raise DataError(
                f"{self.root} holds no WAV, FLAC or MP3 file that can be used: check the folder."
            )
        self.paths = list(found)
        self.digits = torch.tensor([int(match["digit"]) for match in found.values()])
        self.speakers = [_normal(match["speaker"]) for match in found.values()]
        self.takes = [int(match.groupdict().get("take") or 0) for match in found.values()]
        families = _manifest_column(self.root, "family")
        self.families = [
            families.get(_normal(path.name), speaker)
            for path, speaker in zip(self.paths, self.speakers, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Return (waveform [1, time] at `sample_rate`, digit); raise AudioError if unreadable."""
        waveform, sample_rate = self.load(index)
        return audio.resample(waveform, sample_rate, self.sample_rate), int(self.digits[index])

    def load(self, index: int) -> tuple[torch.Tensor, int]:
        """Return (waveform [1, time], sample rate in Hz) as recorded, channels averaged."""
        waveform, sample_rate = audio.load(self.paths[index])
        return audio.to_mono(waveform), sample_rate


def _folder_with_sounds(root: Path) -> Path:
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: name the folder that holds the recordings.")
    try:
        with os.scandir(root) as entries:
            has_sounds = any(Path(entry.name).suffix.lower() in SOUNDS for entry in entries)
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
            problems[path] = "does not fit the layout"
        else:
            found[path] = match
    return found, problems


def _sound_problem(path: Path) -> str | None:
    try:
        audio.load(path)
    except audio.AudioError as error:
        return f"cannot be used ({error})"
    return None


def _report(root: Path, layout: str, problems: dict[Path, str], skipped: bool = False) -> str:
    shown = [f"{path.name} {problem}" for path, problem in list(problems.items())[:20]]
    if len(problems) > 20:
        shown.append(f"{len(problems) - 20} more")
    form = {
        "speaker_digit": "<speaker>_<digit>.wav",
        "digit_speaker_take": "<digit>_<speaker>_<take>.wav",
    }[layout]
    files = "1 file" if len(problems) == 1 else f"{len(problems)} files"
    if skipped:
        return f"{files} in {root} left out ({'; '.join(shown)}): mend or remove them."
    return (
        f"{files} in {root} cannot be used ({'; '.join(shown)}): with the layout {layout} names "
        f"look like {form}, so mend or remove these files, or pass unreadable='skip'."
    )


def _manifest_column(root: Path, column: str) -> dict[str, str]:
    """Return one column of `manifest.csv` beside or above the folder, by file name."""
    for manifest in (root / "manifest.csv", root.parent / "manifest.csv"):
        if not manifest.is_file():
            continue
        with manifest.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return {
            _normal(Path(row["file"]).name): row[column]
            for row in rows
            if row.get("file")
            and row.get(column)
            and Path(row["file"]).parent.name in ("", root.name)
        }
    return {}


# Splits ------------------------------------------------------------------------------------


class Split(NamedTuple):
    """Three lists of clip numbers that share none: to train on, to choose by, to judge by."""

    train: list[int]
    valid: list[int]
    test: list[int]


def split_by_clip(data: SpokenDigits, seed: int = 0) -> Split:
    """Split clips at random, a fifth to test: the speakers are the same on both sides.

    Returns: a Split; every digit has its share of each part.

    >>> from course_utils.paths import data_path
    >>> data = SpokenDigits(data_path("digits_en"), layout="speaker_digit")
    >>> split = split_by_clip(data)
    >>> set(split.train) & set(split.test)
    set()
    """
    rest, test = _share_of_clips(data, range(len(data)), 0.2, seed)
    train, valid = _share_of_clips(data, rest, 0.1, seed)
    return _checked(Split(train, valid, test), "by clip")


def split_by_takes(data: SpokenDigits, first: int, last: int, seed: int = 0) -> Split:
    """Split FSDD by take: takes first to last to test, the same speakers on both sides.

    Returns: a Split; a tenth of the clips that are not tested are the validation part.
    Raises: DataError, if the layout has no takes or the range holds none or all of them.

    >>> from course_utils.paths import data_path
    >>> data = SpokenDigits(data_path("digits_en"), layout="speaker_digit")
    >>> split_by_takes(data, 0, 4)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    course_utils.digits.DataError: The layout speaker_digit has no takes: ...
    """
    if data.layout != "digit_speaker_take":
        raise DataError(
            f"The layout {data.layout} has no takes: split by clip, speaker or family instead."
        )
    test = [i for i, take in enumerate(data.takes) if first <= take <= last]
    rest = [i for i, take in enumerate(data.takes) if not first <= take <= last]
    train, valid = _share_of_clips(data, rest, 0.1, seed)
    return _checked(Split(train, valid, test), f"by takes {first} to {last}")


def split_official(data: SpokenDigits, seed: int = 0) -> Split:
    """Split FSDD its authors' way: takes 0 to 4 to test (300 of 3,000 recordings).

    Returns: a Split, as `split_by_takes(data, 0, 4)`.
    Raises: DataError, as `split_by_takes`.

    >>> OFFICIAL_TAKES
    (0, 4)
    """
    return split_by_takes(data, *OFFICIAL_TAKES, seed=seed)


def split_by_speaker(data: SpokenDigits, speaker: str, seed: int = 0) -> Split:
    """Keep one speaker for the test; nobody is on two sides.

    Returns: a Split, where a tenth of the other speakers (one at least) are the validation part.
    Raises: DataError, if nobody has this name or too few are left.

    >>> from course_utils.paths import data_path
    >>> data = SpokenDigits(data_path("digits_en"), layout="speaker_digit")
    >>> split = split_by_speaker(data, data.speakers[0])
    >>> len(split.test), data.speakers[0] in {data.speakers[i] for i in split.train + split.valid}
    (10, False)
    """
    return _split_by_group(data, data.speakers, speaker, "speaker", seed)


def split_by_family(data: SpokenDigits, family: str, seed: int = 0) -> Split:
    """Keep one family of voices (a column of `manifest.csv`) for the test.

    Returns: a Split, whose validation part is of other speakers than its training part.
    Raises: DataError, if there is no such family or too few speakers are left.

    >>> from course_utils.paths import data_path
    >>> data = SpokenDigits(data_path("digits_en"), layout="speaker_digit")
    >>> split = split_by_family(data, data.families[0])
    >>> {data.families[i] for i in split.test} & {data.families[i] for i in split.train}
    set()
    """
    return _split_by_group(data, data.families, family, "family", seed)


def split_all(data: SpokenDigits, seed: int = 0) -> Split:
    """Keep a tenth of the speakers for validation, and nothing for a test.

    Returns: a Split whose test part is empty. A single speaker's clips are split at random.
    Raises: DataError, if there are too few clips.

    >>> from course_utils.paths import data_path
    >>> data = SpokenDigits(data_path("digits_en"), layout="speaker_digit")
    >>> split = split_all(data)
    >>> len(split.test), len(split.train) + len(split.valid) == len(data)
    (0, True)
    """
    if len(set(data.speakers)) < 2:
        train, valid = _share_of_clips(data, range(len(data)), 0.1, seed)
    else:
        train, valid = _share_of_speakers(data, range(len(data)), seed)
    return _checked(Split(train, valid, []), "with validation only", test=False)


def _split_by_group(
    data: SpokenDigits, groups: list[str], name: str, kind: str, seed: int
) -> Split:
    name = _normal(name)
    if name not in groups:
        known = sorted(set(groups))
        more = ", …" if len(known) > 12 else ""
        raise DataError(
            f"No {kind} is called {name}: there are {', '.join(known[:12])}{more}; choose one of "
            "them."
        )
    test = [i for i, group in enumerate(groups) if group == name]
    heard = {data.speakers[i] for i in test}
    rest = [i for i, speaker in enumerate(data.speakers) if speaker not in heard]
    if len({data.speakers[i] for i in rest}) < 2:
        raise DataError(
            f"Fewer than two speakers are left without the {kind} {name}: one is needed to train "
            "and another to validate; split by clip, or add recordings."
        )
    train, valid = _share_of_speakers(data, rest, seed)
    return _checked(Split(train, valid, test), f"by {kind}")


def _share_of_clips(
    data: SpokenDigits, clips: Sequence[int], share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Part clips in two, each digit in the same proportion, the second part `share` of them."""
    generator = random.Random(f"clips {seed}")
    kept, taken = [], []
    for digit in range(10):
        same = [i for i in clips if data.digits[i] == digit]
        generator.shuffle(same)
        count = max(1, round(share * len(same))) if len(same) > 1 else 0
        taken += same[:count]
        kept += same[count:]
    return sorted(kept), sorted(taken)


def _share_of_speakers(
    data: SpokenDigits, clips: Sequence[int], seed: int
) -> tuple[list[int], list[int]]:
    """Part clips in two, by speaker: a tenth of the speakers, one at least, to the second part."""
    speakers = sorted({data.speakers[i] for i in clips})
    random.Random(f"speakers {seed}").shuffle(speakers)
    chosen = set(speakers[: max(1, round(0.1 * len(speakers)))])
    kept = [i for i in clips if data.speakers[i] not in chosen]
    taken = [i for i in clips if data.speakers[i] in chosen]
    return kept, taken


def _checked(split: Split, how: str, test: bool = True) -> Split:
    empty = [name for name, part in zip(split._fields, split, strict=True) if not part]
    if empty and not (empty == ["test"] and not test):
        raise DataError(
            f"Split {how}, the part to {empty[0]} is empty: there are too few recordings, or the "
            "split does not fit them."
        )
    return split


# Pictures, computed once --------------------------------------------------------------------


def pictures(
    data: SpokenDigits,
    kind: Literal["log_mel", "notes"] = "log_mel",
    n_mels: int = 40,
    n_frames: int = 48,
    cache: str | Path | None = None,
) -> torch.Tensor:
    """Compute the pictures of all clips, once; with a cache, read them from there next time.

    Parameters:
        data: the recordings.
        kind: `"log_mel"` (`features.log_mel_pictures`) or `"notes"` (`features.notes_pictures`,
            always 80 x 80).
        n_mels, n_frames: height and width of a log-mel picture.
        cache: a folder for the pictures; none keeps them in memory. Its files are named by a
            digest of the recordings' contents and the settings, so a changed recording or
            setting is computed anew. The tensor is then mapped from the file, not read.
    Returns: float32 tensor [clips, 1, n_mels, n_frames].
    Raises: DataError, if recordings cannot be read: all of them are named at once.

    >>> from course_utils.paths import data_path
    >>> data = SpokenDigits(data_path("digits_zh"), layout="speaker_digit")
    >>> pictures(data, n_mels=32, n_frames=32).shape == (len(data), 1, 32, 32)
    True
    """
    settings = {"kind": kind, "n_mels": n_mels, "n_frames": n_frames}
    if kind == "notes":
        settings |= {"n_mels": 80, "n_frames": 80}
    elif kind != "log_mel":
        raise DataError(f"The kind {kind!r} is unknown: use 'log_mel' or 'notes'.")
    if cache is None:
        result = torch.empty(_shape(data, settings))
        _fill(data, settings, result)
        return result
    return _cached(data, settings, Path(cache))


def _shape(data: SpokenDigits, settings: dict[str, Any]) -> tuple[int, int, int, int]:
    return len(data), 1, settings["n_mels"], settings["n_frames"]


def _fill(data: SpokenDigits, settings: dict[str, Any], result: Any) -> None:
    """Write the pictures into a tensor or array, a chunk of clips at a time."""
    problems: dict[Path, str] = {}
    for start in range(0, len(data), CHUNK):
        by_rate: dict[int, list[tuple[int, torch.Tensor]]] = defaultdict(list)
        for index in range(start, min(start + CHUNK, len(data))):
            try:
                waveform, sample_rate = data.load(index)
            except audio.AudioError as error:
                problems[data.paths[index]] = f"cannot be used ({error})"
            else:
                by_rate[sample_rate].append((index, waveform))
        if problems:
            continue  # nothing will be returned: only complete the list
        for sample_rate, clips in by_rate.items():
            indices = [index for index, _ in clips]
            try:
                result[indices] = _make([waveform for _, waveform in clips], sample_rate, settings)
            except audio.AudioError:  # says of no file, so each is tried
                for index, waveform in clips:
                    if problem := _picture_problem(waveform, sample_rate, settings):
                        problems[data.paths[index]] = problem
    if problems:
        raise DataError(_report(data.root, data.layout, problems))


def _make(
    waveforms: list[torch.Tensor], sample_rate: int, settings: dict[str, Any]
) -> torch.Tensor:
    if settings["kind"] == "notes":
        return features.notes_pictures(waveforms, sample_rate)
    return features.log_mel_pictures(
        waveforms, sample_rate, settings["n_mels"], settings["n_frames"]
    )


def _picture_problem(
    waveform: torch.Tensor, sample_rate: int, settings: dict[str, Any]
) -> str | None:
    try:
        _make([waveform], sample_rate, settings)
    except audio.AudioError as error:
        return f"cannot be used ({error})"
    return None


def _cached(data: SpokenDigits, settings: dict[str, Any], folder: Path) -> torch.Tensor:
    import numpy as np

    key = _key(data, settings)
    path = folder / f"pictures-{key}.npy"
    with contextlib.suppress(OSError, ValueError, EOFError):  # not there, or not a whole file
        # Mode c: mapped from the file, and nothing that is done to the tensor reaches the file.
        mapped = np.load(path, mmap_mode="c")
        if mapped.shape == _shape(data, settings):
            return torch.from_numpy(mapped)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".pictures-", suffix=".part")
        os.close(handle)
    except OSError as error:
        return _without_cache(data, settings, folder, error)
    temporary = Path(name)
    try:
        _write_array(data, settings, temporary)
        if _key(data, settings) != key:  # a recording was replaced meanwhile: keep nothing
            return torch.from_numpy(np.load(temporary))
        temporary.replace(path)  # whole or not at all, whoever else writes the same file
        return torch.from_numpy(np.load(path, mmap_mode="c"))
    except OSError as error:
        return _without_cache(data, settings, folder, error)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left half written more than a day ago."""
    for part in folder.glob(".pictures-*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > 24 * 3600:
                part.unlink()


def _write_array(data: SpokenDigits, settings: dict[str, Any], path: Path) -> None:
    """Write the pictures to an .npy file with plain writes.

    A mapped file on a full disk would end the process with a bus error; a write raises OSError.
    """
    import numpy as np

    shape = _shape(data, settings)
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        first = file.tell()
        size = 4 * shape[2] * shape[3]
        _fill(data, settings, _Rows(file, first, size))
        file.flush()
        os.fsync(file.fileno())


class _Rows:
    """An open file that takes `rows[indices] = pictures` like an array."""

    def __init__(self, file: Any, first: int, size: int) -> None:
        self.file, self.first, self.size = file, first, size

    def __setitem__(self, indices: list[int], values: torch.Tensor) -> None:
        for index, value in zip(indices, values.contiguous().numpy(), strict=True):
            self.file.seek(self.first + index * self.size)
            self.file.write(value.tobytes())


def _without_cache(
    data: SpokenDigits, settings: dict[str, Any], folder: Path, error: OSError
) -> torch.Tensor:
    warnings.warn(
        f"The pictures cannot be kept in {folder} ({error.strerror or error}), so they are "
        "computed in memory this time: free some space or name another folder.",
        stacklevel=4,
    )
    result = torch.empty(_shape(data, settings))
    _fill(data, settings, result)
    return result


def _key(data: SpokenDigits, settings: dict[str, Any]) -> str:
    """Return a digest of what the pictures are made of: contents, order, settings, method."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(Path(features.__file__).read_bytes())
    for path in data.paths:
        try:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            digest.update(str(error.errno).encode())  # _fill reports it with all others
    return digest.hexdigest()[:32]
