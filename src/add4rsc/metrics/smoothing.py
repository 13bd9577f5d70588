"""Cycles moved towards the others of their recording: what is heard once in it is often heard again."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

LEAST_PROBABILITY = 1e-4
"""Below it nothing counts as more certain, so that one cycle cannot outweigh all others."""


def smooth_recordings(
    probabilities: Float[ndarray, "cycle class"], recordings: Sequence[str], smoothing: float
) -> Float[ndarray, "cycle class"]:
    """Probabilities whose logarithms are moved towards the mean of all cycles of the recording.

    Args:
        probabilities: of cycles.
        recordings: which recording each cycle is of.
        smoothing: how far, from 0 (every cycle by itself) to 1 (all cycles of a recording alike).

    >>> smooth_recordings(np.array([[0.9, 0.1], [0.5, 0.5]]), ["a", "a"], 1.0).round(2).tolist()
    [[0.75, 0.25], [0.75, 0.25]]
    """
    own = np.log(probabilities.clip(LEAST_PROBABILITY))
    _, members = np.unique(np.array(recordings), return_inverse=True)
    sums = np.stack([np.bincount(members, weights=of_class) for of_class in own.T], axis=1)
    together = sums / np.bincount(members)[:, None]
    moved = (1 - smoothing) * own + smoothing * together[members]
    powers = np.exp(moved - moved.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
