"""What is told of measured conditions: means over noise seeds, over noise classes, and over levels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from add4rsc.robustness.conditions import CLEAN, Condition
from add4rsc.robustness.corruptions import corruptions
from add4rsc.robustness.corruptions._base import ONLY_CLASS, SNR_UNIT

ALL_CLASSES = "all"
"""Noise class of the mean over all that were measured."""


@dataclass(frozen=True)
class Cell:
    """One number to tell: a weighted mean over conditions; the weights sum to 1.

    `level` is None for clean sound, and for the mean over levels (`is_area`).
    """

    corruption: str
    noise_class: str
    level: float | None
    unit: str
    weights: dict[Condition, float]
    is_area: bool = False


def cells_of(conditions: Iterable[Condition]) -> list[Cell]:
    """Cells of clean sound, of every corruption, class and level, of all classes together, and of all levels together.

    Classes are averaged at the levels that all of them were measured at. Levels are averaged for noise mixed at a
    signal-to-noise ratio, as the area under the curve divided by the decibels that it spans (METHODS 5.5).
    """
    ordered = sorted(set(conditions))
    found = [Cell(CLEAN, ONLY_CLASS, None, "", {each: 1.0}) for each in ordered if each.corruption == CLEAN]
    for name, members in groupby((each for each in ordered if each.corruption != CLEAN), lambda each: each.corruption):
        by_class = {noise_class: list(own) for noise_class, own in groupby(members, lambda each: each.noise_class)}
        curves = [_curve(name, noise_class, own) for noise_class, own in by_class.items()]
        if len(curves) > 1:
            curves.append(_mean_curve(curves))
        for curve in curves:
            found += curve + _area(curve)
    return found


def _curve(name: str, noise_class: str, conditions: Sequence[Condition]) -> list[Cell]:
    """One cell a level, the mildest first: the mean over noise seeds."""
    kind = corruptions.get(name)
    is_falling = kind.levels[0] > kind.levels[-1]
    levels = sorted({each.level for each in conditions}, reverse=is_falling)
    return [
        Cell(name, noise_class, level, kind.unit, _evenly([e for e in conditions if e.level == level]))
        for level in levels
    ]


def _evenly(conditions: Sequence[Condition]) -> dict[Condition, float]:
    return dict.fromkeys(conditions, 1 / len(conditions))


def _mean_curve(curves: Sequence[Sequence[Cell]]) -> list[Cell]:
    """The mean over noise classes."""
    common = [each.level for each in curves[0] if all(each.level in {c.level for c in curve} for curve in curves)]
    mean = []
    for level in common:
        members = [next(cell for cell in curve if cell.level == level) for curve in curves]
        weights = {key: value / len(members) for cell in members for key, value in cell.weights.items()}
        mean.append(Cell(members[0].corruption, ALL_CLASSES, level, members[0].unit, weights))
    return mean


def _area(curve: Sequence[Cell]) -> list[Cell]:
    """The mean over a curve of two levels or more, by the trapezoidal rule."""
    if len(curve) < 2 or curve[0].unit != SNR_UNIT:
        return []
    steps = np.abs(np.diff([cell.level or 0.0 for cell in curve])) / 2
    shares = (np.append(steps, 0.0) + np.append(0.0, steps)) / (2 * steps.sum())
    weights = {
        key: share * value
        for cell, share in zip(curve, shares.tolist(), strict=True)
        for key, value in cell.weights.items()
    }
    first = curve[0]
    return [Cell(first.corruption, first.noise_class, None, first.unit, weights, is_area=True)]
