"""The doctor's table, run as a reader runs it, on whole and on broken environments."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import wave
from pathlib import Path

import pytest

import doctor
from course_utils import paths
from course_utils.__main__ import main

REPOSITORY = Path(__file__).resolve().parents[1]


def run_doctor(
    folder: Path = REPOSITORY, **environment: str
) -> tuple[int, dict[str, tuple[str, str, str]]]:
    """Exit status, and by check its status, what was found and the cure."""
    result = subprocess.run(
        [sys.executable, "-m", "course_utils", "doctor"],
        cwd=folder,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"} | environment,
        capture_output=True,
        encoding="utf-8",
    )
    assert "Traceback" not in result.stderr, result.stderr
    rows: dict[str, tuple[str, str, str]] = {}
    for line in result.stdout.splitlines():
        if line.startswith(("ok  ", "note", "FAIL")):
            status, check = line[:4].strip(), line[6:].split("  ")[0].strip()
            rows[check] = (status, line[6 + len(check) :].strip(), "")
        elif "cure: " in line:
            rows[check] = (*rows[check][:2], line.split("cure: ")[1])
    return result.returncode, rows


# A check that says when it has begun, and then takes long.
SLOW = """
import subprocess, sys, doctor
def check_something_slow():
    print("begun", flush=True)
    subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"], capture_output=True)
doctor.CHECKS = (check_something_slow,)
from course_utils.__main__ import main
sys.exit(main(["doctor"]))
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_it_silently() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW],
        cwd=REPOSITORY / "tools",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate()
    assert (process.returncode, output, errors) == (130, b"", b"")


def test_a_reader_that_has_enough_ends_it_silently() -> None:
    code = "import sys, doctor; doctor.CHECKS = (doctor.check_python,); sys.exit(doctor.main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY / "tools",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()  # as head does
    assert process.stderr.read() == b""
    assert process.wait() == 0


@pytest.mark.slow
def test_it_runs_from_any_folder_and_as_a_script(tmp_path: Path) -> None:
    outputs = [
        subprocess.check_output([sys.executable, *command], cwd=tmp_path, encoding="utf-8")
        for command in (["-m", "course_utils", "doctor"], [str(REPOSITORY / "tools/doctor.py")])
    ]
    assert outputs[0] == outputs[1] and outputs[0].endswith("The course can run.\n")


def test_without_the_course_s_folder_it_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "REPOSITORY", tmp_path)
    assert main(["doctor"]) == 2
    error = capsys.readouterr().err
    assert str(tmp_path) in error and "is missing: use" in error and error.count("\n") == 1


def put_module(folder: Path, name: str, code: str) -> dict[str, str]:
    """Environment in which ``import name`` runs ``code`` instead of the real package."""
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    return {"PYTHONPATH": str(folder)}


def test_this_environment_is_whole() -> None:
    status, rows = run_doctor()
    assert status == 0, rows
    assert not [row for row in rows.items() if row[1][0] == "FAIL"]
    assert rows["torch"] == ("ok", "2.11.0, as tested", "")
    for check in ("Python", "libsndfile", "device", "data/demo1.wav", "data", "kernel"):
        assert rows[check][0] == "ok", rows[check]
    for state, found, cure in rows.values():
        assert (state == "ok") == (cure == ""), found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise OSError('libc10_cuda.so: cannot open shared object file')", "libc10_cuda.so"),
        pytest.param("import os; os.abort()", "process died", marks=pytest.mark.slow),
        pytest.param("raise SystemExit(3)", "SystemExit", marks=pytest.mark.slow),
        pytest.param(
            "print('hello'); raise ImportError('compiled with different CUDA versions')",
            "CUDA",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_broken_torch_is_a_row_with_a_cure(tmp_path: Path, code: str, words: str) -> None:
    status, rows = run_doctor(**put_module(tmp_path, "torch", code))
    assert status == 1
    assert rows["torch"][0] == "FAIL" and words in rows["torch"][1]
    cure = f"unset PYTHONPATH ({tmp_path}), whose packages come first, and run the doctor again"
    assert rows["torch"][2] == cure, "to delete .venv would not help"
    for check in ("Python", "numpy", "libsndfile", "data", "kernel"):  # the others still speak
        assert rows[check][0] == "ok", rows[check]


def test_importing_the_doctor_loads_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; import doctor; "
        "print([m for m in ('torch', 'numpy', 'packaging', 'soundfile') if m in sys.modules])"
    )
    folder = REPOSITORY / "tools"
    output = subprocess.check_output([sys.executable, "-c", code], cwd=folder, encoding="utf-8")
    assert output == "[]\n"


