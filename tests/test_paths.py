"""Where sounds are found, and the one folder that is written to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from course_utils import paths
from course_utils.errors import FolderError
from course_utils.paths import data_path, output_path, save_file, work_folder, write_whole


def test_a_sound_of_the_course_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert data_path("demo1.wav").is_file()


def test_a_missing_sound_is_named_with_the_cure():
    with pytest.raises(FolderError, match=r"demo9\.wav .*git checkout"):
        data_path("demo9.wav")


def test_everything_is_written_below_the_named_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "学生 的 文件夹"))
    assert work_folder() == (tmp_path / "学生 的 文件夹").resolve()
    path = output_path("runs/model.pt")
    assert path.parent.is_dir() and path.is_relative_to(work_folder())


@pytest.mark.parametrize("name", ["../model.pt", "/etc/model.pt", "a/../../b"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))
    with pytest.raises(FolderError, match="outside"):
        output_path(name)


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "file" / "below"))
    with pytest.raises(FolderError, match="COURSE_WORK"):
        work_folder()


def test_a_work_folder_that_is_a_file_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "file"))
    with pytest.raises(FolderError, match="set the environment variable COURSE_WORK"):
        work_folder()


def test_a_tilde_in_the_named_folder_is_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("COURSE_WORK", "~/my speech")
    assert work_folder() == (tmp_path / "my speech").resolve()
    assert not Path("~").exists()


def test_without_a_home_the_course_writes_where_it_can(tmp_path, monkeypatch):
    def no_home(path: Path) -> Path:
        if str(path).startswith("~"):
            raise RuntimeError("Could not determine home directory.")
        return path

    monkeypatch.setattr(Path, "expanduser", no_home)
    monkeypatch.setattr(paths, "REPOSITORY", tmp_path)
    monkeypatch.delenv("COURSE_WORK")
    assert work_folder() == (tmp_path / "my_work").resolve()
    monkeypatch.setattr(paths, "REPOSITORY", tmp_path / "my_work" / "file")
    (tmp_path / "my_work" / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(FolderError, match="COURSE_WORK"):
        work_folder()


def test_a_file_is_saved_in_a_folder_that_is_made_for_it(tmp_path):
    save_file(tmp_path / "a" / "b" / "note.txt", b"whole")
    assert (tmp_path / "a" / "b" / "note.txt").read_bytes() == b"whole"
    with pytest.raises(FolderError, match=r"below.txt cannot be written \(.*untouched\."):
        save_file(tmp_path / "a" / "b" / "note.txt" / "below.txt", b"")


def test_a_disk_that_knows_no_permissions_is_written_all_the_same(tmp_path, monkeypatch):
    def denied(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", denied)
    write_whole(tmp_path / "note.txt", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_a_file_is_written_whole_over_an_earlier_one(tmp_path):
    for content in (b"first, and longer", b"second", b""):
        write_whole(tmp_path / "note.txt", content)
        assert (tmp_path / "note.txt").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="looks at POSIX's permissions")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_who_may_read_what_is_written_is_for_the_umask_to_say(tmp_path, mask, mode):
    """Others of a class may, as with any file, unless its owner has said otherwise."""
    earlier = os.umask(mask)
    try:
        write_whole(tmp_path / "note.txt", b"for all")
    finally:
        os.umask(earlier)
    assert (tmp_path / "note.txt").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("stopped_by", [OSError(28, "No space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_stood_there_survives_a_write_that_fails(tmp_path, monkeypatch, step, stopped_by):
    (tmp_path / "note.txt").write_bytes(b"earlier")

    def stop(*_):
        raise stopped_by

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[step], stop)
    with pytest.raises(type(stopped_by)):
        write_whole(tmp_path / "note.txt", b"later")
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
    assert (tmp_path / "note.txt").read_bytes() == b"earlier"


def test_a_folder_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "missing" / "note.txt", b"")


@pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX's signal that cannot be caught")
def test_a_kill_in_the_middle_of_writing_costs_no_earlier_file(tmp_path):
    (tmp_path / "note.txt").write_bytes(b"earlier")
    script = (
        "import os, signal, sys\n"
        "from course_utils.paths import write_whole\n"
        "os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_whole(sys.argv[1], bytes(100000))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "note.txt"], env=os.environ)
    assert done.returncode == -9
    assert (tmp_path / "note.txt").read_bytes() == b"earlier"


def test_importing_the_package_loads_nothing_heavy():
    script = "import sys, course_utils; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"


def test_a_file_in_the_place_of_a_folder_is_one_sentence():
    write_whole(output_path("place"), b"a file")
    with pytest.raises(FolderError, match="place cannot be made .*: move away what is in its"):
        output_path("place/model.pt")
