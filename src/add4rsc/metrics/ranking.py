"""How well probabilities rank the cycles of a class before all others.

Conventions: `is_member` says of each cycle whether it is of the class, `scores` how probable that was thought. NaN
where the class, or everything else, is empty.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray


@dataclass(frozen=True)
class Curve:
    """A curve as its corners, with the score from which on a cycle is taken for a member."""

    x: Float[ndarray, " corner"]
    y: Float[ndarray, " corner"]
    thresholds: Float[ndarray, " corner"]


def roc_curve(is_member: Bool[ndarray, " cycle"], scores: Float[ndarray, " cycle"]) -> Curve:
    """Share of members (y) against share of the others (x) at or above each threshold, from (0, 0) to (1, 1)."""
    hits, alarms, thresholds = _counts_from_top(is_member, scores)
    n_members, n_others = is_member.sum(), (~is_member).sum()
    with np.errstate(invalid="ignore"):
        x, y = alarms / n_others, hits / n_members
    return Curve(x, y, thresholds)


def precision_recall_curve(is_member: Bool[ndarray, " cycle"], scores: Float[ndarray, " cycle"]) -> Curve:
    """Precision (y) against recall (x) at each threshold, without the point of recall 0."""
    hits, alarms, thresholds = _counts_from_top(is_member, scores)
    with np.errstate(invalid="ignore"):
        recall = hits[1:] / is_member.sum()
    return Curve(recall, hits[1:] / (hits[1:] + alarms[1:]), thresholds[1:])


def area_under_roc(is_member: Bool[ndarray, " cycle"], scores: Float[ndarray, " cycle"]) -> float:
    """Probability that a member has a higher score than another cycle; a tie counts one half.

    >>> area_under_roc(np.array([True, True, False]), np.array([0.9, 0.4, 0.4]))
    0.75
    """
    if is_member.all() or not is_member.any():
        return float("nan")
    curve = roc_curve(is_member, scores)
    return float(np.trapezoid(curve.y, curve.x))


def average_precision(is_member: Bool[ndarray, " cycle"], scores: Float[ndarray, " cycle"]) -> float:
    """Sum over thresholds of precision times the gain in recall: the area under the precision-recall curve in steps.

    NaN only where no cycle is of the class.

    >>> round(average_precision(np.array([True, False, True]), np.array([0.9, 0.8, 0.7])), 4)
    0.8333
    """
    if not is_member.any():
        return float("nan")
    curve = precision_recall_curve(is_member, scores)
    return float((np.diff(curve.x, prepend=0.0) * curve.y).sum())


def _counts_from_top(
    is_member: Bool[ndarray, " cycle"], scores: Float[ndarray, " cycle"]
) -> tuple[Float[ndarray, " corner"], Float[ndarray, " corner"], Float[ndarray, " corner"]]:
    """Members and others at or above every distinct score, from the highest, with a row of none before."""
    order = np.argsort(-scores, kind="stable")
    ranked, sorted_scores = is_member[order], scores[order]
    last_of_tie = np.append(sorted_scores[1:] != sorted_scores[:-1], True) if len(scores) else np.zeros(0, dtype=bool)
    hits = np.append(0.0, np.cumsum(ranked)[last_of_tie])
    alarms = np.append(0.0, np.cumsum(~ranked)[last_of_tie])
    return hits, alarms, np.append(np.inf, sorted_scores[last_of_tie])
