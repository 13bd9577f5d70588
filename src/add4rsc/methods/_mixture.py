"""Mixtures of cycles by parts, and the contrast that finds in a mixture both cycles that it is made of.

Bae et al. 2023 (arXiv:2305.14032) mix patches; others mix groups of frames.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn import functional

from add4rsc.methods._contrast import own_places


class Mixture(NamedTuple):
    """How the patches of a whole batch are mixed."""

    partners: Int[Tensor, " batch"]
    """Whose patches each cycle gets, wherever that one is."""
    replaced: Int[Tensor, " position"]
    """Which patches, the same ones in the whole batch."""
    own_share: float
    """l: the share of patches that stay a cycle's own."""


def draw_mixture(n_cycles: int, n_patches: int, alpha: float, generator: Generator) -> Mixture:
    """Draw l ~ Beta(alpha, alpha) and k = int(n (1 - l)) patches; l is then set to 1 - k / n (METHODS A11)."""
    own_share = np.random.default_rng(int(torch.randint(2**62, (), generator=generator))).beta(alpha, alpha)
    n_replaced = int(n_patches * (1 - own_share))
    replaced = torch.randperm(n_patches, generator=generator)[:n_replaced]
    return Mixture(torch.randperm(n_cycles, generator=generator), replaced, 1 - n_replaced / n_patches)


def mixture_contrast(
    queries: Float[Tensor, "own feature"],
    keys: Float[Tensor, "batch feature"],
    mixture: Mixture,
    temperature: float,
) -> Float[Tensor, " own"]:
    """-[l log softmax_j(s_i)_i + (1 - l) log softmax_j(s_i)_pi(i)], s_ij the cosine of query i and key j by tau.

    Queries are those of this process' cycles, keys those of the whole batch.
    """
    cosines = functional.normalize(queries, dim=1) @ functional.normalize(keys, dim=1).T
    found, places = (cosines / temperature).log_softmax(dim=1), own_places(len(queries))
    rows = torch.arange(len(found))
    own, partner = found[rows, places], found[rows, mixture.partners[places]]
    return -(mixture.own_share * own + (1 - mixture.own_share) * partner)
