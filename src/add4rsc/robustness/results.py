"""Scores and differences as plain rows: what the command writes, prints and draws."""

from collections.abc import Sequence
from typing import Any

from add4rsc.metrics.intervals import Interval
from add4rsc.robustness.cells import Cell
from add4rsc.robustness.scoring import CellDifference, CellScore


def describe_cell(cell: Cell) -> dict[str, Any]:
    """The keys that say which cell it is; `quantity` is `level`, or `mean over levels`."""
    return {
        "corruption": cell.corruption,
        "noise_class": cell.noise_class,
        "level": cell.level,
        "unit": cell.unit,
        "quantity": "mean over levels" if cell.is_area else "level",
        "n_conditions": len(cell.weights),
    }


def score_objects(scores: Sequence[CellScore]) -> list[dict[str, Any]]:
    """One object a cell, with its values and `intervals`."""
    return [
        describe_cell(each.cell) | each.values | {"intervals": {k: _pair(v) for k, v in each.intervals.items()}}
        for each in scores
    ]


def difference_objects(differences: Sequence[CellDifference]) -> list[dict[str, Any]]:
    """One object a cell, with `scores`: both values, difference, interval and p-value of each."""
    return [
        describe_cell(each.cell)
        | {
            "scores": {
                name: {
                    "first": score.first,
                    "second": score.second,
                    "difference": score.difference,
                    "interval": _pair(score.interval),
                    "p_permutation": score.p_permutation,
                }
                for name, score in each.scores.items()
            }
        }
        for each in differences
    ]


def score_rows(run: str, scores: Sequence[CellScore]) -> list[dict[str, Any]]:
    """One row a cell and measure: `run`, the cell's keys, `measure`, `value`, `low`, `high`."""
    return [
        {"run": run} | describe_cell(each.cell) | {"measure": name, "value": value} | _ends(each.intervals[name])
        for each in scores
        for name, value in each.values.items()
    ]


def difference_rows(first: str, second: str, differences: Sequence[CellDifference]) -> list[dict[str, Any]]:
    """One row a cell and measure: both runs, the cell's keys, both values, their difference and its interval."""
    return [
        {"first": first, "second": second}
        | describe_cell(each.cell)
        | {"measure": name, "value_first": score.first, "value_second": score.second, "difference": score.difference}
        | _ends(score.interval)
        | {"p_permutation": score.p_permutation}
        for each in differences
        for name, score in each.scores.items()
    ]


def _ends(interval: Interval) -> dict[str, float]:
    return {"low": interval.low, "high": interval.high}


def _pair(interval: Interval) -> list[float]:
    return [interval.low, interval.high]
