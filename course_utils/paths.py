"""Where the course's sounds are, and the one folder into which everything is written."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def data_path(*parts: str) -> Path:
    """Return the path of a file or folder among the course's sounds.

    Parameters: the parts of its name below `data/`.
    Returns: an absolute `pathlib.Path`.
    Raises: FileNotFoundError, if the course has no such file.

    >>> data_path("demo1.wav").name
    'demo1.wav'
    """
    path = REPOSITORY.joinpath("data", *parts)
    if not path.exists():
        raise FileNotFoundError(
            f"{Path(*parts)} is not in the course's data folder {path.parent}: "
            "check its name, or restore the folder with `git checkout -- data`."
        )
    return path


def work_folder() -> Path:
    """Return the one folder into which the course writes, and make it if it is missing.

    It is the folder that the environment variable COURSE_WORK names. Without it, it is
    `my_work` in the course's own folder, or `speech-course` in the home folder where the
    course's folder cannot be written (a shared copy on a hub).

    Returns: an absolute `pathlib.Path` of a folder that can be written.
    Raises: PermissionError, if none of the candidates can be written.

    >>> work_folder().is_dir()
    True
    """
    named = os.environ.get("COURSE_WORK")
    candidates = [Path(named)] if named else [REPOSITORY / "my_work", Path.home() / "speech-course"]
    for folder in candidates:
        if _can_write(folder):
            return folder.resolve()
    raise PermissionError(
        f"Nothing can be written in {candidates[-1]}: set the environment variable COURSE_WORK "
        "to a folder of your own."
    )


def output_path(name: str | Path) -> Path:
    """Return where a file that a notebook makes belongs, and make its folder.

    Parameters: its name, or a relative path such as `"runs/model.pt"`.
    Returns: an absolute `pathlib.Path` below `work_folder() / "output"`.
    Raises: ValueError, if the name leads out of that folder; PermissionError, as `work_folder`.

    >>> output_path("demo1.png").parent.name
    'output'
    """
    folder = work_folder() / "output"
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{name} lies outside the output folder: use a plain file name.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all: a kill or a full disk costs no earlier file.

    Nobody ever sees half of it: what is written stands beside it until it is renamed.

    Parameters: path, the file, whose folder exists; content, what the file shall hold.
    Raises: OSError, if that fails; what stood there before is then untouched.

    >>> write_whole(output_path("note.txt"), b"whole")
    >>> output_path("note.txt").read_bytes()
    b'whole'
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".saving-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a power cut could leave the new name without its bytes
        Path(temporary).chmod(0o644)  # mkstemp's files are for their owner alone
        Path(temporary).replace(path)
    except BaseException:  # an interruption by the keyboard too leaves nothing behind
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _can_write(folder: Path) -> bool:
    """Prove by writing: permission bits say nothing for root or on a read-only disk."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
