"""Every message is one sentence that names what is wrong and says what to do."""

from __future__ import annotations

import re

import pytest
from fault_tools import is_one_sentence
from write_pages import ELSEWHERE, FAULTS, MESSAGES, elsewhere, messages, messages_page, sentence

from course_utils.sound_files import UNREADABLE

# The first words of a cure, as an order. Behind "or", "and" or a condition they count as well.
CURES = """
    add ask call change check choose close convert copy count cut delete divide download draw
    end fetch free give install look make mend move name open pass play put read record remove
    rename replace resample restore run save say set split take train try turn unpack use wait
    write
"""
WORDS = re.compile(rf"\b({'|'.join(CURES.split())})\b", re.IGNORECASE)


def cure(text: str) -> str:
    """Return what stands behind the first colon or semicolon outside brackets and quotes."""
    inner = re.sub(r"`[^`]*`|(?<!\w)'[^']*'", "…", text)
    while inner != (shorter := re.sub(r"\([^()]*\)", "", inner)):
        inner = shorter
    return re.split(r"[:;] ", inner, maxsplit=1)[-1] if re.search(r"[:;] ", inner) else ""


@pytest.mark.parametrize("message", messages(), ids=lambda m: f"{m.module}-{m.text[:40]}")
def test_a_message_is_a_sentence_with_a_cure(message):
    assert is_one_sentence(message.text), message.text
    if cure(message.text) != "….":  # a cure that is chosen by what the file is: see below
        assert WORDS.search(cure(message.text)), f"no cure: {message.text}"
    assert re.search(r"…|[Tt]he |[Aa]n? |No ", message.text), f"names nothing: {message.text}"


def test_every_kind_of_file_that_is_no_sound_has_a_cure():
    for text in UNREADABLE.values():
        assert WORDS.match(cure(text)) and is_one_sentence(f"{text}."), text


def test_messages_that_are_no_sentences_would_be_found():
    for bad in (
        "file.wav is bad", "It failed.\nTry again.", "It failed. Use another file.", "x.wav: no"
    ):  # fmt: skip
        assert not is_one_sentence(bad)
    assert not WORDS.search(cure("a.wav (use WAV) is damaged: sorry."))
    assert len(messages()) > 80
    assert {m.module for m in messages()} >= {
        "audio",
        "recordings",
        "training",
        "download",
        "set_up",
    }


def test_the_table_of_messages_is_up_to_date():
    assert MESSAGES.read_text(encoding="utf-8") == messages_page(), (
        "run python tests/faults/write_pages.py messages"
    )


@pytest.mark.parametrize("pattern", ["no_such_test", "killed|no_such_test"])
def test_a_pattern_of_the_page_that_fits_no_test_would_be_found(monkeypatch, pattern):
    assert len(elsewhere()) > 50
    monkeypatch.setitem(ELSEWHERE["test_processes"], "test_set_up.py", pattern)
    with pytest.raises(LookupError, match="no_such_test"):
        elsewhere()


def test_the_table_of_faults_has_a_line_for_each_test(repository):
    page = FAULTS.read_text(encoding="utf-8")
    assert elsewhere(), "what other tests try is named in the page's script"
    names = []
    for path in sorted((repository / "tests" / "faults").glob("test_*.py")):
        if path.name != "test_messages.py":
            names += re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
    missing = [name for name in names if f"| {sentence(name)} |" not in page]
    assert not missing, f"run python tests/faults/write_pages.py: {missing}"
    assert " failed**" not in page
