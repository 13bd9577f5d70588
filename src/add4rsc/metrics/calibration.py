"""Whether probabilities mean what they say.

Conventions: arrays of class indices and of probabilities in [0, 1]; NaN for no cycles at all.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from add4rsc.metrics.smoothing import LEAST_PROBABILITY

N_BINS = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """The cycles whose decision had a probability above `low` and up to `high`; NaN means where there are none."""

    low: float
    high: float
    n_cycles: int
    confidence: float
    accuracy: float


def brier_score(labels: Int[ndarray, " cycle"], probabilities: Float[ndarray, "cycle class"]) -> float:
    """Mean over cycles of the squared distance between the probabilities and the label's unit vector.

    From 0 to 2; for two classes twice the value that some call by this name (Brier 1950 sums over classes).

    >>> brier_score(np.array([0, 1]), np.array([[1.0, 0.0], [0.5, 0.5]]))
    0.25
    """
    if not len(labels):
        return float("nan")
    truth = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def mean_log_likelihood(labels: Int[ndarray, " cycle"], probabilities: Float[ndarray, "cycle class"]) -> float:
    """Mean over cycles of the logarithm of the label's probability, in nats, none of them below `LEAST_PROBABILITY`.

    >>> round(mean_log_likelihood(np.array([0, 1]), np.array([[1.0, 0.0], [0.5, 0.5]])), 3)
    -0.347
    """
    if not len(labels):
        return float("nan")
    return float(np.log(probabilities[np.arange(len(labels)), labels].clip(LEAST_PROBABILITY)).mean())


def reliability_bins(
    labels: Int[ndarray, " cycle"],
    decisions: Int[ndarray, " cycle"],
    probabilities: Float[ndarray, "cycle class"],
    n_bins: int = N_BINS,
) -> list[ReliabilityBin]:
    """Compare how sure the decisions were with how often they were right, in bins of equal width."""
    confidence = probabilities[np.arange(len(labels)), decisions]
    correct = labels == decisions
    edges = np.linspace(0, 1, n_bins + 1)
    index = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, n_bins - 1)
    bins = []
    for each in range(n_bins):
        members = index == each
        n_cycles = int(members.sum())
        means = (confidence[members].mean(), correct[members].mean()) if n_cycles else (np.nan, np.nan)
        bins.append(ReliabilityBin(float(edges[each]), float(edges[each + 1]), n_cycles, *map(float, means)))
    return bins


def expected_calibration_error(bins: list[ReliabilityBin]) -> float:
    """Mean distance between confidence and accuracy, weighted by the bins' cycles (Naeini et al. 2015).

    >>> bins = [ReliabilityBin(0.0, 0.5, 3, 0.4, 0.4), ReliabilityBin(0.5, 1.0, 1, 0.75, 1.0)]
    >>> expected_calibration_error(bins)
    0.0625
    """
    filled = [each for each in bins if each.n_cycles]
    total = sum(each.n_cycles for each in filled)
    gaps = sum(each.n_cycles * abs(each.confidence - each.accuracy) for each in filled)
    return gaps / total if total else float("nan")
