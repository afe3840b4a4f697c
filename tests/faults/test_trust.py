"""What comes from strangers: model files, caches, archives, names, and the address of the lab."""

from __future__ import annotations

import base64
import html.parser
import io
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from fault_tools import is_one_sentence, speak
from hypothesis import given, settings
from hypothesis import strategies as st
from nbconvert import HTMLExporter

from course_utils import audio, models, plots, training
from course_utils.errors import TrainingError
from course_utils.recogniser import FORMAT, OLD_FORMAT, Recogniser
from course_utils.recordings import SpokenWords
from course_utils.training import RECIPES
from make_book import book_notebook

REPOSITORY = Path(__file__).resolve().parents[2]
BOOK, TOOLS = REPOSITORY / "book", REPOSITORY / "tools"
HOSTILE = "<img src=x onerror=alert(1)>"


class Malicious:
    """An object whose unpickling makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, (str(self.trace),)


def dangerous_files(folder: Path) -> list[Path]:
    """Real attacks on those who open models: each makes the folder `ran` when it is trusted."""
    trap = Malicious(folder / "ran")
    contents = {
        "pickle": pickle.dumps(trap),
        "pickle-protocol-0": pickle.dumps(trap, protocol=0),
        "in-a-list": pickle.dumps([1, [2, trap]]),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    torch.save(trap, folder / "torch")
    torch.save({"weights": torch.zeros(3), "extra": trap}, folder / "torch-beside-weights")
    torch.save({"weights": trap}, folder / "torch-old", _use_new_zipfile_serialization=False)
    model = models.LeNet5()
    whole = {"format": OLD_FORMAT, "model": "lenet", "weights": model.state_dict()}
    torch.save(whole | {"epochs": trap}, folder / "right-but-for-one-entry")
    Recogniser(model, list("0123456789"), RECIPES["lenet"]).save(folder / "model")
    content = torch.load(folder / "model", weights_only=True)
    (folder / "model").unlink()
    for name in content:
        torch.save(content | {name: trap}, folder / f"right-but-for-{name}")
    torch.save(content | {"about": {"data": trap}}, folder / "right-but-for-one-of-about")
    torch.save(model, folder / "whole-module")
    return [path for path in folder.iterdir() if path.is_file()]


def test_model_files_that_hold_code_are_refused_and_the_code_does_not_run(tmp_path, tell):
    files = dangerous_files(tmp_path)
    for path in files:
        with pytest.raises(TrainingError) as caught:
            Recogniser.load(path)
        assert is_one_sentence(str(caught.value)) and path.name in str(caught.value)
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "right-but-for-one-entry", weights_only=False)
    assert (tmp_path / "ran").exists(), "the files are not dangerous, so nothing was proved"
    tell(len(files), "refused in a sentence; the code did not run, and ran when it was trusted")


def test_a_checkpoint_that_holds_code_is_refused(tmp_path, tell):
    files = dangerous_files(tmp_path)
    pictures, labels = torch.randn(20, 1, 32, 32), torch.arange(20) % 10
    for path in files:
        with pytest.raises(TrainingError) as caught:
            training.fit(
                models.LeNet5(), pictures, labels, recipe=training.Recipe(epochs=1), report=None,
                checkpoint=path, resume=True,
            )  # fmt: skip
        assert is_one_sentence(str(caught.value))
    assert not (tmp_path / "ran").exists()
    tell(len(files), "refused in a sentence; the code did not run")


def test_a_cache_that_holds_code_is_computed_anew(tmp_path, class_folder, tell):
    """Whoever shares a class's folder may write the cache of others."""
    data = SpokenWords(class_folder, "speaker_digit")
    right = data.pictures(cache=tmp_path / "cache").clone()
    (file,) = (tmp_path / "cache").iterdir()
    evil = np.empty(1, dtype=object)
    evil[0] = Malicious(tmp_path / "ran")
    np.save(file, evil, allow_pickle=True)
    assert torch.equal(data.pictures(cache=tmp_path / "cache"), right)
    file.write_bytes(pickle.dumps(evil[0]))
    assert torch.equal(data.pictures(cache=tmp_path / "cache"), right)
    assert not (tmp_path / "ran").exists()
    tell(2, "computed anew; the code did not run")


