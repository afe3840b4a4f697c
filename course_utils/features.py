"""From a waveform to the pictures that networks see: power, decibels, size."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch


@functools.lru_cache(maxsize=32)
def _spectrogram_transform(
    n_fft: int, win_length: int, hop_length: int, center: bool
) -> torch.nn.Module:
    from torchaudio.transforms import Spectrogram

    return Spectrogram(n_fft, win_length=win_length, hop_length=hop_length, center=center)


def spectrogram(
    waveform: torch.Tensor,
    n_fft: int = 1024,
    hop_length: int | None = None,
    win_length: int | None = None,
    center: bool = True,
) -> torch.Tensor:
    """Compute the power spectrogram with a Hann window.

    Parameters:
        waveform: floating-point tensor [..., time]. One that is shorter than n_fft is filled
            up with zeros at its end first.
        n_fft: samples in each Fourier transform.
        hop_length: samples from one frame to the next; half a window if not given.
        win_length: samples of the window; n_fft if not given.
        center: whether frame t is centred on sample t * hop_length.
    Returns: tensor [..., n_fft // 2 + 1, frames], power (squared amplitude), where frames is
        time // hop_length + 1 if centred, else (time - n_fft) // hop_length + 1.
    Raises: ValueError, if the waveform is empty or a length is not positive.
    Source: `torchaudio.transforms.Spectrogram`.

    >>> spectrogram(torch.zeros(1, 65328), n_fft=1024, hop_length=160).shape
    torch.Size([1, 513, 409])
    """
    win_length = n_fft if win_length is None else win_length
    hop_length = win_length // 2 if hop_length is None else hop_length
    if waveform.shape[-1] == 0:
        raise ValueError("The waveform holds no samples: check how it was read or cut.")
    if not 0 < win_length <= n_fft or hop_length <= 0:
        raise ValueError(
            f"The window cannot be {win_length} samples long and move by {hop_length}: give a "
            f"win_length from 1 to n_fft ({n_fft}) and a hop_length of 1 or more."
        )
    missing = n_fft - waveform.shape[-1]
    if missing > 0:
        waveform = torch.nn.functional.pad(waveform, (0, missing))
    transform = _spectrogram_transform(n_fft, win_length, hop_length, center)
    return transform.to(waveform.device, waveform.dtype)(waveform)


def to_db(power: torch.Tensor, floor: float = 1e-10) -> torch.Tensor:
    """Turn power into decibels; what is below the floor becomes the floor, never -inf.

    Parameters:
        power: tensor of any shape, 0 or more.
        floor: the least power that is told apart from silence; 1e-10 gives -100 dB.
    Returns: tensor of the same shape, 10 log10(max(power, floor)), in dB.
    Raises: ValueError, if the floor is not positive.

    >>> to_db(torch.tensor([1.0, 0.01, 0.0]))
    tensor([   0.,  -20., -100.])
    """
    if floor <= 0:
        raise ValueError(
            f"The floor is {floor}: give one above 0, such as 1e-10, for the logarithm."
        )
    return 10 * torch.log10(power.clamp(min=floor))


def resize(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Give a picture another height and width, with smoothing where it shrinks.

    Parameters:
        picture: floating-point tensor [..., height, width].
        size: the new (height, width).
    Returns: tensor [..., new height, new width].
    Raises: ValueError, if a side is not positive.
    Source: `torchvision.transforms.Resize` (bilinear, antialiased).

    >>> resize(torch.zeros(1, 513, 128), (80, 80)).shape
    torch.Size([1, 80, 80])
    """
    height, width = size
    if height < 1 or width < 1:
        raise ValueError(f"A picture of {height} x {width} has no cells: give sizes of 1 or more.")
    from torchvision.transforms import Resize

    if picture.ndim == 2:
        return resize(picture[None], size)[0]
    return Resize((height, width), antialias=True)(picture)


def decibels_between(signal: torch.Tensor, reference: torch.Tensor) -> float:
    """Compare the levels of two signals.

    Parameters: signal and reference, floating-point tensors of any shapes.
    Returns: how many dB the mean power of the signal lies above that of the reference;
        inf or -inf if one of them is silent, nan if both are.

    >>> round(decibels_between(torch.ones(4), 0.1 * torch.ones(4)), 3)
    20.0
    """
    above, below = float(signal.square().mean()), float(reference.square().mean())
    if above == below == 0:
        return math.nan
    if below == 0:
        return math.inf
    return 10 * math.log10(above / below) if above > 0 else -math.inf


# Pictures of spoken digits ------------------------------------------------------------------

WINDOW_SECONDS = 0.032
STEP_SECONDS = 0.010
LOWEST_HZ, HIGHEST_HZ = 60.0, 3700.0  # what a recording at 8 kHz surely holds
WORD_SECONDS = (0.15, 0.90)  # words are taken to be this long at least and at most
LIMIT_DB = 40.0
SILENCE_DB = -130.0  # below the noise of 16 bits, so that quiet recordings keep their shape
PAUSE_SECONDS = 0.20
LEAST_LEVEL_DB = -75.0
LEAST_CONTRAST_DB = 9.0
BLOCK = 8192  # frames transformed at a time: bounds the memory that a long recording takes
MAX_FRAMES = 1_000_000  # nearly three hours; a damaged header may tell a rate of 1 Hz


def notes_pictures(waveforms: Sequence[torch.Tensor], sample_rate: int) -> torch.Tensor:
    """Make the notes' pictures: the linear power spectrogram at 16 kHz, resized to 80 x 80.

    Parameters: waveforms, float32 tensors [1, time]; their sample rate in Hz.
    Returns: float32 tensor [clips, 1, 80, 80].
    Raises: AudioError, if a waveform would be too long at 16 kHz.
    Source: the course's lecture notes, chapter 8.

    >>> notes_pictures([torch.zeros(1, 8000), torch.zeros(1, 9000)], 16000).shape
    torch.Size([2, 1, 80, 80])
    """
    from course_utils.audio import resample

    return torch.stack(
        [resize(spectrogram(resample(w, sample_rate, 16000)), (80, 80)) for w in waveforms]
    )


def log_mel_pictures(
    waveforms: Sequence[torch.Tensor], sample_rate: int, n_mels: int = 40, n_frames: int = 48
) -> torch.Tensor:
    """Make one standardised log-mel picture of the word in each clip.

    The word is found by its level (`find_word`) and put in the middle of a window that lasts
    the square root of its seconds, so that silence around it does not matter. Each picture is
    limited to 40 dB below its own maximum and scaled to [-2, 2], so that the level of a recording
    does not matter.
    Bands lie between 60 Hz and 3.7 kHz, which every sample rate from 8 kHz up holds.

    Parameters: waveforms, float32 tensors [1, time]; their sample rate in Hz; the height and
        width of a picture.
    Returns: float32 tensor [clips, 1, n_mels, n_frames] in [-2, 2]; low frequencies first.
        A clip's picture does not depend on the other clips.
    Raises: AudioError, as `log_mel_frames`.

    >>> log_mel_pictures([torch.randn(1, 8000), torch.randn(1, 300)], 8000).shape
    torch.Size([2, 1, 40, 48])
    """
    clips = log_mel_frames(waveforms, sample_rate, n_mels)
    joined = torch.cat(clips)
    levels = np.split(_level(joined), np.cumsum([len(frames) for frames in clips])[:-1])
    words = [_loudest_stretch(level) or (0, len(level)) for level in levels]
    start, end = torch.tensor(words, dtype=torch.float64).T[:, :, None]
    length = torch.tensor([len(frames) for frames in clips])[:, None]
    first = length.cumsum(dim=0) - length
    # Where each column of each picture lies, in frames of its clip; between two frames their
    # weighted mean is taken, and beyond the clip there is silence.
    steps = torch.arange(n_frames, dtype=torch.float64) - (n_frames - 1) / 2
    # Half way between a fixed pace and a fixed length: the picture lasts as long as the geometric
    # mean of the word and one second. So slow speech looks less slow, yet short words stay short.
    seconds = ((end - start) * STEP_SECONDS).clamp(*WORD_SECONDS).sqrt()
    position = steps * (seconds / STEP_SECONDS / n_frames) + (start + end - 1) / 2
    left = position.floor().long()
    part = (position - left)[:, :, None].float()

    def columns(index: torch.Tensor) -> torch.Tensor:
        inside = (index >= 0) & (index < length)
        found = joined[first + index.clamp(min=0).minimum(length - 1)]
        return torch.where(inside[:, :, None], found, SILENCE_DB)

    picture = columns(left) * (1 - part) + columns(left + 1) * part
    picture = (picture - picture.amax(dim=(1, 2), keepdim=True)).clamp(min=-LIMIT_DB)
    return (picture * (4 / LIMIT_DB) + 2).transpose(1, 2)[:, None].contiguous()


def log_mel_frames(
    waveforms: Sequence[torch.Tensor], sample_rate: int, n_mels: int = 40
) -> list[torch.Tensor]:
    """Compute log-mel spectra of clips of different lengths in one go.

    All clips' frames stand in one long matrix, so no time goes into padding. A frame lasts
    32 ms (Hann), a step 10 ms; frame t is centred on the middle of step t.

    Parameters: waveforms, float32 tensors [1, time]; their sample rate in Hz; n_mels.
    Returns: a list of float32 tensors [frames, n_mels], in dB, -130 at least, where frames is
        the number of steps begun.
    Raises: AudioError, if a waveform has over a million frames.

    >>> [len(frames) for frames in log_mel_frames([torch.zeros(1, 800), torch.zeros(1, 90)], 8000)]
    [10, 2]
    """
    window_length = max(2, round(WINDOW_SECONDS * sample_rate))
    step = max(1, round(STEP_SECONDS * sample_rate))
    before = (window_length - step) // 2
    parts = []
    for waveform in waveforms:
        steps = max(1, math.ceil(waveform.shape[-1] / step))
        if steps > MAX_FRAMES:
            from course_utils.audio import AudioError

            raise AudioError(
                f"A waveform of {waveform.shape[-1]} samples at {sample_rate} Hz has too many "
                "frames for a picture: check its sample rate, or cut it into parts."
            )
        after = steps * step - waveform.shape[-1] + window_length - step - before
        padded = torch.nn.functional.pad(waveform[0].float(), (before, after))
        parts.append(padded.unfold(0, window_length, step))
    frames = parts[0] if len(parts) == 1 else torch.cat(parts)
    window, filters = _window_and_filters(sample_rate, window_length, n_mels)
    n_fft = 2 * (len(filters) - 1)
    blocks = []
    for block in frames.split(BLOCK):
        spectrum = torch.view_as_real(torch.fft.rfft(block * window, n_fft))
        power = spectrum.square().sum(dim=-1) @ filters
        blocks.append(to_db(power, floor=10 ** (SILENCE_DB / 10)))
    return list(torch.cat(blocks).split([len(part) for part in parts]))


@functools.lru_cache(maxsize=32)
def _window_and_filters(
    sample_rate: int, window_length: int, n_mels: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a Hann window that sums to 1 and triangular HTK mel filters [n_fft // 2 + 1, n_mels].

    Each filter has its maximum at 1, so that a tone has the same level at any sample rate.
    """
    window = torch.hann_window(window_length, dtype=torch.float64)
    n_fft = 2 * 2 ** math.ceil(math.log2(window_length))  # fine enough for the narrowest filter
    hertz = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * sample_rate / n_fft
    lowest, highest = (2595 * math.log10(1 + f / 700) for f in (LOWEST_HZ, HIGHEST_HZ))
    edges = 700 * (10 ** (torch.linspace(lowest, highest, n_mels + 2, dtype=torch.float64) / 2595))
    edges = edges - 700
    rising = (hertz[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz[:, None]) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(rising, falling).clamp(min=0)
    return (window / window.sum()).float(), filters.float()


def find_word(frames: torch.Tensor) -> tuple[int, int] | None:
    """Find where somebody speaks in a clip, by its level over time.

    Parameters: frames, tensor [frames, n_mels] in dB, from `log_mel_frames`.
    Returns: the first frame and the one after the last, or None if the level hardly changes or
        stays below -75 dB: silence, or nothing but steady noise.

    >>> frames = torch.full((100, 40), -80.0)
    >>> find_word(frames) is None
    True
    >>> frames[30:60] = -30.0
    >>> find_word(frames)
    (30, 60)
    """
    return _loudest_stretch(_level(frames))


def _level(frames: torch.Tensor) -> np.ndarray:
    """Return the level of each frame, all bands together, in dB."""
    return to_db((10 ** (frames / 10)).sum(dim=1), floor=1e-13).numpy()


def _loudest_stretch(level: np.ndarray) -> tuple[int, int] | None:
    """Return begin and end of the stretch of speech with the most energy, or None."""
    # The median of five frames leaves out clicks, which are shorter than any sound of speech.
    padded = np.pad(level, 2, mode="edge")
    smooth = np.sort(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)[:, 2]
    peak, quiet = float(smooth.max()), float(np.sort(smooth)[len(smooth) // 10])
    if peak < LEAST_LEVEL_DB or peak - quiet < LEAST_CONTRAST_DB:
        return None
    threshold = max(peak - LIMIT_DB, quiet + (peak - quiet) / 4)
    speaking = np.flatnonzero(smooth >= threshold)
    # A word may fall silent within (before the t of "eight"), but not for this long.
    pauses = np.flatnonzero(np.diff(speaking) > PAUSE_SECONDS / STEP_SECONDS)
    stretches = np.split(speaking, pauses + 1)
    loudest = max(stretches, key=lambda stretch: float((10 ** (smooth[stretch] / 10)).sum()))
    return int(loudest[0]), int(loudest[-1]) + 1
