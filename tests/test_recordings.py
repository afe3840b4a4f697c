"""Folders of recordings: what their names say, any words, takes, families, and what is refused."""

import re
import shutil
import subprocess
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from sounds import write

import experiment
from course_utils.errors import DataError
from course_utils.recordings import LAYOUTS, SpokenWords

# Names


def test_a_name_that_fits_both_layouts_is_read_as_told(tmp_path):
    write(tmp_path / "0_jackson_3.wav")
    by_speaker = SpokenWords(tmp_path, layout="speaker_digit")
    by_take = SpokenWords(tmp_path, layout="digit_speaker_take")
    assert (by_speaker.words, by_speaker.speakers) == (["3"], ["0_jackson"])
    assert (by_take.words, by_take.speakers, by_take.takes) == (["0"], ["jackson"], [3])


def test_other_things_in_the_folder_do_no_harm(tmp_path):
    write(tmp_path / "王小明_7.WAV")
    write(tmp_path / "zoé_1.flac")
    write(tmp_path / "li hua_2.mp3", rate=16000)
    for name in (".DS_Store", "Thumbs.db", "._zoé_1.wav", "README.md", "manifest.txt"):
        (tmp_path / name).write_bytes(b"no sound")
    (tmp_path / "more_5.wav").mkdir()
    data = SpokenWords(tmp_path, layout="speaker_digit")
    assert data.speakers == ["li hua", "zoé", "王小明"]
    assert [data.words[label] for label in data.labels] == ["2", "1", "7"]
    assert all(waveform.shape[0] == 1 for waveform, _ in (data[i] for i in range(3)))


def test_the_order_is_that_of_the_names_however_files_were_made(tmp_path):
    for name in ("c_1", "a_2", "B_3", "a_0"):
        write(tmp_path / f"{name}.wav")
    names = [path.name for path in SpokenWords(tmp_path, "speaker_digit").paths]
    assert names == sorted(names)


def test_a_folder_like_fsdd_with_its_recordings_below(takes):
    takes.rename(takes.parent / "recordings")
    assert len(SpokenWords(takes.parent, layout="digit_speaker_take")) == 120


def test_all_bad_files_are_named_in_one_error(people):
    write(people / "nobody.wav")
    write(people / "anna_12_x.wav")
    (people / "eve_3.wav").write_text("<html>404</html>", encoding="utf-8")
    (people / "eve_4.wav").touch()
    (people / "eve_5.m4a").write_bytes(b"0000ftypM4A ")
    with pytest.raises(DataError) as caught:
        SpokenWords(people, layout="speaker_digit")
    message = str(caught.value)
    for name in ("nobody.wav", "anna_12_x.wav", "eve_3.wav", "eve_4.wav", "eve_5.m4a"):
        assert name in message
    assert "5 files" in message


def test_bad_files_can_be_left_out_with_a_warning(people):
    (people / "eve_3.wav").write_text("no sound", encoding="utf-8")
    with pytest.warns(UserWarning, match="eve_3.wav"):
        data = SpokenWords(people, layout="speaker_digit", unreadable="skip")
    assert len(data) == 120


def test_sounds_that_break_off_are_all_named_before_any_training(people):
    for name in ("p00_1.wav", "p11_2.wav"):
        (people / name).write_bytes((people / name).read_bytes()[:100])
    with pytest.raises(DataError, match=r"(?s)p00_1\.wav.*p11_2\.wav"):
        SpokenWords(people, layout="speaker_digit").pictures()


@pytest.mark.parametrize("layout", ["", "auto", "FSDD"])
def test_an_unknown_layout_is_refused(people, layout):
    with pytest.raises(DataError, match="use one of speaker_digit"):
        SpokenWords(people, layout=layout)


def test_folders_without_sound(tmp_path):
    with pytest.raises(DataError, match="holds no WAV"):
        SpokenWords(tmp_path, layout="speaker_digit")
    with pytest.raises(DataError, match="is not a folder"):
        SpokenWords(tmp_path / "none", layout="speaker_digit")


def test_families_come_from_the_manifest(people):
    data = SpokenWords(people, layout="speaker_digit")
    assert {s: f for s, f in zip(data.speakers, data.families, strict=True)}["p03"] == "b"
    (people.parent / "manifest.csv").unlink()
    data = SpokenWords(people, layout="speaker_digit")
    assert data.families == data.speakers


