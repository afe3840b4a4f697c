"""Drawings that explain an idea, and whose code would teach nothing.

Each draws on a new figure, or on the axes that it is given; the chapter calls `plt.show()`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from course_utils import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from course_utils.recordings import SpokenWords
    from course_utils.splits import Split

MOST_DOTS = 32  # of a column in a drawing of a network; more could not be told apart
MOST_LINES = 160  # between two columns
SEEN = "#fde725"  # yellow, the bright end of the course's colour map
KNOWN_COLOUR, ASKED_COLOUR = "#2171b5", "#fd8d3c"  # who is trained on, and who is tested


def draw_network(
    columns: Sequence[torch.Tensor],
    weights: Sequence[torch.Tensor],
    titles: Sequence[str],
    picture: torch.Tensor | None = None,
) -> Figure:
    """Draw numbers on their way through linear layers: a dot a number, a line a product.

    A dot's colour is its number, from the lowest (blue) to the highest (red) of its column. A line
    is a weight times the number that it comes from, red above and blue below 0; only the strongest
    are drawn. Of a long column every n-th number is shown. The last column's numbers stand beside
    their dots. Used in chapter 2.

    Args:
        columns: the numbers [units] of each layer, the input first.
        weights: the matrices [outputs, inputs] between them.
        titles: what stands above each column.
        picture: the picture [height, width] that goes in, drawn on the left, if there is one.
    Returns:
        the figure.

    >>> import torch
    >>> figure = draw_network([torch.ones(3), torch.ones(2)], [torch.ones(2, 3)], "ab")
    >>> len(figure.axes)
    1
    """
    import matplotlib.pyplot as plt

    parts = [1] if picture is None else [1, 2.6]
    figure, axes = plt.subplots(1, len(parts), figsize=(6.4, 3.6), width_ratios=parts)
    ax = axes if picture is None else axes[1]
    if picture is not None:
        axes[0].imshow(picture, origin="lower", aspect="auto", cmap="viridis")
        axes[0].set(title="Picture", xlabel="Frame", ylabel="Bin")
    shown = [range(0, len(values), math.ceil(len(values) / MOST_DOTS)) for values in columns]
    for place, matrix in enumerate(weights):
        products = matrix.detach() * columns[place].detach()
        _draw_lines(ax, place, products[list(shown[place + 1])][:, list(shown[place])])
    for place, (values, dots) in enumerate(zip(columns, shown, strict=True)):
        _draw_dots(
            ax,
            place,
            values.detach()[list(dots)],
            f"{titles[place]}\n{len(dots)} of {len(values):,}",
        )
    for number, height in enumerate(_heights(len(columns[-1]))):
        label = f"{number}:  {columns[-1][number].item():.2f}"
        ax.text(len(columns) - 0.88, height, label, va="center", fontsize=8)
    ax.set(xlim=(-0.3, len(columns) - 0.4), ylim=(-0.05, 1.2))
    ax.set_axis_off()
    return figure


def _heights(count: int) -> np.ndarray:
    """Return how high the dots of a column stand, the first at the bottom, around the middle."""
    reach = 0.5 * min(1.0, count / 12)
    return np.linspace(0.5 - reach, 0.5 + reach, count)


def _draw_dots(ax: Axes, place: int, values: torch.Tensor, title: str) -> None:
    size = 36 if len(values) > 16 else 90
    style: dict[str, Any] = {"cmap": "coolwarm", "edgecolors": "0.3", "linewidths": 0.5}
    ax.scatter([place] * len(values), _heights(len(values)), size, c=values.numpy(), **style)
    ax.text(place, 1.06, title, ha="center", va="bottom", fontsize=8)


def _draw_lines(ax: Axes, place: int, products: torch.Tensor) -> None:
    """Draw the strongest products [outputs, inputs] between two columns, in front the strongest."""
    from matplotlib.collections import LineCollection

    left, right = _heights(products.shape[1]), _heights(products.shape[0])
    order = products.abs().flatten().argsort()[-MOST_LINES:].tolist()
    strongest = float(products.abs().max()) or 1.0
    lines, colours = [], []
    for output, input_ in (divmod(number, products.shape[1]) for number in order):
        share = float(products[output, input_]) / strongest
        lines.append([(place, left[input_]), (place + 1, right[output])])
        colours.append((0.7, 0.05, 0.15, share) if share > 0 else (0.2, 0.3, 0.75, -share))
    ax.add_collection(LineCollection(lines, colors=colours, linewidths=0.8, zorder=0))


def draw_reading_order(tables: Sequence[torch.Tensor], titles: Sequence[str]) -> Figure:
    """Draw small tables side by side, and through each a line from its smallest number upwards.

    The line shows which numbers are neighbours after `reshape` and `transpose`. Used in chapter 2.

    Args:
        tables: matrices of different whole numbers, at most 3 x 3.
        titles: what stands above them.
    Returns:
        the figure.

    >>> import torch
    >>> len(draw_reading_order([torch.tensor([[1, 2], [3, 4]])], ["a table"]).axes)
    1
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(tables), figsize=(6.4, 2.6), squeeze=False)
    for ax, table, title in zip(axes[0], tables, titles, strict=True):
        width = table.shape[1]
        order = table.flatten().argsort()
        ax.plot(order % width, order // width, color="#9ecae1", linewidth=5, zorder=0)
        for place, number in enumerate(table.flatten().tolist()):
            ax.text(place % width, place // width, number, fontsize=16, ha="center", va="center")
        ax.set(title=f"{title}\n{list(table.shape)}", xticks=[], yticks=[])
        ax.set(xlim=(-0.6, 2.6), ylim=(2.6, -0.6), aspect="equal")
    return figure


def draw_scores(bands: torch.Tensor, scores: torch.Tensor) -> Figure:
    """Draw a picture of sound, and below it one number a frame, filled where it is above 0.

    Used in chapter 2.

    Args:
        bands: the picture [bins, frames].
        scores: the numbers [frames].
    Returns:
        the figure.

    >>> import torch
    >>> len(draw_scores(torch.zeros(80, 9), torch.ones(9)).axes)
    2
    """
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(6.4, 3.6))
    above.imshow(bands.detach(), origin="lower", aspect="auto", cmap="viridis")
    above.set(title="Frames", ylabel="Bin")
    values = scores.detach().flatten().numpy()
    below.plot(values)
    below.fill_between(range(len(values)), values, 0, where=values > 0, alpha=0.4)
    below.axhline(0, color="grey", linewidth=0.8)
    below.set(title="Weighted sum of each frame", xlabel="Frame", ylabel="Score")
    return figure


def draw_samples(places: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> Figure:
    """Draw a few samples before and after a change, with a line from each to its partner.

    Used in chapter 2.

    Args:
        places: the samples' numbers [count].
        before, after: their values [count].
    Returns:
        the figure.

    >>> import torch
    >>> figure = draw_samples(torch.arange(4), torch.ones(4), -torch.ones(4))
    >>> figure.axes[0].get_xlabel()
    'Sample'
    """
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6.4, 2.8))
    ax.axhline(0, color="grey", linewidth=0.8)
    ax.vlines(places, before, after, color="0.8")
    ax.plot(places, before, "o-", label="before", markersize=4)
    ax.plot(places, after, "s", label="after", markersize=6, fillstyle="none")
    ax.set(title=f"{len(places)} samples", xlabel="Sample", ylabel="Amplitude")
    figure.legend(loc="outside right center")
    return figure


