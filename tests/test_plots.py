"""Pictures have titles, units and a text alternative."""

import matplotlib.pyplot as plt
import pytest
import torch

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


def test_a_shown_figure_carries_its_text_alternative_and_is_closed(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: shown.append((a, k)))
    figure, _ = plt.subplots()
    plots.show(figure, "a line that rises")
    (data,), extra = shown[0]
    assert data["image/png"] and extra["metadata"]["image/png"]["alt"] == "a line that rises"
    assert not plt.fignum_exists(figure.number)


def test_a_figure_without_a_text_alternative_is_refused():
    figure, _ = plt.subplots()
    with pytest.raises(ValueError, match="text alternative"):
        plots.show(figure, " ")
    plt.close("all")
