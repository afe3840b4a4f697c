"""Write a trained recogniser as one web page that needs no Python, no network and no server.

The page holds the network's weights, the constants of `pictures.py`, and the scripts of the folder
`page/`, which compute what `Recogniser.recognise` computes. Its policy lets it fetch and send
nothing.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from course_utils import audio, models, pictures
from course_utils.errors import TrainingError
from course_utils.paths import data_path, save_file
from course_utils.recogniser import Recogniser

SAMPLE_RATE = 16000
REFERENCE = ("digits_en", "slt01_7.wav")  # the clip by which the page checks itself


def save_page(recogniser: Recogniser, path: str | Path, by: str = "", hosted: bool = False) -> None:
    """Write a recogniser as one self-contained web page. Used in chapter 8.

    Args:
        recogniser: with a network of the recipes `cnn` or `lenet`.
        path: of the page, such as `recogniser.html`.
        by: whose model it is, for its card.
        hosted: whether the page also takes the model of another page.
    Raises:
        TrainingError: if the page cannot hold such a network.
        FolderError: if the file cannot be written.

    >>> from course_utils.paths import output_path
    >>> from course_utils.training import RECIPES
    >>> recogniser = Recogniser(models.LeNet5(), list("0123456789"), RECIPES["lenet"])
    >>> save_page(recogniser, output_path("recogniser.html"))
    """
    script = "\n".join(_part(name) for name in ("hear.js", "page.js"))
    style = _part("page.css")
    policy = f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; "
    policy += "base-uri 'none'; form-action 'none'"
    # In JSON `<` may be written as an escape, so that no word can end the script.
    text = json.dumps(page_model(recogniser, by) | {"hosted": hosted}).replace("<", "\\u003c")
    parts = {"policy": policy, "style": style, "model": text, "script": script}
    page = re.sub(r"{{ (\w+) }}", lambda found: parts[found[1]], _part("page.html"))
    save_file(path, page.encode("utf-8"))


def page_model(recogniser: Recogniser, by: str = "") -> dict[str, Any]:
    """Return all that the page's scripts need, as plain values: arrays are float32 in base64.

    >>> from course_utils.training import RECIPES
    >>> recogniser = Recogniser(models.LeNet5(2), ["yes", "no"], RECIPES["lenet"])
    >>> len(page_model(recogniser)["networks"][0])
    11
    """
    networks = _networks(recogniser.model)
    samples, sample_rate = audio.load(data_path(*REFERENCE))
    recipe = recogniser.recipe
    picture, place = pictures.picture_and_word(samples, sample_rate, recipe.n_mels, recipe.n_frames)
    return {
        "words": list(recogniser.words),
        "settings": _settings(recipe.n_mels, recipe.n_frames),
        "networks": networks,
        "card": _card(recogniser, by),
        "colours": _colours(),
        "reference": {
            "samples": _packed(samples),
            "place": place,
            "probabilities": models.predict(recogniser.model, picture[None])[0].tolist(),
        },
    }


def _networks(model: torch.nn.Module) -> list[list[dict[str, Any]]]:
    """Return the layers of each network that answers, BatchNorm folded into its convolution."""
    if isinstance(model, models.Ensemble):
        return [_networks(member)[0] for member in model.members]
    if isinstance(model, models.SmallCNN):
        made = [layer for block in _blocks(model.layers) for layer in block]
        pool: dict[str, Any] = {"kind": "mean_and_max"}
        if model.grid is not None:
            pool = {"kind": "mean_of_cells", "grid": list(model.grid)}
        return [[*made, pool, _linear(model.linear)]]
    if isinstance(model, models.LeNet5):
        relu, pool = {"kind": "relu"}, {"kind": "pool", "size": 2}
        made = [_conv(model.conv1), relu, pool, _conv(model.conv2), relu, pool]
        made += [_linear(model.linear1), relu, _linear(model.linear2), relu]
        return [[*made, _linear(model.linear3)]]
    raise TrainingError(
        f"A page holds a recogniser of the recipe cnn or lenet, and this network is a "
        f"{type(model).__name__}: train one with --model cnn."
    )


def fold(conv: torch.nn.Conv2d, norm: torch.nn.BatchNorm2d) -> torch.nn.Conv2d:
    """Return one convolution that does what a convolution and BatchNorm after it do.

    In use, BatchNorm multiplies each channel by a number and adds another, so both can go into the
    weights and the bias. Shown in chapter 8.

    >>> conv, norm = torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2).eval()
    >>> x = torch.rand(1, 1, 5, 5)
    >>> torch.allclose(fold(conv, norm)(x), norm(conv(x)), atol=1e-6)
    True
    """
    conv, norm = copy.deepcopy((conv, norm))
    return torch.nn.utils.fusion.fuse_conv_bn_eval(conv.eval(), norm.eval())


def _blocks(layers: torch.nn.Sequential) -> list[list[dict[str, Any]]]:
    """The layers of a SmallCNN: convolution, BatchNorm and ReLU, or a pool."""
    blocks = []
    rest: list[Any] = list(layers)
    while rest:
        layer = rest.pop(0)
        if isinstance(layer, torch.nn.MaxPool2d):
            blocks.append([{"kind": "pool", "size": layer.kernel_size}])
        else:
            norm, _ = rest.pop(0), rest.pop(0)
            blocks.append([_conv(fold(layer, norm)), {"kind": "relu"}])
    return blocks


def _conv(layer: Any) -> dict[str, Any]:
    return {
        "kind": "conv",
        "channels": layer.out_channels,
        "size": layer.kernel_size[0],
        "stride": layer.stride[0],
        "padding": layer.padding[0],
        "weights": _packed(layer.weight),
        "bias": _packed(layer.bias),
    }


def _linear(layer: torch.nn.Linear) -> dict[str, Any]:
    return {"kind": "linear", "weights": _packed(layer.weight), "bias": _packed(layer.bias)}


def _settings(n_mels: int, n_frames: int) -> dict[str, Any]:
    """The constants of `pictures.py`, its window and its filters, at 16 kHz."""
    window, filters = pictures._window_and_filters(SAMPLE_RATE, n_mels)
    triangles = []
    for weights in filters.T:
        bins = weights.nonzero()[:, 0].tolist() or [0]
        first, last = bins[0], bins[-1] + 1
        triangles.append({"first": first, "weights": _packed(weights[first:last])})
    shortest, longest = pictures.WORD_SECONDS
    return {
        "window": _packed(window),
        "filters": triangles,
        "n_fft": 2 * (len(filters) - 1),
        "step": round(pictures.STEP_SECONDS * SAMPLE_RATE),
        "step_seconds": pictures.STEP_SECONDS,
        "n_mels": n_mels,
        "n_frames": n_frames,
        "limit_db": pictures.LIMIT_DB,
        "silence_db": pictures.SILENCE_DB,
        "lowest_power": 10 ** (pictures.SILENCE_DB / 10),
        "first_hum_band": pictures._first_band(pictures.HUM_HZ, n_mels),
        "first_voice_band": pictures._first_band(pictures.VOICE_HZ, n_mels),
        "leak": pictures.LEAK,
        "shortest": shortest,
        "longest": longest,
        "pause_frames": pictures.PAUSE_SECONDS / pictures.STEP_SECONDS,
        "depth_db": pictures.DEPTH_DB,
        "noise_db": pictures.NOISE_DB,
        "contrast_db": pictures.CONTRAST_DB,
        "vowel_db": pictures.VOWEL_DB,
        "least_frames": pictures.LEAST_FRAMES,
        "trimmed_frames": pictures.TRIMMED_SECONDS / pictures.STEP_SECONDS,
        "change_db": pictures.CHANGE_DB,
    }


def _card(recogniser: Recogniser, by: str) -> dict[str, Any]:
    """What is known of the model, from what `train` and chapter 8 keep in `about`."""
    about = recogniser.about
    judged = about.get("metrics") or {}
    new_people = str(about.get("split", "")).startswith(("speaker:", "family:", "loso"))
    kind = "speaker_interval" if new_people else "test_interval"
    clips = (about.get("data") or {}).get("clips") or {}
    return {
        "by": by or about.get("by", ""),
        "network": type(recogniser.model).__name__,
        "parameters": models.count_parameters(recogniser.model),
        "clips": clips.get("train"),
        "epochs": about.get("epochs"),
        "accuracy": judged.get("test_accuracy"),
        "interval": judged.get(kind),
        "people": len(judged.get("per_speaker") or {}) if new_people else 0,
    }


def _colours(count: int = 64) -> list[str]:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    from course_utils.plots import COLOUR_MAP

    return [to_hex(colour) for colour in colormaps[COLOUR_MAP](np.linspace(0, 1, count))]


def _packed(values: torch.Tensor) -> str:
    array = values.detach().cpu().numpy().astype("<f4")
    return base64.b64encode(array.tobytes()).decode("ascii")


def _part(name: str) -> str:
    return (Path(__file__).parent / "page" / name).read_text(encoding="utf-8").strip()


def _digest(text: str) -> str:
    """The name by which the page's policy allows this text, and no other, to be a script."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
