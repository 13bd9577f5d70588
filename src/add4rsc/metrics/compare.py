"""Paired comparison of runs on the same cycles.

Conventions: differences are those of the second run minus the first. A run is one table, or one a seed; with several
seeds its scores are means over seeds, and its hits of a patient are means too. The bootstrap and the permutation keep
each patient's cycles together. p-values are two-sided.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.special import bdtr

from add4rsc.metrics.intervals import (
    N_RESAMPLES,
    SCORES,
    Interval,
    draw_patients,
    patient_counts,
    percentile_interval,
    scores_of_counts,
)
from add4rsc.metrics.runs import Run, in_order_of
from add4rsc.metrics.sprsound import judged
from add4rsc.predictions import Predictions

ROUNDING = 1e-12
"""Permuted differences this much smaller than the observed one count as equal to it."""


@dataclass(frozen=True)
class Difference:
    """One score of two runs, and what their difference is worth; `p_holm` is corrected for all runs compared."""

    first: float
    second: float
    difference: float
    interval: Interval
    p_permutation: float
    p_holm: float = float("nan")


@dataclass(frozen=True)
class McNemar:
    """Cycles that only one of two tables has right, and the exact test that both are as likely."""

    only_first_right: int
    only_second_right: int
    p: float


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same cycles. `mcnemar` and `by_seed` are of the seeds that both runs have."""

    first: str
    second: str
    n_cycles: int
    n_patients: int
    seeds: dict[str, list[int]]
    selection: dict[str, str]
    """How each run's epoch was chosen; empty where its table does not say."""
    paired: str
    scores: dict[str, Difference]
    mcnemar: dict[str, dict[str, McNemar]]
    by_seed: dict[str, dict[str, float]]


def compare_many(first: Run, others: Sequence[Run], seed: int = 0, n_resamples: int = N_RESAMPLES) -> list[Comparison]:
    """Compare every other run with the first, and correct the p-values of each score for their number (Holm)."""
    found = [compare_runs(first, other, seed, n_resamples) for other in others]
    corrected = {name: holm([each.scores[name].p_permutation for each in found]) for name in SCORES}
    return [
        replace(each, scores={name: replace(each.scores[name], p_holm=corrected[name][index]) for name in SCORES})
        for index, each in enumerate(found)
    ]


def compare_runs(first: Run, second: Run, seed: int = 0, n_resamples: int = N_RESAMPLES) -> Comparison:
    """Compare two runs on the same cycles: score differences with intervals and p-values, and McNemar's tests.

    Rows of poor quality are left out. McNemar's test takes cycles as independent, which those of one patient are not:
    trust the permutation more. With several seeds it is made seed by seed.

    Raises:
        PredictionsError: if the runs are not on the same cycles with the same labels.
    """
    first, second = _aligned(first, second)
    of_first, of_second = (np.mean([_counts(table) for table in run.tables], axis=0) for run in (first, second))
    pairs = [(each, table, second.of_seed[each]) for each, table in first.of_seed.items() if each in second.of_seed]
    table = first.tables[0]
    return Comparison(
        first=first.name,
        second=second.name,
        n_cycles=int(judged(table.labels, table.classes).sum()),
        n_patients=len(of_first),
        seeds={"first": list(first.of_seed), "second": list(second.of_seed)},
        selection={side: run.tables[0].constant("selection") for side, run in (("first", first), ("second", second))},
        paired="table by table" if len(first.tables) == len(second.tables) == 1 else "means over seeds of their scores",
        scores=paired_differences(of_first, of_second, np.random.default_rng(seed), n_resamples),
        mcnemar={str(each): mcnemar_tests(left, right) for each, left, right in pairs},
        by_seed={str(each): _score_differences(left, right) for each, left, right in pairs},
    )


def paired_differences(
    first: Float[ndarray, "patient 5"],
    second: Float[ndarray, "patient 5"],
    generator: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> dict[str, Difference]:
    """Differences of the scores of two tables of counts (columns of `patient_counts`, the same patients).

    The bootstrap draws patients with both their counts; the permutation swaps the two runs' counts of each patient with
    probability 1/2, and counts the observed division as one of those drawn.
    """
    draws = draw_patients(len(first), generator, n_resamples)
    resampled = scores_of_counts(draws @ second) - scores_of_counts(draws @ first)
    swapped = generator.integers(0, 2, size=(n_resamples, len(first))).astype(np.float64)
    moved = swapped @ (second - first)
    null = scores_of_counts(second.sum(axis=0) - moved) - scores_of_counts(first.sum(axis=0) + moved)
    of_first, of_second = (scores_of_counts(each.sum(axis=0, keepdims=True))[0] for each in (first, second))
    observed = of_second - of_first
    as_far = (np.abs(null) >= np.abs(observed) - ROUNDING).sum(axis=0)
    known = len(first) > 1
    return {
        name: Difference(
            float(of_first[index]),
            float(of_second[index]),
            float(observed[index]),
            percentile_interval(resampled[:, index] if known else np.zeros(0)),
            float((1 + as_far[index]) / (1 + n_resamples)) if known and np.isfinite(observed[index]) else float("nan"),
        )
        for index, name in enumerate(SCORES)
    }


def mcnemar_tests(first: Predictions, second: Predictions) -> dict[str, McNemar]:
    """McNemar's exact test on all cycles that count, on the normal ones, and on the abnormal ones (exact class)."""
    labels = first.labels
    counted = judged(labels, first.classes)
    right = tuple(table.decisions == labels for table in (first, second))
    groups = {"all": counted, "normal": counted & (labels == 0), "abnormal": counted & (labels != 0)}
    return {name: mcnemar(right[0][rows], right[1][rows]) for name, rows in groups.items()}


def mcnemar(first_right: Bool[ndarray, " cycle"], second_right: Bool[ndarray, " cycle"]) -> McNemar:
    """McNemar's exact test; p is 1 where the two are right on the same cycles.

    >>> mcnemar(np.array([True] * 6 + [False]), np.array([False] * 6 + [False])).p
    0.03125
    """
    only_first, only_second = int((first_right & ~second_right).sum()), int((second_right & ~first_right).sum())
    discordant = only_first + only_second
    p = min(1.0, 2 * float(bdtr(min(only_first, only_second), discordant, 0.5)))
    return McNemar(only_first, only_second, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for being many (Holm 1979); NaN ones are not counted.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    known = [index for index in np.argsort(p_values) if not np.isnan(p_values[index])]
    corrected = [float("nan")] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def _aligned(first: Run, second: Run) -> tuple[Run, Run]:
    """Both runs with the rows and classes of all tables in the same order.

    Raises:
        PredictionsError: if the tables are not of the same cycles.
    """
    reference = first.tables[0]

    def align(run: Run) -> Run:
        tables = {seed: in_order_of(reference, table, first.name, run.name) for seed, table in run.of_seed.items()}
        return Run(run.name, tables)

    return align(first), align(second)


def _counts(table: Predictions) -> Float[ndarray, "patient 5"]:
    rows = judged(table.labels, table.classes)
    return patient_counts(table.labels[rows], table.decisions[rows], table.patients[rows]).astype(np.float64)


def _score_differences(first: Predictions, second: Predictions) -> dict[str, float]:
    left, right = (scores_of_counts(_counts(table).sum(axis=0, keepdims=True))[0] for table in (first, second))
    return {name: float(value) for name, value in zip(SCORES, right - left, strict=True)}
