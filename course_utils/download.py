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
import http.client
import os
import re
import shutil
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

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


class DownloadError(Exception):
    """A download that cannot go on, in a sentence that says what to do."""


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
) -> None:
    """Check that a folder holds the recordings of FSDD, all of them and unchanged.

    Parameters: the folder; how many files there must be; the digest of their list; the digests
        that are known one by one (the shipped ones if not given).
    Raises: DownloadError, which names wrong and missing files as far as they are known.
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
    wrong = sorted(name for name in known if digests.get(name, known[name]) != known[name])
    missing = sorted(name for name in known if name not in digests)
    faults = []
    if len(digests) != files:
        faults.append(f"{len(digests)} recordings instead of {files}")
    if wrong:
        faults.append(f"{len(wrong)} changed ({', '.join(wrong[:3])}{', …' * (len(wrong) > 3)})")
    if missing:
        faults.append(
            f"{len(missing)} missing ({', '.join(missing[:3])}{', …' * (len(missing) > 3)})"
        )
    if not faults:
        faults.append("one or more changed among those whose digest is known only in sum")
    raise DownloadError(
        f"{folder} does not hold the recordings of FSDD v1.0.10 ({'; '.join(faults)}): "
        "move it away and download them again."
    )


def fetch_fsdd(
    target: str | Path,
    url: str = FSDD_URL,
    archive: str | Path | None = None,
    report: Callable[[str], Any] | None = None,
    stall_seconds: float = STALL_SECONDS,
    **expected: Any,
) -> Path:
    """Download FSDD into `target/recordings`; the folder appears whole and checked, or not at all.

    A download that broke off is taken up where it stopped, if the server can do that.

    Parameters:
        target: a folder; made if it is missing. Nothing is written outside.
        url: where the archive (.tar.gz) is.
        archive: an archive that somebody downloaded by hand; then nothing is fetched.
        report: called with a line of progress now and then.
        stall_seconds: how long a silent server is waited for.
        expected: passed on to `check_recordings`.
    Returns: the path of the recordings.
    Raises: DownloadError.
    """
    target = Path(target)
    recordings = target / "recordings"
    say = report or (lambda line: None)
    if recordings.exists():
        check_recordings(recordings, **expected)
        say(f"The recordings are in {recordings} already, and right.")
        return recordings
    try:
        target.mkdir(parents=True, exist_ok=True)
        with _only_one(target):
            if archive is not None:
                _unpack(Path(archive), recordings, say, expected)
                return recordings
            part = target / "fsdd.tar.gz.part"
            resumed = part.exists()
            _download(url, part, say, stall_seconds)
            try:
                _unpack(part, recordings, say, expected)
            except DownloadError:
                part.unlink(missing_ok=True)
                if not resumed:
                    raise
                say("The parts of the archive do not fit together: downloading it anew.")
                _download(url, part, say, stall_seconds)
                try:
                    _unpack(part, recordings, say, expected)
                finally:
                    part.unlink(missing_ok=True)
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DownloadError(
            f"{target} cannot be written ({error.strerror or error}): free some space or name "
            "another folder with --to."
        ) from None
    return recordings


@contextlib.contextmanager
def _only_one(target: Path) -> Iterator[None]:
    """Keep a second download out of the same folder; the lock ends with the process."""
    try:
        import fcntl
    except ImportError:  # Windows: two downloads at once stay possible there
        yield
        return
    with (target / ".download.lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DownloadError(
                f"Another download into {target} is running: wait for it to end."
            ) from None
        for staging in target.glob(".recordings-*"):  # left by one that was killed
            shutil.rmtree(staging, ignore_errors=True)
        yield


def _download(url: str, part: Path, say: Callable[[str], Any], stall_seconds: float) -> None:
    """Fetch a file, from where an earlier try stopped if the server can, else from the start."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "course-utils"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=stall_seconds) as response:
            continues = response.status == 206 and _starts_at(response, have)
            have = have if continues else 0
            length = response.headers.get("Content-Length")
            total = have + int(length) if length else None
            with part.open("ab" if continues else "wb") as file:
                _copy(response, file, have, total, say)
            if total is not None and part.stat().st_size < total:
                raise ConnectionError("the connection broke off")
    except urllib.error.HTTPError as error:
        if error.code == 416:  # all there already, or more than there is: the check will tell
            return
        raise DownloadError(_by_hand(url, f"the server answered {error.code}")) from None
    except (TimeoutError, urllib.error.URLError, ConnectionError, http.client.HTTPException) as e:
        reason = getattr(e, "reason", e)
        if isinstance(reason, TimeoutError):
            reason = f"nothing came for {stall_seconds:g} s"
        raise DownloadError(_by_hand(url, str(reason))) from None


