"""From a clip to the picture that networks see: the word is found, and its log-mel picture cut out.

Three steps for one clip: `log_mel_frames` turns sound into levels, `find_word` says where in them
somebody speaks, and `picture_of` cuts that part out. `picture_and_word` is all three.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from course_utils.audio import resample
from course_utils.errors import AudioError
from course_utils.features import resize, spectrogram, to_db

KINDS, NOTES_SIZE = ("log_mel", "notes"), (80, 80)
WINDOW_SECONDS = 0.032
STEP_SECONDS = 0.010
LOWEST_HZ, HIGHEST_HZ = 60.0, 3700.0  # what a recording at 8 kHz surely holds
LIMIT_DB = 40.0
SILENCE_DB = -130.0  # below the noise of 16 bits, so that quiet recordings keep their shape
BLOCK = 8192  # frames transformed at a time: bounds the memory that a long recording takes
MAX_FRAMES = 1_000_000  # nearly three hours; a damaged header may tell a rate of 1 Hz

HUM_HZ, VOICE_HZ = 110.0, 240.0  # hum and thumps lie below the first, vowels above the second
LEAK = 1e-3  # the share of the power below HUM_HZ that may be found again above VOICE_HZ
WORD_SECONDS = (0.15, 0.90)  # words are taken to be this long at least and at most
PAUSE_SECONDS = 0.1  # a word may fall silent within (before the t of "eight"), but no longer
DEPTH_DB = 25.0  # a word reaches as far as its level lies within this of its loudest moment
NOISE_DB = 5.0  # and lies this far above the quiet part of the clip
CONTRAST_DB = 13.0  # how far its loudest moment stands out of the quiet part
VOWEL_DB = 8.0  # how far a vowel's loudest band stands out of its other bands
LEAST_FRAMES = 7  # fewer hold no vowel
TRIMMED_SECONDS = 0.55  # a clip as short as this may hold a word and no quiet part
CHANGE_DB = 2.2  # how much the spectrum of a word changes from one sound to the next

Word = tuple[int, int] | None  # its first frame and the one after its last


def picture_and_word(
    waveform: torch.Tensor,
    sample_rate: int,
    n_mels: int = 40,
    n_frames: int = 48,
    kind: Literal["log_mel", "notes"] = "log_mel",
) -> tuple[torch.Tensor, Word]:
    """Make the picture that a network takes, and say where in the clip the word is.

    The word is put in the middle, whatever lies around it, and its level does not matter. Where
    nobody speaks, the picture is that of the whole clip. Taught in chapter 8.

    Args:
        waveform: floating-point tensor [1, time].
        sample_rate: in Hz.
        n_mels, n_frames: height (bands between 60 Hz and 3.7 kHz) and width of the picture.
        kind: `"log_mel"`, or `"notes"`: the lecture notes' linear power spectrogram, 80 x 80.
    Returns:
        float32 tensor [1, n_mels, n_frames] in [-2, 2], where 1 is 10 dB, low frequencies first
        (of the kind `"notes"` power [1, 80, 80]); and the word, as `find_word` gives it.
    Raises:
        AudioError: if the waveform is too long.

    >>> picture_and_word(torch.zeros(1, 8000), 8000)[1] is None
    True
    """
    if kind == "notes":
        word = find_word(log_mel_frames(waveform, sample_rate))
        return resize(spectrogram(resample(waveform, sample_rate, 16000)), NOTES_SIZE), word
    frames = log_mel_frames(waveform, sample_rate, n_mels)
    word = find_word(frames)
    return picture_of(frames, word, n_frames), word


def log_mel_pictures(
    waveforms: Sequence[torch.Tensor], sample_rate: int, n_mels: int = 40, n_frames: int = 48
) -> torch.Tensor:
    """Make the log-mel pictures of several clips, one by one, as `picture_and_word` does.

    Returns:
        float32 tensor [clips, 1, n_mels, n_frames].

    >>> log_mel_pictures([torch.randn(1, 8000), torch.randn(1, 300)], 8000).shape
    torch.Size([2, 1, 40, 48])
    """
    size = (sample_rate, n_mels, n_frames)
    return torch.stack([picture_and_word(waveform, *size)[0] for waveform in waveforms])


def log_mel_frames(waveform: torch.Tensor, sample_rate: int, n_mels: int = 40) -> torch.Tensor:
    """Compute the log-mel spectrum of a clip: a frame of 32 ms (Hann) every 10 ms.

    Frame t is centred on the middle of step t; a tone has the same level at any sample rate.
    Taught in chapter 7.

    Args:
        waveform: floating-point tensor [1, time].
        sample_rate: in Hz.
        n_mels: bands between 60 Hz and 3.7 kHz, which every sample rate from 8 kHz up holds.
    Returns:
        float32 tensor [frames, n_mels] in dB, -130 at least, where frames is the number of steps
        begun, 1 at least.
    Raises:
        AudioError: if there are over a million frames.

    >>> log_mel_frames(torch.zeros(1, 800), 8000).shape
    torch.Size([10, 40])
    """
    window, filters = _window_and_filters(sample_rate, n_mels)
    step = max(1, round(STEP_SECONDS * sample_rate))
    steps = max(1, math.ceil(waveform.shape[-1] / step))
    if steps > MAX_FRAMES:
        raise AudioError(
            f"A waveform of {waveform.shape[-1]} samples at {sample_rate} Hz has too many "
            "frames for a picture: check its sample rate, or cut it into parts."
        )
    before = (len(window) - step) // 2
    after = steps * step - waveform.shape[-1] + len(window) - step - before
    padded = torch.nn.functional.pad(waveform[0].float(), (before, after))
    blocks = []
    for block in padded.unfold(0, len(window), step).split(BLOCK):
        spectrum = torch.view_as_real(torch.fft.rfft(block * window, 2 * (len(filters) - 1)))
        power = spectrum.square().sum(dim=-1) @ filters
        blocks.append(to_db(power, floor=10 ** (SILENCE_DB / 10)))
    return torch.cat(blocks)


@functools.lru_cache(maxsize=32)
def _window_and_filters(sample_rate: int, n_mels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a Hann window that sums to 1, and triangular mel filters [n_fft // 2 + 1, n_mels]."""
    from torchaudio.functional import melscale_fbanks

    length = max(2, round(WINDOW_SECONDS * sample_rate))
    n_fft = 2 * 2 ** math.ceil(math.log2(length))  # fine enough for the narrowest filter
    window = torch.hann_window(length, dtype=torch.float64)
    with warnings.catch_warnings():
        # Below 8 kHz the highest bands are empty, and that is all there is to say of them.
        warnings.simplefilter("ignore")
        filters = melscale_fbanks(n_fft // 2 + 1, LOWEST_HZ, HIGHEST_HZ, n_mels, sample_rate)
    # Twice as many bins, as a longer transform has, hold a tone's power twice.
    return (window / window.sum()).float(), (filters * length / n_fft).float()


def find_word(frames: torch.Tensor) -> Word:
    """Find where somebody speaks in a clip; of several words, the one with the most energy.

    Level alone tells little: a fan is steady, a thump low, a breath has no vowel. So the level is
    taken where the loudest vowel has its power, and a word must stand out of its clip there.
    Taught in chapter 8.

    Args:
        frames: float32 tensor [frames, n_mels] in dB, from `log_mel_frames`.
    Returns:
        the first frame of the word and the one after its last, or None if nobody speaks: silence,
        steady noise, hum, a thump, a breath.

    >>> frames = torch.full((100, 40), -80.0)
    >>> find_word(frames) is None
    True
    >>> frames[30:60, 10:20] = -30.0
    >>> find_word(frames)
    (30, 60)
    """
    levels = frames.numpy()
    heard = levels.max(axis=1) > SILENCE_DB + 10  # digital silence says nothing of the room
    if heard.sum() < LEAST_FRAMES:
        return None
    power = _speech_power(levels)
    loudness = _smooth(power.sum(axis=1))
    # A vowel stands out of noise most in its own bands: listen there, at the loudest moment.
    loudest = int(loudness.argmax())
    vowel = power[max(0, loudest - 2) : loudest + 3].sum(axis=0)
    level = 10 * np.log10(_smooth(power @ (vowel / vowel.sum())))
    peak, quiet = level.max(), np.sort(level[heard])[heard.sum() // 10]
    clear = peak - quiet >= CONTRAST_DB
    spectra = _averaged(levels[:, -power.shape[1] :])
    if not _has_a_vowel(spectra[loudness >= loudness[loudest] / 30]):
        return None
    short = heard.sum() <= TRIMMED_SECONDS / STEP_SECONDS
    if not clear and not (short and _spectrum_changes(spectra[heard])):
        return None
    # In a short clip the quiet part may be the word's own: a weak s, and no noise to stay above.
    threshold = peak - DEPTH_DB if short else max(peak - DEPTH_DB, quiet + NOISE_DB)
    speaking = np.flatnonzero((level >= threshold) & heard)
    return _loudest_stretch(speaking, 10 ** (level / 10)) if len(speaking) else None


def _speech_power(levels: np.ndarray) -> np.ndarray:
    """Return the power in the bands of speech, without what leaks into them from hum and thumps."""
    n_mels = levels.shape[1]
    power = np.exp(levels * (math.log(10) / 10))
    low = power[:, : _first_band(HUM_HZ, n_mels)].sum(axis=1, keepdims=True)
    high = power[:, _first_band(VOICE_HZ, n_mels) :]
    return np.maximum(high - low * (LEAK / high.shape[1]), 10 ** (SILENCE_DB / 10))


def _smooth(power: np.ndarray) -> np.ndarray:
    """Take the median of nine frames, which leaves out clicks: no sound of speech is so short."""
    mirrored = np.concatenate([power[4:0:-1], power, power[-2:-6:-1]])
    return np.sort(mirrored[np.arange(len(power))[:, None] + np.arange(9)], axis=1)[:, 4]


def _averaged(levels: np.ndarray) -> np.ndarray:
    """Take the mean of five frames, which flattens noise and leaves vowels as they are."""
    from scipy.ndimage import uniform_filter1d

    return uniform_filter1d(levels, 5, axis=0, mode="nearest")


def _has_a_vowel(spectra: np.ndarray) -> bool:
    """Say whether some bands stand out, as in a vowel; breath and noise spread over all."""
    ordered = np.sort(spectra, axis=1)
    return bool((ordered[:, -1] - ordered[:, ordered.shape[1] // 2]).max() >= VOWEL_DB)


def _spectrum_changes(spectra: np.ndarray) -> bool:
    """Say whether the spectrum changes as from sound to sound of a word."""
    inner = spectra[2:-2]  # where a clip is cut off, even a steady tone changes
    return bool(inner.std(axis=0).mean() >= CHANGE_DB)


def _loudest_stretch(speaking: np.ndarray, power: np.ndarray) -> tuple[int, int]:
    """Return begin and end of the stretch with the most energy among those that pauses part."""
    (pauses,) = np.nonzero(np.diff(speaking) > PAUSE_SECONDS / STEP_SECONDS)
    begins, ends = np.append(0, pauses + 1), np.append(pauses, len(speaking) - 1)
    loudest = np.add.reduceat(power[speaking], begins).argmax()
    return int(speaking[begins[loudest]]), int(speaking[ends[loudest]]) + 1


@functools.lru_cache(maxsize=32)
def _first_band(hertz: float, n_mels: int) -> int:
    """Return the first band whose middle lies at this frequency or above it."""
    lowest, highest, mel = (math.log10(1 + f / 700) for f in (LOWEST_HZ, HIGHEST_HZ, hertz))
    return max(0, math.ceil((mel - lowest) / (highest - lowest) * (n_mels + 1)) - 1)


def picture_of(frames: torch.Tensor, word: Word, n_frames: int = 48) -> torch.Tensor:
    """Cut the picture of a word out of a clip's frames.

    The picture shows 40 dB below the loudest of the word's cells, and lasts as long as the
    geometric mean of the word and one second: half way between a fixed pace and a fixed length.
    So slow speech looks less slow, yet short words stay short. Taught in chapter 8.

    Args:
        frames: float32 tensor [frames, n_mels] in dB, from `log_mel_frames`.
        word: the first frame of the word and the one after its last, from `find_word`; None takes
            the whole clip.
        n_frames: width of the picture.
    Returns:
        float32 tensor [1, n_mels, n_frames] in [-2, 2].

    >>> picture_of(torch.full((30, 40), -60.0), (10, 20)).amax()
    tensor(2.)
    """
    start, end = word or (0, len(frames))
    shortest, longest = WORD_SECONDS
    seconds = math.sqrt(min(max((end - start) * STEP_SECONDS, shortest), longest))
    steps = np.arange(n_frames) - (n_frames - 1) / 2
    position = (start + end - 1) / 2 + steps * (seconds / STEP_SECONDS / n_frames)  # in frames
    # Beyond the clip there is silence; between two frames their weighted mean is taken.
    extended = torch.nn.functional.pad(frames, (0, 0, 1, 1), value=SILENCE_DB)
    position = (position + 1).clip(0, len(frames) + 0.999)
    left = torch.from_numpy(position.astype(int))
    part = torch.from_numpy(position % 1).float()[:, None]
    picture = torch.lerp(extended[left], extended[left + 1], part)
    loudest = frames[start:end, _first_band(VOICE_HZ, frames.shape[1]) :].max()
    return ((picture - loudest).clamp(-LIMIT_DB, 0) * (4 / LIMIT_DB) + 2).T[None]