def bomb(size: int) -> bytes:
    """A model file of a few MB that unpacks to `size` bytes."""
    whole, packed = io.BytesIO(), io.BytesIO()
    torch.save({"format": 1, "weights": torch.zeros(4)}, whole)
    with (
        zipfile.ZipFile(whole) as old,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
    ):
        for entry in old.namelist():
            if not entry.endswith("data.pkl"):
                new.writestr(entry, old.read(entry))
                continue
            with new.open(entry, "w", force_zip64=True) as file:
                for _ in range(size // 2**20):
                    file.write(bytes(2**20))
    return packed.getvalue()


@pytest.mark.slow
def test_a_model_file_that_explodes_is_refused_without_the_memory(run_bounded, tell, tmp_path):
    content = bomb(3 * 2**30)
    assert len(content) < 30e6
    (tmp_path / "model.pt").write_bytes(content)
    lines = """
try:
    Recogniser.load(Path(sys.argv[1]))
except TrainingError as error:
    print(error)
print((peak() - before) // 2**20)
"""
    sentence, growth = run_bounded(lines, tmp_path / "model.pt").splitlines()
    assert is_one_sentence(sentence) and int(growth) < 200
    tell(1, f"{len(content) / 1e6:.0f} MB that unpack to 3.2 GB: refused below 200 MB of memory")


@pytest.mark.slow
def test_tensors_that_promise_terabytes_are_refused(run_bounded, tell, tmp_path):
    """A view of one number that calls itself 10^12 numbers."""
    weights = {name: torch.zeros(1).expand(10**12) for name in models.LeNet5().state_dict()}
    recipe = RECIPES["lenet"].as_dict()
    for number, content in enumerate(
        (
            {"format": OLD_FORMAT, "model": "lenet", "weights": weights},
            {"format": FORMAT, "words": list("0123456789"), "recipe": recipe, "about": {}},
        )
    ):
        torch.save(content | {"weights": weights}, tmp_path / f"{number}.pt")
    lines = """
try:
    Recogniser.load(Path(sys.argv[1]))
except TrainingError as error:
    print(error)
"""
    for number in range(2):
        assert is_one_sentence(run_bounded(lines, tmp_path / f"{number}.pt"))
    tell(2, "refused in a sentence")


# --- names that are code ----------------------------------------------------------------------


class Tags(html.parser.HTMLParser):
    """The tags of a page, with the names of their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, set[str]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name for name, _ in attrs}))


LABELS = st.text(max_size=60) | st.lists(
    st.sampled_from(["<", ">", '"', "'", "&", "--", "/>", "</figure>", "<script>", HOSTILE, "\0"]),
    max_size=12,
).map("".join)
tried_labels = []


@settings(max_examples=150, deadline=None)
@given(LABELS)
def check_label(label: str) -> None:
    tried_labels.append(label)
    tags = Tags(audio.play(torch.zeros(1, 160), 16000, label).data).found
    expected = [("figure", {"style"}), ("figcaption", set())][: 2 if label else 1]
    player = ("audio", {"controls", "preload", "aria-label", "src"})
    assert tags == [*expected, player]


def test_no_label_of_a_player_becomes_html(tell):
    check_label()
    tell(len(tried_labels), "shown as text")


NAME = f"{HOSTILE}_7.wav"


@pytest.fixture
def hostile_notebook(tmp_path: Path) -> Path:
    """A notebook, run, whose outputs show the name of a recording in every way there is."""
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    speak(recordings / NAME)
    data = SpokenWords(recordings, "speaker_digit")
    waveform, rate = data.load(0)
    ax = plots.plot_waveform(waveform, rate, title=data.speakers[0])
    drawn = io.BytesIO()
    ax.figure.savefig(drawn, format="png")
    picture = {"image/png": base64.b64encode(drawn.getvalue()).decode(), "text/plain": NAME}
    (recordings / NAME).write_bytes(b"no sound")
    with pytest.raises(audio.AudioError) as caught:
        audio.load(recordings / NAME)
    sentence = str(caught.value)
    player = {"text/html": audio.play(waveform, rate, NAME).data}
    make = nbformat.v4.new_output
    outputs = [
        make("display_data", picture, metadata={"image/png": {"alt": f"The recording {NAME}"}}),
        make("display_data", player),
        make("execute_result", {"text/plain": repr(data.paths[0])}, execution_count=1),
        make("stream", name="stdout", text=f"{NAME}\n"),
        make("stream", name="stderr", text=f"UserWarning: {sentence}\n"),
        make("error", ename="AudioError", evalue=sentence, traceback=[f"AudioError: {sentence}"]),
    ]
    slide = {"slideshow": {"slide_type": "slide"}}
    cells = [
        nbformat.v4.new_markdown_cell("# A title", metadata=slide),
        nbformat.v4.new_code_cell("1", outputs=outputs, execution_count=1),
    ]
    path = tmp_path / "notebook" / f"{HOSTILE}.ipynb"
    path.parent.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def as_page(path: Path, folder: Path) -> Path:
    """The notebook as nbconvert shows it."""
    page, _ = HTMLExporter().from_notebook_node(nbformat.read(path, as_version=4))
    (folder / "page.html").write_text(page, encoding="utf-8")
    return folder / "page.html"


def as_slides(path: Path, folder: Path) -> Path:
    """The notebook as the course's slides."""
    command = [sys.executable, TOOLS / "make_slides.py", path, "--to", folder]
    subprocess.run(command, check=True, capture_output=True)
    return folder / f"{path.stem}.html"


def as_book(path: Path, folder: Path) -> Path:
    """The notebook as the only page of a book."""
    source = folder / "source"
    (source / "_static").mkdir(parents=True)
    for name in ("conf.py", "book.css", "book.js"):
        shutil.copy(BOOK / name, source if name == "conf.py" else source / "_static")
    notebook = book_notebook(path)
    nbformat.write(nbformat.from_dict(notebook), source / "index.ipynb")
    subprocess.run([sys.executable, "-m", "sphinx", "-q", source, folder / "book"], check=True)
    return folder / "book" / "index.html"


@pytest.mark.slow
@pytest.mark.parametrize("make", [as_page, as_slides, as_book])
def test_a_hostile_name_in_the_outputs_of_a_notebook_stays_text(
    hostile_notebook, tmp_path, offline, tell, make
):
    """In a real browser, where the name would run if it were taken for HTML."""
    html_file, alerts = make(hostile_notebook, tmp_path), []
    page = offline.new_page()
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    page.set_content(HOSTILE)
    page.wait_for_function("() => true")
    assert alerts, "the name does not run here, so nothing would be proved"
    alerts.clear()
    page.goto(html_file.as_uri(), wait_until="load")
    if make is as_slides:
        page.wait_for_function("document.documentElement.dataset.ready")
    assert page.locator("[onerror], img[src='x']").count() == 0 and not alerts
    assert NAME in page.locator("figcaption").text_content()
    alts = page.locator("img").evaluate_all("all => all.map(image => image.alt)")
    assert make is as_page or alts == [f"The recording {NAME}"], "nbconvert leaves it out"
    text = page.locator("body").text_content()
    assert text.count(HOSTILE) >= 4, "the name is on the page as text"
    tell(6, f"{make.__name__[3:]}: title, text alternative, player, result, print, errors are text")


TITLES = ["$\\frac{$", "a$b$c", "$$$", "\\alpha", "100 %", "a_b^c", "$\\undefined{x}$", HOSTILE]


@pytest.mark.parametrize("title", TITLES)
def test_a_name_that_looks_like_a_formula_can_be_a_title(tell, title):
    import matplotlib.pyplot as plt

    ax = plots.plot_waveform(torch.zeros(1, 160), 16000, title=f"{title}.wav")
    ax.figure.savefig(io.BytesIO(), format="png")
    plt.close(ax.figure)
    figure, axes = plt.subplots(1, 3)
    plots.plot_curves({title: [1.0, 2.0]}, ax=axes[0], title=title)
    plots.plot_picture(torch.zeros(4, 4), ax=axes[1], title=title)
    plots.plot_probabilities(torch.full((2,), 0.5), ax=axes[2], title=title, words=[title, "b"])
    figure.savefig(io.BytesIO(), format="png")
    plt.close(figure)
    tell(4, "drawn")


def test_no_name_reaches_a_shell(tmp_path, tell):
    """A folder of hostile names through the command line; none of them may run."""
    for number, name in enumerate(("$(touch ran)", "`touch ran`", ";touch ran;", "|touch ran")):
        speak(tmp_path / f"{name}_{number}.wav", number)
    recogniser = Recogniser(models.LeNet5(), list("0123456789"), RECIPES["lenet"])
    recogniser.save(tmp_path / "model.pt")
    files = sorted(tmp_path.glob("*.wav"))
    command = [sys.executable, "-m", "course_utils", "recognize", str(tmp_path / "model.pt")]
    result = subprocess.run([*command, *map(str, files)], capture_output=True, cwd=tmp_path)
    assert result.returncode == 0 and len(result.stdout.splitlines()) == len(files) == 4
    assert not (tmp_path / "ran").exists()
    package = Path(training.__file__).parent
    sources = "".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    assert "shell=True" not in sources and "os.system" not in sources
    tell(len(files), "recognised; nothing was run")