def draw_activations(
    points: torch.Tensor, sigmoid_slope: torch.Tensor, relu_slope: torch.Tensor
) -> Figure:
    """Draw sigmoid and ReLU side by side, each with its slope between neighbouring points.

    Used in chapter 2.

    Args:
        points: where the two are drawn [count].
        sigmoid_slope, relu_slope: their slopes from one point to the next [count - 1].
    Returns:
        the figure.

    >>> import torch
    >>> len(draw_activations(torch.arange(3.0), torch.ones(2), torch.ones(2)).axes)
    2
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(6.4, 2.6))
    curves = {"sigmoid": (points.sigmoid(), sigmoid_slope), "ReLU": (points.relu(), relu_slope)}
    middle = (points[1:] + points[:-1]) / 2
    for ax, (title, (values, slope)) in zip(axes, curves.items(), strict=True):
        ax.plot(points, values, label="value")
        ax.plot(middle, slope, "--", label="slope")
        ax.set(title=title, xlabel="x", ylabel="y", ylim=(-0.1, 1.6))
        ax.legend(loc="upper left")
    return figure


def rolling_weight(
    loss_of: Callable[[float], float],
    path: Sequence[float],
    title: str = "A weight rolls down its loss",
    ax: Axes | None = None,
) -> Axes:
    """Draw the loss of one weight as a valley, and the weight as a ball, darkest before step 1.

    Used in chapter 3, where a figure of its own also names the first slope and step.

    Args:
        loss_of: gives the loss of a weight.
        path: the weight before the first step and after each.
        title: stands above the drawing.
        ax: the matplotlib axes; without them a new figure is made.
    Returns:
        the axes.

    >>> rolling_weight(lambda weight: (weight - 1.5) ** 2, [0.3, 0.9, 1.2]).get_xlabel()
    'Weight'
    """
    import matplotlib.pyplot as plt

    alone = ax is None
    ax = ax or plt.subplots()[1]
    far = max(1.8, *(abs(weight - 1.5) for weight in path)) + 0.2
    weights = np.linspace(1.5 - far, 1.5 + far, 101)
    valley = [loss_of(float(weight)) for weight in weights]
    heights = [loss_of(float(weight)) for weight in path]
    below = -0.1 * max(valley)
    ax.fill_between(weights, valley, below, facecolor="0.9", edgecolor="0.6")
    ax.plot(path, heights, "--", color="C1", linewidth=0.8)
    for weight, height, age in zip(path, heights, np.linspace(1, 0.25, len(path)), strict=True):
        ax.plot(weight, height, "o", color="C0", markersize=9, alpha=age)
    if alone:
        slope = (loss_of(path[0] + 0.01) - loss_of(path[0] - 0.01)) / 0.02
        note = f"slope {slope:.2f}, so the first step is {path[1] - path[0]:+.2f}"
        ax.annotate(note, (path[0], heights[0]), (9, 4), textcoords="offset points")
    ax.set(title=title, xlabel="Weight", ylabel="Loss", ylim=(below, None), xmargin=0)
    return ax


def chain_of_slopes(weight: float, x: float, b: float, y: float) -> Axes:
    """Draw how a squared error is computed from one weight, and how its slope is carried back.

    Used in chapter 3.

    Args:
        weight: the weight of the model.
        x: the input.
        b: the offset that is added to `weight * x`.
        y: the right answer.
    Returns:
        the axes.

    >>> len(chain_of_slopes(0.3, 2.0, 0.2, 3.2).texts) > 10
    True
    """
    import matplotlib.pyplot as plt

    error = weight * x + b - y
    values = (weight, weight * x, weight * x + b, error, error**2)
    slopes = (2 * error * x, 2 * error, 2 * error, 2 * error, 1.0)
    names = ("weight", "product", "answer", "error", "loss")
    ways = (f"times {x:g}", f"plus {b:g}", f"minus {y:g}", "square")
    back = (f"times {x:g}", "times 1", "times 1", f"times {2 * error:.1f}")
    ax = plt.subplots()[1]
    ax.set(xlim=(-0.5, 8.6), ylim=(-1.5, 1.5), title="Values forward, slopes back")
    ax.axis("off")
    box = {"boxstyle": "round", "facecolor": "0.93", "edgecolor": "0.6"}
    for place, name in enumerate(names):
        ax.text(2 * place, 0, name, ha="center", va="center", bbox=box)
        ax.text(2 * place, 0.75, f"{values[place]:.2f}", ha="center", color="C0")
        ax.text(2 * place, -1.0, f"{slopes[place]:.1f}", ha="center", color="C3")
    for place in range(4):
        left, right = 2 * place + 0.55, 2 * place + 1.45
        ax.annotate("", (right, 0.8), (left, 0.8), arrowprops={"arrowstyle": "->", "color": "C0"})
        ax.annotate("", (left, -0.9), (right, -0.9), arrowprops={"arrowstyle": "->", "color": "C3"})
        ax.text(2 * place + 1, 1.0, ways[place], ha="center", color="C0", fontsize=8)
        ax.text(2 * place + 1, -1.35, back[place], ha="center", color="C3", fontsize=8)
    return ax


def layer_weights(snapshots: Mapping[int, torch.nn.Linear]) -> None:
    """Draw the weights of a linear layer as colours, beside each other, at some rounds.

    Used in chapter 3.

    Args:
        snapshots: copies of the layer by the number of rounds that they have been trained.

    >>> import torch
    >>> layer_weights({0: torch.nn.Linear(5, 5), 100: torch.nn.Linear(5, 5)})
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(snapshots))
    for ax, (step, layer) in zip(axes, snapshots.items(), strict=True):
        image = ax.imshow(layer.weight.detach().numpy(), vmin=-0.5, vmax=1.5)
        ax.set(title=f"round {step:,}", xticks=[], yticks=[], xlabel="Input")
    axes[0].set_ylabel("Output")
    figure.colorbar(image, ax=axes, label="Weight", shrink=0.8)


