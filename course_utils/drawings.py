"""Drawings that explain an idea, and whose code would teach nothing.

Each draws on a new figure, or on the axes that it is given; the chapter calls `plt.show()`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
import numpy as np
from collections.abc import Sequence

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
MOST_DOTS = 32  # of a column in a drawing of a network; more could not be told apart
MOST_LINES = 160  # between two columns
if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes
if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
            line = {"arrowstyle": "-", "color": "grey"}
            text = f"{loss:.4f}  {meaning}"
            ax.annotate(text, (0.03, loss), (0.3, last), va="center", arrowprops=line)
        ax.set(title=title, xlim=(-0.3, 1.6), ylim=(-0.2, 3.5), xticks=[])
        ax.spines[["right", "top", "bottom"]].set_visible(False)
    axes[0].set_ylabel("Loss (nat)")
    return figure
