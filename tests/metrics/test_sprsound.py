"""The SPRSound score and its look-alikes, on matrices whose values SPRSOUND 2 states."""

import math

import numpy as np
import pytest

from add4rsc.metrics.icbhi import confusion_matrix
from add4rsc.metrics.sprsound import four_class_average, judged, one_vs_rest_score, sprsound_score

RECORDS = ("normal", "cas", "das", "cas_das", "poor_quality")
EVENTS = ("normal", "rhonchi", "wheeze", "stridor", "coarse_crackle", "fine_crackle", "wheeze_crackle")


def arrays(confusion: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    matrix = np.array(confusion)
    cells = [(row, column) for row, column in np.ndindex(matrix.shape) for _ in range(matrix[row, column])]
    labels, decisions = np.array(cells).T
    return labels, decisions


def test_always_normal_scores_what_is_stated() -> None:
    # inter, task 2-2: 241 normal, 65 CAS, 24 DAS, 17 both, 8 of poor quality; S is 25 and M is 41 per cent
    labels = np.repeat(np.arange(5), [241, 65, 24, 17, 8])
    decisions = np.zeros_like(labels)
    rows = judged(labels, RECORDS)
    assert rows.sum() == 347
    official = sprsound_score(labels[rows], decisions[rows])
    assert (official.sensitivity, official.specificity) == (0, 1)
    assert (official.average, official.harmonic, official.score) == (0.5, 0, 0.25)
    generous = one_vs_rest_score(confusion_matrix(labels, decisions, 5))
    assert generous.score == pytest.approx(0.41, abs=5e-4)


def test_score_is_what_its_definition_gives() -> None:
    labels, decisions = arrays([[8, 1, 1, 0], [2, 5, 1, 0], [1, 0, 3, 0], [0, 1, 0, 1]])
    found = sprsound_score(labels, decisions)
    sensitivity, specificity = 9 / 14, 8 / 10
    harmonic = 2 * sensitivity * specificity / (sensitivity + specificity)
    assert found.sensitivity == pytest.approx(sensitivity)
    assert found.specificity == pytest.approx(specificity)
    assert found.harmonic == pytest.approx(harmonic)
    assert found.score == pytest.approx(((sensitivity + specificity) / 2 + harmonic) / 2)


def test_published_sensitivity_and_specificity_give_the_published_score() -> None:
    # PASA's ensemble, inter, task 1-1: 94.3 and 87.6 give 90.9; task 1-2: 80.2 and 89.6 give 84.8 (SPRSOUND 3)
    for sensitivity, specificity, score in ((943, 876, 0.909), (802, 896, 0.848)):
        labels, decisions = arrays([[specificity, 1000 - specificity], [1000 - sensitivity, sensitivity]])
        assert sprsound_score(labels, decisions).score == pytest.approx(score, abs=6e-4)


def test_poor_quality_is_worth_nothing_and_answering_it_costs() -> None:
    labels, decisions = np.array([0, 0, 1, 1, 4, 4]), np.array([0, 0, 1, 1, 0, 4])
    for of_poor_quality in ([0, 0], [4, 4], [1, 2]):
        decisions[4:] = of_poor_quality
        rows = judged(labels, RECORDS)
        assert sprsound_score(labels[rows], decisions[rows]).score == 1
    decisions[:3] = 4
    rows = judged(labels, RECORDS)
    found = sprsound_score(labels[rows], decisions[rows])
    assert (found.specificity, found.sensitivity) == (0, 0.5)


def test_one_vs_rest_is_what_going_through_the_classes_gives() -> None:
    generator = np.random.default_rng(0)
    labels, decisions = generator.integers(0, 5, 200), generator.integers(0, 6, 200)
    sensitivities, specificities = [], []
    for each in range(6):
        is_class, is_decided = labels == each, decisions == each
        sensitivities.append(is_decided[is_class].mean() if is_class.any() else 0.0)
        specificities.append((~is_decided)[~is_class].mean())
    found = one_vs_rest_score(confusion_matrix(labels, decisions, 6))
    assert found.sensitivity == pytest.approx(np.mean(sensitivities))
    assert found.specificity == pytest.approx(np.mean(specificities))


def test_one_vs_rest_of_two_classes_is_the_average_score() -> None:
    labels, decisions = arrays([[70, 30], [20, 40]])
    average = sprsound_score(labels, decisions).average
    generous = one_vs_rest_score(confusion_matrix(labels, decisions, 2))
    assert generous.sensitivity == generous.specificity == pytest.approx(average)
    assert generous.score == pytest.approx(average)


def test_four_classes_forgive_what_the_mapping_joins() -> None:
    labels = np.array(
        [EVENTS.index(name) for name in ("normal", "coarse_crackle", "rhonchi", "stridor", "wheeze_crackle")]
    )
    decisions = np.array([EVENTS.index(name) for name in ("normal", "fine_crackle", "wheeze", "rhonchi", "wheeze")])
    assert sprsound_score(labels, decisions).average == 0.5
    assert four_class_average(labels, decisions, EVENTS) == (1 + 3 / 4) / 2
    assert math.isnan(four_class_average(labels, decisions, RECORDS))
    assert math.isnan(four_class_average(labels, decisions, ("normal", "adventitious")))


def test_nothing_is_nan() -> None:
    nothing = np.zeros(0, dtype=int)
    assert math.isnan(sprsound_score(nothing, nothing).score)
    assert math.isnan(one_vs_rest_score(np.zeros((3, 3), dtype=int)).score)