def gradient_and_lack(gradient: torch.Tensor, lacks: torch.Tensor) -> None:
    """Draw minus the gradient of a layer's weights, and what each weight lacks, with the values.

    Used in chapter 3.

    Args:
        gradient: of the loss, tensor [outputs, inputs].
        lacks: the right weights minus those of now, of the same shape.

    >>> import torch
    >>> gradient_and_lack(-torch.eye(5), 2.5 * torch.eye(5))
    """
    import matplotlib.pyplot as plt

    axes = plt.subplots(1, 2, figsize=(6.4, 3.0))[1]
    titles = ("Minus the gradient", "What each weight lacks")
    for ax, values, title in zip(axes, ((-gradient).numpy(), lacks.numpy()), titles, strict=True):
        ax.imshow(values)
        ax.set(title=title, xlabel="Input", ylabel="Output")
        middle = (values.max() + values.min()) / 2
        for row, column in np.ndindex(*values.shape):
            value = values[row, column]
            colour = "black" if value > middle else "white"
            ax.text(
                column,
                row,
                f"{round(float(value), 2) + 0.0:.2f}",
                ha="center",
                va="center",
                color=colour,
                size=8,
            )


def saturating_amplifier(layer: torch.nn.Linear) -> Axes:
    """Draw an amplifier that saturates, tanh(1.5 x), and what a layer answers, inside and outside.

    The range from -0.6 to 0.6, in which the layer was trained, is grey. Used in chapter 3.

    Args:
        layer: a layer with one input and one output.
    Returns:
        the axes.

    >>> import torch
    >>> saturating_amplifier(torch.nn.Linear(1, 1)).get_xlabel()
    'Input amplitude'
    """
    import matplotlib.pyplot as plt
    import torch

    inputs = np.linspace(-3, 3, 121)
    with torch.no_grad():
        answers = layer(torch.tensor(inputs[:, None]).float())[:, 0].numpy()
    ax = plt.subplots()[1]
    ax.axvspan(-0.6, 0.6, color="0.85", label="trained here")
    ax.plot(inputs, np.tanh(1.5 * inputs), label="amplifier")
    ax.plot(inputs, answers, "--", label="layer")
    ax.plot(3, answers[-1], "C1o", clip_on=False)
    ax.annotate(f"{answers[-1]:.2f}", (3, answers[-1]), (-30, -20), textcoords="offset points")
    ax.set(title="A saturating amplifier and a layer", xlabel="Input amplitude")
    ax.set(ylabel="Output amplitude", xlim=(-3, 3))
    ax.legend(loc="upper left")
    return ax


def landscape(
    inputs: torch.Tensor, walks: Mapping[str, torch.Tensor], title: str, ax: Axes
) -> Axes:
    """Draw the squared error over two weights as a map, and walks on it towards (1.5, 1.5).

    The lines of the map are drawn for the root of the loss, so that they are evenly spaced. Used in
    chapter 3.

    Args:
        inputs: the features, tensor [samples, 2].
        walks: tensors [steps + 1, 2] of weights, by the names for the legend.
        title: stands above the map.
        ax: the matplotlib axes.
    Returns:
        the axes.

    >>> import matplotlib.pyplot as plt, torch
    >>> landscape(torch.eye(2), {"SGD": torch.zeros(3, 2)}, "", plt.subplots()[1]).get_xlabel()
    'Weight of low band'
    """
    import torch

    grid = torch.linspace(-0.6, 3.0, 65)
    errors = inputs @ (torch.cartesian_prod(grid, grid) - 1.5).T
    height = errors.pow(2).mean(dim=0).sqrt().reshape(65, 65).T
    ax.contour(grid.numpy(), grid.numpy(), height.numpy(), levels=12, linewidths=0.6)
    styles = ("C3.-", "C0.--", "C1.:")
    for style, (name, places) in zip(styles, walks.items(), strict=False):
        ax.plot(*places.T.numpy(), style, linewidth=0.9, label=name)
    ax.plot(1.5, 1.5, "k*", markersize=12)
    ax.set(title=title, xlabel="Weight of low band")
    ax.set_ylabel("Weight of high band")
    ax.legend(loc="upper left", frameon=True)
    return ax


def draw_pushes(probabilities: Sequence[float], right: int) -> Figure:
    """Draw how far a step against the gradient of cross-entropy pushes each logit.

    Bars are the probabilities; an arrow leads from each to where it should be, 1 for the right
    class and 0 for the others. Taught in chapter 4.

    Args:
        probabilities: of the classes, with sum 1.
        right: the number of the right class.
    Returns:
        the figure; `plt.show()` shows it.

    >>> draw_pushes([0.665, 0.245, 0.090], right=1).axes[0].get_xlabel()
    'Class'
    """
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6.4, 2.8))
    for k, p in enumerate(probabilities):
        goal = 1.0 if k == right else 0.0
        ax.bar(k, p, width=0.5, color="#9ecae1")
        ax.plot([k - 0.3, k + 0.3], [goal, goal], color="black", linewidth=2.5)
        arrow = {"arrowstyle": "-|>", "color": "C3", "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", xy=(k + 0.35, goal), xytext=(k + 0.35, p), arrowprops=arrow)
        ax.text(k + 0.4, max((p + goal) / 2, 0.05), f"{p - goal:+.3f}", va="center", color="C3")
        ax.text(k, p + 0.02, f"p = {p:.3f}", ha="center")
    ax.set(title="Each arrow leads from p to y; beside it stands p − y", xlabel="Class")
    ax.set(ylabel="Probability", ylim=(-0.05, 1.12), xlim=(-0.5, len(probabilities) - 0.2))
    ax.set_xticks(range(len(probabilities)))
    return figure


