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


def select_epoch(scores: Sequence[float], selection: Selection) -> int:
    """Index of the epoch that counts.

    Args:
        scores: the score of every epoch so far on the set that the rule looks at; NaN counts as worst.
        selection: with `LAST` the scores are not looked at. Of equal scores the first wins.

    >>> select_epoch([0.5, 0.7, 0.6], Selection.VALIDATION)
    1
    """
    if selection is Selection.LAST:
        return len(scores) - 1
    return max(range(len(scores)), key=lambda epoch: -1.0 if math.isnan(scores[epoch]) else scores[epoch])
