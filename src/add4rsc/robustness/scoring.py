"""Stored predictions -> scores with intervals, and paired differences between runs. Needs no torch.

Conventions: what is told of a condition is the mean over noise seeds, and over training seeds where a run has several.
The bootstrap draws patients, the same ones for every condition and every run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from add4rsc.errors import PredictionsError
from add4rsc.metrics.compare import paired_differences
from add4rsc.metrics.intervals import (
    N_RESAMPLES,
    SCORES,
    UNKNOWN,
    Interval,
    draw_patients,
    patient_counts,
    percentile_interval,
    scores_of_counts,
)
from add4rsc.metrics.runs import ONLY, in_order_of
from add4rsc.metrics.sprsound import judged
from add4rsc.predictions import Predictions
from add4rsc.robustness.cells import Cell, cells_of
from add4rsc.robustness.conditions import CLEAN, Condition
from add4rsc.robustness.corruptions import corruptions
from add4rsc.robustness.stored import DEFAULT_FOLDER, Measured, measured_home, open_seeds

SPRSOUND_SCORES = ("sprsound_average", "sprsound_harmonic", "sprsound_score")
"""AS, HS and Score of the SPRSound challenge; told of its own tests alone."""
Counts = Float[ndarray, "patient 5"]


@dataclass(frozen=True)
class CellScore:
    """One cell's scores, each with its interval over patients."""

    cell: Cell
    values: dict[str, float]
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class ScoreDifference:
    """One score of a cell in two runs; the permutation's p-value is NaN for scores that are not linear in hits."""

    first: float
    second: float
    difference: float
    interval: Interval
    p_permutation: float


@dataclass(frozen=True)
class CellDifference:
    """What the second run has above the first in a cell."""

    cell: Cell
    scores: dict[str, ScoreDifference]


@dataclass(frozen=True)
class MeasuredRun:
    """All that was measured of a run: training seed -> folder; the conditions are those that every seed has."""

    name: str
    of_seed: Mapping[int, Measured]

    @property
    def first(self) -> Measured:
        """Any one of the seeds, for what they have in common."""
        return next(iter(self.of_seed.values()))

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Conditions that were measured of every seed."""
        common = set.intersection(*(set(each.conditions) for each in self.of_seed.values()))
        return tuple(sorted(common))

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the scores that are told."""
        return (*SCORES, *SPRSOUND_SCORES) if self.first.settings.dataset.startswith("sprsound") else SCORES


def find_run(path: Path) -> MeasuredRun:
    """What was measured of a run: of its folder, or of a folder that `robustness` wrote; named after it.

    Raises:
        RunFolderError: if nothing was measured there, or it cannot be read.
    """
    home = measured_home(path)
    of_seed = open_seeds(home)
    named = home.parent if home.name.startswith(DEFAULT_FOLDER) else home
    rule = next(iter(of_seed.values())).settings.enhancement
    return MeasuredRun(str(named) + ("" if rule == "none" else f" + {rule}"), of_seed)


def measures_of_counts(counts: Float[ndarray, "row 5"]) -> Float[ndarray, "row 8"]:
    """The `SCORES` and `SPRSOUND_SCORES` of each row of counts, in the columns of `patient_counts`."""
    scores = scores_of_counts(counts)
    specificity, sensitivity, average = scores[:, :3].T
    total = specificity + sensitivity
    harmonic = np.divide(
        2 * specificity * sensitivity, total, out=np.where(np.isnan(total), np.nan, 0.0), where=total > 0
    )
    return np.column_stack([scores, average, harmonic, (average + harmonic) / 2])


def tidy_table(run: MeasuredRun) -> pd.DataFrame:
    """One row a condition (and a training seed, where there are several) with its scores."""
    rows: list[dict[str, Any]] = []
    for seed, measured in run.of_seed.items():
        for condition in run.conditions:
            counts = _counts(measured, condition).sum(axis=0, keepdims=True)
            scores = measures_of_counts(counts)[0]
            of_seed = {} if seed == ONLY else {"seed": seed}
            told = {"n_cycles": int(counts[0, 0] + counts[0, 2])} | {
                name: scores[index] for index, name in _indexed(run.measures)
            }
            rows.append(of_seed | _columns(condition) | told)
    return pd.DataFrame(rows)


def _columns(condition: Condition) -> dict[str, Any]:
    is_clean = condition.corruption == CLEAN
    return {
        "corruption": condition.corruption,
        "noise_class": condition.noise_class,
        "level": None if is_clean else condition.level,
        "unit": "" if is_clean else corruptions.get(condition.corruption).unit,
        "noise_seed": condition.noise_seed or None,
    }


