"""Fetch real recordings: the Free Spoken Digit Dataset (FSDD), checked file by file.

FSDD is by Zohar Jackson and contributors, under CC BY-SA 4.0. Its archive is made by the server
on demand and its bytes may change, so the recordings are checked and not the archive:

- one SHA-256 over a list of all 3,000 (a line `<sha256>  <name>` each, in the order of names)
  proves every one of them when all are right;
- a list of 2,000 of them (`fsdd_sha256.txt`) names a wrong file among those. If the first check
  fails and these are right, the fault is in one of the other 1,000.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import lzma
import re
import shutil
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from filelock import FileLock, Timeout

from course_utils.errors import CourseError

FSDD_URL = (
    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz"
)
FSDD_FILES = 3000
FSDD_DIGEST = "1801eae019c063377d98f831d3f93574f259475df7332bb0e3d1b080fb5e6959"
KNOWN_LIST = Path(__file__).with_name("fsdd_sha256.txt")
RECORDING = re.compile(r"[0-9]_[a-z]+_[0-9]+\.wav")
MOST_BYTES = 200_000_000  # of the archive, and of what is in it: a real one has 23 MB
MOST_MEMBERS = 10_000
STALL_SECONDS = 30.0
# What a damaged archive makes of reading it, beside an OSError without a number.
DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    RuntimeError,
)


class DownloadError(CourseError):
    """A download that cannot go on."""


def known_digests() -> dict[str, str]:
    """Return the shipped SHA-256 digests of 2,000 of the recordings, by file name.

    >>> len(known_digests())
    2000
    """
    lines = KNOWN_LIST.read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def list_digest(digests: Mapping[str, str]) -> str:
    """Return the SHA-256 of the list of digests: one line `<sha256>  <name>` each, by name.

    >>> list_digest({})[:8]
    'e3b0c442'
    """
    text = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
    return hashlib.sha256(text.encode()).hexdigest()


def check_recordings(
    folder: str | Path,
    files: int = FSDD_FILES,
    whole_digest: str = FSDD_DIGEST,
    known: Mapping[str, str] | None = None,
    name: str | None = None,
) -> None:
    """Check that a folder holds the recordings of FSDD, all of them and unchanged.

    Args:
        folder: where they are.
        files: how many there must be.
        whole_digest: the digest of their list.
        known: the digests that are known one by one (the shipped ones if not given).
        name: what to call the folder in a message (its path if not given).
    Raises: DownloadError, it names three of the wrong and missing files whose digest is known.
    """
    folder = Path(folder)
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.glob("*.wav")
        if RECORDING.fullmatch(path.name)
    }
    if len(digests) == files and list_digest(digests) == whole_digest:
        return
    known = known_digests() if known is None else known
    wrong = sorted(file for file in known if digests.get(file) != known[file])
    named = ", ".join(wrong[:3]) + ", …" * (len(wrong) > 3) or "some that are known only in sum"
    raise DownloadError(
        f"{name or folder} does not hold the recordings of FSDD v1.0.10 ({len(digests)} of {files} "
        f"are there; changed or missing are {named}): move it away and download them again."
    )


def fetch_fsdd(
    target: str | Path,
    url: str = FSDD_URL,
    archive: str | Path | None = None,
    stall_seconds: float = STALL_SECONDS,
    **expected: Any,
) -> Path:
    """Download FSDD into `target/recordings`; the folder appears whole and checked, or not at all.

    Args:
        target: a folder; made if it is missing. Nothing is written outside.
        url: where the archive is (.tar.gz, .tar or .zip).
        archive: an archive that somebody downloaded by hand; then nothing is fetched.
        stall_seconds: how long a silent server is waited for.
        expected: passed on to `check_recordings`.
    Returns: the path of the recordings.
    Raises: DownloadError, they can't be fetched, written or trusted.
    """
    recordings = Path(target) / "recordings"
    if recordings.exists():
        check_recordings(recordings, **expected)
        return recordings
    try:
        recordings.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(recordings.parent) as staging:
            fetched = staging / "fsdd.tar.gz"
            if archive is None:
                _download(url, fetched, stall_seconds)
            _unpack(Path(archive or fetched), staging)
            check_recordings(staging, name=Path(archive or url).name, **expected)
            fetched.unlink(missing_ok=True)
            with contextlib.suppress(PermissionError):  # some drives and hubs know no chmod
                staging.chmod(0o755)  # mkdtemp's folders are for their owner alone
            staging.replace(recordings)
    except OSError as error:
        raise DownloadError(
            f"{target} cannot be written ({error.strerror or error}): free some space or name "
            "another folder with --to."
        ) from None
    return recordings


@contextlib.contextmanager
def _only_one(target: Path) -> Iterator[Path]:
    """Keep a second download out of a folder; give the first one a new folder in it to work in."""
    try:
        with FileLock(target / ".download.lock", timeout=0):
            for left in target.glob(".recordings-*"):  # by one that was killed
                shutil.rmtree(left, ignore_errors=True)
            staging = Path(tempfile.mkdtemp(dir=target, prefix=".recordings-"))
            try:
                yield staging
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except Timeout:
        raise DownloadError(
            f"Another download into {target} is running: wait for it to end."
        ) from None


class _Bounded(io.BufferedWriter):
    """A file that doesn't grow beyond what FSDD can have."""

    def write(self, block: Any) -> int:
        if self.tell() + len(block) > MOST_BYTES:
            raise DownloadError(
                f"The archive is larger than {MOST_BYTES // 1_000_000} MB, so it is not FSDD: "
                "check the address."
            )
        return super().write(block)


