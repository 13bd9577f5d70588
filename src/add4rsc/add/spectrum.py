"""Fourier transforms in real numbers: fused where they run, written out as matrix products where they are exported.

ONNX Runtime's own transform of 798 frames of unit variance is off by 1.5e-3 (measured on the CPU; so is any length that
is no power of two), its matrix product by 4e-6. All transforms are unitary ("ortho").
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

SHORT = torch.int32
"""Of indices in an exported file, where their products stand: four bytes each, good for 46,340 frames."""


class Spectrum(NamedTuple):
    """A complex spectrum as two real tensors; complex tensors neither autocast nor export."""

    real: Float[Tensor, "batch bin *dim"]
    imaginary: Float[Tensor, "batch bin *dim"]

    def magnitude(self) -> Float[Tensor, "batch bin *dim"]:
        """Length of each complex number, floored at 1e-6 so that its gradient is finite where the spectrum is 0."""
        return (self.real.square() + self.imaginary.square()).clamp_min(1e-12).sqrt()


def time_spectrum(x: Float[Tensor, "batch time dim"]) -> Spectrum:
    """Transform each column along time; `bin` runs from 0 to half the frame rate. Half precision is widened."""
    x = _at_least_float32(x)
    if torch.compiler.is_exporting():
        cosine, sine = _waves(torch.arange(x.shape[1], device=x.device, dtype=SHORT), x.dtype)
        n_bins = x.shape[1] // 2 + 1
        return Spectrum(cosine[:n_bins] @ x, -(sine[:n_bins] @ x))
    spectrum = torch.fft.rfft(x, dim=1, norm="ortho")
    return Spectrum(spectrum.real, spectrum.imag)


def time_signal(spectrum: Spectrum, like: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
    """Undo `time_spectrum`, for a signal of the length (even or odd) and the precision of `like`."""
    real, imaginary = (_at_least_float32(part) for part in spectrum)
    n_frames = like.shape[1]
    if torch.compiler.is_exporting():
        index = torch.arange(n_frames, device=real.device, dtype=SHORT)
        cosine, sine = _waves(index, real.dtype)
        n_bins = n_frames // 2 + 1
        twice = 2 * index[:n_bins, None]
        count = torch.where((twice == 0) | (twice == n_frames), 1, 2)  # the bins between have a mirrored twin
        signal = cosine[:n_bins].T @ (count * real) - sine[:n_bins].T @ (count * imaginary)
        return signal.to(like.dtype)
    return torch.fft.irfft(torch.complex(real, imaginary), n=n_frames, dim=1, norm="ortho").to(like.dtype)


def mel_spectrum(spectrum: Spectrum) -> Spectrum:
    """Transform along the columns too, which makes a time spectrum that of the two-dimensional transform."""
    if torch.compiler.is_exporting():
        return _turn(spectrum, sign=-1)
    transformed = torch.fft.fft(torch.complex(*spectrum), dim=-1, norm="ortho")
    return Spectrum(transformed.real, transformed.imag)


def mel_signal(spectrum: Spectrum) -> Spectrum:
    """Undo `mel_spectrum`."""
    spectrum = Spectrum(*(_at_least_float32(part) for part in spectrum))
    if torch.compiler.is_exporting():
        return _turn(spectrum, sign=1)
    transformed = torch.fft.ifft(torch.complex(*spectrum), dim=-1, norm="ortho")
    return Spectrum(transformed.real, transformed.imag)


def _turn(spectrum: Spectrum, sign: int) -> Spectrum:
    real, imaginary = spectrum
    cosine, sine = _waves(torch.arange(real.shape[-1], device=real.device, dtype=SHORT), real.dtype)
    return Spectrum(real @ cosine - sign * imaginary @ sine, imaginary @ cosine + sign * real @ sine)


def _waves(
    index: Int[Tensor, " length"], dtype: torch.dtype
) -> tuple[Float[Tensor, "length length"], Float[Tensor, "length length"]]:
    """Cosines and sines of the unitary transform; the phase is reduced in whole numbers, so it is exact."""
    length = index.shape[0]
    phase = (index[:, None] * index).remainder(index[-1] + 1).to(dtype) * (2 * math.pi / length)
    return phase.cos() / length**0.5, phase.sin() / length**0.5


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
