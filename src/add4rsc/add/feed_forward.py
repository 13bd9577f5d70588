"""The feed-forward part of the differential denoise layer."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class SwiGLU(nn.Module):
    """A gated feed-forward layer: (SiLU(u Wg) * u W1) W2, with biases, of twice the width inside.

    Shazeer 2020 (arXiv:2002.05202); ADD4RSC (Dong et al. 2025, arXiv:2506.02505), equal to commit 8a0384a.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, 2 * dim)
        self.value = nn.Linear(dim, 2 * dim)
        self.output = nn.Linear(2 * dim, dim)

    def forward(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        """Transform each frame on its own."""
        return self.output(functional.silu(self.gate(x)) * self.value(x))
