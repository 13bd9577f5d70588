"""Published results as data, and the arithmetic test of a published percentage.

Conventions: numbers are kept as they were printed, in per cent, since the test needs their decimals.
"""

import csv
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Any

from add4rsc.errors import WrongUsageError

TABLE = Path(__file__).with_name("published.csv")
WEAK = 0.5
"""From this chance on, that a percentage fits says next to nothing."""


@dataclass(frozen=True)
class PublishedResult:
    """One published result: METHODS 3 and 5, SPRSOUND 3. An empty field is one that was not published.

    `metric` is `icbhi-4` (exact classes), `icbhi-2` (binary), or S, AS, HS, A4 or M of SPRSOUND 2. `selection` is how
    the epoch was chosen: last, validation, test, blind (a test that nobody could see), or unknown.
    """

    system: str
    year: str
    dataset: str
    task: str
    test: str
    specificity_percent: str
    sensitivity_percent: str
    score_percent: str
    score_sd_percent: str
    metric: str
    split: str
    selection: str
    seeds: str
    source: str
    comparable_with: str
    """Split, task and metric of the runs that it may stand beside; empty if there are none."""
    remark: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values: the row as printed, and its numbers as fractions."""
        numbers = ("specificity", "sensitivity", "score", "score_sd")
        return asdict(self) | {name: _fraction(getattr(self, f"{name}_percent")) for name in numbers}


def published_results() -> list[PublishedResult]:
    """All published results that we know of, in the order of the table."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        return [PublishedResult(**row) for row in csv.DictReader(file)]


def comparable_results(split: str, task: str, metric: str) -> list[PublishedResult]:
    """The published results that may stand beside a run on the complete test of that split."""
    wanted = f"{split} {task} {metric}"
    return [result for result in published_results() if result.comparable_with == wanted]


@dataclass(frozen=True)
class PercentageCheck:
    """Whether a printed percentage can be a share of whole cycles.

    `count` is the nearest of the fitting `counts`, None if there is none. `chance` is the share of all percentages of
    as many decimals that fit some count.
    """

    possible: bool
    count: int | None
    counts: tuple[int, ...]
    n_cycles: int
    decimals: int
    chance: float

    @property
    def is_weak(self) -> bool:
        """Whether most percentages of as many decimals would fit."""
        return self.chance >= WEAK


def check_percentage(printed: str, n_cycles: int) -> PercentageCheck:
    """Look for a count k with 100 k / n rounded to the printed percentage (METHODS 1.4); halves may round either way.

    Raises:
        WrongUsageError: if the text is not a percentage.

    >>> check_percentage("85.13", 1392).count, check_percentage("85.13", 1579).possible
    (1185, False)
    """
    try:
        number = Decimal(printed.strip().removesuffix("%"))
    except InvalidOperation as error:
        raise WrongUsageError(
            f"'{printed}' is not a number. Write the percentage as printed, such as 85.13."
        ) from error
    if not number.is_finite() or not 0 <= number <= 100:
        raise WrongUsageError(f"'{printed}' is not a percentage from 0 to 100. Write it as printed, such as 85.13.")
    decimals = max(0, -int(number.as_tuple().exponent))
    exact, half = Fraction(number), Fraction(1, 2 * 10**decimals)
    lowest, highest = (ceil((exact - half) * n_cycles / 100), floor((exact + half) * n_cycles / 100))
    counts = tuple(range(max(0, lowest), min(n_cycles, highest) + 1))
    nearest = min(counts, key=lambda count: abs(Fraction(100 * count, n_cycles) - exact), default=None)
    steps = 100 * 10**decimals
    fitting = {round(Fraction(steps * count, n_cycles)) for count in range(n_cycles + 1)}
    return PercentageCheck(bool(counts), nearest, counts, n_cycles, decimals, len(fitting) / (steps + 1))


def _fraction(percent: str) -> float | None:
    return float(Decimal(percent) / 100) if percent else None