def _starts_at(response: Any, offset: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")


def _copy(
    response: Any, file: IO[bytes], have: int, total: int | None, say: Callable[[str], Any]
) -> None:
    shown = time.monotonic()
    # read1 hands over what has come: of a block that never ends, nothing would be kept.
    while block := response.read1(1 << 16):
        have += len(block)
        if have > MOST_BYTES:
            raise DownloadError(
                f"The archive is larger than {MOST_BYTES // 1_000_000} MB, so it is not FSDD: "
                "check the address."
            )
        file.write(block)
        if time.monotonic() - shown > 0.5:
            say(_progress(have, total))
            shown = time.monotonic()
    say(_progress(have, total))


def _progress(have: int, total: int | None) -> str:
    if not total:
        return f"{have / 1e6:.1f} MB"
    done = round(30 * have / total)
    return f"[{'#' * done}{'.' * (30 - done)}] {have / 1e6:.1f} of {total / 1e6:.1f} MB"


def _by_hand(url: str, reason: str) -> str:
    return (
        f"FSDD cannot be downloaded ({reason}): try again later (what has come is kept), or fetch "
        f"{url} with a browser and run `python -m course_utils download fsdd --archive FILE`."
    )


def _unpack(
    archive: Path, recordings: Path, say: Callable[[str], Any], expected: dict[str, Any]
) -> None:
    """Take the recordings out of an archive into a new folder, check them, then show them."""
    if not archive.is_file():
        raise DownloadError(f"{archive} does not exist: check its name.")
    staging = Path(tempfile.mkdtemp(dir=recordings.parent, prefix=".recordings-"))
    try:
        try:
            with tarfile.open(archive, "r:gz") as tar:
                _take_recordings(tar, staging)
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DownloadError(
                f"{archive.name} is no whole archive ({error}): download it again."
            ) from None
        say("Checking the recordings.")
        check_recordings(staging, **expected)
        staging.chmod(0o755)
        staging.replace(recordings)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _take_recordings(tar: tarfile.TarFile, staging: Path) -> None:
    """Copy recordings out under their bare names; no name in the archive becomes a path."""
    taken = 0
    for number, member in enumerate(tar):
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise DownloadError(
                f"The archive holds the name {member.name!r}, which leads out of its folder, so it "
                "is not FSDD: check where it comes from; nothing of it was kept."
            )
        taken += member.size
        if number >= MOST_MEMBERS or taken > MOST_BYTES:
            raise DownloadError(
                "The archive unpacks to more than FSDD ever held, so it is not FSDD: check where "
                "it comes from; nothing of it was kept."
            )
        if path.parent.name != "recordings" or not RECORDING.fullmatch(path.name):
            continue
        source = tar.extractfile(member) if member.isfile() else None
        if source is None:
            raise DownloadError(
                f"{member.name} in the archive is no plain file, so it is not FSDD: check where it "
                "comes from; nothing of it was kept."
            )
        (staging / path.name).write_bytes(source.read())


def main(target: Path, url: str, archive: Path | None) -> int:
    """Download FSDD for the command line; return the exit status."""
    live = sys.stderr.isatty()

    def report(line: str) -> None:
        print(f"\r{line:<60}" if live else line, end="" if live else "\n", file=sys.stderr)
        sys.stderr.flush()

    try:
        recordings = fetch_fsdd(target, url=url, archive=archive, report=report)
    except DownloadError as error:
        print(f"{os.linesep if live else ''}{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped: run the same command again to go on.", file=sys.stderr)
        return 130
    if live:
        print(file=sys.stderr)
    print(f"All {FSDD_FILES} recordings are in {recordings}, each checked by its digest.")
    print(f"Set the environment variable FSDD_DIR to {recordings.parent}")
    return 0
