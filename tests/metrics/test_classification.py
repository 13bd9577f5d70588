"""Class means and Matthews' correlation against scikit-learn."""

import math

import numpy as np
import pytest
from sklearn import metrics

from add4rsc.metrics.classification import balanced_accuracy, macro_f1, matthews_correlation
from add4rsc.metrics.icbhi import confusion_matrix


@pytest.mark.parametrize("n_classes", [2, 4, 7])
def test_values_are_those_of_scikit_learn(n_classes: int) -> None:
    generator = np.random.default_rng(n_classes)
    labels = generator.integers(0, n_classes, 300)
    decisions = np.where(generator.random(300) < 0.5, labels, generator.integers(0, n_classes, 300))
    confusion = confusion_matrix(labels, decisions, n_classes)
    assert macro_f1(confusion) == pytest.approx(metrics.f1_score(labels, decisions, average="macro"))
    assert balanced_accuracy(confusion) == pytest.approx(metrics.balanced_accuracy_score(labels, decisions))
    assert matthews_correlation(confusion) == pytest.approx(metrics.matthews_corrcoef(labels, decisions))


def test_class_that_does_not_occur_is_left_out_of_means() -> None:
    confusion = np.array([[4, 1, 0], [2, 3, 0], [0, 0, 0]])
    assert macro_f1(confusion) == macro_f1(confusion[:2, :2])
    assert balanced_accuracy(confusion) == balanced_accuracy(confusion[:2, :2])
    # decided but never there: its F1 is 0 and counts, its recall has nothing to divide by
    decided = np.array([[4, 0, 1], [0, 5, 0], [0, 0, 0]])
    assert macro_f1(decided) == pytest.approx((8 / 9 + 1 + 0) / 3)
    assert balanced_accuracy(decided) == pytest.approx((0.8 + 1) / 2)


def test_nothing_to_divide_by_is_nan() -> None:
    empty, one_label = np.zeros((2, 2), dtype=int), np.array([[3, 1], [0, 0]])
    assert all(math.isnan(metric(empty)) for metric in (macro_f1, balanced_accuracy, matthews_correlation))
    assert math.isnan(matthews_correlation(one_label))
    assert math.isnan(matthews_correlation(one_label.T))
