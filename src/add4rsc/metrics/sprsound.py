"""The SPRSound challenge score.

Conventions: arrays of class indices; class 0 is normal. Rows of the class `poor_quality` belong to neither denominator
(SPRSOUND 2): drop them before, with `judged`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from add4rsc.metrics.icbhi import icbhi_score


@dataclass(frozen=True)
class SprSoundScore:
    """Sensitivity, specificity, their average (AS) and harmonic score (HS), and the mean of the last two (Score)."""

    sensitivity: float
    specificity: float
    average: float
    harmonic: float
    score: float


def sprsound_score(labels: Int[ndarray, " item"], decisions: Int[ndarray, " item"]) -> SprSoundScore:
    """Score events or recordings as the BioCAS 2022 and 2023 submission guides do.

    Sensitivity counts exact classes. The harmonic score is 0 where sensitivity or specificity is.

    >>> sprsound_score(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])).average
    0.75
    """
    exact = icbhi_score(labels, decisions)
    total = exact.sensitivity + exact.specificity
    harmonic = 0.0 if total == 0 else 2 * exact.sensitivity * exact.specificity / total
    return SprSoundScore(exact.sensitivity, exact.specificity, exact.score, harmonic, (exact.score + harmonic) / 2)


def judged(labels: Int[ndarray, " item"], classes: tuple[str, ...]) -> Bool[ndarray, " item"]:
    """Which items count: all but those whose label is `poor_quality`."""
    if "poor_quality" not in classes:
        return np.ones(len(labels), dtype=bool)
    return labels != classes.index("poor_quality")
