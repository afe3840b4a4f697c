"""What the recorder does with samples from a browser: names, files, refusals, deleting."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from course_utils import audio, recorder
from course_utils.recordings import SpokenWords

TONE = (8000 * np.sin(np.arange(8000) / 5)).astype("<i2")


@pytest.fixture
def form(tmp_path, monkeypatch):
    """A form whose answers to the browser are kept in `answers`, and what it heard in `heard`."""
    heard: list[Path] = []
    form = recorder.Recorder(tmp_path, heard.append)
    form.paths_heard, form.answers = heard, []
    monkeypatch.setattr(form, "send", lambda message: form.answers.append(message["sentence"]))
    return form


def press_record(form, speaker="mei", word="7", samples=TONE):
    """Send what recorder.js sends; return the sentence that comes back."""
    content = {"do": "keep", "speaker": speaker, "word": word}
    form._receive(form, content, [memoryview(samples.tobytes())])
    return form.answers[-1]


def test_the_file_holds_the_samples_that_were_sent(tmp_path):
    path = recorder.save_recording(TONE.tobytes(), "mei", "7", tmp_path)
    samples, rate = soundfile.read(path, dtype="int16")
    assert path == tmp_path / "mei_7.wav"
    assert rate == 16000 and soundfile.info(path).subtype == "PCM_16"
    assert np.array_equal(samples, TONE)


def test_takes_get_names_of_their_own_and_nothing_is_replaced(tmp_path):
    stranger = tmp_path / "mei_7_take2.wav"
    stranger.write_bytes(b"mine")
    paths = [recorder.save_recording(TONE.tobytes(), "mei", "7", tmp_path) for _ in range(3)]
    assert [path.name for path in paths] == ["mei_7.wav", "mei_7_take3.wav", "mei_7_take4.wav"]
    assert stranger.read_bytes() == b"mine"


def test_a_folder_of_recordings_is_a_data_set(tmp_path):
    for speaker, word in (("mei", "7"), ("mei", "7"), ("Zoë-Ann", "0"), ("王芳", "3")):
        recorder.save_recording(TONE.tobytes(), speaker, word, tmp_path)
    for layout in ("speaker_digit", "speaker_word"):
        data = SpokenWords(tmp_path, layout=layout)
        said = [data.words[label] for label in data.labels]
        found = sorted(zip(data.speakers, said, data.takes, strict=True))
        assert found == [("Zoë-Ann", "0", 1), ("mei", "7", 1), ("mei", "7", 2), ("王芳", "3", 1)]


@pytest.mark.parametrize("word", ["四", "yes", "ice-cream", "10", "é"])
def test_any_word_is_kept_and_read_again(form, tmp_path, word):
    for name in (f"mei_{word}.wav", f"mei_{word}_take2.wav"):
        assert press_record(form, word=word) == f"Kept as {name}."
    data = SpokenWords(tmp_path, layout="speaker_word")
    assert (data.words, data.speakers, data.takes) == ([word], ["mei", "mei"], [1, 2])


def test_the_form_offers_the_digits_or_the_words_it_is_given(form, tmp_path):
    assert form.words == list("0123456789")
    assert recorder.Recorder(tmp_path, print, ["yes", "四"]).words == ["yes", "四"]


@pytest.mark.parametrize(
    "speaker",
    [
        "", "  ", "../mei", "a/b", "a\\b", "C:", ".mei", "-mei", "mei_2", "mei chen", "m\nei",
        "<img src=x onerror=alert(1)>", "mei\0", "m" * 41, "a\u202eb", "*", "mei\ud800",
    ],
)  # fmt: skip
def test_odd_names_are_refused_in_a_sentence(speaker, form, tmp_path):
    sentence = press_record(form, speaker)
    assert sentence.startswith("The speaker's name is ") and "write 40 letters" in sentence
    assert "\n" not in sentence and "\0" not in sentence and sentence.isprintable()
    assert list(tmp_path.iterdir()) == [] and form.paths_heard == []


def test_space_around_a_name_does_not_count(form):
    assert press_record(form, " mei\n") == "Kept as mei_7.wav."


@pytest.mark.parametrize("word", ["", "-1", "a b", "../7", "yes_no", "7\n.wav/", "*"])
def test_odd_words_are_refused(word, form, tmp_path):
    sentence = press_record(form, word=word)
    assert sentence.startswith("The word is ") and "write 40 letters" in sentence
    assert list(tmp_path.iterdir()) == []


def test_empty_and_long_recordings_are_refused(form, tmp_path):
    assert "holds no sound" in press_record(form, samples=TONE[:0])
    assert "holds no sound" in press_record(form, samples=np.zeros(3, dtype="u1"))
    assert "longer than 10 s" in press_record(form, samples=np.zeros(160_001, dtype="<i2"))
    form._receive(form, {"do": "keep", "speaker": "mei", "word": "7"}, [])
    assert "holds no sound" in form.answers[-1]
    assert list(tmp_path.iterdir()) == []
    assert press_record(form, samples=np.zeros(160_000, dtype="<i2")) == "Kept as mei_7.wav."


def test_what_was_kept_is_heard(form, tmp_path):
    assert press_record(form) == "Kept as mei_7.wav."
    assert form.paths_heard == [tmp_path / "mei_7.wav"]
    assert audio.load(form.paths_heard[0])[0].shape == (1, 8000)


def test_delete_removes_what_the_form_made_last_first_and_nothing_else(form, tmp_path):
    other = recorder.save_recording(TONE.tobytes(), "mei", "7", tmp_path)
    press_record(form)
    press_record(form, word="8")
    assert form.last == "mei_8.wav"
    for expected in ("mei_8.wav is deleted.", "mei_7_take2.wav is deleted."):
        form._receive(form, {"do": "delete"}, [])
        assert form.answers[-1] == expected
    assert form.last == "" and list(tmp_path.iterdir()) == [other]
    form._receive(form, {"do": "delete"}, [])
    assert list(tmp_path.iterdir()) == [other] and len(form.answers) == 4


def test_a_deleted_name_is_free_again(form, tmp_path):
    press_record(form)
    audio.load(tmp_path / "mei_7.wav")
    form._receive(form, {"do": "delete"}, [])
    assert press_record(form) == "Kept as mei_7.wav."


def test_a_folder_that_cannot_be_written_says_so(form, tmp_path):
    gone = tmp_path / "gone"
    form.folder = gone
    assert press_record(form).startswith(f"{gone / 'mei_7.wav'} cannot be written (")
    form.folder = tmp_path / "a file"
    form.folder.write_bytes(b"")
    assert "cannot be written" in press_record(form)
    assert form.paths_heard == [] and form.last == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_leaves_no_half_of_a_file(form, tmp_path, monkeypatch):
    whole = Path.open

    def full(path, mode):
        whole(path, mode).close()  # the name is taken, then the disk is full
        return whole(Path("/dev/full"), "wb")

    monkeypatch.setattr(Path, "open", full)
    assert "cannot be written (No space left on device)" in press_record(form)
    assert list(tmp_path.iterdir()) == []


def test_without_a_live_front_end_nothing_is_shown(capsys):
    recorder.record(print)
    assert capsys.readouterr().out == ""


def test_in_a_live_front_end_the_form_is_shown(monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr(recorder, "is_live", lambda: True)
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))
    monkeypatch.setattr("IPython.display.display", shown.append)
    recorder.record(print)
    form, output = shown[0].children
    assert form.place == str(tmp_path / "recordings") and form.output is output
    assert "getUserMedia" in form._esm and ".say-a-word" in form._css
    assert (tmp_path / "recordings").is_dir()


@pytest.mark.slow
def test_an_installed_copy_finds_the_script(repository, tmp_path):
    """Not an editable installation: the wheel itself must hold recorder.js and recorder.css."""
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(repository / "course_utils", source / "course_utils")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, source)
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation"]
    command += ["--quiet", "--target", str(site), str(source)]
    result = subprocess.run(command, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    code = "from course_utils import recorder; print(recorder.__file__); "
    code += "assert 'getUserMedia' in str(recorder.Recorder._esm); "
    code += "assert '.say-a-word' in str(recorder.Recorder._css)"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env=dict(os.environ, PYTHONPATH=str(site)),
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith(str(site))


def test_the_newest_recording_stands_in_for_the_shipped_clip(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))
    shipped = tmp_path / "shipped.wav"
    assert recorder.last_recording(otherwise=shipped) == shipped
    folder = recorder.recordings_folder()
    first = recorder.save_recording(bytes(3200), "mei", "7", folder)
    second = recorder.save_recording(bytes(3200), "mei", "2", folder)
    os.utime(first, ns=(1, 1))
    assert recorder.last_recording(otherwise=shipped) == second
    os.utime(second, ns=(0, 0))
    assert recorder.last_recording(otherwise=shipped) == first
    (folder / "notes.txt").write_text("no sound", encoding="utf-8")
    (folder / "folder.wav").mkdir()
    assert recorder.last_recording(otherwise=shipped) == first
