"""Where normal ends: a weight of the normal class, found on validation patients.

A network's shares of the classes follow those of its training cycles; the published scores are means over normal and
abnormal cycles, whatever their shares.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor, nn

from add4rsc.metrics.icbhi import icbhi_score

OFFSET = "normal_offset"
"""Name of the offset among a network's metadata and in the tables of predictions."""
SHARE = "normal_share"
"""Name in tables of predictions of the share of normal cycles that every stethoscope was given."""
OFFSETS = np.linspace(-4.0, 4.0, 161)
"""Candidates, in nats."""
NEARLY_BEST = 0.002
"""Offsets whose score is within so much of the best are as good as it: validation patients are few."""


def shift_normal(probabilities: Float[ndarray, "cycle class"], offset: float) -> Float[ndarray, "cycle class"]:
    """Probabilities after `offset` is added to the logit of the first class, the normal one.

    >>> shift_normal(np.array([[0.5, 0.25, 0.25]]), -np.log(2)).round(2).tolist()
    [[0.33, 0.33, 0.33]]
    """
    weighted = probabilities.copy()
    weighted[:, 0] *= np.exp(offset)
    return weighted / weighted.sum(axis=1, keepdims=True)


def best_offset(labels: Int[ndarray, " cycle"], probabilities: Float[ndarray, "cycle class"]) -> float:
    """The offset with the best Score on these cycles; of those that are nearly as good, the middle one."""
    scores = np.array(
        [icbhi_score(labels, shift_normal(probabilities, offset).argmax(axis=1)).score for offset in OFFSETS]
    )
    return float(np.median(OFFSETS[scores >= scores.max() - NEARLY_BEST]))


def match_share(
    probabilities: Float[ndarray, "cycle class"], groups: Sequence[str], share: float
) -> Float[ndarray, "cycle class"]:
    """Probabilities with an offset for each group, so that a share of its cycles is called normal.

    No label is looked at: a group is a stethoscope, whose sound moves all its cycles towards normal or away, and the
    share what is expected of it. All cycles of a group are needed at once, and a group of few cycles is matched poorly.

    Args:
        probabilities: of cycles, the normal class first.
        groups: name of each cycle's group.
        share: of normal cycles in every group, in (0, 1).

    >>> match_share(np.array([[0.9, 0.1], [0.8, 0.2]]), ["a", "a"], 0.5).argmax(axis=1).tolist()
    [0, 1]
    """
    matched, names = probabilities.copy(), np.array(groups)
    for name in sorted(set(groups)):
        members = names == name
        matched[members] = shift_normal(probabilities[members], _share_offset(probabilities[members], share))
    return matched


def _share_offset(probabilities: Float[ndarray, "cycle class"], share: float) -> float:
    """The offset that calls the share of the cycles normal that are most normal; between the last and the next one."""
    inside = probabilities.clip(np.finfo(np.float64).tiny)
    margins = np.sort(np.log(inside[:, 0]) - np.log(inside[:, 1:].max(axis=1)))
    n_abnormal = min(max(round((1 - share) * len(margins)), 1), len(margins) - 1) if len(margins) > 1 else 0
    return -float(margins[n_abnormal - 1 : n_abnormal + 1].mean()) if n_abnormal else 0.0


def add_offset(network: nn.Module, offset: float) -> None:
    """Let a trained network add the offset to its own logits, wherever it is used from now on."""
    if not offset:
        return

    def shift(_module: nn.Module, _inputs: Any, logits: Float[Tensor, "batch class"]) -> Float[Tensor, "batch class"]:
        return logits + offset * torch.eye(logits.shape[1], device=logits.device)[0]

    network.register_forward_hook(shift)