def _download(url: str, path: Path, stall_seconds: float) -> None:
    """Fetch a file, with a bar where somebody watches."""
    import pooch  # takes a moment, which the digests need not wait for

    if not re.match("https?://", url):
        raise DownloadError(f"{url!r} is no address: give one that begins with https://.")
    watched = sys.stderr.isatty()
    fetch = pooch.HTTPDownloader(progressbar=watched, chunk_size=1 << 16, timeout=stall_seconds)
    try:
        with _Bounded(io.FileIO(path, "wb")) as file:
            fetch(url, file, None)
    except OSError as error:  # what pooch meets on the network is an OSError without a number
        if error.errno is not None:
            raise
        print(end="\n" * watched, file=sys.stderr)  # ends the bar's line
        answer = getattr(error, "response", None)
        if answer is not None:
            reason = f"the server answered {answer.status_code}"
        elif "timed out" in str(error):
            reason = f"nothing came for {stall_seconds:g} s"
        else:
            reason = f"no connection, or it broke off: {type(error).__name__}"
        raise DownloadError(
            f"FSDD cannot be downloaded ({reason}): try again later, or fetch {url} with a browser "
            "and run `python -m course_utils download fsdd --archive FILE`."
        ) from None


def _unpack(archive: Path, folder: Path) -> None:
    """Copy recordings out under their bare names; no name in the archive becomes a path."""
    if not archive.is_file():
        raise DownloadError(f"{archive} is no file: give the name of the archive itself.")
    taken = 0
    try:
        for number, (name, size, plain, opened) in enumerate(_members(archive)):
            path = PurePosixPath(name)
            taken += size
            if path.is_absolute() or ".." in path.parts:
                raise DownloadError(
                    _not_fsdd(f"holds the name {name!r}, which leads out of its folder")
                )
            if number >= MOST_MEMBERS or taken > MOST_BYTES:
                raise DownloadError(_not_fsdd("unpacks to more than FSDD ever held"))
            if path.parent.name == "recordings" and RECORDING.fullmatch(path.name):
                if not plain:
                    raise DownloadError(_not_fsdd(f"holds {name}, which is no plain file"))
                (folder / path.name).write_bytes(opened().read())
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DownloadError(
            f"{archive.name} is no whole archive (.tar.gz, .tar or .zip): download it again."
        ) from None


def _members(archive: Path) -> Iterator[tuple[str, int, bool, Callable[[], IO[bytes]]]]:
    """Yield of each thing in a tar or zip: name, size, if it is a plain file, how to open it."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                yield info.filename, info.file_size, True, partial(zipped.open, info)
    else:
        with tarfile.open(archive) as tar:
            for member in tar:
                opened: Any = partial(tar.extractfile, member)  # a stream, of a plain file
                yield member.name, member.size, member.isfile(), opened


def _not_fsdd(why: str) -> str:
    return (
        f"The archive {why}, so it is not FSDD: check where it comes from; nothing of it was kept."
    )
