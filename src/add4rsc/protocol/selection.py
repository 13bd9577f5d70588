"""Which epoch counts: the last, the best on validation patients, or the best on the test set."""

import math
from collections.abc import Sequence
from enum import StrEnum


class Selection(StrEnum):
    """The rule by which an epoch is chosen.

    `TEST` is the habit of most published ICBHI results: it sees the test labels, and every output says so.
    """

    LAST = "last"
    VALIDATION = "validation"
    TEST = "test"

    @property
    def description(self) -> str:
        """The rule in words, for tables and reports."""
        return {
            Selection.LAST: "last epoch",
            Selection.VALIDATION: "epoch chosen on validation patients",
            Selection.TEST: "epoch chosen on the test set",
        }[self]


def select_epoch(
    scores: Sequence[float],
    selection: Selection,
    sensitivities: Sequence[float] = (),
    least_sensitivity: float | None = None,
) -> int:
    """Index of the epoch that counts.

    Args:
        scores: the score of every epoch so far on the set that the rule looks at; NaN counts as worst.
        selection: with `LAST` the scores are not looked at. Of equal scores the first wins.
        sensitivities: of the same epochs on the same set; needed for the next.
        least_sensitivity: epochs that do not exceed it are chosen only if none does (METHODS 1.3); None for any.

    >>> select_epoch([0.5, 0.7, 0.6], Selection.VALIDATION)
    1
    >>> select_epoch([0.5, 0.7, 0.6], Selection.TEST, [0.3, 0.05, 0.4], least_sensitivity=0.05)
    2
    """
    if selection is Selection.LAST:
        return len(scores) - 1

    def merit(epoch: int) -> tuple[bool, float]:
        is_sensitive = least_sensitivity is None or sensitivities[epoch] > least_sensitivity
        return is_sensitive, -1.0 if math.isnan(scores[epoch]) else scores[epoch]

    return max(range(len(scores)), key=merit)
