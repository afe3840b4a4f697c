"""From a waveform to power, decibels and size; the mel filters are in `pictures.py`."""

from __future__ import annotations

import torch

from course_utils.errors import FeatureError, check_tensor


def spectrogram(
    waveform: torch.Tensor,
    n_fft: int = 1024,
    hop_length: int | None = None,
    win_length: int | None = None,
    center: bool = True,
) -> torch.Tensor:
    """Compute the power spectrogram with a Hann window.

    Args:
        waveform: floating-point tensor [..., time]. One that is shorter than n_fft is filled
            up with zeros at its end first.
        n_fft: samples in each Fourier transform.
        hop_length: samples from one frame to the next; half a window if not given.
        win_length: samples of the window; n_fft if not given.
        center: whether frame t is centred on sample t * hop_length.
    Returns:
        tensor [..., n_fft // 2 + 1, frames], power (squared amplitude), where frames is time //
        hop_length + 1 if centred, else (time - n_fft) // hop_length + 1.
    Raises:
        FeatureError: if the waveform is no tensor or empty, or a length is not positive.
    Source:
        `torchaudio.functional.spectrogram`.

    >>> spectrogram(torch.zeros(1, 65328), n_fft=1024, hop_length=160).shape
    torch.Size([1, 513, 409])
    """
    from torchaudio.functional import spectrogram as power_of

    check_tensor(waveform, "The spectrogram cannot be computed")
    win_length = n_fft if win_length is None else win_length
    hop_length = win_length // 2 if hop_length is None else hop_length
    if waveform.shape[-1] == 0:
        raise FeatureError("The waveform holds no samples: check how it was read or cut.")
    if not 0 < win_length <= n_fft or hop_length <= 0:
        raise FeatureError(
            f"The window cannot be {win_length} samples long and move by {hop_length}: give a "
            f"win_length from 1 to n_fft ({n_fft}) and a hop_length of 1 or more."
        )
    missing = n_fft - waveform.shape[-1]
    if missing > 0:
        waveform = torch.nn.functional.pad(waveform, (0, missing))
    window = torch.hann_window(win_length, dtype=waveform.dtype, device=waveform.device)
    lengths = (n_fft, hop_length, win_length)
    return power_of(waveform, 0, window, *lengths, power=2.0, normalized=False, center=center)


def to_db(power: torch.Tensor, floor: float = 1e-10) -> torch.Tensor:
    """Turn power into decibels; what is below the floor becomes the floor, never -inf.

    Args:
        power: tensor of any shape, 0 or more.
        floor: the least power that is told apart from silence; 1e-10 gives -100 dB.
    Returns:
        tensor of the same shape, 10 log10(max(power, floor)), in dB.
    Raises:
        FeatureError: if the power is no tensor or negative, or the floor is not positive.

    >>> to_db(torch.tensor([1.0, 0.01, 0.0]))
    tensor([   0.,  -20., -100.])
    """
    if floor <= 0:
        raise FeatureError(
            f"The floor is {floor}: give one above 0, such as 1e-10, for the logarithm."
        )
    check_tensor(power, "Decibels cannot be computed")
    if power.numel() and power.min() < 0:
        raise FeatureError(
            f"Power is never negative, and the least value here is {power.min():.3g}: square a "
            "waveform first, or give what spectrogram() returned."
        )
    return 10 * torch.log10(power.clamp(min=floor))


def resize(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Give a picture another height and width, with smoothing where it shrinks.

    Args:
        picture: floating-point tensor [..., height, width].
        size: the new (height, width).
    Returns:
        tensor [..., new height, new width].
    Raises:
        FeatureError: if the picture is no tensor, or a side is missing or not positive.
    Source:
        `torchvision.transforms.Resize` (bilinear, antialiased).

    >>> resize(torch.zeros(1, 513, 128), (80, 80)).shape
    torch.Size([1, 80, 80])
    """
    check_tensor(picture, "The picture cannot be resized")
    if not isinstance(size, tuple | list | torch.Size) or len(size) != 2:
        raise FeatureError(f"The size is {size}: give height and width, such as (80, 80).")
    height, width = size
    if height < 1 or width < 1:
        raise FeatureError(
            f"A picture of {height} x {width} has no cells: give sizes of 1 or more."
        )
    from torchvision.transforms import Resize

    if picture.ndim == 2:
        return resize(picture[None], size)[0]
    return Resize((height, width), antialias=True)(picture)


def decibels_between(signal: torch.Tensor, reference: torch.Tensor) -> float:
    """Compare the levels of two signals.

    Args:
        signal, reference: floating-point tensors of any shapes.
    Returns:
        how many dB the mean power of the signal lies above that of the reference; inf or -inf if
        one of them is silent, nan if both are.
    Raises:
        FeatureError: if one of them is no tensor.

    >>> round(decibels_between(torch.ones(4), 0.1 * torch.ones(4)), 3)
    20.0
    """
    check_tensor(signal, "The signal has no level")
    check_tensor(reference, "The reference has no level")
    powers = [x.square().mean().cpu().double() for x in (signal, reference)]
    return float(10 * torch.log10(powers[0] / powers[1]))
