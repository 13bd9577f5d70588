"""The SPRSound challenge score, and the other metrics that papers print under its name.

Conventions: arrays of class indices; class 0 is normal. Rows of the class `poor_quality` belong to neither denominator
of the official score (SPRSOUND 2): drop them before, with `judged`. Predicting it for another item is an error.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from add4rsc.metrics.icbhi import icbhi_score

FOUR_CLASSES = {
    "normal": "normal",
    "coarse_crackle": "crackle",
    "fine_crackle": "crackle",
    "crackle": "crackle",
    "wheeze": "wheeze",
    "rhonchi": "wheeze",
    "stridor": "wheeze",
    "wheeze_crackle": "both",
    "both": "both",
}
"""Class of SPRSound's events -> ICBHI's (SPRSOUND 2, metric A4)."""


@dataclass(frozen=True)
class SprSoundScore:
    """Sensitivity, specificity, their average (AS) and harmonic score (HS), and the mean of the last two (Score)."""

    sensitivity: float
    specificity: float
    average: float
    harmonic: float
    score: float


def sprsound_score(labels: Int[ndarray, " item"], decisions: Int[ndarray, " item"]) -> SprSoundScore:
    """Score events or recordings as the BioCAS 2022 and 2023 submission guides do: metric S of SPRSOUND 2.

    Sensitivity counts exact classes. The harmonic score is 0 where sensitivity and specificity are.

    >>> sprsound_score(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])).average
    0.75
    """
    exact = icbhi_score(labels, decisions)
    return _score(exact.sensitivity, exact.specificity)


def one_vs_rest_score(confusion: Int[ndarray, "class class"]) -> SprSoundScore:
    """Metric M of SPRSOUND 2 (STAH, PASA): class means of the one-vs-rest sensitivity and specificity.

    Far more generous than the official score, and not comparable with it. Every class counts, `poor_quality` too, and a
    class without items enters with a sensitivity of 0, as in the released code.

    >>> one_vs_rest_score(np.array([[3, 0], [1, 0]])).average
    0.5
    """
    total, support, decided = confusion.sum(), confusion.sum(axis=1), confusion.sum(axis=0)
    if not total:
        return _score(float("nan"), float("nan"))
    hits = np.diag(confusion)
    others = total - support
    sensitivity = np.divide(hits, support, out=np.zeros(len(hits)), where=support > 0)
    specificity = np.divide(others - (decided - hits), others, out=np.zeros(len(hits)), where=others > 0)
    return _score(float(sensitivity.mean()), float(specificity.mean()))


def four_class_average(
    labels: Int[ndarray, " item"], decisions: Int[ndarray, " item"], classes: tuple[str, ...]
) -> float:
    """Metric A4 of SPRSOUND 2: the average score after mapping to ICBHI's four classes.

    NaN for a task whose classes do not map (two classes, or whole recordings).
    """
    if not set(classes) <= FOUR_CLASSES.keys():
        return float("nan")
    names = ("normal", "crackle", "wheeze", "both")
    index = np.array([names.index(FOUR_CLASSES[name]) for name in classes])
    return icbhi_score(index[labels], index[decisions]).score


def judged(labels: Int[ndarray, " item"], classes: tuple[str, ...]) -> Bool[ndarray, " item"]:
    """Which items count: all but those whose label is `poor_quality`."""
    if "poor_quality" not in classes:
        return np.ones(len(labels), dtype=bool)
    return labels != classes.index("poor_quality")


def _score(sensitivity: float, specificity: float) -> SprSoundScore:
    total = sensitivity + specificity
    average = total / 2
    harmonic = 0.0 if total == 0 else 2 * sensitivity * specificity / total
    return SprSoundScore(sensitivity, specificity, average, harmonic, (average + harmonic) / 2)
