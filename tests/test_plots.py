"""Pictures have titles, units, a text alternative, and colours that everybody can tell apart."""

import itertools
import re
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import experiment
from course_utils import plots

DRAWINGS = {
    "waveform": lambda ax: plots.plot_waveform(torch.randn(1, 1000), 16000, ax),
    "spectrum": lambda ax: plots.plot_spectrum(torch.randn(513), 16000, ax),
    "spectrogram": lambda ax: plots.plot_spectrogram(torch.randn(1, 513, 20), 16000, 160, ax),
    "picture": lambda ax: plots.plot_picture(torch.randn(1, 8, 8), ax, title="Picture"),
    "probabilities": lambda ax: plots.plot_probabilities(torch.full((10,), 0.1), ax),
    "confusion": lambda ax: plots.plot_confusion(torch.eye(10), ax),
    "curves": lambda ax: plots.plot_curves({"train": [2.0, 1.0]}, ax, title="Loss"),
}


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS.keys())
def test_a_plot_is_drawn_on_the_axes_it_is_given_and_is_labelled(draw):
    _, ax = plt.subplots()
    assert draw(ax) is ax
    assert ax.get_title() and ax.get_xlabel() and ax.get_ylabel()
    plt.close("all")


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS.keys())
def test_a_plot_makes_axes_where_it_is_given_none(draw):
    assert draw(None).figure is not None
    plt.close("all")


def test_a_spectrogram_has_seconds_and_hertz_on_its_axes():
    ax = plots.plot_spectrogram(torch.randn(1, 513, 100), 16000, 160)
    assert ax.get_xlim() == (0, 1.0) and ax.get_ylim() == (0, 8000)
    plt.close("all")


WORDS = ["yes", "no", "四", "a_b^c$"]


def test_words_name_the_bars_and_the_rows_of_a_confusion_matrix():
    ax = plots.plot_probabilities(torch.tensor([0.1, 0.2, 0.3, 0.4]), words=WORDS)
    names = [label.get_text() for label in ax.get_xticklabels()]
    assert names[:3] == WORDS[:3] and len(names) == 4
    ax = plots.plot_confusion(torch.eye(4, dtype=torch.long), words=WORDS)
    assert [label.get_text() for label in ax.get_yticklabels()] == names
    assert [label.get_text() for label in ax.get_xticklabels()] == names
    plt.close("all")


def test_words_that_no_font_has_are_told_of_once(monkeypatch, tmp_path):
    monkeypatch.setattr("matplotlib.font_manager.get_font_names", lambda: ["DejaVu Sans"])
    with plt.rc_context(), pytest.warns(UserWarning) as caught:
        plots.use_style()
        ax = plots.plot_confusion(torch.eye(4, dtype=torch.long), words=["四", "七", "零", "é"])
        ax.figure.canvas.draw()
        experiment._draw_confusion(tmp_path / "confusion.png", [[1, 0], [0, 1]], ["yes", "no"])
    (message,) = [str(each.message) for each in caught]
    assert (
        message.startswith("No font here has the signs 七四零, so")
        and "install Noto Sans CJK" in message
    )


def test_words_with_accents_need_no_other_font(monkeypatch):
    monkeypatch.setattr("matplotlib.font_manager.get_font_names", lambda: ["DejaVu Sans"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.plot_probabilities(torch.tensor([0.1, 0.9]), words=["žlutý", "да"])
    plt.close("all")


def test_without_words_bars_are_numbered_however_many_there_are():
    for count in (2, 10, 35):
        ax = plots.plot_probabilities(torch.full((count,), 1 / count))
        assert [label.get_text() for label in ax.get_xticklabels()] == list(map(str, range(count)))
    plt.close("all")


# --- colours ----------------------------------------------------------------------------------

# What linear RGB becomes in the eyes of people without red or green cones: Machado, Oliveira
# and Fernandes, "A physiologically-based model for simulation of color vision deficiency", IEEE
# Transactions on Visualization and Computer Graphics 15 (2009), severity 1.0. Grey is the
# luminance of sRGB (IEC 61966-2-1), three times.
LUMINANCE = (0.2126, 0.7152, 0.0722)
VIEWS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "greyscale": np.array([LUMINANCE] * 3),
}
SRGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], LUMINANCE, [0.0193, 0.1192, 0.9505]])
# Just noticeable is about 2.3 (Mahy, Van Eycken and Oosterlinck 1994); a thin line needs more.
FAR_APART = 10


