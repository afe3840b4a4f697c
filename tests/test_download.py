"""Downloading real recordings, from servers of our own that are good, broken or malicious."""

import contextlib
import gzip
import hashlib
import io
import os
import random
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import download
from download import DownloadError, fetch_fsdd

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
    """An HTTP server on this machine; `requests` counts what it was asked for."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.requests = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                with contextlib.suppress(ConnectionError):
                    answer(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/fsdd.tar.gz"


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers = []

    def start(answer: Callable[[BaseHTTPRequestHandler], None]) -> Server:
        server = Server(answer)
        threading.Thread(target=server.server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.server.shutdown()
        server.server.server_close()


def whole(content: bytes, promised: int | None = None, pause: float = 0):
    """Answer with some content."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(promised or len(content)))
        handler.end_headers()
        for place in range(0, len(content), 4096):
            handler.wfile.write(content[place : place + 4096])
            handler.wfile.flush()
            time.sleep(pause)

    return answer


def tree(folder: Path) -> set[str]:
    """All files but the lock, which stays on some systems and harms nobody."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)) for path in files if path.name != ".download.lock"}


def assert_complete(target: Path) -> None:
    found = {path.name: path.read_bytes() for path in (target / "recordings").iterdir()}
    assert found == SOUNDS
    assert tree(target) - {f"recordings/{name}" for name in NAMES} == set()


def test_a_good_archive(serve, tmp_path, capfd):
    server = serve(whole(GOOD))
    assert fetch_fsdd(tmp_path / "fsdd", server.url, **EXPECTED) == tmp_path / "fsdd/recordings"
    assert_complete(tmp_path / "fsdd")
    assert tree(tmp_path) == {f"fsdd/{name}" for name in tree(tmp_path / "fsdd")}
    fetch_fsdd(tmp_path / "fsdd", server.url, **EXPECTED)
    assert server.requests == 1  # what is there and right is not fetched again
    assert capfd.readouterr() == ("", ""), "a bar is for a terminal"


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_a_bar_moves_on_a_terminal(serve, tmp_path):
    import pty
    import termios

    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (24, 80))
    process = start(tmp_path, serve(whole(GOOD, pause=0.02)).url, stderr=writer)
    os.close(writer)
    shown = b""
    with contextlib.suppress(OSError):  # the other end was closed
        while piece := os.read(reader, 4096):
            shown += piece
    os.close(reader)
    assert process.wait() == 0
    assert b"%|" in shown and b"B/s" in shown and b"100%" in shown


def test_a_broken_connection_is_one_sentence_and_leaves_nothing(serve, tmp_path):
    half = serve(whole(GOOD[: len(GOOD) // 2], promised=len(GOOD)))
    with pytest.raises(DownloadError, match=r"it broke off: .*--archive FILE"):
        fetch_fsdd(tmp_path, half.url, **EXPECTED)
    assert tree(tmp_path) == set()
    fetch_fsdd(tmp_path, serve(whole(GOOD)).url, **EXPECTED)
    assert_complete(tmp_path)


def test_a_truncated_archive_is_refused(serve, tmp_path):
    server = serve(whole(GOOD[:-2000]))
    with pytest.raises(DownloadError, match="no whole archive"):
        fetch_fsdd(tmp_path, server.url, **EXPECTED)
    assert tree(tmp_path) == set()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("3_ann_1.wav", r"40 of 40 are there; changed or missing are 3_ann_1\.wav\)"),
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
    with pytest.raises(DownloadError, match=r"39 of 40 are there; .* are 0_ann_0\.wav\)"):
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
    assert tree(tmp_path) == set()


def test_an_archive_of_too_many_names_is_refused(serve, tmp_path):
    many = [member(f"x/{number}", size=0) for number in range(10_001)]
    with pytest.raises(DownloadError, match="more than FSDD ever held"):
        fetch_fsdd(tmp_path, serve(whole(archive(more=many))).url, **EXPECTED)


def test_a_server_that_sends_without_end_is_left(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MOST_BYTES", 100_000)
    with pytest.raises(DownloadError, match="is not FSDD"):
        fetch_fsdd(tmp_path, serve(whole(bytes(300_000))).url, **EXPECTED)


def test_a_server_that_hangs_is_left(serve, tmp_path):
    def hang(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(GOOD)))
        handler.end_headers()
        handler.wfile.write(GOOD[:4000])
        handler.wfile.flush()
        left.wait(300)

    left = threading.Event()
    with pytest.raises(DownloadError, match=r"nothing came for 0\.5 s"):
        fetch_fsdd(tmp_path, serve(hang).url, stall_seconds=0.5, **EXPECTED)
    assert not left.is_set()
    left.set()
    assert tree(tmp_path) == set()


def test_a_disk_that_knows_no_permissions_takes_the_recordings(serve, tmp_path, monkeypatch):
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", denied)
    with contextlib.suppress(DownloadError):
        fetch_fsdd(tmp_path, serve(whole(GOOD)).url, **EXPECTED)
    assert_complete(tmp_path)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_server_that_refuses_is_quoted(serve, tmp_path, status):
    server = serve(lambda handler: handler.send_error(status))
    with pytest.raises(DownloadError, match=f"the server answered {status}"):
        fetch_fsdd(tmp_path, server.url, **EXPECTED)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command, which must answer with exit status 2 and one sentence."""
    command = [sys.executable, "-m", "course_utils", "download", "fsdd", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert result.returncode == 2 and result.stdout == "", result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    return result


def test_no_network_says_how_to_do_it_by_hand(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
    result = run("--to", tmp_path, "--url", url)
    assert "with a browser" in result.stderr and "--archive FILE" in result.stderr


@pytest.mark.parametrize("url", ["example", "example.org/fsdd.tar.gz", "file:///etc/passwd", ""])
def test_what_is_no_address_is_refused(tmp_path, url):
    with pytest.raises(DownloadError, match="is no address: give one that begins with https://"):
        fetch_fsdd(tmp_path, url)


@pytest.mark.parametrize("url", ["http://", "http://[::1", "http://a b/", "http://127.0.0.1:x/"])
def test_an_address_that_leads_nowhere_is_refused(tmp_path, url):
    with pytest.raises(DownloadError, match="cannot be downloaded"):
        fetch_fsdd(tmp_path, url)


def test_the_command_says_it_in_a_sentence(tmp_path):
    assert "is no address" in run("--to", tmp_path, "--url", "example").stderr
    assert "is no file" in run("--to", tmp_path, "--archive", tmp_path).stderr


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fsdd-1.0.10/recordings/", b"")
        for name, sound in SOUNDS.items():
            archive.writestr(f"fsdd-1.0.10/recordings/{name}", sound)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v1.0.10.tar.gz", GOOD),
        ("v1.0.10.tar", gzip.decompress(GOOD)),  # some browsers unpack without being asked
        ("v1.0.10.zip", zipped()),
    ],
)
def test_an_archive_fetched_by_hand(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    fetch_fsdd(tmp_path / "fsdd", archive=tmp_path / name, **EXPECTED)
    assert_complete(tmp_path / "fsdd")
    for cut in (len(content) // 2, 10, 0):
        (tmp_path / name).write_bytes(content[:cut])
        with pytest.raises(DownloadError, match="no whole archive|does not hold the recordings"):
            fetch_fsdd(tmp_path / "cut", archive=tmp_path / name, **EXPECTED)
    with pytest.raises(DownloadError, match="is no file"):
        fetch_fsdd(tmp_path / "other", archive=tmp_path / "none.tar.gz", **EXPECTED)
    assert tree(tmp_path / "cut") == tree(tmp_path / "other") == set()


@pytest.mark.parametrize("content", [GOOD, zipped()], ids=["tar.gz", "zip"])
def test_a_damaged_archive_is_refused(tmp_path, content):
    chance = random.Random(0)
    for number in range(50):
        damaged = bytearray(content)
        for _ in range(5):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        (tmp_path / "archive").write_bytes(damaged)
        with contextlib.suppress(DownloadError):  # what is spared may be all that is wanted
            fetch_fsdd(tmp_path / str(number), archive=tmp_path / "archive", **EXPECTED)
            assert_complete(tmp_path / str(number))


def test_a_zip_leads_nowhere_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("fsdd/recordings/../../../0_ann_0.wav", b"evil")
    with pytest.raises(DownloadError, match="leads out of its folder"):
        fetch_fsdd(tmp_path / "a" / "b", archive=tmp_path / "evil.zip", **EXPECTED)
    assert tree(tmp_path) == {"evil.zip"}


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_is_a_sentence_and_leaves_nothing(serve, tmp_path):
    url = serve(whole(GOOD, pause=0.5)).url
    command = [sys.executable, "-m", "course_utils", "download", "fsdd", "--url", url, "--to"]
    process = subprocess.Popen([*command, tmp_path], stderr=subprocess.PIPE, encoding="utf-8")
    while process.poll() is None and not list(tmp_path.glob(".recordings-*/fsdd.tar.gz")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130 and errors.strip().startswith("Stopped: run the same")
    assert len(errors.strip().splitlines()) == 1 and tree(tmp_path) == set()


def test_what_a_student_changed_is_reported_and_not_overwritten(tmp_path):
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "0_ann_0.wav").write_bytes(b"mine")
    with pytest.raises(DownloadError, match="1 of 40 are there"):
        fetch_fsdd(tmp_path, **EXPECTED)
    assert (tmp_path / "recordings" / "0_ann_0.wav").read_bytes() == b"mine"


SCRIPT = """
import sys
sys.path[:0] = sys.argv[3:]
from test_download import EXPECTED, fetch_fsdd
fetch_fsdd(sys.argv[1], sys.argv[2], **EXPECTED)
"""


def start(target: Path, url: str, **options) -> subprocess.Popen[bytes]:
    folders = [str(Path(__file__).parent), str(Path(download.__file__).parent)]
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(target), url, *folders], **options)


def test_two_downloads_into_one_folder(serve, tmp_path):
    go_on = threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(GOOD)))
        handler.end_headers()
        handler.wfile.write(GOOD[:4096])
        handler.wfile.flush()
        go_on.wait(300)
        handler.wfile.write(GOOD[4096:])

    slow = start(tmp_path, serve(wait).url)
    while not list(tmp_path.glob(".recordings-*/fsdd.tar.gz")) and slow.poll() is None:
        time.sleep(0.05)
    with pytest.raises(DownloadError, match="Another download"):
        fetch_fsdd(tmp_path, "http://127.0.0.1:9/", **EXPECTED)
    go_on.set()
    assert slow.wait() == 0
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
