"""What a machine lacks is one line in the list of skipped tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="hides FFmpeg by LD_LIBRARY_PATH")
def test_a_missing_ffmpeg_is_one_line(tmp_path: Path) -> None:
    """TorchCodec's own message is 60 lines long: a traceback for each release of FFmpeg."""
    hidden = tmp_path / "libraries"
    hidden.mkdir()
    for release in range(56, 62):  # FFmpeg 4 to 8 and the next
        (hidden / f"libavutil.so.{release}").touch()  # found first, and refused by the loader
    environment = {k: v for k, v in os.environ.items() if k != "CI" and "PYTEST" not in k}
    environment["LD_LIBRARY_PATH"] = str(hidden)
    proof = "import torchaudio; torchaudio.load('data/demo1.wav')"
    broken = subprocess.run(
        [sys.executable, "-c", proof], cwd=REPOSITORY, env=environment, capture_output=True
    )
    assert len(broken.stderr.splitlines()) > 40, "FFmpeg is not hidden: this would prove nothing"
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*command, "tests/test_audio.py", "-k", "samples_of_torchaudio"],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0, result.stdout[-2000:]
    _, _, summary = result.stdout.partition("short test summary info")
    *skipped, _ = summary.splitlines()[1:]
    assert skipped and all(line.startswith("SKIPPED") for line in skipped), summary[:2000]
    assert sum("FFmpeg" in line for line in skipped) == 1
