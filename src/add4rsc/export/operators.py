"""Operators of torch in a form that ONNX Runtime computes fast and exactly, and a small file holds.

As exported by torch itself, framing is a table of all indices (1.9 MB for 3 s of 32 kHz) and the Fourier transform is
an operator that takes most of the time of a small network, and is inaccurate at lengths that are no power of two.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional


def unfold_by_blocks(waveform: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """`Tensor.unfold` along the last dimension, made of blocks of `step` samples laid side by side.

    Raises:
        ValueError: for another dimension.
    """
    if dimension not in (-1, waveform.ndim - 1):
        raise ValueError("only the last dimension of a tensor can be unfolded in an exported network")
    n_frames = (waveform.shape[-1] - size) // step + 1
    n_parts = -(-size // step)
    n_blocks = n_frames + n_parts - 1
    padded = functional.pad(waveform, (0, max(0, n_blocks * step - waveform.shape[-1])))[..., : n_blocks * step]
    blocks = padded.unflatten(-1, (n_blocks, step))
    parts = [blocks[..., first : first + n_frames, :] for first in range(n_parts)]
    parts[-1] = parts[-1][..., : size - (n_parts - 1) * step]
    return torch.cat(parts, dim=-1)


def rfft_by_matrices(
    frames: Float[Tensor, "*batch time"], n: int | None = None, dim: int = -1, norm: str | None = None
) -> Complex[Tensor, "*batch bin"]:
    """`torch.fft.rfft` along the last dimension as two small matrix products; Cooley and Tukey 1965.

    With n = rows * columns, time t = columns * a + b and frequency f = c + rows * d, the transform over a of length
    `rows` is followed by a turn by b * c / n and the transform over b of length `columns`.

    Raises:
        ValueError: for another dimension or a norm.
    """
    if dim not in (-1, frames.ndim - 1) or norm not in (None, "backward"):
        raise ValueError("only the plain transform along the last dimension can be exported")
    n_fft = n or frames.shape[-1]
    padded = functional.pad(frames, (0, n_fft - frames.shape[-1]))
    rows = max(divisor for divisor in range(1, math.isqrt(n_fft) + 1) if n_fft % divisor == 0)
    columns = n_fft // rows
    n_kept = columns // 2 + 1
    cosine, sine = _waves(rows, rows, rows)
    first = torch.cat([cosine, sine]) @ padded.unflatten(-1, (rows, columns))
    real, imaginary = first[..., :rows, :], first[..., rows:, :]
    turn, turn_sine = _waves(rows, columns, n_fft)
    turned = torch.cat([real * turn - imaginary * turn_sine, real * turn_sine + imaginary * turn], dim=-1)
    cosine, sine = _waves(columns, n_kept, columns)
    second = turned @ torch.cat([torch.cat([cosine, sine], dim=1), torch.cat([-sine, cosine], dim=1)])
    real, imaginary = (part.mT.flatten(-2)[..., : n_fft // 2 + 1] for part in second.split(n_kept, dim=-1))
    return torch.complex(real, imaginary)


def _waves(n_rows: int, n_columns: int, period: int) -> tuple[Float[Tensor, "row column"], Float[Tensor, "row column"]]:
    """Real and imaginary part of exp(-2 pi i r c / period); the angle is reduced first, in whole numbers."""
    steps = torch.outer(torch.arange(n_rows), torch.arange(n_columns)).remainder(period)
    angle = steps.double() * (-2 * math.pi / period)
    return angle.cos().float(), angle.sin().float()


def add_in_sight(tensor: Tensor, other: Any, *, alpha: float = 1) -> Any:
    """An addition that survives torch 2.13's optimiser, which takes a constant of up to 1e-8 for nothing.

    The offset below a logarithm is such a constant: without it, silence gives infinite values.
    """
    is_small = isinstance(other, float) and 0 < abs(other) <= SMALL
    return (tensor * (1 / other) + 1) * other if is_small and alpha == 1 else NotImplemented


SMALL = 1e-7

REPLACEMENTS: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.unfold.default: unfold_by_blocks,
    torch.ops.aten.fft_rfft.default: rfft_by_matrices,
    torch.ops.aten.add.Tensor: add_in_sight,
}
"""Operator -> what stands for it in an exported network."""
