"""Brier score and calibration error against counting one by one, and on cases that are known."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from add4rsc.metrics.calibration import brier_score, expected_calibration_error, reliability_bins
from add4rsc.predictions import Predictions


def test_brier_score_is_the_sum_over_classes(made: Callable[..., Predictions]) -> None:
    table = made()
    by_hand = [
        sum((p - (index == label)) ** 2 for index, p in enumerate(row))
        for label, row in zip(table.labels, table.probabilities, strict=True)
    ]
    assert brier_score(table.labels, table.probabilities) == pytest.approx(np.mean(by_hand))
    binary = made(classes=("normal", "adventitious"))
    theirs = brier_score_loss(binary.labels, binary.probabilities[:, 1])
    assert brier_score(binary.labels, binary.probabilities) == pytest.approx(2 * theirs)
    assert math.isnan(brier_score(np.zeros(0, dtype=int), np.zeros((0, 2))))


def test_calibration_error_is_what_going_through_the_bins_gives(made: Callable[..., Predictions]) -> None:
    table = made()
    bins = reliability_bins(table.labels, table.decisions, table.probabilities, n_bins=10)
    confidence = table.probabilities.max(axis=1)
    error = 0.0
    for number, each in enumerate(bins):
        members = [i for i, value in enumerate(confidence) if number / 10 < value <= (number + 1) / 10]
        assert each.n_cycles == len(members)
        if members:
            accuracy = np.mean([table.labels[i] == table.decisions[i] for i in members])
            assert each.accuracy == pytest.approx(accuracy)
            error += len(members) / len(confidence) * abs(accuracy - confidence[members].mean())
        else:
            assert math.isnan(each.accuracy)
    assert sum(each.n_cycles for each in bins) == len(confidence)
    assert expected_calibration_error(bins) == pytest.approx(error)


def test_error_of_known_probabilities() -> None:
    # sure and always right: none; sure and right half of the time: one half
    labels = np.array([0, 1, 0, 1])
    sure = np.eye(2)[labels]
    assert expected_calibration_error(reliability_bins(labels, labels, sure)) == 0
    always_first = np.eye(2)[[0, 0, 0, 0]]
    found = reliability_bins(labels, np.zeros(4, dtype=int), always_first)
    assert expected_calibration_error(found) == pytest.approx(0.5)
    assert math.isnan(expected_calibration_error([]))


def test_calibrated_probabilities_have_a_small_error() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(3), 20_000)
    labels = (generator.random((20_000, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    decisions = probabilities.argmax(axis=1)
    assert expected_calibration_error(reliability_bins(labels, decisions, probabilities)) < 0.02
    sharpened = probabilities**4 / (probabilities**4).sum(axis=1, keepdims=True)
    assert expected_calibration_error(reliability_bins(labels, decisions, sharpened)) > 0.1