def test_items_are_mono_at_the_rate_asked_for(tmp_path):
    stereo = np.stack([np.full(4410, 0.5), np.zeros(4410)], axis=1)
    soundfile.write(str(tmp_path / "ann_4.wav"), stereo, 44100)
    waveform, label = SpokenWords(tmp_path, layout="speaker_digit", sample_rate=16000)[0]
    assert waveform.shape == (1, 1600)
    assert label == 0
    assert float(waveform[0, 800]) == pytest.approx(0.25, abs=0.01)


def test_the_dataset_works_in_spawned_workers(people):
    data = SpokenWords(people, layout="speaker_digit")
    loader = torch.utils.data.DataLoader(
        data, batch_size=None, num_workers=1, multiprocessing_context="spawn"
    )
    assert [label for _, label in loader] == data.labels.tolist()


# Words


def test_labels_are_places_in_the_list_of_words_whatever_the_words_are(tmp_path):
    for word in ("yes", "no", "up"):
        for speaker in ("ann", "bob"):
            write(tmp_path / f"{speaker}_{word}.wav")
    data = SpokenWords(tmp_path, layout="speaker_word")
    assert data.words == ["no", "up", "yes"]
    assert data.labels.dtype == torch.int64
    said = [path.stem.rpartition("_")[2] for path in data.paths]
    assert [data.words[label] for label in data.labels] == said
    assert experiment.word_counts(data) == {"no": 2, "up": 2, "yes": 2}
    assert experiment.lonely_words(data) == []
    assert repr(data) == "6 clips of 2 speakers, 3 words: no, up, yes"


def test_chinese_words_have_one_spelling_and_count_as_words(tmp_path):
    for speaker in ("王芳", "mei"):
        for word in ("四", "七", "é"):
            write(tmp_path / f"{speaker}_{word}.wav")
    write(tmp_path / "zoe\u0301_e\u0301.wav")  # as macOS writes é
    data = SpokenWords(tmp_path, layout="speaker_word")
    assert data.words == ["é", "七", "四"] and experiment.word_counts(data)["é"] == 3
    assert set(data.speakers) == {"mei", "王芳", "zoé"}
    assert data.words[data[0][1]] in data.words


def test_digits_are_words_of_their_own_in_each_layout(tmp_path, takes):
    write(tmp_path / "ann_3.wav")
    write(tmp_path / "ann_10.wav")
    data = SpokenWords(tmp_path, layout="speaker_word")
    assert data.words == ["10", "3"] and data.labels.tolist() == [0, 1]
    assert SpokenWords(takes, layout="digit_speaker_take").words == list("0123456789")


def test_labels_for_another_list_of_words_follow_that_list(tmp_path):
    for word in ("no", "up"):
        write(tmp_path / f"ann_{word}.wav")
    data = SpokenWords(tmp_path, layout="speaker_word")
    assert data.labels_for(["up", "left", "no"]).tolist() == [2, 0]
    assert data.labels_for(["no", "up"]).dtype == torch.int64
    with pytest.raises(DataError, match=r"was not trained on \(up\): it knows yes, no; choose"):
        data.labels_for(["yes", "no"])


def test_a_word_of_a_single_speaker_is_named_since_it_may_be_a_typing_error(tmp_path):
    for name in ("ann_yes", "bob_yes", "ann_no", "bob_no", "bob_on", "bob_on_take2"):
        write(tmp_path / f"{name}.wav")
    assert experiment.lonely_words(SpokenWords(tmp_path, layout="speaker_word")) == ["on"]
    for path in tmp_path.glob("ann_*"):
        path.unlink()  # now all words are bob's, so that says nothing
    assert experiment.lonely_words(SpokenWords(tmp_path, layout="speaker_word")) == []


# Takes


@pytest.mark.parametrize("layout", ["speaker_digit", "speaker_word"])
def test_a_third_take_is_by_the_same_speaker(tmp_path, layout):
    for name in ("mei_7", "mei_7_take2", "mei_7_take12", "anna-1_7", "anna-2_7"):
        write(tmp_path / f"{name}.wav")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # anna-1 and anna-2 are two people whom somebody named so
        data = SpokenWords(tmp_path, layout=layout)
    assert Counter(data.speakers) == {"mei": 3, "anna-1": 1, "anna-2": 1}
    assert data.takes == [1, 1, 1, 12, 2] and set(data.words) == {"7"}


