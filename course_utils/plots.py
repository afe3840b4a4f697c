"""Pictures of sound and of learning.

Every function draws on the matplotlib axes `ax`, or on new ones, and returns them; `title` stands
above them. Used in all chapters.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from course_utils.errors import check_tensor
from course_utils.language import translate
from course_utils.live import is_live

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes

COLOUR_MAP = "viridis"  # perceptually even, readable in grey and by the colour-blind
# A few of the names of the fonts that systems bring for Chinese.
CJK_FONTS = r"CJK|PingFang|Heiti|Hiragino Sans GB|YaHei|SimHei|WenQuanYi"


def use_style() -> None:
    """Set the size, the colours and the layout of all figures that follow.

    Chinese signs get a Chinese font where one is installed, and are boxes elsewhere, without
    matplotlib's warning for each.
    Called by the set-up cell of every chapter.

    >>> use_style()
    """
    import matplotlib.pyplot as plt

    plt.rcParams["figure.figsize"] = (6.4, 2.4)
    plt.rcParams["figure.dpi"] = 100
    plt.rcParams["figure.constrained_layout.use"] = True
    plt.rcParams["font.family"] = ["DejaVu Sans", *_chinese_fonts()[:1]]
    plt.rcParams["image.cmap"] = COLOUR_MAP
    plt.rcParams["image.interpolation"] = "nearest"
    plt.rcParams["legend.frameon"] = False
    warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)


def plot_waveform(
    waveform: torch.Tensor,
    sample_rate: int,
    ax: Axes | None = None,
    title: str = "Waveform",
    **style: Any,
) -> Axes:
    """Draw the first channel of a waveform [channels, time] or [time] against time in seconds.

    Returns:
        the axes.

    >>> import torch
    >>> plot_waveform(torch.zeros(1, 160), 16000).get_xlabel()
    'Time (s)'
    """
    check_tensor(waveform, "The waveform cannot be drawn")
    samples = waveform.detach().cpu().reshape(-1, waveform.shape[-1])[0].numpy()
    ax = ax or _new_axes()
    ax.plot(np.arange(len(samples)) / sample_rate, samples, **{"linewidth": 0.7, **style})
    ax.set(title=_plain(title), xlabel="Time (s)", ylabel="Amplitude")
    ax.margins(x=0)
    ax.locator_params(axis="x", nbins=5)
    return ax


def plot_spectrum(
    levels: torch.Tensor,
    sample_rate: int,
    ax: Axes | None = None,
    title: str = "Spectrum",
    **style: Any,
) -> Axes:
    """Draw levels [n_fft // 2 + 1] in dB against frequency, from 0 Hz to half the sample rate.

    Returns:
        the axes.

    >>> import torch
    >>> plot_spectrum(torch.zeros(513), 16000).get_xlabel()
    'Frequency (Hz)'
    """
    check_tensor(levels, "The spectrum cannot be drawn")
    values = levels.detach().cpu().numpy()
    ax = ax or _new_axes()
    frequencies = np.linspace(0, sample_rate / 2, len(values))
    ax.plot(frequencies, values, **{"linewidth": 0.9, **style})
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

    Args:
        levels: tensor [1, bins, frames] or [bins, frames]; bins from 0 Hz to half the sample rate.
        sample_rate: in Hz.
        hop_length: in samples.
        range_db: how many dB below the maximum the darkest colour lies.
    Returns:
        the axes. Values that look like power are drawn with a warning.
    Raises:
        FeatureError: if the levels are no tensor.

    >>> import torch
    >>> plot_spectrogram(torch.zeros(1, 513, 10), 16000, 160).get_ylabel()
    'Frequency (Hz)'
    """
    check_tensor(levels, "The spectrogram cannot be drawn")
    picture = levels.detach().cpu().reshape(-1, *levels.shape[-2:])[0]
    if picture.min() >= 0 and picture.max() > 0:
        warnings.warn(
            translate(
                "No value of this spectrogram is negative, as in one of power: draw its levels in "
                "dB, to_db(power)."
            ),
            stacklevel=2,
        )
    seconds = picture.shape[1] * hop_length / sample_rate
    extent = (0, seconds, 0, sample_rate / 2)
    ax = _draw_matrix(
        picture, ax, "Level (dB)", extent=extent, vmin=float(picture.max()) - range_db
    )
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
    """Draw a matrix [height, width] or [1, height, width] as colours, its first row at the bottom.

    `xlabel`, `ylabel` and `label` name the two sides and the values.
    Returns:
        the axes.

    >>> import torch
    >>> plot_picture(torch.zeros(80, 80), ylabel="Mel bin").get_ylabel()
    'Mel bin'
    """
    check_tensor(picture, "The picture cannot be drawn")
    ax = _draw_matrix(picture.detach().cpu().reshape(picture.shape[-2:]), ax, label)
    ax.set(title=_plain(title), xlabel=xlabel, ylabel=ylabel)
    return ax


def _draw_matrix(values: torch.Tensor, ax: Axes | None, label: str, **options: Any) -> Axes:
    ax = ax or _new_axes()
    options |= {"origin": "lower", "aspect": "auto", "interpolation": "nearest"}
    image = ax.imshow(values.numpy(), cmap=COLOUR_MAP, **options)
    ax.figure.colorbar(image, ax=ax, label=label, pad=0.02)
    return ax


def plot_probabilities(
    probabilities: torch.Tensor,
    ax: Axes | None = None,
    title: str = "Probability of each word",
    words: Sequence[str] | None = None,
) -> Axes:
    """Draw the probability [classes] of each word as a bar, the most probable one darker.

    Without `words` the classes are numbered from 0.
    Returns:
        the axes.

    >>> import torch
    >>> plot_probabilities(torch.full((10,), 0.1)).get_ylabel()
    'Probability'
    """
    check_tensor(probabilities, "The probabilities cannot be drawn")
    values = probabilities.detach().cpu().flatten().numpy()
    ax = ax or _new_axes()
    colours = ["#9ecae1"] * len(values)
    colours[int(values.argmax())] = "#08519c"
    ax.bar(range(len(values)), values, color=colours)
    ax.set_xticks(range(len(values)), **_word_labels(words, len(values)))
    ax.set(title=_plain(title), xlabel="Word", ylabel="Probability", ylim=(0, 1))
    return ax


def plot_confusion(
    matrix: torch.Tensor,
    ax: Axes | None = None,
    title: str = "Confusion matrix",
    words: Sequence[str] | None = None,
) -> Axes:
    """Draw how often each true word (row) was taken for each word (column).

    `matrix` [classes, classes] holds counts. Without `words` the classes are numbered from 0.
    Returns:
        the axes.

    >>> import torch
    >>> plot_confusion(torch.eye(10, dtype=torch.long)).get_xlabel()
    'Predicted word'
    """
    check_tensor(matrix, "The matrix cannot be drawn")
    counts = matrix.detach().cpu().numpy()
    ax = ax or _new_axes(figsize=(4.4, 4.0))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts > 0):
        # On this colour map black is readable up to here, and white from here on.
        colour = "white" if shares[row, column] > 0.72 else "black"
        ax.text(column, row, f"{counts[row, column]}", ha="center", va="center", color=colour)
    ax.set(title=_plain(title), xlabel="Predicted word", ylabel="True word")
    names = _word_labels(words, len(counts))
    ax.set_xticks(range(len(counts)), **names)
    ax.set_yticks(range(len(counts)), **names)
    return ax


