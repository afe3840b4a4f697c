"""Write a trained recogniser as one ONNX file, for every runtime that is not Python's.

Features, word finder and network are in the graph: its input is samples at 16 kHz. The word finder
is that of `pictures.py` without loops and choices, which a graph cannot hold: where a part of the
frames counts, the others get a value that changes nothing.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from pathlib import Path

import torch
from torch.nn import functional

from course_utils import pictures
from course_utils.errors import CourseError, TrainingError
from course_utils.paths import save_file
from course_utils.recogniser import Recogniser

SAMPLE_RATE = 16000


def save_onnx(recogniser: Recogniser, path: str | Path) -> None:
    """Write a recogniser as an ONNX file. Used in chapter 8.

    Its input `samples` is float32 [time] at 16 kHz. Its outputs are `probabilities`, float32
    [words]; `spoken`, bool [1], whether somebody spoke; and `seconds`, float32 [2], from when to
    when the word was heard. Its metadata hold the words, with line breaks between.

    Args:
        recogniser: whose pictures are log-mel.
        path: of the file, such as `recogniser.onnx`.
    Raises:
        TrainingError: if its pictures are the notes'.
        CourseError: if the exporter is not installed.
        FolderError: if the file cannot be written.

    >>> save_onnx(recogniser, "recogniser.onnx")  # doctest: +SKIP
    """
    if recogniser.recipe.kind != "log_mel":
        raise TrainingError(
            "An ONNX file holds log-mel pictures, and this model takes those of the lecture notes: "
            "train one with --model cnn."
        )
    for package in ("onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise CourseError(
                f"PyTorch's exporter needs the package {package}: install both with "
                "`python -m pip install onnx onnxscript`."
            )
    listener = Listener(recogniser).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, of its insides
        program = torch.onnx.export(
            listener,
            (torch.zeros(SAMPLE_RATE),),
            input_names=["samples"],
            output_names=["probabilities", "spoken", "seconds"],
            dynamic_shapes=({0: torch.export.Dim("time", min=1)},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props["words"] = "\n".join(recogniser.words)
    save_file(path, program.model_proto.SerializeToString())


class Listener(torch.nn.Module):
    """A recogniser as a network: samples [time] at 16 kHz in, probabilities [words] out.

    >>> from course_utils import models
    >>> from course_utils.training import RECIPES
    >>> listener = Listener(Recogniser(models.LeNet5(), list("0123456789"), RECIPES["lenet"]))
    >>> probabilities, spoken, seconds = listener.eval()(torch.zeros(8000))
    >>> probabilities.shape, bool(spoken)
    (torch.Size([10]), False)
    """

    waves: torch.Tensor
    filters: torch.Tensor

    def __init__(self, recogniser: Recogniser) -> None:
        super().__init__()
        self.model = recogniser.model
        self.n_mels, self.n_frames = recogniser.recipe.n_mels, recogniser.recipe.n_frames
        self.voice = pictures._first_band(pictures.VOICE_HZ, self.n_mels)
        self.hum = pictures._first_band(pictures.HUM_HZ, self.n_mels)
        self.step = round(pictures.STEP_SECONDS * SAMPLE_RATE)
        window, filters = pictures._window_and_filters(SAMPLE_RATE, self.n_mels)
        (used,) = filters.sum(dim=1).nonzero(as_tuple=True)  # only bins under a triangle
        angles = used[:, None] * torch.arange(len(window)) * (-math.pi / (len(filters) - 1))
        waves = torch.cat([angles.double().cos(), angles.double().sin()]) * window
        self.register_buffer("waves", waves.float()[:, None])  # the Fourier transform as kernels
        self.register_buffer("filters", filters[used])

    def forward(self, samples: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Hear one clip."""
        frames = self.log_mel_frames(samples)
        start, end, spoken = self.find_word(frames)
        picture = self.picture_of(frames, start, end)
        probabilities = self.model(picture[None]).softmax(dim=-1)[0]
        seconds = torch.stack([start, end]) * spoken * pictures.STEP_SECONDS
        return probabilities, spoken.reshape(1), seconds

    def log_mel_frames(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the levels [frames, n_mels] in dB."""
        length = self.waves.shape[-1]
        before = (length - self.step) // 2
        # Up to one step too many zeros behind: they make no further frame.
        padded = functional.pad(samples, (before, length - 1 - before))
        spectrum = functional.conv1d(padded[None, None], self.waves, stride=self.step)[0]
        real, imaginary = spectrum.chunk(2)
        power = (real.square() + imaginary.square()).T @ self.filters
        lowest = 10 ** (pictures.SILENCE_DB / 10)
        return 10 * torch.log10(power.clamp(min=lowest))

    def find_word(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the first frame of the word, the one after its last, and whether there is one."""
        heard = frames.amax(dim=1) > pictures.SILENCE_DB + 10
        count = heard.sum()
        place = torch.arange(frames.shape[0])
        power = self.speech_power(frames)
        loudness = middle_of_nine(power.sum(dim=1))
        loudest = loudness.argmax()
        near = (place - loudest).abs() <= 2
        vowel = (power * near[:, None]).sum(dim=0)
        level = 10 * torch.log10(middle_of_nine(power @ (vowel / vowel.sum())))
        peak = level.amax(dim=0)
        ordered = torch.where(heard, level, torch.inf).sort(dim=0).values
        quiet = ordered.index_select(0, (count // 10).reshape(1))[0]
        clear = peak - quiet >= pictures.CONTRAST_DB
        spectra = mean_of_five(frames[:, self.voice :])
        loud = loudness >= loudness.amax(dim=0) / 30
        vowels = torch.where(loud, stands_out(spectra), -torch.inf).amax(dim=0)
        short = count <= pictures.TRIMMED_SECONDS / pictures.STEP_SECONDS
        known = clear | (short & self.spectrum_changes(spectra, heard))
        lowest = peak - pictures.DEPTH_DB
        above = torch.maximum(lowest, quiet + pictures.NOISE_DB)
        threshold = torch.where(short, lowest, above)
        speaking = (level >= threshold) & heard
        spoken = (count >= pictures.LEAST_FRAMES) & (vowels >= pictures.VOWEL_DB) & known
        spoken = spoken & speaking.any()
        start, end = loudest_stretch(speaking, level)
        # Where nobody speaks, the picture is that of the whole clip.
        return (
            torch.where(spoken, start, 0).float(),
            torch.where(spoken, end, place[-1] + 1).float(),
            spoken,
        )

    def speech_power(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the power in the bands of speech, without what leaks in from hum and thumps."""
        power = 10 ** (frames / 10)
        low = power[:, : self.hum].sum(dim=1, keepdim=True)
        high = power[:, self.voice :]
        leak = low * (pictures.LEAK / high.shape[1])
        return (high - leak).clamp(min=10 ** (pictures.SILENCE_DB / 10))

    def spectrum_changes(self, spectra: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
        """Say whether the spectrum changes as from sound to sound of a word."""
        count = heard.sum()
        rank = heard.long().cumsum(dim=0) - 1
        inner = (heard & (rank >= 2) & (rank < count - 2)).float()[:, None]
        number = inner.sum().clamp(min=1)
        mean = (inner * spectra).sum(dim=0) / number
        spread = ((inner * (spectra - mean).square()).sum(dim=0) / number).sqrt()
        return spread.mean() >= pictures.CHANGE_DB

    def picture_of(
        self, frames: torch.Tensor, start: torch.Tensor, end: torch.Tensor
    ) -> torch.Tensor:
        """Return the picture [1, n_mels, n_frames] of a word."""
        shortest, longest = pictures.WORD_SECONDS
        shown = (
            ((end - start) * pictures.STEP_SECONDS).clamp(min=shortest).clamp(max=longest).sqrt()
        )
        columns = torch.arange(self.n_frames) - (self.n_frames - 1) / 2
        position = (start + end - 1) / 2 + columns * (shown / pictures.STEP_SECONDS / self.n_frames)
        silence = torch.full((1, self.n_mels), pictures.SILENCE_DB)
        extended = torch.cat([silence, frames, silence])
        place = torch.arange(frames.shape[0])
        position = torch.minimum((position + 1).clamp(min=0), place[-1] + 1.999)
        left = position.floor().long()
        part = (position - left)[:, None]
        lower, upper = extended.index_select(0, left), extended.index_select(0, left + 1)
        picture = lower + (upper - lower) * part
        within = (place >= start) & (place < end)
        highest = frames[:, self.voice :].amax(dim=1)
        loudest = torch.where(within, highest, -torch.inf).amax(dim=0)
        limit = pictures.LIMIT_DB
        return ((picture - loudest).clamp(min=-limit).clamp(max=0.0) * (4 / limit) + 2).T[None]


def middle_of_nine(values: torch.Tensor) -> torch.Tensor:
    """Take the median of nine frames [frames], mirrored at both ends.

    >>> middle_of_nine(torch.tensor([0.0, 0, 0, 0, 9, 0, 0, 0, 0])).max()
    tensor(0.)
    """
    place = torch.arange(values.shape[0])
    last = place[-1]
    around = place[:, None] + torch.arange(-4, 5)
    mirrored = (last - (last - around.abs()).abs()).clamp(min=0)  # a shorter clip holds no word
    return values[mirrored].sort(dim=1).values[:, 4]


def mean_of_five(frames: torch.Tensor) -> torch.Tensor:
    """Take the mean of five frames [frames, bands]; the first and the last go on beyond the ends.

    >>> mean_of_five(torch.ones(3, 2)).shape
    torch.Size([3, 2])
    """
    place = torch.arange(frames.shape[0])
    around = place[:, None] + torch.arange(-2, 3)
    return frames[torch.minimum(around.clamp(min=0), place[-1])].mean(dim=1)


def stands_out(spectra: torch.Tensor) -> torch.Tensor:
    """Return how far the loudest band of each frame [frames, bands] stands out of the middle one.

    >>> stands_out(torch.tensor([[0.0, 1.0, 5.0]]))
    tensor([4.])
    """
    ordered = spectra.sort(dim=1).values
    return ordered[:, -1] - ordered[:, ordered.shape[1] // 2]


def loudest_stretch(
    speaking: torch.Tensor, level: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return begin and end of the stretch with the most energy among those that pauses part.

    Args:
        speaking: bool tensor [frames].
        level: float32 tensor [frames] in dB.

    >>> speaking = torch.tensor([True] * 3 + [False] * 20 + [True] * 4)
    >>> loudest_stretch(speaking, torch.zeros(27))
    (tensor(23), tensor(27))
    """
    longest = round(pictures.PAUSE_SECONDS / pictures.STEP_SECONDS)
    before = functional.pad(speaking.float(), (longest, 0))[:-1]
    recently = functional.conv1d(before[None, None], torch.ones(1, 1, longest))[0, 0] > 0.5
    number = (speaking & ~recently).long().cumsum(dim=0) - 1  # of the stretch that a frame is in
    place = torch.arange(speaking.shape[0])
    power = torch.where(speaking, 10 ** (level / 10), 0.0)
    energy = torch.zeros_like(power).scatter_add(0, number.clamp(min=0), power)
    chosen = speaking & (number == energy.argmax())
    start = torch.where(chosen, place, place[-1]).amin(dim=0)
    end = torch.where(chosen, place, 0).amax(dim=0) + 1
    return start, end