def draw_chain_to_loss() -> Figure:
    """Draw the way of a clip through the notes' network of chapter 4 and then to its loss.

    Returns:
        the figure; `plt.show()` shows it.

    >>> len(draw_chain_to_loss().axes[0].texts)
    9
    """
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7.2, 1.3))
    steps = ["picture", "linear", "sigmoid", "linear", "softmax", "softmax", "−ln p"]
    ax.plot([0, len(steps) - 1], [0, 0], color="grey", linewidth=1, zorder=0)
    for place, step in enumerate(steps):
        colour = "#fdae6b" if step == "softmax" else "#deebf7"
        box: dict[str, Any] = {"boxstyle": "round,pad=0.4", "facecolor": colour}
        ax.text(place, 0, step, ha="center", va="center", bbox=box)
    ax.text(2.5, 0.8, "the network", ha="center")
    ax.text(5.5, 0.8, "CrossEntropyLoss", ha="center")
    ax.axvline(4.5, color="grey", linestyle=":")
    ax.set(xlim=(-0.5, 6.5), ylim=(-0.6, 1.2))
    ax.axis("off")
    return figure


def draw_loss_scales(classes: int = 10) -> Figure:
    """Draw what the loss can be with one softmax and with two, and what each place means.

    Taught in chapter 4.

    Args:
        classes: how many there are.
    Returns:
        the figure; `plt.show()` shows it.

    >>> [ax.get_title() for ax in draw_loss_scales().axes]
    ['One softmax', 'Two softmaxes']
    """
    import matplotlib.pyplot as plt

    ceiling = math.log(math.e + classes - 1)
    nothing = {math.log(classes): "knows nothing"}
    one = {0.0: "sure, all right"} | nothing
    two = {ceiling - 1: "sure, all right"} | nothing
    two |= {ceiling - 1 / classes: "sure, one class for all", ceiling: "sure, all wrong"}
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.4), sharey=True)
    axes[0].annotate("no upper limit", (0, 3.3), (0, 2.8), ha="center", arrowprops={"fc": "C0"})
    axes[0].plot([0, 0], [0, 2.75], linewidth=8, color="#9ecae1", solid_capstyle="butt")
    axes[1].plot(
        [0, 0], [ceiling - 1, ceiling], linewidth=8, color="#fdae6b", solid_capstyle="butt"
    )
    for ax, title, marks in zip(axes, ("One softmax", "Two softmaxes"), (one, two), strict=True):
        last = -1.0
        for loss, meaning in sorted(marks.items()):
            last = max(loss, last + 0.24)  # labels keep their distance
            line = {"arrowstyle": "-", "color": "grey", "relpos": (0, 0.5)}
            text = f"{loss:.4f}  {meaning}"
            ax.annotate(text, (0.03, loss), (0.3, last), va="center", arrowprops=line)
        ax.set(title=title, xlim=(-0.5, 1.6), ylim=(-0.2, 3.5), xticks=[])
        ax.spines[["right", "top", "bottom"]].set_visible(False)
    axes[0].set_ylabel("Loss (nat)")
    return figure


def tone_and_alias(frequency: float, sample_rate: int = 16_000) -> Axes:
    """Draw a tone, its samples, and the lowest tone that goes through the same samples.

    Args:
        frequency: of the tone, in Hz.
        sample_rate: samples per second, in Hz.
    Returns:
        the axes.
    Used in chapter 1.

    >>> tone_and_alias(10_000).get_xlabel()
    'Time (ms)'
    """
    import matplotlib.pyplot as plt

    alias = abs(frequency - sample_rate * round(frequency / sample_rate))
    smooth = torch.linspace(0, 1, 1001)  # 1 ms
    dots = torch.arange(0, 1, 1000 / sample_rate)
    _, ax = plt.subplots()
    for hz, style in ((frequency, "-"), (alias, "--")):
        values = torch.cos(2 * math.pi * hz / 1000 * smooth)
        ax.plot(smooth, values, style, linewidth=1.2, label=f"{hz:,.0f} Hz")
    ax.plot(dots, torch.cos(2 * math.pi * frequency / 1000 * dots), "ko", label="samples")
    ax.set(title=f"{sample_rate:,} samples a second", xlabel="Time (ms)", ylabel="Amplitude")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def frame_and_cosine(frame: torch.Tensor, k: int) -> Axes:
    """Draw a frame with a cosine of k swings, and below their product with its sum.

    Args:
        frame: tensor [time] in [-1, 1].
        k: how often the cosine swings in the frame.
    Returns:
        the axes of the product.
    Used in chapter 1.

    >>> frame_and_cosine(torch.ones(64), k=2).get_title()
    'their product: it adds up to 0.0'
    """
    import matplotlib.pyplot as plt

    n = torch.arange(len(frame)).double()
    cosine = torch.cos(2 * math.pi * k * n / len(frame))
    product = frame.double() * cosine
    total = round(float(product.sum()), 1) + 0.0  # never -0.0
    _, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(8, 3.6))
    above.plot(n, frame, linewidth=0.9, label="frame")
    above.plot(n, 0.5 * cosine, linewidth=1.2, label="cosine (half size)")
    above.set(title=f"frame and cosine, k = {k}", ylabel="Amplitude")
    above.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    for sign, colour in ((1, "#1a7f37"), (-1, "#b3261e")):
        part = sign * (sign * product).clamp(min=0)
        below.fill_between(n, part, color=colour, label="above zero" if sign > 0 else "below zero")
    below.axhline(0, color="black", linewidth=0.6)
    below.set(title=f"their product: it adds up to {total}", xlabel="Sample n", ylabel="Product")
    below.set_ylim(-0.55, 0.55)
    below.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    below.margins(x=0)
    return below


