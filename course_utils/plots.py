"""Pictures of sound and of learning: every function draws on `ax` and returns it."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOUR_MAP = "viridis"  # perceptually even, readable in grey and by the colour-blind


def show(figure: Figure, alt: str) -> None:
    """Show a figure below the cell, with a text alternative, and close it.

    Parameters:
        figure: the matplotlib figure.
        alt: what the picture shows, in a sentence, for those who cannot see it.
    Raises: ValueError, if the text alternative is empty.

    >>> import matplotlib.pyplot as plt
    >>> show(plt.figure(), "an empty figure")  # doctest: +SKIP
    """
    import matplotlib.pyplot as plt
    from IPython.display import display
    from PIL import Image

    if not alt.strip():
        raise ValueError("The figure needs a text alternative: say in a sentence what it shows.")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100, bbox_inches="tight")
    plt.close(figure)
    # 64 colours: a third of the size. Maximum coverage keeps the rare colours of a colour bar.
    colours = Image.open(drawn).convert("RGB").quantize(64, Image.Quantize.MAXCOVERAGE)
    saved = io.BytesIO()
    colours.save(saved, format="png", optimize=True)
    display(
        {"image/png": base64.b64encode(saved.getvalue()).decode("ascii"), "text/plain": alt},
        metadata={"image/png": {"alt": alt}},
        raw=True,
    )


def plot_waveform(
    waveform: torch.Tensor,
    sample_rate: int,
    ax: Axes | None = None,
    title: str = "Waveform",
    **style: object,
) -> Axes:
    """Draw the first channel of a waveform against time in seconds.

    Parameters: waveform, tensor [channels, time] or [time]; sample_rate in Hz; the axes, the
        title and matplotlib's line style.
    Returns: the axes.

    >>> import torch
    >>> plot_waveform(torch.zeros(1, 160), 16000).get_xlabel()
    'Time (s)'
    """
    samples = waveform.detach().cpu().reshape(-1, waveform.shape[-1])[0].numpy()
    ax = ax or _new_axes()
    ax.plot(np.arange(len(samples)) / sample_rate, samples, **{"linewidth": 0.7, **style})  # type: ignore[arg-type]
    ax.set(title=_plain(title), xlabel="Time (s)", ylabel="Amplitude")
    ax.margins(x=0)
    ax.locator_params(axis="x", nbins=5)
    return ax


def plot_spectrum(
    levels: torch.Tensor,
    sample_rate: int,
    ax: Axes | None = None,
    title: str = "Spectrum",
    **style: object,
) -> Axes:
    """Draw levels in dB against frequency, from 0 Hz to half the sample rate.

    Parameters: levels, tensor [n_fft // 2 + 1] in dB; sample_rate in Hz; the axes, the title
        and matplotlib's line style.
    Returns: the axes.

    >>> import torch
    >>> plot_spectrum(torch.zeros(513), 16000).get_xlabel()
    'Frequency (Hz)'
    """
    values = levels.detach().cpu().numpy()
    ax = ax or _new_axes()
    frequencies = np.linspace(0, sample_rate / 2, len(values))
    ax.plot(frequencies, values, **{"linewidth": 0.9, **style})  # type: ignore[arg-type]
    ax.set(title=_plain(title), xlabel="Frequency (Hz)", ylabel="Level (dB)")
    ax.margins(x=0)
    return ax


def plot_spectrogram(
    levels: torch.Tensor,
    sample_rate: int,
    hop_length: int,
    ax: Axes | None = None,
    title: str = "Spectrogram",
    range_db: float = 80.0,
) -> Axes:
    """Draw a spectrogram in dB: time to the right, frequency upwards, level as colour.

    Parameters: levels, tensor [1, bins, frames] or [bins, frames] in dB, whose bins reach from
        0 Hz to half the sample rate; sample_rate in Hz; hop_length in samples; the axes, the
        title, and how many dB below the maximum the darkest colour lies.
    Returns: the axes.

    >>> import torch
    >>> plot_spectrogram(torch.zeros(1, 513, 10), 16000, 160).get_ylabel()
    'Frequency (Hz)'
    """
    picture = levels.detach().cpu().reshape(-1, *levels.shape[-2:])[0].numpy()
    seconds = picture.shape[1] * hop_length / sample_rate
    ax = ax or _new_axes()
    image = ax.imshow(
        picture,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=COLOUR_MAP,
        extent=(0, seconds, 0, sample_rate / 2),
        vmin=picture.max() - range_db,
    )
    ax.figure.colorbar(image, ax=ax, label="Level (dB)", pad=0.02)
    ax.set(title=_plain(title), xlabel="Time (s)", ylabel="Frequency (Hz)")
    return ax


def plot_picture(
    picture: torch.Tensor,
    ax: Axes | None = None,
    title: str = "",
    xlabel: str = "Frame",
    ylabel: str = "Row",
    label: str = "Value",
) -> Axes:
    """Draw a matrix as colours with its first row at the bottom: features, weights, filters.

    Parameters: picture, tensor [height, width] or [1, height, width]; the axes, the title, the
        names of the two sides and of the values.
    Returns: the axes.

    >>> import torch
    >>> plot_picture(torch.zeros(80, 80), ylabel="Mel bin").get_ylabel()
    'Mel bin'
    """
    values = picture.detach().cpu().reshape(picture.shape[-2:]).numpy()
    ax = ax or _new_axes()
    image = ax.imshow(
        values, origin="lower", aspect="auto", interpolation="nearest", cmap=COLOUR_MAP
    )
    ax.figure.colorbar(image, ax=ax, label=label, pad=0.02)
    ax.set(title=_plain(title), xlabel=xlabel, ylabel=ylabel)
    return ax


def plot_probabilities(
    probabilities: torch.Tensor,
    ax: Axes | None = None,
    title: str = "Probability of each digit",
    labels: Sequence[str] | None = None,
) -> Axes:
    """Draw the probability of each class as a bar, the most probable one darker.

    Parameters: probabilities, tensor [classes]; the axes, the title, the names of the classes.
    Returns: the axes.

    >>> import torch
    >>> plot_probabilities(torch.full((10,), 0.1)).get_ylabel()
    'Probability'
    """
    values = probabilities.detach().cpu().flatten().numpy()
    names = [_plain(str(name)) for name in (range(len(values)) if labels is None else labels)]
    ax = ax or _new_axes()
    colours = ["#9ecae1"] * len(values)
    colours[int(values.argmax())] = "#08519c"
    ax.bar(names, values, color=colours)
    ax.set(title=_plain(title), xlabel="Digit", ylabel="Probability", ylim=(0, 1))
    return ax


def plot_confusion(
    matrix: torch.Tensor, ax: Axes | None = None, title: str = "Confusion matrix"
) -> Axes:
    """Draw how often each true class (row) was taken for each class (column).

    Parameters: matrix, tensor [classes, classes] of counts; the axes, the title.
    Returns: the axes.

    >>> import torch
    >>> plot_confusion(torch.eye(10, dtype=torch.long)).get_xlabel()
    'Predicted digit'
    """
    counts = matrix.detach().cpu().numpy()
    ax = ax or _new_axes(figsize=(4.4, 4.0))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts > 0):
        # On this colour map black is readable up to here, and white from here on.
        colour = "white" if shares[row, column] > 0.72 else "black"
        ax.text(column, row, f"{counts[row, column]}", ha="center", va="center", color=colour)
    ticks = range(len(counts))
    ax.set(title=_plain(title), xlabel="Predicted digit", ylabel="True digit")
    ax.set(xticks=ticks, yticks=ticks)
    return ax


def plot_curves(
    curves: Mapping[str, Sequence[float]],
    ax: Axes | None = None,
    title: str = "",
    ylabel: str = "Loss",
    xlabel: str = "Epoch",
) -> Axes:
    """Draw one or more curves over epochs or steps, each with its own line style.

    Parameters: curves, a mapping from a name to its values, one an epoch from 1 on; the axes,
        the title, the names of the axes.
    Returns: the axes.

    >>> plot_curves({"train": [2.3, 1.0], "validation": [2.3, 1.2]}).get_xlabel()
    'Epoch'
    """
    ax = ax or _new_axes()
    for number, (name, values) in enumerate(curves.items()):
        style = ("-", "--", ":", "-.")[number % 4]
        ax.plot(np.arange(1, len(values) + 1), values, style, label=_plain(name))
    ax.set(title=_plain(title), xlabel=xlabel, ylabel=ylabel)
    ax.legend(frameon=False)
    return ax


def _plain(text: str) -> str:
    """Return a text to be drawn as it stands: between two `$` matplotlib would see a formula."""
    return text.replace("$", r"\$")


def _new_axes(figsize: tuple[float, float] = (6.4, 2.4)) -> Axes:
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=figsize)[1]


def interactive(draw: Callable[..., None], **sliders: object) -> None:
    """Give a drawing function sliders in a live JupyterLab; elsewhere do nothing.

    Put it below a static figure: a saved slider would be dead for every later reader.

    Parameters: draw, a function that draws and shows a figure; sliders, for each of its
        parameters the choices that `ipywidgets.interact` takes, such as (64, 2048, 64).

    >>> interactive(print, n_fft=(64, 2048, 64))
    """
    if "JPY_SESSION_NAME" not in os.environ:  # set by Jupyter's server, not by nbclient or nbval
        return
    from ipywidgets import interact

    interact(draw, **sliders)