def test_an_old_name_of_a_second_take_warns_and_stays_another_speaker(tmp_path):
    for name in ("mei_7", "mei-2_7", "mei-3_8", "anna-2_7"):
        write(tmp_path / f"{name}.wav")
    with pytest.warns(UserWarning, match="count as two speakers") as caught:
        data = SpokenWords(tmp_path, layout="speaker_digit")
    assert [str(each.message).split(" ")[0] for each in caught] == ["mei-2", "mei-3"]
    assert "rename mei-2_….wav to mei_…_take2.wav" in str(caught[0].message)
    assert set(data.speakers) == {"mei", "mei-2", "mei-3", "anna-2"}


@pytest.mark.parametrize("layout", ["speaker_digit", "speaker_word"])
@pytest.mark.parametrize("name", ["mei_take2.wav", "_take2.wav"])
def test_a_take_without_a_word_is_refused(tmp_path, layout, name):
    write(tmp_path / name)
    with pytest.raises(DataError, match=f"{name} does not fit the layout"):
        SpokenWords(tmp_path, layout=layout)


@pytest.mark.parametrize(
    ("names", "layout", "fitting"),
    [
        (["mei_yes", "mei_no_take2"], "speaker_digit", "speaker_word"),
        (["7_jackson_0", "7_jackson_31"], "speaker_digit", "speaker_word or digit_speaker_take"),
        (["mei_7", "bob_8_take2"], "digit_speaker_take", "speaker_digit or speaker_word"),
        (["mei_七"], "digit_speaker_take", "speaker_word"),
        (["nobody"], "speaker_word", None),
        (["mei_yes", "nobody"], "speaker_digit", None),  # no layout fits both
    ],
)
def test_the_error_of_a_wrong_name_says_which_layouts_fit(tmp_path, names, layout, fitting):
    for name in names:
        write(tmp_path / f"{name}.wav")
    with pytest.raises(DataError) as caught:
        SpokenWords(tmp_path, layout=layout)
    message = str(caught.value)
    assert f"with the layout {layout} names look like <" in message
    assert "--skip-unreadable" in message and "unreadable='skip'" in message
    hint = re.search(r"these names fit the layout ([a-z_ ]+),", message)
    # All that fit are named, and an odd speaker such as `7_jackson` fits more than was meant.
    assert (hint[1] if hint else None) == fitting
    for other in (fitting or "").split(" or "):
        assert not other or all(LAYOUTS[other].fullmatch(name) for name in names)


# Endings

# What FFmpeg is asked for beside the ending, and whether the file can be read.
ENDINGS = {
    **dict.fromkeys([".wav", ".flac", ".mp3", ".ogg", ".aiff", ".aif", ".au", ".w64"], ("", True)),
    ".oga": ("-c:a libvorbis", True),
    ".opus": ("-c:a libopus -ar 48000", True),
    ".caf": ("-c:a pcm_s16le", True),
    ".rf64": ("-f wav -rf64 always", True),
    **dict.fromkeys([".m4a", ".mp4", ".mov", ".aac", ".mkv"], ("-c:a aac", False)),
    ".m4b": ("-c:a aac -f ipod", False),
    ".3gp": ("-c:a aac", False),
    ".webm": ("-c:a libopus -ar 48000", False),
    ".wma": ("-c:a wmav2", False),
}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="FFmpeg is not installed")
@pytest.mark.parametrize("ending", ENDINGS)
def test_no_sound_is_passed_over_without_a_word(tmp_path, ending):
    """Each is read, or named with the reason; a real file of each kind."""
    write(tmp_path / "plain.wav", rate=16000, seconds=1)
    folder = tmp_path / "class"
    folder.mkdir()
    options, readable = ENDINGS[ending]
    path = folder / f"mei_7{ending}"
    made = tmp_path / f"made{ending}"
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "plain.wav"), *options.split()]
    done = subprocess.run([*command, str(made)], capture_output=True, encoding="utf-8")
    if "Unknown encoder" in done.stderr:
        pytest.skip("this FFmpeg does not write such files")
    assert done.returncode == 0, done.stderr
    made.rename(path)
    write(folder / "ann_7.wav")
    if readable:
        data = SpokenWords(folder, layout="speaker_digit", sample_rate=16000)
        assert data.speakers == ["ann", "mei"]
        assert data[1][0].shape[1] == pytest.approx(16000, abs=1200)
    else:
        with pytest.raises(DataError, match=f"{path.name} is not a WAV, FLAC or MP3 file"):
            SpokenWords(folder, layout="speaker_digit")


