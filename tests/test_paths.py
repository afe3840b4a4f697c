"""Where sounds are found, and the one folder that is written to."""

import os
import subprocess
import sys

import pytest

from course_utils.paths import data_path, output_path, work_folder


def test_a_sound_of_the_course_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert data_path("demo1.wav").is_file()


def test_a_missing_sound_is_named_with_the_cure():
    with pytest.raises(FileNotFoundError, match=r"demo9\.wav .*git checkout"):
        data_path("demo9.wav")


def test_everything_is_written_below_the_named_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "学生 的 文件夹"))
    assert work_folder() == (tmp_path / "学生 的 文件夹").resolve()
    path = output_path("runs/model.pt")
    assert path.parent.is_dir() and path.is_relative_to(work_folder())


@pytest.mark.parametrize("name", ["../model.pt", "/etc/model.pt", "a/../../b"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))
    with pytest.raises(ValueError, match="outside"):
        output_path(name)


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "file" / "below"))
    with pytest.raises(PermissionError, match="COURSE_WORK"):
        work_folder()


def test_importing_the_package_loads_nothing_heavy():
    script = "import sys, course_utils; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"
