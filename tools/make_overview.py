"""Draw ``book/images/overview.svg``, the picture in README.md, from a clip of the course's data.

Run ``python tools/make_overview.py`` after a change to the data or to this drawing.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torchaudio
from PIL import Image

from course_utils import audio, features
from course_utils.paths import data_path

CLIP = ("digits_en", "slt18_7.wav")
DIGIT = 7
TARGET = Path(__file__).resolve().parents[1] / "book" / "images" / "overview.svg"
BLUE, GREY, DARK = "#31688e", "#9aa5b1", "#1f2933"
PANEL, GAP, TOP = 150, 42, 44  # size of a panel, distance between two, place of the first


def image(values: torch.Tensor, x: float) -> str:
    """A panel at ``x`` with ``values [height, width]`` as colours, low frequencies below."""
    low, high = values.max() - 60, values.max()
    scaled = ((values.clamp(low, high) - low) / (high - low)).flip(0).numpy()
    pixels = (matplotlib.colormaps["viridis"](scaled)[..., :3] * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((PANEL, PANEL), Image.Resampling.NEAREST).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    place = f'x="{x}" y="{TOP}" width="{PANEL}" height="{PANEL}"'
    return f'<image {place} href="data:image/png;base64,{data}"/>'


def wave(waveform: torch.Tensor, x: float) -> str:
    """A panel at ``x`` with the highest and lowest sample of each of 150 pieces."""
    pieces = waveform[0][: waveform.shape[1] // PANEL * PANEL].reshape(PANEL, -1)
    scale = PANEL / 2 / float(waveform.abs().max())
    lines = [
        f"M{x + i} {TOP + PANEL / 2 - float(piece.max()) * scale:.1f}"
        f"V{TOP + PANEL / 2 - float(piece.min()) * scale:.1f}"
        for i, piece in enumerate(pieces)
    ]
    return f'<path d="{"".join(lines)}" stroke="{BLUE}" stroke-width="1.2" fill="none"/>'


def network(x: float) -> str:
    """A panel at ``x`` with the outline of a network: maps that shrink, then units."""
    parts = []
    for left, size in ((0, 62), (36, 46), (68, 32)):
        for shift in (0, 7, 14):
            place = f'x="{x + left + shift}" y="{TOP + (PANEL - size) / 2 - 7 + shift}"'
            parts.append(
                f'<rect {place} width="{size}" height="{size}" fill="white" stroke="{BLUE}"/>'
            )
    units = range(10)
    for unit in units:
        y = TOP + 12 + unit * (PANEL - 24) / 9
        parts.append(f'<path d="M{x + 116} {TOP + PANEL / 2}L{x + 140} {y:.1f}" stroke="{GREY}"/>')
        parts.append(f'<circle cx="{x + 142}" cy="{y:.1f}" r="5" fill="{BLUE}"/>')
    return "".join(parts)


def bars(x: float) -> str:
    """A panel at ``x`` with a bar for each digit, the longest for the one that was said."""
    parts = []
    for digit in range(10):
        y = TOP + digit * PANEL / 10
        length, colour = (118, BLUE) if digit == DIGIT else (4 + (digit * 5) % 9, GREY)
        parts.append(f'<text x="{x}" y="{y + 11}" font-size="12" fill="{DARK}">{digit}</text>')
        parts.append(
            f'<rect x="{x + 16}" y="{y + 2}" width="{length}" height="10" fill="{colour}"/>'
        )
    return "".join(parts)


def main() -> None:
    """Write the picture."""
    waveform, sample_rate = audio.load(data_path(*CLIP))
    power = features.spectrogram(waveform, n_fft=512, hop_length=160)
    mel = torchaudio.functional.melscale_fbanks(257, 60.0, 8000.0, 40, sample_rate)
    panels = [
        ("waveform", "chapter 1", wave(waveform, 0)),
        ("spectrogram", "chapters 1 and 7", image(features.to_db(power)[0], PANEL + GAP)),
        ("log-mel", "chapter 7", image(features.to_db(mel.T @ power[0]), 2 * (PANEL + GAP))),
        ("network", "chapters 2 to 6", network(3 * (PANEL + GAP))),
        ("digit probabilities", "chapter 8", bars(4 * (PANEL + GAP))),
    ]
    width = 5 * PANEL + 4 * GAP
    body = []
    for number, (title, chapter, drawing) in enumerate(panels):
        middle = number * (PANEL + GAP) + PANEL / 2
        body.append(drawing)
        style = f'text-anchor="middle" fill="{DARK}"'
        body.append(f'<text x="{middle}" y="28" font-size="15" {style}>{title}</text>')
        y = TOP + PANEL + 22
        body.append(f'<text x="{middle}" y="{y}" font-size="12" {style}>{chapter}</text>')
        if number:
            x, y = number * (PANEL + GAP) - GAP + 8, TOP + PANEL // 2
            arrow = f"M{x} {y}h20m-7 -6l7 6l-7 6"
            body.append(f'<path d="{arrow}" stroke="{DARK}" stroke-width="2" fill="none"/>')
    text = "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-14 0 {width + 28} 236"'
            ' font-family="Helvetica, Arial, sans-serif" role="img">',
            "<title>From a spoken digit to its probability</title>",
            '<rect x="-14" width="100%" height="100%" fill="white"/>',
            *body,
            "</svg>\n",
        ]
    )
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