def frames_and_windows(
    waveform: torch.Tensor, start: int, n_fft: int, hop_length: int, count: int = 3
) -> Axes:
    """Draw a piece of a waveform at 16 kHz, its first frames as brackets, and their windows.

    Args:
        waveform: tensor [1, time].
        start: the sample at which the first frame begins.
        n_fft, hop_length: the length of a frame, and the step to the next one, in samples.
        count: how many frames.
    Returns:
        the axes.
    Used in chapter 1.

    >>> frames_and_windows(torch.zeros(1, 4000), 0, 1024, 512).get_xlabel()
    'Sample'
    """
    import matplotlib.pyplot as plt

    end = start + n_fft + (count - 1) * hop_length
    samples = waveform[0, start:end]
    scale = 1 / max(float(samples.abs().max()), 1e-9)
    _, ax = plt.subplots(figsize=(8, 3.2))
    ax.plot(range(start, end), scale * samples, color="0.6", linewidth=0.7)
    for number in range(count):
        first, colour, height = start + number * hop_length, f"C{number}", 1.25 + 0.3 * number
        ax.plot(range(first, first + n_fft), torch.hann_window(n_fft), color=colour)
        arrow = {"arrowstyle": "|-|, widthA=0.3, widthB=0.3", "color": colour}
        ax.annotate("", (first, height), (first + n_fft, height), arrowprops=arrow)
        label = f"frame {number}: starts at {first:,}"
        ax.text(first + n_fft / 2, height + 0.06, label, ha="center", color=colour)
    ax.set(title=f"Frames of {n_fft:,} samples, hop {hop_length}", xlabel="Sample")
    ax.set(ylabel="Amplitude, window", ylim=(-1.1, 1.35 + 0.3 * count), xlim=(start - 20, end + 20))
    ax.set_yticks([-1, 0, 1])
    return ax


def draw_lenet() -> Figure:
    """Draw LeNet-5 as a row of squares and bars with their names and sizes. Used in chapter 6.

    Returns:
        the figure.

    >>> len(draw_lenet().axes)
    1
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    figure, ax = plt.subplots(figsize=(9.0, 2.8))
    maps = {"word": (1, 32), "C1": (6, 28), "S2": (6, 14), "C3": (16, 10), "S4": (16, 5)}
    left = 0.0
    for name, (count, side) in maps.items():
        shift = 1.6 if count > 1 else 0.0
        for number in range(count):
            corner = (left + number * shift, -side / 2 - number * shift / 3)
            ax.add_patch(Rectangle(corner, side, side, facecolor="#9ecae1", edgecolor="#08519c"))
        width = side + (count - 1) * shift
        size = f"{side} x {side}" if count == 1 else f"{count} x {side} x {side}"
        ax.text(left + width / 2, 19, name, ha="center", weight="bold")
        ax.text(left + width / 2, -26, size, ha="center")
        left += width + 9
    for name, count in {"C5": 120, "F6": 84, "output": 10}.items():
        height = count / 4
        ax.add_patch(Rectangle((left, -height / 2), 3, height, facecolor="#fdae6b"))
        ax.text(left + 1.5, 19, name, ha="center", weight="bold")
        ax.text(left + 1.5, -26, f"{count}", ha="center")
        left += 16
    ax.set(xlim=(-2, left), ylim=(-29, 24))
    ax.set_aspect("equal")
    ax.axis("off")
    return figure


def draw_maps(layers: Mapping[str, torch.Tensor]) -> Figure:
    """Draw feature maps as small pictures, a row a layer, at most eight of each. Used in chapter 6.

    Args:
        layers: the maps [channels, height, width] of each layer, by its name.
    Returns:
        the figure.

    >>> import torch
    >>> len(draw_maps({"C1": torch.rand(6, 28, 28), "C3": torch.rand(16, 10, 10)}).axes)
    16
    """
    import matplotlib.pyplot as plt

    size = (9.0, 1.1 * len(layers) + 0.3)
    figure, axes = plt.subplots(len(layers), 8, figsize=size, squeeze=False)
    for row, (name, maps) in zip(axes, layers.items(), strict=True):
        for ax in row:
            ax.set(xticks=[], yticks=[], frame_on=False)
        for ax, one in zip(row, maps, strict=False):
            ax.imshow(one, origin="lower", vmin=float(maps.min()), vmax=float(maps.max()))
        row[0].set_ylabel(f"{name}\n{maps.shape[1]} x {maps.shape[2]}")
    figure.supxlabel("Time, in each map; frequency upwards")
    return figure


def draw_kernel_and_map(
    start: torch.Tensor, trained: torch.Tensor, word: torch.Tensor, response: torch.Tensor
) -> Figure:
    """Draw a kernel before and after training, a word, and the kernel's map of it, in a row.

    Used in chapter 6.

    Args:
        start, trained: the kernel's numbers [height, width].
        word: its picture [height, width].
        response: the map [height, width] before the activation, without what silence gives.
    Returns:
        the figure.

    >>> import torch
    >>> figure = draw_kernel_and_map(*(torch.rand(n, n) for n in (5, 5, 32, 28)))
    >>> [ax.get_title() for ax in figure.axes]
    ['Kernel at the start', 'Kernel, trained', 'Word', 'Map, against silence']
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(10.0, 2.9))
    largest = float(trained.abs().max())
    for ax, kernel in zip(axes, (start, trained), strict=False):
        ax.imshow(kernel, origin="lower", cmap="RdBu_r", vmin=-largest, vmax=largest)
        for row, values in enumerate(kernel.tolist()):
            for column, value in enumerate(values):
                colour = "white" if abs(value) > 0.6 * largest else "black"
                ax.text(column, row, f"{value:.1f}", ha="center", va="center", color=colour)
    axes[2].imshow(word, origin="lower")
    most = float(response.abs().max())
    axes[3].imshow(response, origin="lower", cmap="RdBu_r", vmin=-most, vmax=most)
    titles = ("Kernel at the start", "Kernel, trained", "Word", "Map, against silence")
    for ax, title in zip(axes, titles, strict=True):
        ax.set(title=title, xticks=[], yticks=[], xlabel="Time")
    axes[0].set_ylabel("Frequency")
    return figure


