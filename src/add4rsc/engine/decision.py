"""Where normal ends, and what is answered: a weight of the normal class, shares of all classes, classes left out.

A network's shares of the classes follow those of its training cycles; the published scores are means over normal and
abnormal cycles, whatever their shares.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import softmax
from torch import Tensor, nn

from add4rsc.errors import WrongUsageError
from add4rsc.metrics.icbhi import icbhi_score
from add4rsc.predictions import Predictions

OFFSET = "normal_offset"
"""Name of the offset among a network's metadata and in the tables of predictions."""
SHARES = "class_shares"
"""Name in tables of predictions of the shares of the classes that every stethoscope was given."""
NEVER = "never_answered"
"""Name in tables of predictions of the classes whose probability went to the others."""
FEWEST = 20
"""Cycles in the smallest group that is given shares: of fewer, the shares say little."""
LEAST_SHARE = 1e-6
NEARLY_SHARED = 1e-6
MOST_STEPS = 10_000
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


def match_shares(
    probabilities: Float[ndarray, "cycle class"], groups: Sequence[str], shares: Float[ndarray, " class"]
) -> Float[ndarray, "cycle class"]:
    """Probabilities with an offset of every class for each group, so that their mean in the group is what is expected.

    No label is looked at: a group is a stethoscope, whose sound moves all its cycles towards some class or away, and
    the shares are what is expected of its cycles. All of them are needed at once; a group of fewer than `FEWEST` stays
    as it is. Iterative scaling finds the offsets, the only ones there are. The same is done to the mean guess of a
    network in semi-supervised training (distribution alignment, arXiv:1911.09785), and under another name where the
    shares of the classes change from training to test (Saerens et al. 2002).

    Args:
        probabilities: of cycles.
        groups: name of each cycle's group.
        shares: of the classes in every group; they sum to 1, and a share of 0 counts as a millionth.

    >>> match_shares(np.tile([[0.9, 0.1], [0.5, 0.5]], (10, 1)), ["a"] * 20, np.array([0.5, 0.5]))[:2].round(2).tolist()
    [[0.75, 0.25], [0.25, 0.75]]
    """
    matched, names = probabilities.copy(), np.array(groups)
    wanted = shares.clip(LEAST_SHARE) / shares.clip(LEAST_SHARE).sum()
    for name in sorted(set(groups)):
        members = names == name
        if members.sum() >= FEWEST:
            matched[members] = _with_mean(probabilities[members], wanted)
    return matched


def never_answered(predictions: Predictions, names: Collection[str]) -> Predictions:
    """The same cycles or recordings without some answers, whose probability goes to the other classes by their size.

    For what a score does not ask for: SPRSound's official one counts no recording of poor quality, and takes that
    answer for an error everywhere else.

    Args:
        predictions: of any classes.
        names: of those that are not to be answered.

    Raises:
        WrongUsageError: if there is no such class, or fewer than two are left.
    """
    unknown = sorted(set(names) - set(predictions.classes))
    left = np.array([name not in names for name in predictions.classes])
    if unknown or left.sum() < 2:
        told = f"there is no class '{unknown[0]}'" if unknown else "fewer than two classes would be left"
        raise WrongUsageError(f"--never {','.join(names)}: {told}. Known: {', '.join(predictions.classes)}.")
    kept = predictions.probabilities * left
    kept[kept.sum(axis=1) == 0] = left  # sure of what is left out: the others are as likely as one another
    found = predictions.answered(kept / kept.sum(axis=1, keepdims=True))
    return Predictions(found.table.assign(**{NEVER: ",".join(sorted(names))}), found.classes)


def _with_mean(
    probabilities: Float[ndarray, "cycle class"], wanted: Float[ndarray, " class"]
) -> Float[ndarray, "cycle class"]:
    """The probabilities after the offsets under which their mean is the wanted one."""
    logits = np.log(probabilities.clip(np.finfo(np.float64).tiny))
    moved, offsets = probabilities, np.zeros(len(wanted))
    for _ in range(MOST_STEPS):
        mean = moved.mean(axis=0).clip(LEAST_SHARE / 10)
        if np.abs(mean - wanted).max() < NEARLY_SHARED:
            break
        offsets += np.log(wanted / mean)
        moved = softmax(logits + offsets, axis=1)
    return moved


def add_offset(network: nn.Module, offset: float) -> None:
    """Let a trained network add the offset to its own logits, wherever it is used from now on."""
    if not offset:
        return

    def shift(_module: nn.Module, _inputs: Any, logits: Float[Tensor, "batch class"]) -> Float[Tensor, "batch class"]:
        return logits + offset * torch.eye(logits.shape[1], device=logits.device)[0]

    network.register_forward_hook(shift)
