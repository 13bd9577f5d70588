"""Gradient reversal: a branch learns to tell something from features that learn to hide it."""

import math
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function

from add4rsc.terms import Paper

STETHOSCOPE_PAPER = Paper(
    key="kim2024stethoscope",
    title="Stethoscope-guided Supervised Contrastive Learning for Cross-domain Adaptation on Respiratory Sound "
    "Classification",
    authors="Kim, June-Woo and Bae, Sangmin and Cho, Won-Yang and Lee, Byungjo and Jung, Ho-Young",
    venue="ICASSP",
    year=2024,
    arxiv="2312.09603",
)
"""Where reversed gradients, in two ways, take the stethoscope out of the features of respiratory cycles."""

Strength = Literal["schedule", "full"]
"""How strongly a gradient is reversed: by `reversal_strength`, or wholly from the first step."""


class _Reversal(Function):
    """The identity, whose gradient is turned round."""

    @staticmethod
    def forward(context: Any, features: Float[Tensor, " *shape"], strength: float) -> Float[Tensor, " *shape"]:
        """Hand on."""
        context.strength = strength
        return features.view_as(features)

    @staticmethod
    def backward(context: Any, gradient: Float[Tensor, " *shape"]) -> tuple[Float[Tensor, " *shape"], None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Turn round."""
        return -context.strength * gradient, None


def reverse_gradient(features: Float[Tensor, " *shape"], strength: float) -> Float[Tensor, " *shape"]:
    """The same features; what a loss behind them hands back is multiplied by -strength (Ganin et al. 2016, Eq. 11)."""
    return _Reversal.apply(features, strength)


def reversal_strength(kind: Strength, progress: float) -> float:
    """Lambda = 2 / (1 + exp(-10 p)) - 1 (Ganin et al. 2016, Eq. 14), p the share of training that is behind.

    `full` is 1 at every step: the code that AFT, DAT and SG-SCL were published with counts p in steps, so that the
    schedule has ended when it begins (METHODS A9).

    >>> [round(reversal_strength("schedule", p), 3) for p in (0.0, 0.1, 0.5)]
    [0.0, 0.462, 0.987]
    """
    return 1.0 if kind == "full" else 2 / (1 + math.exp(-10 * progress)) - 1
