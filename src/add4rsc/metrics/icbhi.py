"""The ICBHI 2017 scores.

Conventions: arrays of class indices, one entry a cycle; class 0 is normal. Fractions in [0, 1]. A share of nothing is
NaN, never zero.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray


@dataclass(frozen=True)
class IcbhiScore:
    """Specificity, sensitivity, and their mean."""

    specificity: float
    sensitivity: float
    score: float


def icbhi_score(labels: Int[ndarray, " cycle"], decisions: Int[ndarray, " cycle"]) -> IcbhiScore:
    """Score exact decisions (METHODS 1.1; Rocha et al. 2019).

    Specificity is the share of normal cycles called normal. Sensitivity is the share of abnormal cycles given *exactly*
    their own abnormal class. Score is their mean. A missing class gives NaN.

    >>> icbhi_score(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 3]))
    IcbhiScore(specificity=0.5, sensitivity=0.5, score=0.5)
    """
    normal = labels == 0
    return _score(labels == decisions, normal)


def binary_score(labels: Int[ndarray, " cycle"], decisions: Int[ndarray, " cycle"]) -> IcbhiScore:
    """Score normal against abnormal: an abnormal cycle counts if it was given any abnormal class.

    Its sensitivity is never below that of `icbhi_score`; the two must not be compared with each other (METHODS 5.1).

    >>> binary_score(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 3])).sensitivity
    1.0
    """
    normal = labels == 0
    return _score(normal == (decisions == 0), normal)


def _score(correct: Bool[ndarray, " cycle"], normal: Bool[ndarray, " cycle"]) -> IcbhiScore:
    specificity, sensitivity = _share(correct[normal]), _share(correct[~normal])
    return IcbhiScore(specificity, sensitivity, (specificity + sensitivity) / 2)


def _share(correct: Bool[ndarray, " cycle"]) -> float:
    return float(correct.mean()) if len(correct) else float("nan")


def confusion_matrix(
    labels: Int[ndarray, " cycle"], decisions: Int[ndarray, " cycle"], n_classes: int
) -> Int[ndarray, "class class"]:
    """Count cycles by label (row) and decision (column).

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    return np.bincount(labels * n_classes + decisions, minlength=n_classes**2).reshape(n_classes, n_classes)


@dataclass(frozen=True)
class ClassScore:
    """How one class fared; `support` is its number of cycles. NaN where a share has nothing to divide by."""

    recall: float
    precision: float
    f1: float
    support: int


def class_scores(confusion: Int[ndarray, "class class"]) -> list[ClassScore]:
    """Recall, precision and F1 of every class.

    F1 is NaN only if a class neither occurs nor is ever decided.
    """
    scores = []
    for index in range(len(confusion)):
        hits, support = int(confusion[index, index]), int(confusion[index].sum())
        decided = int(confusion[:, index].sum())
        scores.append(
            ClassScore(_ratio(hits, support), _ratio(hits, decided), _ratio(2 * hits, support + decided), support)
        )
    return scores


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