def test_missing_ffmpeg_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (row,) = doctor.check_ffmpeg()
    assert row.status == "note" and "optional" in row.cure


def test_another_version_is_a_note_and_one_out_of_range_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = doctor.metadata.version

    def pretend(name: str) -> str:
        return {"numpy": "2.99.0", "scipy": "1.0.0"}.get(name) or real(name)

    monkeypatch.setattr(doctor.metadata, "version", pretend)
    monkeypatch.setattr(doctor, "import_problems", lambda names: dict.fromkeys(names, ""))
    rows = {row.check: row for row in doctor.check_packages()}
    assert rows["numpy"].status == "note" and "tested with" in rows["numpy"].found
    assert rows["scipy"].status == "FAIL" and "outside scipy>=" in rows["scipy"].found
    assert rows["torch"].status == "ok"


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["torch>=2", "no-such-package-here>=1"]
    monkeypatch.setattr(doctor, "required_packages", lambda: wanted)
    row = next(row for row in doctor.check_packages() if row.check == "no-such-package-here")
    assert (row.status, row.found) == ("FAIL", "not installed") and row.cure


def test_local_build_of_the_tested_version_counts_as_tested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "required_packages", lambda: ["torch>=2.9,<2.12"])
    monkeypatch.setattr(doctor, "import_problems", lambda names: dict.fromkeys(names, ""))
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "2.11.0+cpu")
    assert doctor.check_packages()[0] == doctor.ok("torch", "2.11.0+cpu, as tested")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder of the shape that ships, with one clip."""
    (tmp_path / "digits_en").mkdir()
    with wave.open(str(tmp_path / "demo1.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * doctor.DEMO_SAMPLES))
    clip = tmp_path / "digits_en" / "anna_0.wav"
    clip.write_bytes(b"sound")
    with (tmp_path / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "language", "speaker", "family", "part", "sha256"])
        digest = hashlib.sha256(b"sound").hexdigest()
        writer.writerow(["digits_en/anna_0.wav", "en", "anna", "f", "train", digest])
    return tmp_path


def statuses(folder: Path) -> list[str]:
    return [row.status for row in doctor.check_data(folder)]


def test_whole_data(data: Path) -> None:
    assert statuses(data) == ["ok", "ok"]


def test_changed_and_missing_clips_are_named(data: Path) -> None:
    clip = data / "digits_en" / "anna_0.wav"
    clip.write_bytes(b"other")
    row = doctor.check_data(data)[1]
    assert row.status == "FAIL" and "digits_en/anna_0.wav" in row.found and "git" in row.cure
    clip.unlink()
    assert statuses(data) == ["ok", "FAIL"]


@pytest.mark.parametrize("manifest", ["", "file,language\n", "a,b\nc,d\n"])
def test_unusable_manifest(data: Path, manifest: str) -> None:
    (data / "manifest.csv").write_text(manifest, encoding="utf-8")
    assert statuses(data) == ["ok", "FAIL"]


def test_missing_manifest_and_cut_demo(data: Path) -> None:
    (data / "manifest.csv").unlink()
    demo = data / "demo1.wav"
    demo.write_bytes(demo.read_bytes()[:20])
    assert statuses(data) == ["FAIL", "FAIL"]
    shutil.rmtree(data)
    assert statuses(data) == ["FAIL", "FAIL"]


def test_a_check_that_breaks_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_something_odd() -> list[doctor.Row]:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(doctor, "CHECKS", (check_something_odd, doctor.check_python))
    odd, python = doctor.examine()
    assert odd.status == "FAIL" and odd.check == "something odd" and "oops" in odd.found
    assert python.status == "ok"


def test_kernel_of_another_python_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(
        '{"argv": ["/elsewhere/bin/python", "-m", "ipykernel"], "display_name": "old",'
        ' "language": "python"}',
        encoding="utf-8",
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    (row,) = doctor.check_kernel()
    assert row.status == "FAIL" and "/elsewhere/bin/python" in row.found
    assert "make lab" in row.cure


def test_unwritable_work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    monkeypatch.setenv("COURSE_WORK", str(blocked / "work"))
    (row,) = doctor.check_work_folder()
    assert row.status == "FAIL" and "COURSE_WORK" in row.cure


@pytest.mark.slow
def test_without_jupyterlab_the_chapters_still_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Colab and in VS Code."""
    version = doctor.metadata.version

    def without(name: str) -> str:
        if name == "jupyterlab":
            raise doctor.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor.metadata, "version", without)
    rows = {row.check: row for row in doctor.check_packages()}
    assert rows["jupyterlab"].status == "note" and rows["jupyterlab"].found == "not installed"