def linear(colours):
    """Return sRGB colours [n, 3] of 0 to 1 as linear light."""
    colours = np.asarray(colours, dtype=float)
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)


def to_lab(colours, view):
    """Return sRGB colours [n, 3] as CIE L*, a*, b* [n, 3] (white D65), as one sees them."""
    seen = np.clip(linear(colours) @ VIEWS[view].T, 0, 1)
    xyz = seen @ SRGB_TO_XYZ.T / SRGB_TO_XYZ.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


def rgb(*colours):
    return np.array([plt.matplotlib.colors.to_rgb(colour) for colour in colours])


def apart(one, other, view):
    """Return the colour difference of two colours (CIE 1976)."""
    first, second = to_lab(rgb(one, other), view)
    return float(np.linalg.norm(first - second))


def is_monotone(colour_map, view):
    """Whether each of 64 steps of a colour map is lighter, or each darker, than the last."""
    steps = np.diff(to_lab(plt.get_cmap(colour_map)(np.linspace(0, 1, 64))[:, :3], view)[:, 0])
    return bool((steps > 0).all() or (steps < 0).all())


def colour_maps():
    """Return the colour maps that the package and the notebooks name, and matplotlib's own."""
    files = [Path(plots.__file__), *Path(__file__).parents[1].glob("notebooks/*.ipynb")]
    named = [re.findall(r"""cmap=\\?["'](\w+)""", f.read_text(encoding="utf-8")) for f in files]
    return sorted({plots.COLOUR_MAP, plt.rcParams["image.cmap"], *itertools.chain(*named)})


def test_the_measures_know_black_white_and_the_colours_that_are_confused():
    assert np.allclose(to_lab(rgb("black", "white"), "normal")[:, 0], [0, 100])
    assert np.allclose(to_lab(rgb("white"), "protanopia"), [[100, 0, 0]], atol=0.1)
    assert not is_monotone("jet", "normal") and not is_monotone("RdYlGn", "greyscale")
    red, green = "#c00000", "#5a6e00"
    assert apart(red, green, "normal") > 3 * apart(red, green, "deuteranopia")


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("colour_map", colour_maps())
def test_a_colour_map_rises_or_falls_in_lightness(colour_map, view):
    assert is_monotone(colour_map, view)


@pytest.mark.parametrize("view", VIEWS)
def test_curves_are_told_apart_by_line_style_or_by_colour(view):
    ax = plots.plot_curves({name: [2.0, 1.0] for name in ("train", "validation", "a", "b")})
    for one, other in itertools.combinations(ax.get_lines(), 2):
        difference = apart(one.get_color(), other.get_color(), view)
        assert one.get_linestyle() != other.get_linestyle() or difference > FAR_APART
    plt.close("all")


@pytest.mark.parametrize("view", VIEWS)
def test_two_lines_without_a_style_differ_in_colour(view):
    """Matplotlib's third colour, green, is like the second without red cones: give it a style."""
    one, other = plt.rcParams["axes.prop_cycle"].by_key()["color"][:2]
    assert apart(one, other, view) > FAR_APART


@pytest.mark.parametrize("view", VIEWS)
def test_the_most_probable_bar_is_told_from_the_others(view):
    ax = plots.plot_probabilities(torch.tensor([0.1, 0.7, 0.2]))
    first, highest, last = (bar.get_facecolor()[:3] for bar in ax.patches)
    assert first == last
    assert to_lab([first], view)[0, 0] - to_lab([highest], view)[0, 0] > 3 * FAR_APART
    plt.close("all")
