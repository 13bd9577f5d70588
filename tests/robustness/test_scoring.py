"""Scores, intervals and differences against plain loops and the comparison of whole tables."""

import numpy as np
import pandas as pd
import pytest

from add4rsc.errors import PredictionsError
from add4rsc.metrics.compare import compare_runs
from add4rsc.metrics.evaluation import evaluate
from add4rsc.metrics.icbhi import icbhi_score
from add4rsc.metrics.runs import Run
from add4rsc.metrics.sprsound import sprsound_score
from add4rsc.robustness.conditions import CLEAN, Condition
from add4rsc.robustness.scoring import MeasuredRun, compare_cells, find_run, measures_of_counts, score_cells, tidy_table
from add4rsc.robustness.stored import CYCLE_COLUMNS, MeasuredSettings, claim_measured, store_predictions

CLASSES = ("normal", "crackle", "wheeze", "both")
NOISY = [
    Condition("recorded", name, level, seed) for name in ("hum", "rain") for level in (5.0, 0.0) for seed in (1, 2)
]
CONDITIONS = [Condition(CLEAN), *NOISY]
LABELS = np.random.default_rng(0).choice(4, 120, p=[0.5, 0.2, 0.2, 0.1])
PATIENTS = np.random.default_rng(1).integers(0, 9, 120)


def measure(folder, seed, conditions=CONDITIONS, **changes):
    """Made predictions that are right a little more often than chance."""
    values = {
        "recipe": "r", "model": str(seed), "dataset": "sprsound2022", "split": "sprsound2022/inter", "task": "cycle-4",
        "classes": CLASSES, "selection": "validation", "sample_rate": 8000, "noise": {"rain": "1"},
    }  # fmt: skip
    rows = [(f"r{i}@0", f"r{i}", f"p{PATIENTS[i]}", 0.0, 1.0, CLASSES[k], "s", "l") for i, k in enumerate(LABELS)]
    cycles = pd.DataFrame(rows, columns=list(CYCLE_COLUMNS))
    claim_measured(folder, MeasuredSettings(**(values | changes)), cycles, resume=False, overwrite=False)
    draw = np.random.default_rng(seed)
    for condition in conditions:
        alpha = np.ones((120, 4)) + (1.5 + (condition.corruption == CLEAN)) * np.eye(4)[LABELS]
        store_predictions(folder, condition, np.array([draw.dirichlet(each) for each in alpha]))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[MeasuredRun]:
    folder = tmp_path_factory.mktemp("measured")
    for seed in (1, 2):
        measure(folder / "first" / "robustness" / f"seed-{seed}", seed)
    return [find_run(folder / "first"), find_run(measure(folder / "second", 3)), find_run(measure(folder / "third", 4))]


def decisions_of(run, seed, condition):
    return run.of_seed[seed].arrays(condition)[0]


def test_rows_are_what_evaluate_says(runs):
    table = tidy_table(runs[0])
    assert len(table) == 2 * len(CONDITIONS)
    assert table["n_cycles"].eq(120).all()
    for row in table.itertuples():
        is_clean = row.corruption == CLEAN
        condition = (
            Condition(CLEAN) if is_clean else Condition(row.corruption, row.noise_class, row.level, int(row.noise_seed))
        )
        expected = evaluate(runs[0].of_seed[row.seed].predictions(condition))
        for name in ("specificity", "sensitivity", "score", "sensitivity_binary", "score_binary"):
            assert getattr(row, name) == pytest.approx(expected[name])
        for name in ("average", "harmonic", "score"):
            assert getattr(row, f"sprsound_{name}") == pytest.approx(expected["sprsound"][name])