def test_other_sounds_are_named_whatever_the_case_of_their_ending(tmp_path):
    """AMR, which few programs write: its header, and five frames without data."""
    write(tmp_path / "ann_7.wav")
    for name in ("mei_7.amr", "eve_7.AMR", "bob_7.3GP"):
        (tmp_path / name).write_bytes(b"#!AMR\n" + b"\x7c" * 5)
    with pytest.raises(DataError) as caught:
        SpokenWords(tmp_path, layout="speaker_digit")
    for name in ("mei_7.amr", "eve_7.AMR", "bob_7.3GP"):
        assert f"{name} is not a WAV, FLAC or MP3 file" in str(caught.value)


# Foreign tables


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gbk"])
@pytest.mark.parametrize("separator", [",", ";"])
@pytest.mark.parametrize("place", ["beside", "above"])
def test_a_manifest_as_spreadsheets_write_it_is_read(tmp_path, encoding, separator, place):
    folder = tmp_path / "class"
    folder.mkdir()
    write(folder / "王芳_7.wav")
    write(folder / "mei_7.wav")
    rows = [["file", "family"], ["王芳_7.wav", "北方"], ["mei_7.wav", "south"]]
    text = "\r\n".join(separator.join(row) for row in rows) + "\r\n"
    table = (folder if place == "beside" else tmp_path) / "manifest.csv"
    table.write_bytes(text.encode(encoding))
    data = SpokenWords(folder, layout="speaker_digit")
    assert dict(zip(data.speakers, data.families, strict=True)) == {"王芳": "北方", "mei": "south"}


@pytest.mark.parametrize(
    ("encoding", "separator"), [("cp1252", ","), ("cp1252", ";"), ("utf-16", "\t")]
)
@pytest.mark.parametrize("name", ["zoé", "andréa", "Š"])
def test_a_manifest_of_a_european_spreadsheet_is_read(tmp_path, encoding, name, separator):
    """An é and the letter behind it are one Chinese character elsewhere."""
    write(tmp_path / f"{name}_7.wav")
    write(tmp_path / "mei_7.wav")
    rows = [["file", "family"], [f"{name}_7.wav", "nord"], ["mei_7.wav", "süd"]]
    text = "\r\n".join(separator.join(row) for row in rows) + "\r\n"
    (tmp_path / "manifest.csv").write_bytes(text.encode(encoding))
    data = SpokenWords(tmp_path, layout="speaker_digit")
    assert dict(zip(data.speakers, data.families, strict=True)) == {name: "nord", "mei": "süd"}


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"caf\xe9;\x81\x00", bytes(range(256))])
def test_a_table_that_is_none_ends_in_a_sentence_or_is_passed_over(tmp_path, content):
    write(tmp_path / "mei_7.wav")
    (tmp_path / "manifest.csv").write_bytes(content)
    try:
        assert SpokenWords(tmp_path, layout="speaker_digit").families == ["mei"]
    except DataError as error:
        assert str(error).endswith(": save it again as CSV in UTF-8.")


def test_a_table_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    write(tmp_path / "mei_7.wav")
    (tmp_path / "manifest.csv").write_text("file,family\n", encoding="utf-8")

    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(
        DataError, match=r"manifest\.csv cannot be read \(Permission denied\): change"
    ):
        SpokenWords(tmp_path, layout="speaker_digit")


def test_a_table_with_a_stray_quote_is_one_sentence(tmp_path):
    """From there on all is one field, and the reader has a limit for fields."""
    write(tmp_path / "mei_7.wav")
    text = 'file,family\n"mei_7.wav,north\n' + "other.wav,south\n" * 10_000
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="manifest.csv is damaged: save it again as CSV"):
        SpokenWords(tmp_path, layout="speaker_digit")
