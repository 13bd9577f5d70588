"""Paired comparison: against plain resampling and scipy, on cases that are known, and what is refused."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from add4rsc.errors import PredictionsError
from add4rsc.metrics.compare import compare_many, compare_runs, holm, mcnemar, mcnemar_tests, paired_differences
from add4rsc.metrics.intervals import SCORES, patient_counts, scores_of_counts
from add4rsc.metrics.runs import Run
from add4rsc.predictions import Predictions

Make = Callable[..., Predictions]


def counts_of(table: Predictions) -> np.ndarray:
    return patient_counts(table.labels, table.decisions, table.patients).astype(float)


def test_difference_is_that_of_the_scores(made: Make) -> None:
    first, second = made(seed=1), made(seed=2, skill=0.4)
    found = compare_runs(Run("a", {0: first}), Run("b", {0: second}), n_resamples=200).scores
    of_first, of_second = (scores_of_counts(counts_of(table).sum(axis=0)[None])[0] for table in (first, second))
    for index, name in enumerate(SCORES):
        assert (found[name].first, found[name].second) == (of_first[index], of_second[index])
        assert found[name].difference == pytest.approx(of_second[index] - of_first[index])


def test_bootstrap_is_that_of_drawing_patients_one_by_one(made: Make) -> None:
    first, second = counts_of(made(seed=1)), counts_of(made(seed=2, skill=0.4))
    found = paired_differences(first, second, np.random.default_rng(0), 4000)
    generator = np.random.default_rng(1)
    samples = []
    for _ in range(3000):
        drawn = generator.integers(0, len(first), len(first))
        left, right = (scores_of_counts(each[drawn].sum(axis=0)[None])[0] for each in (first, second))
        samples.append(right - left)
    for name, values in zip(SCORES, np.array(samples).T, strict=True):
        ends = np.percentile(values, [2.5, 97.5])
        assert (found[name].interval.low, found[name].interval.high) == pytest.approx(ends, abs=0.15 * values.std())


def test_permutation_is_that_of_all_swaps(made: Make) -> None:
    first, second = (counts_of(made(seed=seed, n_patients=8, skill=skill)) for seed, skill in ((1, 0.3), (2, 0.36)))
    found = paired_differences(first, second, np.random.default_rng(0), 20_000)

    def difference(swap: tuple[bool, ...]) -> np.ndarray:
        swapped = np.array(swap)[:, None]
        left, right = np.where(swapped, second, first), np.where(swapped, first, second)
        return scores_of_counts(right.sum(axis=0)[None])[0] - scores_of_counts(left.sum(axis=0)[None])[0]

    every = np.array([difference(swap) for swap in itertools.product([False, True], repeat=8)])
    for index, name in enumerate(SCORES):
        exact = (np.abs(every[:, index]) >= abs(every[0, index]) - 1e-12).mean()
        assert found[name].p_permutation == pytest.approx(exact, abs=0.02)


def test_p_values_are_even_when_there_is_no_difference() -> None:
    generator = np.random.default_rng(0)
    p_values = []
    for _ in range(200):
        rate = generator.beta(2, 2, 20)
        hits = generator.binomial(500, rate[:, None], (20, 4))
        first, second = (
            np.stack([np.full(20, 500), hits[:, run], np.full(20, 500), hits[:, run + 2], hits[:, run + 2]], axis=1)
            for run in (0, 1)
        )
        found = paired_differences(first.astype(float), second.astype(float), generator, 300)
        p_values.append(found["score"].p_permutation)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert 0.01 <= np.mean(np.array(p_values) <= 0.05) <= 0.1


def test_a_run_is_no_better_than_itself(made: Make) -> None:
    run = Run("a", {0: made()})
    found = compare_runs(run, run, n_resamples=100)
    for score in found.scores.values():
        assert (score.difference, score.interval.low, score.interval.high, score.p_permutation) == (0, 0, 0, 1)
    assert found.mcnemar["0"]["all"].p == 1


def test_exchanging_the_runs_changes_the_sign(made: Make) -> None:
    first, second = Run("a", {0: made(seed=1)}), Run("b", {0: made(seed=2)})
    there, back = compare_runs(first, second, n_resamples=500), compare_runs(second, first, n_resamples=500)
    for name in SCORES:
        assert there.scores[name].difference == -back.scores[name].difference
        assert there.scores[name].interval.low == pytest.approx(-back.scores[name].interval.high)
        assert there.scores[name].p_permutation == pytest.approx(back.scores[name].p_permutation)


def test_order_of_rows_and_of_classes_does_not_matter(made: Make) -> None:
    first, second = made(seed=1), made(seed=2)
    mixed = Predictions(second.table.sample(frac=1, random_state=0), ("normal", "both", "wheeze", "crackle"))
    plain, other = (compare_runs(Run("a", {0: first}), Run("b", {0: each}), n_resamples=50) for each in (second, mixed))
    assert plain == other


def test_mcnemar_counts_one_by_one(made: Make) -> None:
    first, second = made(seed=1), made(seed=2, skill=0.5)
    found = mcnemar_tests(first, second)
    for name, members in (("all", lambda label: True), ("normal", lambda label: label == 0), ("abnormal", bool)):
        rows = [
            (a == label, b == label)
            for label, a, b in zip(first.labels, first.decisions, second.decisions, strict=True)
            if members(label)
        ]
        only_first, only_second = rows.count((True, False)), rows.count((False, True))
        assert (found[name].only_first_right, found[name].only_second_right) == (only_first, only_second)
        tail = stats.binom.cdf(min(only_first, only_second), only_first + only_second, 0.5)
        assert found[name].p == pytest.approx(min(1, 2 * tail))
    assert mcnemar(np.array([True]), np.array([True])).p == 1


def test_holm_is_that_of_its_definition() -> None:
    generator = np.random.default_rng(0)
    for n in (1, 2, 5, 9):
        p_values = generator.random(n) ** 3
        order = np.argsort(p_values)
        expected = np.empty(n)
        for rank, index in enumerate(order):
            expected[index] = max(min(1, (n - earlier) * p_values[order[earlier]]) for earlier in range(rank + 1))
        assert holm(list(p_values)) == pytest.approx(expected)
    with_unknown = holm([0.02, float("nan"), 0.03])
    assert with_unknown[0] == 0.04
    assert math.isnan(with_unknown[1])


def test_many_runs_are_corrected_for_their_number(made: Make) -> None:
    first, *others = (Run(str(seed), {0: made(seed=seed, skill=0.2 + 0.1 * seed)}) for seed in range(4))
    found = compare_many(first, others, n_resamples=200)
    for name in SCORES:
        raw = [each.scores[name].p_permutation for each in found]
        assert [each.scores[name].p_holm for each in found] == holm(raw)
    assert compare_many(first, others[:1], n_resamples=200)[0].scores["score"].p_holm == raw_score(found[0])


def raw_score(comparison: object) -> float:
    return comparison.scores["score"].p_permutation  # pyright: ignore[reportAttributeAccessIssue]


def test_seeds_count_by_the_mean_of_their_scores(made: Make) -> None:
    first = Run("a", {seed: made(seed=seed) for seed in (1, 2, 3)})
    second = Run("b", {seed: made(seed=seed + 10, skill=0.5) for seed in (2, 3, 4)})
    found = compare_runs(first, second, n_resamples=100)
    means = [
        np.mean([scores_of_counts(counts_of(table).sum(axis=0)[None])[0] for table in run.tables], axis=0)
        for run in (first, second)
    ]
    for index, name in enumerate(SCORES):
        assert found.scores[name].difference == pytest.approx(means[1][index] - means[0][index])
    assert list(found.by_seed) == list(found.mcnemar) == ["2", "3"]
    assert found.paired == "means over seeds of their scores"


def test_rows_of_poor_quality_are_left_out(made: Make) -> None:
    classes = ("normal", "adventitious", "poor_quality")
    first, second = (made(seed=seed, classes=classes) for seed in (1, 2))
    kept = first.labels != 2
    whole = compare_runs(Run("a", {0: first}), Run("b", {0: second}), n_resamples=50)
    part = compare_runs(
        *(Run(name, {0: Predictions(table.table[kept], classes)}) for name, table in (("a", first), ("b", second))),
        n_resamples=50,
    )
    assert whole == part
    assert whole.n_cycles == kept.sum()


def test_one_patient_has_no_interval(made: Make) -> None:
    found = compare_runs(*(Run(str(seed), {0: made(seed=seed, n_patients=1)}) for seed in (1, 2)), n_resamples=50)
    assert math.isnan(found.scores["score"].interval.low)
    assert math.isnan(found.scores["score"].p_permutation)
    assert not math.isnan(found.scores["score"].difference)


def test_runs_on_other_cycles_labels_patients_or_classes_are_refused(made: Make) -> None:
    first = made(seed=1)
    run = Run("a", {0: first})
    table = first.table
    cases = [
        (
            Predictions(table.iloc[:-2], first.classes),
            "2 are only in the first, 0 only in the second, such as 11_1b1@46000",
        ),
        (made(n_patients=13), "0 are only in the first, 25 only in the second"),
        (made(labels_seed=7), "another label"),
        (Predictions(table.assign(patient="x"), first.classes), "another patient"),
        (made(classes=("normal", "adventitious")), "one task"),
    ]
    for other, message in cases:
        with pytest.raises(PredictionsError, match=message):
            compare_runs(run, Run("b", {0: other}))