def test_a_cell_is_a_mean_and_its_interval_draws_patients(runs):
    n_resamples = 200
    run = runs[0]
    cells = {(each.cell.noise_class, each.cell.level): each for each in score_cells(run, CONDITIONS, 7, n_resamples)}
    members = [each for each in NOISY if (each.noise_class, each.level) == ("rain", 0.0)]
    draws = np.random.default_rng(7).multinomial(9, np.full(9, 1 / 9), size=n_resamples)
    names = sorted(set(PATIENTS.tolist()))
    resampled = []
    for draw in draws:
        rows = np.concatenate([np.repeat(np.flatnonzero(p == PATIENTS), n) for p, n in zip(names, draw, strict=True)])
        tables = [decisions_of(run, seed, each) for seed in (1, 2) for each in members]
        scores = [
            (icbhi_score(LABELS[rows], t[rows]).score, sprsound_score(LABELS[rows], t[rows]).score) for t in tables
        ]
        resampled.append(np.mean(scores, axis=0))
    found = cells[("rain", 0.0)]
    for index, name in enumerate(("score", "sprsound_score")):
        ends = np.percentile(np.array(resampled)[:, index], [2.5, 97.5])
        assert (found.intervals[name].low, found.intervals[name].high) == pytest.approx(tuple(ends), abs=1e-6)
    direct = [sprsound_score(LABELS, decisions_of(run, seed, each)).score for seed in (1, 2) for each in members]
    assert found.values["sprsound_score"] == pytest.approx(np.mean(direct))
    both = [cells[(name, 0.0)].values["score"] for name in ("hum", "rain")]
    assert cells[("all", 0.0)].values["score"] == pytest.approx(np.mean(both))


def test_differences_of_single_tables_are_those_of_compare(runs):
    first, second = runs[1:]
    condition = NOISY[0]
    expected = compare_runs(
        *(Run(run.name, {0: run.first.predictions(condition)}) for run in (first, second)), seed=3, n_resamples=500
    )
    (found,) = compare_cells(first, second, [condition], seed=3, n_resamples=500)
    for name, score in expected.scores.items():
        assert found.scores[name].difference == pytest.approx(score.difference)
        assert found.scores[name].p_permutation == pytest.approx(score.p_permutation)
        ends = (found.scores[name].interval.low, found.scores[name].interval.high)
        assert ends == pytest.approx((score.interval.low, score.interval.high), abs=1e-6)


def test_a_run_does_not_differ_from_itself(runs):
    for each in compare_cells(runs[0], runs[0], CONDITIONS, n_resamples=50):
        for score in each.scores.values():
            assert (score.difference, score.interval.low, score.interval.high) == (0.0, 0.0, 0.0)


def test_seeds_count_as_one_run(runs, tmp_path):
    assert list(runs[0].of_seed) == [1, 2]
    measure(tmp_path / "robustness" / "seed-1", 1)
    measure(tmp_path / "robustness" / "seed-2", 2, CONDITIONS[:3])
    assert find_run(tmp_path).conditions == tuple(sorted(CONDITIONS[:3]))


def test_a_run_is_named_after_its_folder_and_enhancement(tmp_path):
    measure(tmp_path / "run" / "robustness-wiener", 1, CONDITIONS[:1], enhancement="wiener")
    assert find_run(tmp_path / "run" / "robustness-wiener").name == f"{tmp_path / 'run'} + wiener"


def test_other_noise_cannot_be_compared(runs, tmp_path):
    other = find_run(measure(tmp_path / "other", 5, noise={"rain": "2"}))
    with pytest.raises(PredictionsError, match="on other clips of 'rain'"):
        compare_cells(runs[0], other, CONDITIONS)
    other = find_run(measure(tmp_path / "corpus", 5, classes=("normal", "crackle", "wheeze", "x", "both")))
    with pytest.raises(PredictionsError, match="Only runs of one task"):
        compare_cells(runs[0], other, CONDITIONS)


def test_scores_of_counts_with_empty_classes():
    rows = np.array([[4, 2, 4, 1, 2], [0, 0, 4, 1, 2], [4, 0, 4, 0, 0]], dtype=float)
    found = measures_of_counts(rows)
    assert found[0] == pytest.approx([0.5, 0.25, 0.375, 0.5, 0.5, 0.375, 1 / 3, (0.375 + 1 / 3) / 2])
    assert np.isnan(found[1, [0, 2, 5, 6, 7]]).all()
    assert found[2, 6] == 0.0


def test_icbhi_has_no_sprsound_scores(tmp_path):
    run = find_run(measure(tmp_path / "icbhi", 6, CONDITIONS[:1], dataset="icbhi2017"))
    assert "sprsound_score" not in tidy_table(run)
    assert "sprsound_score" not in score_cells(run, CONDITIONS[:1], n_resamples=10)[0].values
