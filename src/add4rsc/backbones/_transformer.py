"""The parts of a Vision Transformer (Dosovitskiy et al. 2021, arXiv:2010.11929), named as in published checkpoints."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

Grid = tuple[int, int]
"""Patches along mel and along time; patches are flattened in this order."""

LAYER_NORM_EPS = 1e-6
"""DeiT's; 1e-12, which Hugging Face's configuration names, moves features by 9e-4."""


SLOWEST_WAVE = 10_000.0


class PatchEmbedding(nn.Module):
    """Project overlapping patches of the spectrogram."""

    def __init__(self, dim: int, patch_size: Grid, stride: Grid) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, dim, patch_size, stride)

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch dim mel_patch time_patch"]:
        """Return the patches on their grid."""
        return self.proj(log_mel.mT[:, None])


class SelfAttention(nn.Module):
    """Multi-head self-attention with one matrix for queries, keys and values."""

    def __init__(self, dim: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Float[Tensor, "batch position dim"]) -> Float[Tensor, "batch position dim"]:
        """Mix positions."""
        query, key, value = self.qkv(x).unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        heads = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(heads.transpose(1, 2).flatten(-2))


class FeedForward(nn.Module):
    """Two layers with GELU between, four times as wide inside."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Float[Tensor, "batch position dim"]) -> Float[Tensor, "batch position dim"]:
        """Transform each position."""
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """A transformer layer, normalised before each part."""

    def __init__(self, dim: int, n_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attn = SelfAttention(dim, n_heads)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = FeedForward(dim)

    def forward(self, x: Float[Tensor, "batch position dim"]) -> Float[Tensor, "batch position dim"]:
        """Return the layer's output."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def initialise_blocks(blocks: nn.Module) -> None:
    """Give the linear layers DeiT's initial values (Touvron et al. 2021, arXiv:2012.12877)."""
    for module in blocks.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)


def take_places(
    tokens: Float[Tensor, "batch place dim"], places: Int[Tensor, "batch kept"]
) -> Float[Tensor, "batch kept dim"]:
    """Of every cycle the tokens at its own places."""
    return torch.take_along_dim(tokens, places[:, :, None], dim=1)


def sine_positions(dim: int, grid: Grid) -> Float[Tensor, "1 position dim"]:
    """Fixed positions: zeros for the class token; half of each patch' says where in time, half where in mel.

    He et al. 2022 (arXiv:2111.06377): sines, then cosines, of the place divided by 10000^(2i / (dim / 2)).
    """
    mel, time = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    patches = torch.cat([_waves(time.flatten(), dim // 2), _waves(mel.flatten(), dim // 2)], dim=1)
    return torch.cat([torch.zeros(1, dim), patches])[None].float()


def _waves(places: Int[Tensor, " place"], dim: int) -> Float[Tensor, "place dim"]:
    rates = SLOWEST_WAVE ** -(torch.arange(dim // 2, dtype=torch.float64) / (dim / 2))
    angles = places.double()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
