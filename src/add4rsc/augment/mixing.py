"""Mixup: every cycle of a batch mixed with another one of it, and its label with the other's.

Zhang et al. 2018 (arXiv:1710.09412): x~ = l x_a + (1 - l) x_b, y~ = l y_a + (1 - l) y_b, l ~ Beta(alpha, alpha).
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Generator, Tensor
from torch.nn import functional


class Mixup(NamedTuple):
    """How a batch is mixed: with one share for all of its cycles."""

    partners: Int[Tensor, " batch"]
    """Whom each cycle is mixed with; it may be itself."""
    own_share: float
    """l: the share of a cycle's own features and label."""


def draw_mixup(n_cycles: int, alpha: float, generator: Generator) -> Mixup:
    """Draw one share for the batch, l ~ Beta(alpha, alpha), and the partners, a permutation of its cycles."""
    seed = int(torch.randint(2**62, (), generator=generator))  # torch's Beta draws from its global generator only
    own_share = float(np.random.default_rng(seed).beta(alpha, alpha))
    return Mixup(torch.randperm(n_cycles, generator=generator), own_share)


def mix_cycles(values: Shaped[Tensor, "batch ..."], mixup: Mixup) -> Shaped[Tensor, "batch ..."]:
    """Mix features of any shape, or labels as probabilities.

    >>> mix_cycles(torch.tensor([0.0, 4.0]), Mixup(torch.tensor([1, 0]), 0.75))
    tensor([1., 3.])
    """
    return mixup.own_share * values + (1 - mixup.own_share) * values[mixup.partners.to(values.device)]


def mix_labels(labels: Int[Tensor, " batch"], mixup: Mixup, n_classes: int) -> Float[Tensor, "batch class"]:
    """Each cycle's share of every class: l for its own, 1 - l for its partner's."""
    return mix_cycles(functional.one_hot(labels, n_classes).float(), mixup)