def draw_answer(picture: torch.Tensor, probabilities: torch.Tensor, title: str) -> Figure:
    """Draw the picture of a word, and beside it what a network answers. Used in chapter 6.

    Args:
        picture: the word [1, height, width] or [1, 1, height, width].
        probabilities: of the ten digits [10].
        title: of the picture.
    Returns:
        the figure.

    >>> import torch
    >>> len(draw_answer(torch.rand(1, 32, 32), torch.full((10,), 0.1), "A word").axes)
    3
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9.0, 2.4))
    plots.plot_picture(picture, axes[0], title, ylabel="Band", label="10 dB")
    plots.plot_probabilities(probabilities, axes[1], "Probability of each word")
    return figure


def draw_runners(runners: Mapping[str, Sequence[Any]]) -> Figure:
    """Draw the accuracy of trained networks as dots, a row a kind of network. Used in chapter 6.

    Args:
        runners: the networks of each kind, by its name; each has its accuracy as `right`.
    Returns:
        the figure.

    >>> from types import SimpleNamespace
    >>> draw_runners({"LeNet-5": [SimpleNamespace(right=0.8)]}).axes[0].get_xlabel()
    'Accuracy on the test clips'
    """
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6.4, 2.2))
    for place, (name, networks) in enumerate(runners.items()):
        right = [network.right for network in networks]
        hollow: dict[str, Any] = {"markerfacecolor": "none", "markersize": 8}
        ax.plot(right, len(right) * [place], "osd^"[place % 4], label=name, **hollow)
        ax.plot(2 * [sum(right) / len(right)], [place - 0.25, place + 0.25], color=f"C{place}")
    ax.set_yticks(range(len(runners)), list(runners))
    ax.set(title="Three seeds of each, and their mean", xlabel="Accuracy on the test clips")
    ax.set(xlim=(0.5, 1.0), ylim=(-0.6, len(runners) - 0.4))
    return figure


def draw_flip_and_slide(x: np.ndarray, kernel: np.ndarray) -> Figure:
    """Draw a convolution in its two views: a flipped kernel that slides, and copies that add up.

    Args:
        x: the input, [time].
        kernel: its weights, [length], fewer than the samples of the input.
    Returns:
        the figure. Taught in chapter 5.

    >>> figure = draw_flip_and_slide(np.array([1.0, 3.0, 2.0, 0.0]), np.array([1.0, 0.5]))
    >>> [ax.get_title() for ax in figure.axes]
    ['n = 1: 3.5', 'n = 2: 3.5', 'Copies of the kernel']
    """
    import matplotlib.pyplot as plt

    length, y = len(kernel), np.convolve(x, kernel)
    figure, axes = plt.subplots(1, 3, figsize=(9.0, 2.8), sharex=True, sharey=True)
    for ax, n in zip(axes, (1, length), strict=False):
        places = np.arange(n - length + 1, n + 1)
        ax.bar(places, kernel[::-1], color="#9ecae1", label="flipped kernel")
        ax.stem(range(len(x)), x, basefmt=" ", label="input")
        for place in places[(places >= 0) & (places < len(x))]:
            product = f"{x[place]:g} × {kernel[n - place]:g}"
            top = max(x[place], kernel[n - place])
            ax.text(place, top + 0.12, product, ha="center", fontsize=8)
        ax.set(title=f"n = {n}: {y[n]:g}", xlabel="Sample")
    stacked = np.zeros(len(y))
    for m, value in enumerate(x):
        part = slice(m, m + length)
        axes[2].bar(range(len(y))[part], value * kernel, bottom=stacked[part], label=f"x[{m}]")
        stacked[part] += value * kernel
    axes[2].set(title="Copies of the kernel", xlabel="Sample", xticks=range(1 - length, len(y)))
    axes[0].set(ylabel="Amplitude", ylim=(0, 1.2 * max(x.max(), y.max())))
    axes[0].legend(loc="upper right", fontsize=8)
    axes[2].legend(loc="upper right", fontsize=8)
    return figure


def draw_kernel_step(picture: torch.Tensor, kernel: torch.Tensor, row: int, column: int) -> Figure:
    """Draw one step of a kernel over a picture: where it stands, the products, and their sum.

    Args:
        picture: [height, width], small enough that its numbers can be read.
        kernel: [rows, columns], smaller than the picture.
        row, column: the place of the kernel's first weight, which is that of the output.
    Returns:
        the figure. Taught in chapter 5.

    >>> import torch
    >>> figure = draw_kernel_step(torch.ones(5, 5), torch.ones(3, 3), 2, 0)
    >>> [ax.get_title() for ax in figure.axes]
    ['Picture', 'Weights × cells', 'Result']
    """
    import matplotlib.pyplot as plt

    (rows, columns), (height, width) = kernel.shape, picture.shape
    places = list(np.ndindex(rows, columns))
    here = picture[row : row + rows, column : column + columns]
    terms = np.array([f"{kernel[place]:g} × {here[place]:g}" for place in places])
    result = np.full((height - rows + 1, width - columns + 1), "", dtype=object)
    for i, j in np.ndindex(result.shape):
        if (i, j) <= (row, column):  # done so far
            result[i, j] = f"{(kernel * picture[i : i + rows, j : j + columns]).sum():g}"
    figure, axes = plt.subplots(
        1, 3, figsize=(9.0, 3.1), width_ratios=(width, 1.6 * columns, columns)
    )
    under = [(row + i, column + j) for i, j in places]
    _draw_numbers(axes[0], [[f"{value:g}" for value in line] for line in picture.tolist()], under)
    _draw_numbers(axes[1], terms.reshape(rows, columns), places, wide=1.6)
    _draw_numbers(axes[2], result, [(row, column)])
    axes[1].set_xlabel(f"Sum: {result[row, column]}")
    for ax, title in zip(axes, ("Picture", "Weights × cells", "Result"), strict=True):
        ax.set_title(title)
    return figure


def draw_reach(kernel_size: int, settings: Sequence[tuple[int, int, int]]) -> Figure:
    """Draw which cells of a 5 x 5 picture the first output of a convolution sees, and the next.

    Args:
        kernel_size: rows and columns of the kernel.
        settings: for each picture a stride, a padding and a dilation.
    Returns:
        the figure. Taught in chapter 5.

    >>> figure = draw_reach(3, [(1, 0, 1), (2, 0, 1)])
    >>> [ax.get_title() for ax in figure.axes]
    ['S = 1, P = 0, D = 1\\n3 x 3 outputs', 'S = 2, P = 0, D = 1\\n2 x 2 outputs']
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(settings), figsize=(2.4 * len(settings), 2.9), squeeze=False)
    for ax, (stride, padding, dilation) in zip(axes[0], settings, strict=True):
        side = 5 + 2 * padding
        outputs = (side - dilation * (kernel_size - 1) - 1) // stride + 1
        cells = [["0"] * side for _ in range(side)]
        for row in range(padding, side - padding):
            cells[row][padding : side - padding] = [""] * 5
        reach = range(0, dilation * kernel_size, dilation)
        _draw_numbers(ax, cells, [(i, j) for i in reach for j in reach])
        for row in reach if outputs > 1 else ():
            for column in reach:
                ax.plot(column + stride + 0.3, row + 0.3, "o", color="#31688e", markersize=4)
        ax.set_title(
            f"S = {stride}, P = {padding}, D = {dilation}\n{outputs} x {outputs} outputs",
            fontsize=10,
        )
    return figure


