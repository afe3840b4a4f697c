"""Where the course's sounds are, and the one folder into which everything is written."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from collections.abc import Iterable
from pathlib import Path

from course_utils.errors import FolderError

REPOSITORY = Path(__file__).resolve().parent.parent


def data_path(*parts: str) -> Path:
    """Return the absolute path of a file or folder among the course's sounds.

    Args:
        parts: of its name below `data/`.
    Raises:
        FolderError: if the course has no such file.

    >>> data_path("demo1.wav").name
    'demo1.wav'
    """
    path = REPOSITORY.joinpath("data", *parts)
    if not path.exists():
        raise FolderError(
            f"{Path(*parts)} is not in the course's data folder {REPOSITORY / 'data'}: "
            "check its name, or restore the folder with `git checkout -- data`."
        )
    return path


def work_folder() -> Path:
    """Return the one folder into which the course writes, and make it if it is missing.

    It is the folder that the environment variable COURSE_WORK names. Without it, it is
    `my_work` in the course's own folder, or `speech-course` in the home folder where the
    course's folder cannot be written (a shared copy on a hub).

    Raises:
        FolderError: if none of these can be written.

    >>> work_folder().is_dir()
    True
    """
    named = os.environ.get("COURSE_WORK")
    candidates = [Path(named)] if named else [REPOSITORY / "my_work", Path("~/speech-course")]
    for folder in candidates:
        with contextlib.suppress(RuntimeError):  # no home is known here
            folder = folder.expanduser()
            if _can_write(folder):
                return folder.resolve()
    raise FolderError(
        f"Nothing can be written in {candidates[-1]}: set the environment variable COURSE_WORK "
        "to a folder of your own."
    )


def output_path(name: str | Path) -> Path:
    """Return the absolute path of a file that a notebook makes, and make its folder.

    Args:
        name: of the file, or a relative path such as `"runs/model.pt"`, below `output` in the work
            folder.
    Raises:
        FolderError: if the name leads out of that folder, its folder cannot be made, or as
            `work_folder`.

    >>> output_path("demo1.png").parent.name
    'output'
    """
    folder = work_folder() / "output"
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise FolderError(f"{name} lies outside the output folder: use a plain file name.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(
            f"{path.parent} cannot be made ({error.strerror}): move away what is in its place."
        ) from None
    return path


def write_whole(path: str | Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file whole or not at all: a kill or a full disk costs no earlier file.

    Nobody ever sees half of it: what is written stands beside it until it is renamed. `content`
    may come in parts.
    Raises:
        OSError: if that fails; what stood there before is then untouched.

    >>> write_whole(output_path("note.txt"), b"whole")
    >>> output_path("note.txt").read_bytes()
    b'whole'
    """
    path = Path(path)
    temporary = path.with_name(f".saving-{uuid.uuid4().hex}.part")
    try:
        with temporary.open("xb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(file.fileno())  # else a power cut could leave the new name without its bytes
        temporary.replace(path)
    except BaseException:  # an interruption by the keyboard too leaves nothing behind
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def save_file(path: str | Path, content: bytes) -> None:
    """Write a file as `write_whole` does, in a folder that is made if it is missing.

    Raises:
        FolderError: if that fails.

    >>> save_file(output_path("runs/note.txt"), b"whole")
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise FolderError(
            f"{path} cannot be written ({error.strerror or error}): free some space or name "
            "another folder; what was saved there before is untouched."
        ) from None


def _can_write(folder: Path) -> bool:
    """Prove by writing: permission bits say nothing for root or on a read-only disk."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
