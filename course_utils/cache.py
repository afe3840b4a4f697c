"""The pictures of a data set, computed once: in memory, or in a folder for the next time."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from course_utils import audio, features, pictures
from course_utils.errors import AudioError, DataError
from course_utils.language import translate
from course_utils.paths import write_whole
from course_utils.recordings import SpokenWords


def all_pictures(data: SpokenWords, cache: str | Path | None, **settings: Any) -> torch.Tensor:
    """Do what `SpokenWords.pictures` promises; the settings are those of `picture_and_word`."""
    kind = settings["kind"]
    if kind not in pictures.KINDS:
        raise DataError(f"The kind {kind!r} is unknown: use one of {', '.join(pictures.KINDS)}.")
    if kind == "notes":
        settings["n_mels"], settings["n_frames"] = pictures.NOTES_SIZE
    if cache is not None:
        return _from_folder(data, settings, Path(cache))
    return _in_memory(data, settings)


def _each_picture(data: SpokenWords, settings: dict[str, Any]) -> Iterator[torch.Tensor]:
    """Make one picture after the other; after a bad file only complete the list of such files."""
    problems: dict[Path, str] = {}
    for index, path in enumerate(data.paths):
        try:
            waveform, sample_rate = data.load(index)
            picture, _ = pictures.picture_and_word(waveform, sample_rate, **settings)
        except AudioError as error:
            problems[path] = f"cannot be used ({error})"
        if not problems:
            yield picture
    if problems:
        raise DataError(data.problem_report(problems))


def _in_memory(data: SpokenWords, settings: dict[str, Any]) -> torch.Tensor:
    result = torch.empty(_shape(data, settings))
    for row, picture in zip(result, _each_picture(data, settings), strict=True):
        row[:] = picture
    return result


def _shape(data: SpokenWords, settings: dict[str, Any]) -> tuple[int, int, int, int]:
    return len(data), 1, settings["n_mels"], settings["n_frames"]


def _from_folder(data: SpokenWords, settings: dict[str, Any], folder: Path) -> torch.Tensor:
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
        write_whole(path, _file_content(data, settings, key))
        return torch.from_numpy(np.load(path, mmap_mode="c"))
    except _RecordingsChanged:
        return _in_memory(data, settings)
    except OSError as error:
        warnings.warn(
            translate(
                f"The pictures cannot be kept in {folder} ({error.strerror or error}), so they are "
                "computed in memory this time: free some space or name another folder."
            ),
            stacklevel=4,
        )
        return _in_memory(data, settings)


class _RecordingsChanged(Exception):
    """Somebody replaced a recording while the pictures were made, so they are not kept."""


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left half written more than a day ago."""
    for part in folder.glob(".saving-*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > 24 * 3600:
                part.unlink()


def _file_content(data: SpokenWords, settings: dict[str, Any], key: str) -> Iterator[bytes]:
    """Yield the parts of a .npy file, one picture after the other, so that memory stays small."""
    header = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": _shape(data, settings)}
    np.lib.format.write_array_header_1_0(header, shape)
    yield header.getvalue()
    for picture in _each_picture(data, settings):
        yield picture.contiguous().numpy().tobytes()
    if _key(data, settings) != key:
        raise _RecordingsChanged


def _key(data: SpokenWords, settings: dict[str, Any]) -> str:
    """Return a digest of what the pictures are made of: contents, order, settings, method."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for module in (audio, features, pictures):
        digest.update(Path(str(module.__file__)).read_bytes())
    for path in data.paths:
        try:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            digest.update(str(error.errno).encode())  # the pictures report it with all others
    return digest.hexdigest()[:32]