def _draw_numbers(
    ax: Axes, cells: Sequence[Sequence[str]] | np.ndarray, marked: list, wide: float = 1.0
) -> None:
    """Draw a table of texts as squares, the marked ones in yellow, its first row at the top."""
    from matplotlib.patches import Rectangle

    for row, line in enumerate(cells):
        for column, text in enumerate(line):
            colour = SEEN if (row, column) in marked else "white"
            corner = (wide * (column - 0.5), row - 0.5)
            ax.add_patch(Rectangle(corner, wide, 1, facecolor=colour, edgecolor="grey"))
            ax.text(wide * column, row, text, ha="center", va="center")
    ax.set(xlim=(-0.7 * wide, wide * (len(cells[0]) - 0.3)), ylim=(len(cells) - 0.45, -0.55))
    ax.set(aspect=1, xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def draw_pre_emphasis_arrows(a: float = 0.95) -> Figure:
    """Draw why pre-emphasis leaves little of a slow wave and much of a quick one.

    A wave of 250 Hz and one of 5,000 Hz, both at 16 kHz, as arrows: this sample, `a` times the
    sample before, which lags by an angle, and the difference of the two. Taught in chapter 7.

    Args:
        a: the coefficient of pre-emphasis, without unit.
    Returns:
        the figure; `plt.show()` shows it.

    >>> len(draw_pre_emphasis_arrows().axes)
    2
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(6.4, 2.8))
    for ax, hz in zip(axes, (250, 5000), strict=True):
        angle = 2 * np.pi * hz / 16000
        now, before = np.array([1.0, 0.0]), a * np.array([np.cos(angle), -np.sin(angle)])
        gain = float(np.linalg.norm(now - before))
        _arrow(ax, np.zeros(2), now, "C0")
        _arrow(ax, np.zeros(2), before, "C1")
        _arrow(ax, before, now, "C3")
        ax.text(0.5, 0.08, "x[n], length 1", color="C0", ha="center")
        below = (0.4, -0.24) if hz == 250 else (-0.74, -0.45)
        ax.text(*below, f"{a} x[n−1]", color="C1", ha="center")
        beside = (1.08, -0.06) if hz == 250 else (0.42, -0.62)
        ax.text(*beside, f"difference,\nlength {gain:.2f}", color="C3", va="center")
        ax.set(title=f"{hz:,} Hz: θ = {np.degrees(angle):.1f}°", aspect="equal")
        ax.set(xlim=(-1.05, 1.75), ylim=(-1.05, 0.35))
        ax.axis("off")
    return figure


def _arrow(ax: Axes, start: np.ndarray, end: np.ndarray, colour: str) -> None:
    style: dict[str, Any] = {"arrowstyle": "-|>", "color": colour, "linewidth": 2}
    style |= {"shrinkA": 0, "shrinkB": 0, "mutation_scale": 12}
    ax.annotate("", xy=tuple(end), xytext=tuple(start), arrowprops=style)


def draw_seams(frames: Mapping[str, np.ndarray], around: int = 48) -> Figure:
    """Draw each frame twice in a row, near the seam, and point at the jump if there is one.

    Taught in chapter 7.

    Args:
        frames: arrays [n_fft] by their titles.
        around: how many samples to each side of the seam are seen.
    Returns:
        the figure; `plt.show()` shows it.

    >>> len(draw_seams({"fits": np.ones(64), "does not": np.arange(64.0)}, 16).axes)
    2
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(frames), figsize=(6.4, 2.4), squeeze=False)
    for ax, (title, frame) in zip(axes[0], frames.items(), strict=True):
        scale = np.abs(frame).max()
        end, begin = frame[-around:] / scale, frame[:around] / scale
        ax.plot(np.arange(-around, 0), end)
        ax.plot(np.arange(around), begin)
        ax.axvline(-0.5, color="grey", linestyle="--", linewidth=0.8)
        if abs(end[-1] - begin[0]) > 0.25:
            ax.plot((-1, 0), (end[-1], begin[0]), color="C3", linewidth=2)
            place = (-0.5, (end[-1] + begin[0]) / 2)
            style = {"arrowstyle": "->", "color": "C3"}
            ax.annotate("jump", place, (around / 3, 1.3), color="C3", arrowprops=style)
        ax.set(title=title, xlabel="Samples from the seam", ylim=(-1.2, 1.6))
    axes[0][0].set_ylabel("Amplitude / largest")
    return figure


