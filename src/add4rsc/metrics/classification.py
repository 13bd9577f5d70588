"""Single numbers from a confusion matrix of any number of classes.

Conventions: rows are labels, columns decisions. Fractions; NaN where there is nothing to divide by, never zero.
"""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from add4rsc.metrics.icbhi import class_scores


def macro_f1(confusion: Int[ndarray, "class class"]) -> float:
    """Mean F1 over the classes that occur or are decided; a class that is only ever decided counts as 0.

    >>> round(macro_f1(np.array([[8, 2, 0], [0, 5, 0], [0, 0, 0]])), 4)
    0.8611
    """
    return _mean_known([score.f1 for score in class_scores(confusion)])


def balanced_accuracy(confusion: Int[ndarray, "class class"]) -> float:
    """Mean recall over the classes that occur.

    >>> balanced_accuracy(np.array([[8, 2, 0], [0, 5, 0], [0, 0, 0]]))
    0.9
    """
    return _mean_known([score.recall for score in class_scores(confusion)])


def matthews_correlation(confusion: Int[ndarray, "class class"]) -> float:
    """Matthews' correlation for several classes (Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006).

    NaN where all labels, or all decisions, are of one class.

    >>> matthews_correlation(np.array([[3, 0], [0, 4]]))
    1.0
    """
    counts = confusion.astype(np.float64)
    total, hits = counts.sum(), np.trace(counts)
    of_labels, of_decisions = counts.sum(axis=1), counts.sum(axis=0)
    covariance = hits * total - of_labels @ of_decisions
    spread = (total**2 - of_labels @ of_labels) * (total**2 - of_decisions @ of_decisions)
    return float(covariance / np.sqrt(spread)) if spread > 0 else float("nan")


def _mean_known(values: list[float]) -> float:
    known: Float[ndarray, " value"] = np.array([value for value in values if not np.isnan(value)])
    return float(known.mean()) if len(known) else float("nan")
