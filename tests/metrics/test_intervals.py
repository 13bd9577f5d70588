"""Intervals against scipy, against plain resampling, and by simulation."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from add4rsc.metrics.icbhi import binary_score, icbhi_score
from add4rsc.metrics.intervals import (
    SCORES,
    Interval,
    bca_interval,
    bootstrap_scores,
    official_score_interval,
    patient_counts,
    percentile_interval,
    score_intervals,
    scores_of_counts,
    wilson_interval,
)
from add4rsc.metrics.sprsound import sprsound_score
from add4rsc.predictions import Predictions


def all_scores(labels: np.ndarray, decisions: np.ndarray) -> list[float]:
    exact, binary = icbhi_score(labels, decisions), binary_score(labels, decisions)
    return [exact.specificity, exact.sensitivity, exact.score, binary.sensitivity, binary.score]


def test_scores_of_counts_are_the_scores(made: Callable[..., Predictions]) -> None:
    table = made()
    counts = patient_counts(table.labels, table.decisions, table.patients)
    assert scores_of_counts(counts.sum(axis=0, keepdims=True))[0] == pytest.approx(
        all_scores(table.labels, table.decisions)
    )
    for row, patient in zip(scores_of_counts(counts), np.unique(table.patients), strict=True):
        rows = table.patients == patient
        assert row == pytest.approx(all_scores(table.labels[rows], table.decisions[rows]))


def drawn_one_by_one(table: Predictions, score: Callable[[np.ndarray, np.ndarray], Any]) -> np.ndarray:
    """Scores of 1,500 draws of as many patients as there are."""
    generator = np.random.default_rng(1)
    rows_of = [np.flatnonzero(table.patients == patient) for patient in np.unique(table.patients)]
    samples = []
    for _ in range(1500):
        rows = np.concatenate([rows_of[each] for each in generator.integers(0, len(rows_of), len(rows_of))])
        samples.append(score(table.labels[rows], table.decisions[rows]))
    return np.array(samples)


def is_interval_of(interval: Interval, values: np.ndarray) -> bool:
    """Whether an interval is that of the values, but for what their number leaves open."""
    low, high = np.percentile(values, [2.5, 97.5])
    return max(abs(interval.low - low), abs(interval.high - high)) <= 0.2 * values.std()


def test_interval_is_that_of_drawing_patients_one_by_one(made: Callable[..., Predictions]) -> None:
    table = made(n_patients=8)
    found = bootstrap_scores(table.labels, table.decisions, table.patients, np.random.default_rng(0), 4000)
    for name, values in zip(SCORES, drawn_one_by_one(table, all_scores).T, strict=True):
        assert is_interval_of(found[name].percentile, values), name


def test_interval_of_the_official_score_is_that_of_drawing_patients_one_by_one(
    made: Callable[..., Predictions],
) -> None:
    table, generator = made(n_patients=8), np.random.default_rng(0)
    found = official_score_interval(table.labels, table.decisions, table.patients, generator, 4000)
    values = drawn_one_by_one(table, lambda labels, decisions: sprsound_score(labels, decisions).score)
    assert is_interval_of(found, values)
    alone = official_score_interval(table.labels, table.decisions, np.zeros(len(table.labels)), generator)
    assert math.isnan(alone.low)


@pytest.mark.parametrize("seed", [0, 1])
def test_bca_is_that_of_scipy(seed: int) -> None:
    data = np.random.default_rng(seed).exponential(size=40)
    theirs = stats.bootstrap(
        (data,), np.mean, n_resamples=5000, method="BCa", rng=np.random.default_rng(2), vectorized=True
    )
    left_out = np.array([np.delete(data, each).mean() for each in range(40)])
    ours = bca_interval(theirs.bootstrap_distribution, float(data.mean()), left_out)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), rel=1e-3)
    plain = percentile_interval(theirs.bootstrap_distribution)
    assert ours.low > plain.low  # a skewed statistic: both ends move to the long side
    assert ours.high > plain.high


@pytest.mark.parametrize(("hits", "total"), [(0, 5), (3, 7), (50, 50), (999, 1234)])
def test_wilson_is_that_of_scipy(hits: int, total: int) -> None:
    theirs = stats.binomtest(hits, total).proportion_ci(method="wilson")
    found = wilson_interval(hits, total)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_nothing_to_say_is_nan(made: Callable[..., Predictions]) -> None:
    assert math.isnan(wilson_interval(0, 0).low)
    one = made(n_patients=1)
    found = bootstrap_scores(one.labels, one.decisions, one.patients, np.random.default_rng(0), 100)
    assert all(math.isnan(each.percentile.low) and math.isnan(each.bca.high) for each in found.values())
    nothing = np.zeros(0, dtype=int)
    assert math.isnan(score_intervals(nothing, nothing, np.zeros(0, dtype=str), np.random.default_rng(0))["score"].low)


def test_missing_class_leaves_the_other_share_an_interval() -> None:
    labels, decisions = np.zeros(20, dtype=int), np.tile([0, 0, 0, 1], 5)
    found = bootstrap_scores(labels, decisions, np.repeat(list("abcd"), 5), np.random.default_rng(0), 500)
    assert 0 < found["specificity"].percentile.low <= 0.75 <= found["specificity"].percentile.high < 1
    assert math.isnan(found["sensitivity"].percentile.low)
    assert math.isnan(found["score"].bca.low)


def test_same_seed_same_interval(made: Callable[..., Predictions]) -> None:
    table = made()
    arguments = (table.labels, table.decisions, table.patients)
    first, second, other = (score_intervals(*arguments, np.random.default_rng(seed), 300) for seed in (5, 5, 6))
    assert first == second
    assert first != other


def simulated(generator: np.random.Generator, n_patients: int, n_cycles: int) -> tuple[np.ndarray, ...]:
    """Patients with specificities and sensitivities of their own, of mean 0.7 and 0.4."""
    patients = np.repeat(np.arange(n_patients), 2 * n_cycles).astype(str)
    labels = np.tile(np.repeat([0, 1], n_cycles), n_patients)
    specificity, sensitivity = generator.beta(3.5, 1.5, n_patients), generator.beta(2, 3, n_patients)
    chance = np.stack([specificity, sensitivity], axis=1).repeat(n_cycles, axis=1).ravel()
    right = generator.random(len(labels)) < chance
    return labels, np.where(right, labels, 1 - labels), patients


def test_interval_over_patients_is_wider_than_one_over_cycles_when_patients_differ() -> None:
    labels, decisions, patients = simulated(np.random.default_rng(0), 30, 20)
    widths = []
    for groups in (patients, np.arange(len(labels)).astype(str)):
        interval = score_intervals(labels, decisions, groups, np.random.default_rng(1), 2000)["score"]
        widths.append(interval.high - interval.low)
    assert widths[0] > 1.5 * widths[1]


def coverage(n_simulations: int, n_patients: int, n_resamples: int) -> dict[str, float]:
    """How often each kind of interval holds the population's specificity and score."""
    generator = np.random.default_rng(0)
    truth = {"specificity": 0.7, "score": 0.55}
    held = dict.fromkeys(("percentile", "bca", "wilson"), 0)
    for _ in range(n_simulations):
        labels, decisions, patients = simulated(generator, n_patients, 10)
        found = bootstrap_scores(labels, decisions, patients, generator, n_resamples)
        for kind in ("percentile", "bca"):
            interval = getattr(found["score"], kind)
            held[kind] += interval.low <= truth["score"] <= interval.high
        normal = labels == 0
        naive = wilson_interval(int((decisions == 0)[normal].sum()), int(normal.sum()))
        held["wilson"] += naive.low <= truth["specificity"] <= naive.high
    return {kind: count / n_simulations for kind, count in held.items()}


def test_coverage_of_a_few_simulated_studies() -> None:
    found = coverage(200, 40, 500)
    assert 0.90 <= found["percentile"] <= 0.99
    assert 0.90 <= found["bca"] <= 0.99
    assert found["wilson"] < 0.85  # it takes cycles as independent, which they are not


@pytest.mark.slow
def test_coverage_of_many_simulated_studies() -> None:
    found = coverage(3000, 49, 2000)
    assert 0.93 <= found["percentile"] <= 0.965
    assert 0.93 <= found["bca"] <= 0.965
    assert found["wilson"] < 0.8


def test_ten_thousand_resamples_of_the_official_test_take_less_than_two_seconds() -> None:
    generator = np.random.default_rng(0)
    labels, decisions = generator.integers(0, 4, (2, 2756))
    patients = generator.integers(0, 49, 2756).astype(str)
    began = time.perf_counter()
    bootstrap_scores(labels, decisions, patients, generator, 10_000)
    assert time.perf_counter() - began < 2
