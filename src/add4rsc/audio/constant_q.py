"""Constant-Q transform: windows that shorten as frequencies rise; Brown 1991."""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn import functional

BANDS_PER_OCTAVE = 12
QUALITY = 1 / (2 ** (1 / BANDS_PER_OCTAVE) - 1)
"""Centre frequency by bandwidth, such that bands of semitones touch."""


def constant_q_centres(f_min: float, n_bands: int) -> Float[Tensor, " band"]:
    """Centres in hertz, a semitone apart."""
    return torch.tensor([f_min * 2 ** (band / BANDS_PER_OCTAVE) for band in range(n_bands)])


def constant_q_top(f_min: float, n_bands: int) -> float:
    """Hertz above which the bands hear nothing but side lobes: the end of the highest one's main lobe."""
    return f_min * 2 ** ((n_bands - 1) / BANDS_PER_OCTAVE) * (1 + 2 / QUALITY)


class ConstantQ(nn.Module):
    """Constant-Q energies of frames that are centred on multiples of a shift; silence surrounds the waveform.

    An octave's windows are at most half as long as those of the octave below, so each octave is a product of its own:
    blocks of one shift by the parts of the kernels, whose sums along the frame are taken afterwards. Exact at any
    length, and no more than products and sums in an exported network.

    Args:
        centres: of the bands in hertz, rising by semitones.
        gain: sum of the samples of each band's window.
        sample_rate: in hertz.
        shift: samples from one frame to the next.
    """

    def __init__(
        self, centres: Float[Tensor, " band"], gain: Float[Tensor, " band"], sample_rate: int, shift: int
    ) -> None:
        super().__init__()
        self.shift = shift
        self.n_parts: list[int] = []
        octaves = zip(centres.split(BANDS_PER_OCTAVE), gain.split(BANDS_PER_OCTAVE), strict=True)
        for number, (octave, gains) in enumerate(octaves):
            n_parts = max(2, math.ceil(QUALITY * sample_rate / octave[0].item() / shift))
            kernels = gains[:, None] * constant_q_kernels(octave, sample_rate, n_parts * shift)
            self.register_buffer(f"kernels_{number}", _in_parts(kernels, shift), persistent=False)
            self.n_parts.append(n_parts)

    def forward(self, waveform: Float[Tensor, "batch sample"]) -> Float[Tensor, "batch time band"]:
        """Energies of every frame and band."""
        octaves = [(self.get_buffer(f"kernels_{i}"), n_parts) for i, n_parts in enumerate(self.n_parts)]
        return torch.cat([self._octave(waveform, kernels, n_parts) for kernels, n_parts in octaves], dim=-1)

    def _octave(
        self, waveform: Float[Tensor, "batch sample"], kernels: Float[Tensor, "shift column"], n_parts: int
    ) -> Float[Tensor, "batch time band"]:
        n_samples = waveform.shape[-1]
        n_blocks, before = n_samples // self.shift + n_parts, n_parts * self.shift // 2
        padded = functional.pad(waveform, (before, n_blocks * self.shift - before - n_samples))
        products = padded.unflatten(-1, (n_blocks, self.shift)) @ kernels
        parts = sum_along_frames(products.unflatten(-1, (-1, n_parts)).movedim(1, -1))
        real, imaginary = parts.chunk(2, dim=1)
        return (real.square() + imaginary.square()).mT


def constant_q_kernels(
    centres: Float[Tensor, " band"], sample_rate: int, length: int
) -> Complex[Tensor, "band sample"]:
    """Windowed waves of `QUALITY` periods around the middle of a frame; the windows are Hann's, and sum to 1."""
    time = (torch.arange(length) - length // 2).double() / sample_rate
    phase = time * centres[:, None].double()
    inside = phase.abs() < QUALITY / 2
    window = torch.where(inside, 0.5 + 0.5 * (2 * math.pi / QUALITY * phase).cos(), 0.0)
    window = window / window.sum(dim=-1, keepdim=True)
    return torch.polar(window, -2 * math.pi * phase).to(torch.complex64)


def _in_parts(kernels: Complex[Tensor, "band sample"], shift: int) -> Float[Tensor, "shift column"]:
    """Kernels cut in parts of one shift: columns run over real and imaginary part, band, part."""
    return torch.cat([kernels.real, kernels.imag]).unflatten(-1, (-1, shift)).flatten(0, 1).T.contiguous()


def sum_along_frames(products: Float[Tensor, "batch band part block"]) -> Float[Tensor, "batch band time"]:
    """Sum over p of products[..., p, t + p] for every t that has all parts.

    The rows, read on as if each were one block longer, start one block later each: so the diagonals become columns.
    """
    n_parts, n_blocks = products.shape[-2:]
    skewed = functional.pad(products.flatten(-2), (0, n_parts)).unflatten(-1, (n_parts, n_blocks + 1))
    return skewed[..., : n_blocks - n_parts + 1].sum(dim=-2)
