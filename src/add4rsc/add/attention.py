"""Multi-head differential attention: what two softmax maps share cancels."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from add4rsc.errors import RecipeError


def initial_lambda(depth: int) -> float:
    """Start of lambda at a depth, 0.8 - 0.6 exp(-0.3 depth), Ye et al. 2024, Section 2.1.

    >>> round(initial_lambda(6), 4)
    0.7008
    """
    return 0.8 - 0.6 * math.exp(-0.3 * depth)


class DifferentialAttention(nn.Module):
    """Attention whose noise floor is a second softmax map, subtracted.

    Ye et al. 2024 (arXiv:2410.05258), Eq. (1)-(3); part of the differential denoise layer of ADD4RSC (Dong et al. 2025,
    arXiv:2506.02505). Equal to commit 8a0384a, whose LayerNorm of the maps is computed there and not used. Each head
    has two queries and two keys of `head_dim = dim // n_heads` columns (rounded down) and values of twice that; there
    is no bias. Group normalisation is, as in Ye's text, a root-mean-square norm of each head on its own.
    """

    def __init__(self, dim: int, n_heads: int = 8, depth: int = 6) -> None:
        super().__init__()
        if dim < n_heads:
            raise RecipeError(f"{n_heads} attention heads cannot share {dim} columns. Set n_heads to at most {dim}.")
        self.n_heads, self.head_dim = n_heads, dim // n_heads
        self.lambda_start = initial_lambda(depth)
        inner_dim = n_heads * 2 * self.head_dim
        self.to_query = nn.Linear(dim, inner_dim, bias=False)
        self.to_key = nn.Linear(dim, inner_dim, bias=False)
        self.to_value = nn.Linear(dim, inner_dim, bias=False)
        self.to_output = nn.Linear(inner_dim, dim, bias=False)
        self.lambda_query = nn.Parameter(torch.empty(2, n_heads, self.head_dim))
        self.lambda_key = nn.Parameter(torch.empty(2, n_heads, self.head_dim))
        self.head_norm = nn.RMSNorm(2 * self.head_dim, eps=1e-5)
        self._initialise()

    def forward(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        """Mix time steps by the difference of the two maps; neither map is ever stored."""
        first, second = (self.lambda_query * self.lambda_key).sum(dim=-1).exp()
        weight = (first - second + self.lambda_start)[:, None, None]  # lambda, one a head
        signal, noise = self._mix_values(x)
        heads = self.head_norm(signal - weight * noise) * (1 - self.lambda_start)  # (A1 - lambda A2) V, normalised
        return self.to_output(heads.transpose(1, 2).flatten(-2))

    def attention_maps(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch 2 head time time"]:
        """The signal map A1 and the noise map A2, for plots and for the test that holds `forward` to them."""
        query, key = (
            project(x).unflatten(-1, (self.n_heads, 2, self.head_dim)).permute(0, 3, 2, 1, 4)
            for project in (self.to_query, self.to_key)
        )
        return (query @ key.mT / math.sqrt(self.head_dim)).softmax(dim=-1)

    def _mix_values(
        self, x: Float[Tensor, "batch time dim"]
    ) -> tuple[Float[Tensor, "batch head time value"], Float[Tensor, "batch head time value"]]:
        """A1 V and A2 V.

        Zeros in one half of the query leave the other half's map, and make query, key and value of one width, without
        which the fused kernel for the CPU steps aside for one that stores the maps.
        """
        query, key, value = (
            project(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for project in (self.to_query, self.to_key, self.to_value)
        )
        first, second = query.split(self.head_dim, dim=-1)
        signal, noise = (
            functional.scaled_dot_product_attention(half, key, value, scale=self.head_dim**-0.5)
            for half in (functional.pad(first, (0, self.head_dim)), functional.pad(second, (self.head_dim, 0)))
        )
        return signal, noise

    def _initialise(self) -> None:
        for project in (self.to_query, self.to_key, self.to_value, self.to_output):
            nn.init.xavier_uniform_(project.weight)
        bound = math.sqrt(6 / self.head_dim)  # Kaiming's, as released
        for vectors in (self.lambda_query, self.lambda_key):
            nn.init.uniform_(vectors, -bound, bound)
