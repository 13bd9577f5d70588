"""The ICBHI scores: stored values of the reference code, counting by hand, empty classes."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from add4rsc.metrics.icbhi import binary_score, class_scores, confusion_matrix, icbhi_score


def arrays(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and decisions that give a confusion matrix."""
    cells = [(row, column) for row, column in np.ndindex(confusion.shape) for _ in range(confusion[row, column])]
    labels, decisions = np.array(cells, dtype=np.int64).reshape(-1, 2).T
    return labels, decisions


def test_scores_are_those_of_the_reference(golden: Path) -> None:
    cases = json.loads((golden / "score.json").read_text())
    *counted, with_confusion = cases
    for case in counted:
        hits, support = (np.array(case[key], dtype=int) for key in ("hits", "counts"))
        confusion = np.diag(hits)
        confusion[1:, 0] += (support - hits)[1:]
        confusion[0, 1] += (support - hits)[0]
        found = icbhi_score(*arrays(confusion))
        if not support[0]:
            assert math.isnan(found.specificity)
            assert case["sp"] == 0
            continue
        assert found.specificity * 100 == pytest.approx(case["sp"], abs=1e-7)
        assert found.sensitivity * 100 == pytest.approx(case["se"], abs=1e-7)
        assert found.score * 100 == pytest.approx(case["score"], abs=1e-7)
    labels, decisions = arrays(np.array(with_confusion["confusion"]))
    for score, key in ((icbhi_score, "four_class"), (binary_score, "two_cls_eval")):
        found = score(labels, decisions)
        percents = [100 * each for each in (found.specificity, found.sensitivity, found.score)]
        assert percents == pytest.approx(with_confusion[key], abs=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_what_counting_one_by_one_gives(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels, decisions = generator.integers(0, 4, (2, 60))
    pairs = list(zip(labels.tolist(), decisions.tolist(), strict=True))
    abnormal = [(label, decision) for label, decision in pairs if label]
    specificity = sum(decision == 0 for label, decision in pairs if not label) / sum(not label for label, _ in pairs)
    assert icbhi_score(labels, decisions).specificity == specificity
    assert binary_score(labels, decisions).specificity == specificity
    assert icbhi_score(labels, decisions).sensitivity == sum(a == b for a, b in abnormal) / len(abnormal)
    assert binary_score(labels, decisions).sensitivity == sum(b > 0 for _, b in abnormal) / len(abnormal)
    confusion = confusion_matrix(labels, decisions, 4)
    assert confusion.tolist() == [[pairs.count((row, column)) for column in range(4)] for row in range(4)]
    for index, score in enumerate(class_scores(confusion)):
        assert score.support == (labels == index).sum()
        assert score.recall == np.mean(decisions[labels == index] == index)
        assert score.precision == np.mean(labels[decisions == index] == index)
        assert score.f1 == pytest.approx(2 / (1 / score.recall + 1 / score.precision))


def test_scores_do_not_change_with_the_order_or_by_repetition() -> None:
    generator = np.random.default_rng(0)
    labels, decisions = generator.integers(0, 4, (2, 40))
    order = generator.permutation(40)
    for score in (icbhi_score, binary_score):
        assert score(labels[order], decisions[order]) == score(labels, decisions)
        assert score(np.tile(labels, 3), np.tile(decisions, 3)) == score(labels, decisions)


def test_missing_class_is_nan_and_not_zero() -> None:
    only_normal = icbhi_score(np.array([0, 0]), np.array([0, 1]))
    assert only_normal.specificity == 0.5
    assert math.isnan(only_normal.sensitivity)
    assert math.isnan(only_normal.score)
    nothing = class_scores(confusion_matrix(np.array([0]), np.array([0]), 3))
    assert [math.isnan(each.f1) for each in nothing] == [False, True, True]
    never_there = class_scores(confusion_matrix(np.array([0, 0]), np.array([0, 1]), 2))[1]
    assert (never_there.f1, never_there.precision) == (0.0, 0.0)
    assert math.isnan(never_there.recall)