def draw_cosines_and_sums(levels: np.ndarray, parts: Sequence[np.ndarray]) -> Figure:
    """Draw cosines along the mel bins, and beside them how their sum nears the levels.

    Taught in chapter 7.

    Args:
        levels: array [n_mels], in dB.
        parts: cosines [n_mels], each times its amount, the slowest first.
    Returns:
        the figure; `plt.show()` shows it.

    >>> len(draw_cosines_and_sums(np.zeros(8), [np.ones(8), np.zeros(8)]).axes)
    2
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(6.4, 3.0))
    axes[1].plot(levels, color="lightgrey", linewidth=2, label="levels")
    total = np.zeros(len(levels))
    for q, part in enumerate(parts):
        total = total + part
        axes[0].plot(part, label=f"q = {q}")
        axes[1].plot(total, label="q = 0" if q == 0 else f"q = 0 to {q}")
    axes[0].set(title="Each cosine times its amount", xlabel="Mel bin", ylabel="Level (dB)")
    axes[1].set(title="Added up", xlabel="Mel bin")
    for ax in axes:
        ax.legend(fontsize=8)
    return figure


def who_is_on_both_sides(data: SpokenWords, named_splits: Mapping[str, Split]) -> Figure:
    """Draw each speaker as a narrow column in the row of its family, once for each split.

    A column has a blue upper half where the speaker is trained on (or chooses the epoch), and an
    orange lower half where it is tested: with both it stands on both sides. Drawn in chapter 8.

    Args:
        data: the recordings.
        named_splits: the splits by their names, such as {"by clip": split_by_clip(data)}.
    Returns:
        the matplotlib figure, a panel for each split.

    >>> from course_utils import recordings, splits
    >>> from course_utils.paths import data_path
    >>> data = recordings.SpokenWords(data_path("digits_zh"), layout="speaker_digit")
    >>> len(who_is_on_both_sides(data, {"by clip": splits.split_by_clip(data)}).axes)
    1
    """
    import matplotlib.pyplot as plt

    families = sorted(set(data.families))
    height = 0.9 + 0.2 * len(families)
    figure, panels = plt.subplots(
        1, len(named_splits), sharey=True, squeeze=False, figsize=(8.4, height)
    )
    for panel, (name, split) in zip(panels[0], named_splits.items(), strict=True):
        known = {data.speakers[i] for i in (*split.train, *split.valid)}
        asked = {data.speakers[i] for i in split.test}
        placed = dict.fromkeys(families, 0)
        for speaker, family in sorted(set(zip(data.speakers, data.families, strict=True))):
            place, row = placed[family], families.index(family)
            placed[family] += 1
            if speaker in known:
                panel.bar(place, -0.4, bottom=row, width=0.7, color=KNOWN_COLOUR)
            if speaker in asked:
                panel.bar(place, 0.4, bottom=row, width=0.7, color=ASKED_COLOUR)
        panel.set(title=name, xticks=[], xlabel="Speakers")
        panel.set_yticks(range(len(families)), families)
        panel.set_ylim(len(families) - 0.5, -0.5)
    return figure


def padded_batch(batch: torch.Tensor, mask: torch.Tensor, sample_rate: int) -> Figure:
    """Draw the waveforms of a padded batch under each other, with the padding in orange.

    Drawn in chapter 8.

    Args:
        batch: float tensor [clips, 1, time].
        mask: bool tensor [clips, time], true where there is sound.
        sample_rate: in Hz.
    Returns:
        the matplotlib figure, a panel for each clip.

    >>> import torch
    >>> mask = torch.ones(2, 160, dtype=torch.bool)
    >>> len(padded_batch(torch.zeros(2, 1, 160), mask, 16000).axes)
    2
    """
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(len(batch), sharex=True, squeeze=False, figsize=(6.4, 2.8))
    seconds = [position / sample_rate for position in range(batch.shape[2])]
    for panel, clip, sounding in zip(panels[:, 0], batch, mask, strict=True):
        panel.plot(seconds, clip[0], color=KNOWN_COLOUR, linewidth=0.7)
        bottom, top = panel.get_ylim()
        panel.fill_between(seconds, bottom, top, where=~sounding, color=ASKED_COLOUR)
        panel.set(yticks=[], xlim=(0, seconds[-1]))
    panels[0, 0].set_title("One batch; orange: padding, where the mask is false")
    panels[-1, 0].set_xlabel("Time (s)")
    return figure


def recipes_with_seeds(table: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the accuracies of each recipe as dots on one line, the first recipe on top.

    Drawn in chapter 8.

    Args:
        table: accuracies in per cent, one a seed, by the recipe's name.
    Returns:
        the matplotlib figure.

    >>> recipes_with_seeds({"LeNet-5": [75.1, 77.8]}).axes[0].get_xlabel()
    'Test accuracy (%)'
    """
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6.4, 2.6))
    for row, accuracies in enumerate(table.values()):
        ax.plot(accuracies, [row] * len(accuracies), "o-", color=KNOWN_COLOUR)
    ax.axvline(10, color="gray", linestyle=":", linewidth=1)
    ax.text(11, len(table) - 0.8, "chance", color="gray", va="center")
    ax.set_yticks(range(len(table)), list(table))
    ax.set(xlim=(0, 100), ylim=(len(table) - 0.5, -0.5))
    ax.set(title="One change at a time", xlabel="Test accuracy (%)")
    return figure


def families_left_out(
    by_family: Mapping[str, float], by_clip: Sequence[float], by_speaker: Sequence[float]
) -> Figure:
    """Draw the accuracy on each family that was left out, beside those of the two other splits.

    Drawn in chapter 8.

    Args:
        by_family: the accuracy in per cent by the family's name.
        by_clip, by_speaker: accuracies in per cent, one a seed, whose mean is a vertical line.
    Returns:
        the matplotlib figure.

    >>> families_left_out({"slt": 67.0, "nsh": 47.1}, [74.3], [66.4]).axes[0].get_xlabel()
    'Accuracy (%)'
    """
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(6.4, 3.2))
    names = sorted(by_family, key=lambda name: by_family[name])
    bars = ax.barh(names, [by_family[name] for name in names], color="#9ecae1")
    ax.bar_label(bars, fmt="%.0f", label_type="center")
    for name, accuracies, style in (("by clip", by_clip, "-"), ("by speaker", by_speaker, "--")):
        mean = sum(accuracies) / len(accuracies)
        ax.axvline(mean, color=KNOWN_COLOUR, linestyle=style, label=f"{name}, mean")
    ax.set(title="Bars: a family that was never heard", xlabel="Accuracy (%)", xlim=(0, 125))
    ax.set_xticks(range(0, 101, 20))
    ax.legend(loc="lower right")
    return figure