def score_cells(
    run: MeasuredRun, conditions: Sequence[Condition], seed: int = 0, n_resamples: int = N_RESAMPLES
) -> list[CellScore]:
    """Scores and intervals of every cell that some conditions make up."""
    sample = _Resampled(run, seed, n_resamples)
    found = []
    for cell in cells_of(conditions):
        observed, resampled = sample.of_cell(cell)
        found.append(
            CellScore(
                cell,
                {name: float(observed[index]) for index, name in _indexed(run.measures)},
                {name: sample.interval(resampled[:, index]) for index, name in _indexed(run.measures)},
            )
        )
    return found


def compare_cells(
    first: MeasuredRun,
    second: MeasuredRun,
    conditions: Sequence[Condition],
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> list[CellDifference]:
    """Paired differences, second run minus first, in every cell that some conditions make up.

    Raises:
        PredictionsError: if the runs are not on the same cycles, or one kind of noise is of other clips.
    """
    check_comparable(first, second)
    samples = _Resampled(first, seed, n_resamples), _Resampled(second, seed, n_resamples)
    found = []
    for cell in cells_of(conditions):
        (of_first, left), (of_second, right) = (sample.of_cell(cell) for sample in samples)
        permuted = paired_differences(
            samples[0].mean_counts(cell), samples[1].mean_counts(cell), np.random.default_rng(seed), n_resamples
        )
        scores = {
            name: ScoreDifference(
                float(of_first[index]),
                float(of_second[index]),
                float(of_second[index] - of_first[index]),
                samples[0].interval(right[:, index] - left[:, index]),
                permuted[name].p_permutation if name in permuted else float("nan"),
            )
            for index, name in _indexed(first.measures)
        }
        found.append(CellDifference(cell, scores))
    return found


def check_comparable(first: MeasuredRun, second: MeasuredRun) -> None:
    """Make sure that two runs were tested on the same cycles and the same noise.

    Raises:
        PredictionsError: if not.
    """
    tables = [Predictions(run.first.cycles, run.first.settings.classes) for run in (first, second)]
    in_order_of(tables[0], tables[1], first.name, second.name)
    noise = [run.first.settings.noise for run in (first, second)]
    other = sorted(name for name in noise[0].keys() & noise[1].keys() if noise[0][name] != noise[1][name])
    if other:
        raise PredictionsError(
            f"{first.name} and {second.name} were tested on other clips of '{other[0]}'. "
            "Measure both with the same --noise-folder."
        )


def _indexed(measures: Sequence[str]) -> list[tuple[int, str]]:
    """Each measure with its column in `measures_of_counts`."""
    columns = (*SCORES, *SPRSOUND_SCORES)
    return [(columns.index(name), name) for name in measures]


def _counts(measured: Measured, condition: Condition) -> Counts:
    classes = measured.settings.classes
    labels = pd.Categorical(measured.cycles["label"], categories=list(classes)).codes.astype(np.int64)
    rows = judged(labels, classes)
    decisions, _ = measured.arrays(condition)
    patients = measured.cycles["patient"].to_numpy(dtype=str)
    return patient_counts(labels[rows], decisions[rows], patients[rows]).astype(np.float64)


class _Resampled:
    """The scores of a run's conditions, observed and resampled; each condition is read once."""

    def __init__(self, run: MeasuredRun, seed: int, n_resamples: int) -> None:
        self._run = run
        self._seed, self._n_resamples = seed, n_resamples
        self._draws: ndarray | None = None
        self._of_condition: dict[Condition, tuple[Counts, ndarray, ndarray]] = {}

    def of_cell(self, cell: Cell) -> tuple[Float[ndarray, " measure"], Float[ndarray, "resample measure"]]:
        """Weighted means over the cell's conditions."""
        observed, resampled = 0.0, 0.0
        for condition, weight in cell.weights.items():
            _, values, drawn = self._scored(condition)
            observed, resampled = observed + weight * values, resampled + weight * drawn
        return np.asarray(observed), np.asarray(resampled)

    def mean_counts(self, cell: Cell) -> Counts:
        """Weighted mean of the patients' counts."""
        return np.sum([weight * self._scored(condition)[0] for condition, weight in cell.weights.items()], axis=0)

    def interval(self, values: Float[ndarray, " resample"]) -> Interval:
        """The middle 95 %; unknown of a single patient."""
        return UNKNOWN if self._draws is None or self._draws.shape[1] < 2 else percentile_interval(values)

    def _scored(self, condition: Condition) -> tuple[Counts, ndarray, ndarray]:
        if condition not in self._of_condition:
            per_seed = [_counts(measured, condition) for measured in self._run.of_seed.values()]
            if self._draws is None:
                generator = np.random.default_rng(self._seed)
                self._draws = draw_patients(len(per_seed[0]), generator, self._n_resamples).astype(np.float64)
            observed = np.mean([measures_of_counts(each.sum(axis=0, keepdims=True))[0] for each in per_seed], axis=0)
            drawn = np.mean([measures_of_counts(self._draws @ each) for each in per_seed], axis=0)
            self._of_condition[condition] = np.mean(per_seed, axis=0), observed, drawn.astype(np.float32)
        return self._of_condition[condition]