def plot_curves(
    curves: Mapping[str, Sequence[float]],
    ax: Axes | None = None,
    title: str = "",
    ylabel: str = "Loss",
    xlabel: str = "Epoch",
) -> Axes:
    """Draw curves by their names, each in its own line style, one value an epoch from 1 on.

    Returns:
        the axes.

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


def _word_labels(words: Sequence[str] | None, count: int) -> dict[str, Any]:
    """Return how to write words on an axis; Chinese ones in a Chinese font, if there is one."""
    names = [_plain(str(word)) for word in (range(count) if words is None else words)]
    if all(name.isascii() for name in names):
        return {"labels": names}
    from matplotlib import get_cachedir
    from matplotlib.font_manager import findfont, get_font

    installed = _chinese_fonts()
    plain = get_font(findfont("DejaVu Sans"))
    missing = {sign for sign in "".join(names) if not plain.get_char_index(ord(sign))}
    if missing and not installed:
        warnings.warn(
            translate(
                f"No font here has the signs {''.join(sorted(missing))[:12]}, so they are drawn as "
                f"boxes: install Noto Sans CJK and delete the folder {get_cachedir()}."
            ),
            stacklevel=3,
        )
    return {"labels": names, "fontfamily": ["DejaVu Sans", *installed[:1]]}


def _chinese_fonts() -> list[str]:
    """Return the names of the installed fonts with Chinese signs, the simplified ones first."""
    from matplotlib.font_manager import get_font_names

    installed = [name for name in get_font_names() if re.search(CJK_FONTS, name)]
    return sorted(installed, key=lambda name: ("CJK" in name and "SC" not in name, name))


def _new_axes(figsize: tuple[float, float] = (6.4, 2.4)) -> Axes:
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=figsize)[1]


def interactive(draw: Callable[..., None], **sliders: Any) -> None:
    """Give a drawing function sliders in a live notebook; elsewhere do nothing.

    Put it below a static figure: a saved slider would be dead for every later reader. `sliders`
    are what `ipywidgets.interact` takes for each parameter, such as (64, 2048, 64).

    >>> interactive(print, n_fft=(64, 2048, 64))
    """
    if not is_live():
        return
    from ipywidgets import interact

    interact(draw, **sliders)
