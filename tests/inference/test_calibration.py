import numpy as np
import pytest
from scipy.special import softmax

from add4rsc.inference.calibration import choose_thresholds, decide, to_probabilities


def test_probabilities_are_the_softmax_over_the_temperature():
    logits = np.random.default_rng(0).normal(0, 30, (50, 4)).astype(np.float32)
    expected = softmax(logits.astype(np.float64) / 1.7, axis=1)
    assert np.abs(to_probabilities(logits, 1.7) - expected).max() < 1e-6


def test_a_higher_temperature_is_less_sure():
    logits = np.array([[3.0, 1.0, 0.0]], np.float32)
    assert to_probabilities(logits, 3.0).max() < to_probabilities(logits, 1.0).max()


@pytest.mark.parametrize(
    ("fitted", "wanted", "expected"),
    [({}, None, [0.5, 0.5]), ({"b": 0.8}, None, [0.0, 0.8]), ({"b": 0.8}, 0.3, [0.3, 0.3]), ({}, 0.0, [0.0, 0.0])],
)
def test_thresholds(fitted, wanted, expected):
    assert list(choose_thresholds(("a", "b"), fitted, wanted).values()) == expected


def test_a_decision_is_the_most_probable_class_or_none():
    probabilities = np.random.default_rng(1).dirichlet(np.ones(3), 200)
    for row in probabilities:
        decision = decide(row, {"a": 0.5, "b": 0.4, "c": 0.9})
        most = "abc"[int(row.argmax())]
        assert decision == (most if row.max() >= {"a": 0.5, "b": 0.4, "c": 0.9}[most] else "abstain")
