"""Downloading real recordings, from servers of our own that are good, broken or malicious."""

import contextlib
import hashlib
import io
import os
import random
import re
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from course_utils import download
from course_utils.download import DownloadError, fetch_fsdd

PEOPLE = ("ann", "bob")
NAMES = [f"{digit}_{who}_{take}.wav" for digit in range(10) for who in PEOPLE for take in (0, 1)]
SOUNDS = {name: random.Random(name).randbytes(2560) for name in NAMES}
DIGESTS = {name: hashlib.sha256(sound).hexdigest() for name, sound in SOUNDS.items()}
EXPECTED = {
    "files": len(SOUNDS),
    "whole_digest": download.list_digest(DIGESTS),
    "known": {name: DIGESTS[name] for name in NAMES if "_ann_" in name},
}


def archive(sounds: dict[str, bytes] = SOUNDS, more: list[tarfile.TarInfo] | None = None) -> bytes:
    """Pack sounds the way GitHub does, with things beside them that nobody asked for."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        files = {f"fsdd-1.0.10/recordings/{name}": sound for name, sound in sounds.items()}
        for name, content in {"fsdd-1.0.10/README.md": b"hello", **files}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in more or []:
            tar.addfile(info, io.BytesIO(bytes(info.size)))
    return buffer.getvalue()


GOOD = archive()


class Server:
    """An HTTP server on this machine; `requests` holds the Range header of each request."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler, "Server"], None]) -> None:
        self.requests: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.headers.get("Range"))
                with contextlib.suppress(ConnectionError):
                    answer(self, outer)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/fsdd.tar.gz"


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers = []

    def start(answer: Callable[[BaseHTTPRequestHandler, Server], None]) -> Server:
        server = Server(answer)
        threading.Thread(target=server.server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.server.shutdown()
        server.server.server_close()


def whole(content: bytes, ranges: bool = False, promised: int | None = None, pause: float = 0):
    """Answer with some content, or the part of it that was asked for."""

    def answer(handler: BaseHTTPRequestHandler, server: Server) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", server.requests[-1] or "")
        start = int(asked.group(1)) if asked and ranges else 0
        if asked and ranges and start >= len(content):
            handler.send_error(416)
            return
        handler.send_response(206 if asked and ranges else 200)
        if asked and ranges:
            last, size = len(content) - 1, len(content)
            handler.send_header("Content-Range", f"bytes {start}-{last}/{size}")
        handler.send_header("Content-Length", str((promised or len(content)) - start))
        handler.end_headers()
        for place in range(start, len(content), 4096):
            handler.wfile.write(content[place : min(place + 4096, len(content))])
            handler.wfile.flush()
            time.sleep(pause)

    return answer


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def assert_complete(target: Path) -> None:
    found = {path.name: path.read_bytes() for path in (target / "recordings").iterdir()}
    assert found == SOUNDS
    assert tree(target) - {f"recordings/{name}" for name in NAMES} == {".download.lock"}


def test_a_good_archive(serve, tmp_path):
    lines = []
    server = serve(whole(GOOD))
    fetch_fsdd(tmp_path / "fsdd", server.url, report=lines.append, **EXPECTED)
    assert_complete(tmp_path / "fsdd")
    assert tree(tmp_path) == {f"fsdd/{name}" for name in tree(tmp_path / "fsdd")}
    assert any("#" * 30 in line for line in lines)
    fetch_fsdd(tmp_path / "fsdd", server.url, **EXPECTED)
    assert len(server.requests) == 1  # what is there and right is not fetched again


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_taken_up_again(serve, tmp_path, ranges):
    half = serve(whole(GOOD[: len(GOOD) // 2], promised=len(GOOD)))
    with pytest.raises(DownloadError, match=r"--archive FILE"):
        fetch_fsdd(tmp_path, half.url, **EXPECTED)
    assert (tmp_path / "fsdd.tar.gz.part").stat().st_size == len(GOOD) // 2
    assert not (tmp_path / "recordings").exists()
    server = serve(whole(GOOD, ranges=ranges))
    fetch_fsdd(tmp_path, server.url, **EXPECTED)
    assert_complete(tmp_path)
    assert server.requests == [f"bytes={len(GOOD) // 2}-"]


def test_an_archive_that_changed_in_between_is_fetched_anew(serve, tmp_path):
    (tmp_path / "fsdd.tar.gz.part").write_bytes(bytes(5000))
    server = serve(whole(GOOD, ranges=True))
    fetch_fsdd(tmp_path, server.url, **EXPECTED)
    assert_complete(tmp_path)
    assert server.requests == ["bytes=5000-", None]


def test_a_part_that_is_longer_than_the_archive(serve, tmp_path):
    (tmp_path / "fsdd.tar.gz.part").write_bytes(GOOD + bytes(5000))
    fetch_fsdd(tmp_path, serve(whole(GOOD, ranges=True)).url, **EXPECTED)
    assert_complete(tmp_path)


def test_a_truncated_archive_is_refused(serve, tmp_path):
    server = serve(whole(GOOD[:-2000]))
    with pytest.raises(DownloadError, match="no whole archive"):
        fetch_fsdd(tmp_path, server.url, **EXPECTED)
    assert tree(tmp_path) == {".download.lock"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("3_ann_1.wav", r"1 changed \(3_ann_1\.wav\)"),
        ("3_bob_1.wav", "known only in sum"),
    ],
)
def test_a_tampered_recording_is_noticed_and_named_where_it_is_known(
    serve, tmp_path, changed, message
):
    server = serve(whole(archive(SOUNDS | {changed: b"evil" * 700})))
    with pytest.raises(DownloadError, match=message):
        fetch_fsdd(tmp_path, server.url, **EXPECTED)
    assert not (tmp_path / "recordings").exists()


def test_a_missing_recording_is_noticed(serve, tmp_path):
    some = {name: sound for name, sound in SOUNDS.items() if name != "0_ann_0.wav"}
    with pytest.raises(DownloadError, match=r"39 recordings instead of 40; 1 missing \(0_ann_0"):
        fetch_fsdd(tmp_path, serve(whole(archive(some))).url, **EXPECTED)


def member(
    name: str, kind: bytes = tarfile.REGTYPE, size: int = 10, link: str = ""
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


@pytest.mark.parametrize(
    "bad",
    [
        member("../evil.wav"),
        member("fsdd/recordings/../../../0_ann_0.wav"),
        member("/tmp/recordings/0_ann_0.wav"),
        member("fsdd/recordings/0_eve_0.wav", tarfile.SYMTYPE, 0, "/etc/passwd"),
        member("fsdd/recordings/0_eve_0.wav", tarfile.LNKTYPE, 0, "../../evil"),
        member("fsdd/recordings/0_eve_0.wav", tarfile.FIFOTYPE, 0),
        member("fsdd/huge.bin", size=201_000_000),
    ],
    ids=["dots", "dots-inside", "absolute", "symlink", "hardlink", "fifo", "huge"],
)
def test_a_malicious_archive_writes_nothing_anywhere(serve, tmp_path, bad):
    target = tmp_path / "a" / "b"
    with pytest.raises(DownloadError):
        fetch_fsdd(target, serve(whole(archive(more=[bad]))).url, **EXPECTED)
    assert tree(tmp_path) == {"a/b/.download.lock"}


def test_an_archive_of_too_many_names_is_refused(serve, tmp_path):
    many = [member(f"x/{number}", size=0) for number in range(10_001)]
    with pytest.raises(DownloadError, match="more than FSDD ever held"):
        fetch_fsdd(tmp_path, serve(whole(archive(more=many))).url, **EXPECTED)


def test_a_server_that_sends_without_end_is_left(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MOST_BYTES", 100_000)
    with pytest.raises(DownloadError, match="is not FSDD"):
        fetch_fsdd(tmp_path, serve(whole(bytes(300_000))).url, **EXPECTED)


def test_a_server_that_hangs_is_left_and_what_came_is_kept(serve, tmp_path):
    def hang(handler: BaseHTTPRequestHandler, server: Server) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(GOOD)))
        handler.end_headers()
        handler.wfile.write(GOOD[:4000])
        handler.wfile.flush()
        time.sleep(5)

    start = time.monotonic()
    with pytest.raises(DownloadError, match=r"nothing came for 0\.5 s"):
        fetch_fsdd(tmp_path, serve(hang).url, stall_seconds=0.5, **EXPECTED)
    assert time.monotonic() - start < 4.5
    assert (tmp_path / "fsdd.tar.gz.part").read_bytes() == GOOD[:4000]


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_server_that_refuses_is_quoted(serve, tmp_path, status):
    server = serve(lambda handler, server: handler.send_error(status))
    with pytest.raises(DownloadError, match=f"the server answered {status}"):
        fetch_fsdd(tmp_path, server.url, **EXPECTED)


def test_no_network_says_how_to_do_it_by_hand(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
    command = [sys.executable, "-m", "course_utils", "download", "fsdd"]
    result = subprocess.run(
        [*command, "--to", str(tmp_path), "--url", url], capture_output=True, encoding="utf-8"
    )
    assert result.returncode == 1
    assert "with a browser" in result.stderr and "Traceback" not in result.stderr
    assert "--archive FILE" in result.stderr


def test_an_archive_fetched_by_hand(tmp_path):
    (tmp_path / "v1.0.10.tar.gz").write_bytes(GOOD)
    fetch_fsdd(tmp_path / "fsdd", archive=tmp_path / "v1.0.10.tar.gz", **EXPECTED)
    assert_complete(tmp_path / "fsdd")
    with pytest.raises(DownloadError, match="does not exist"):
        fetch_fsdd(tmp_path / "other", archive=tmp_path / "none.tar.gz", **EXPECTED)


def test_what_a_student_changed_is_reported_and_not_overwritten(tmp_path):
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "0_ann_0.wav").write_bytes(b"mine")
    with pytest.raises(DownloadError, match="1 recordings instead of 40"):
        fetch_fsdd(tmp_path, **EXPECTED)
    assert (tmp_path / "recordings" / "0_ann_0.wav").read_bytes() == b"mine"


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[3])
from test_download import EXPECTED, fetch_fsdd
fetch_fsdd(sys.argv[1], sys.argv[2], **EXPECTED)
"""


def start(target: Path, url: str) -> subprocess.Popen[bytes]:
    here = str(Path(__file__).parent)
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(target), url, here])


def test_two_downloads_into_one_folder(serve, tmp_path):
    slow = start(tmp_path, serve(whole(GOOD, pause=0.1)).url)
    for _ in range(200):
        if (tmp_path / "fsdd.tar.gz.part").exists():
            break
        time.sleep(0.05)
    with pytest.raises(DownloadError, match="Another download"):
        fetch_fsdd(tmp_path, "http://127.0.0.1:9/", **EXPECTED)
    assert slow.wait(60) == 0
    assert_complete(tmp_path)


def test_the_shipped_digests_are_the_published_ones():
    known = download.known_digests()
    assert len(known) == 2000
    published = "3cc2e52c0b9a956c6a868c61c04192326845062ab5cd6f664148a8c327dfe9a1"
    assert download.list_digest(known) == published


@pytest.mark.skipif("FSDD_DIR" not in os.environ, reason="needs FSDD_DIR")
def test_real_recordings_match_their_digests():
    folder = Path(os.environ["FSDD_DIR"]) / "recordings"
    if len(list(folder.glob("*.wav"))) == download.FSDD_FILES:
        download.check_recordings(folder)
    else:
        known = download.known_digests()
        download.check_recordings(folder, files=2000, whole_digest=download.list_digest(known))
