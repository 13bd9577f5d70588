"""Areas under curves against scikit-learn and against counting pairs."""

import math
from itertools import product

import numpy as np
import pytest
from sklearn import metrics

from add4rsc.metrics.ranking import area_under_roc, average_precision, precision_recall_curve, roc_curve


@pytest.fixture(params=[0, 1, 2])
def ranked(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    """Members and scores with many ties."""
    generator = np.random.default_rng(request.param)
    is_member = generator.random(80) < 0.3
    return is_member, np.round(generator.random(80) + 0.3 * is_member, 1 + request.param)


def test_areas_are_those_of_scikit_learn(ranked: tuple[np.ndarray, np.ndarray]) -> None:
    assert area_under_roc(*ranked) == pytest.approx(metrics.roc_auc_score(*ranked))
    assert average_precision(*ranked) == pytest.approx(metrics.average_precision_score(*ranked))


def test_area_is_the_share_of_pairs_in_the_right_order(ranked: tuple[np.ndarray, np.ndarray]) -> None:
    is_member, scores = ranked
    pairs = list(product(scores[is_member], scores[~is_member]))
    assert area_under_roc(*ranked) == pytest.approx(np.mean([(a > b) + (a == b) / 2 for a, b in pairs]))


def test_curves_are_those_of_scikit_learn(ranked: tuple[np.ndarray, np.ndarray]) -> None:
    x, y, thresholds = metrics.roc_curve(*ranked, drop_intermediate=False)
    curve = roc_curve(*ranked)
    for ours, theirs in ((curve.x, x), (curve.y, y), (curve.thresholds, thresholds)):
        np.testing.assert_allclose(ours, theirs)
    precision, recall, _ = metrics.precision_recall_curve(*ranked)
    np.testing.assert_allclose(precision_recall_curve(*ranked).y, precision[-2::-1])
    np.testing.assert_allclose(precision_recall_curve(*ranked).x, recall[-2::-1])


def test_area_depends_on_the_order_alone(ranked: tuple[np.ndarray, np.ndarray]) -> None:
    is_member, scores = ranked
    assert area_under_roc(is_member, np.exp(3 * scores)) == pytest.approx(area_under_roc(is_member, scores))
    assert area_under_roc(is_member, -scores) == pytest.approx(1 - area_under_roc(is_member, scores))


def test_class_without_cycles_is_nan() -> None:
    scores = np.array([0.1, 0.2])
    nobody, everybody = np.array([False, False]), np.array([True, True])
    assert math.isnan(area_under_roc(nobody, scores))
    assert math.isnan(area_under_roc(everybody, scores))
    assert math.isnan(average_precision(nobody, scores))
    assert average_precision(everybody, scores) == 1
    assert math.isnan(area_under_roc(nobody[:0], scores[:0]))
