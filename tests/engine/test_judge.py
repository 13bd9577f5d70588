"""The regression that decides once more, on patients who were held back."""

import numpy as np
import pytest

from add4rsc.engine.judge import fit_judge, judged_probabilities, log_odds
from add4rsc.errors import SplitError
from add4rsc.metrics.smoothing import LEAST_PROBABILITY
from add4rsc.metrics.sprsound import sprsound_score


def items(counts, seed=1):
    """Items of some classes that differ by 1.5 standard deviations in a value of each class' own, of 20 patients."""
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    values = draw.standard_normal((len(labels), len(counts))) + 1.5 * np.eye(len(counts))[labels]
    return values, labels, [str(index % 20) for index in range(len(labels))]


def test_log_odds_stay_finite():
    assert log_odds(np.array([0.5])).tolist() == [0.0]
    ends = log_odds(np.array([0.0, 1.0]))
    np.testing.assert_allclose(ends, [np.log(LEAST_PROBABILITY), -np.log(LEAST_PROBABILITY)], rtol=1e-4)


def test_rare_adventitious_items_weigh_as_much_as_common_normal_ones():
    values, labels, patients = items([360, 40])
    weighed, likely = (
        sprsound_score(labels, fit_judge(values, labels, patients, weighed=each).predict(values))
        for each in (True, False)
    )
    assert min(weighed.sensitivity, weighed.specificity) > 0.75
    assert likely.sensitivity < weighed.sensitivity
    assert likely.specificity > weighed.specificity


def test_unweighed_probabilities_are_as_often_right_as_they_say():
    values, labels, patients = items([360, 40])
    others, their_labels, _ = items([3600, 400], seed=3)
    found = fit_judge(values, labels, patients).predict_proba(others)[:, 1]
    assert found.mean() == pytest.approx(0.1, abs=0.03)
    sure = found > 0.5
    assert found[sure].mean() == pytest.approx(their_labels[sure].mean(), abs=0.1)


def test_adventitious_classes_weigh_by_their_items_as_in_the_score():
    """A class of few items is not lifted beside another adventitious one: where both are alike, the common one wins."""
    draw = np.random.default_rng(2)
    labels = np.repeat([0, 1, 2], [200, 90, 10])
    values = draw.standard_normal((300, 2)) + 3 * (labels > 0)[:, None]
    judge = fit_judge(values, labels, [str(index % 20) for index in range(300)], weighed=True)
    decisions = judge.predict(values)
    assert (decisions[labels == 2] == 1).mean() > 0.8
    assert sprsound_score(labels, decisions).sensitivity > 0.8


@pytest.mark.parametrize("weighed", [False, True])
def test_classes_that_the_judge_has_not_met_have_no_probability(weighed):
    values, labels, patients = items([100, 100])
    found = judged_probabilities(fit_judge(values, 2 * labels, patients, weighed=weighed), values, 4)
    assert (found[:, [1, 3]] == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("only", [0, 1])
def test_items_of_one_kind_are_told(only):
    values, labels, patients = items([50, 50])
    with pytest.raises(SplitError, match="one class, or nothing is normal"):
        fit_judge(values, np.full_like(labels, only), patients)


@pytest.mark.parametrize("patients", [["one"] * 100, ["one"] * 50 + ["other"] * 50, [f"of {i}" for i in range(100)]])
def test_patients_who_are_too_few_or_too_much_alike_are_told(patients):
    values, labels, _ = items([50, 50])
    if len(set(patients)) == 100:  # the one normal item is missing wherever it is to be judged
        labels = np.ones_like(labels)
        labels[0] = 0
    with pytest.raises(SplitError, match="Too few validation patients to fit a judge on"):
        fit_judge(values, labels, patients)
