import numpy as np
import pytest
from scipy.special import softmax

from add4rsc.engine.calibrate import (
    HIGHEST_THRESHOLD,
    CalibrationRule,
    calibrate_run,
    fit_calibration,
    fit_temperature,
    fit_thresholds,
    fit_vector_scaling,
)
from add4rsc.engine.loading import load_run
from add4rsc.errors import SplitError
from add4rsc.predictions import read_predictions

CLASSES = ("normal", "crackle", "wheeze")


@pytest.fixture
def drawn():
    """True logits, and labels drawn from their softmax."""
    generator = np.random.default_rng(0)
    logits = 1.5 * generator.standard_normal((4000, 3))
    labels = np.array([generator.choice(3, p=row) for row in softmax(logits, axis=1)])
    return logits, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_found_again(drawn, temperature):
    logits, labels = drawn
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.08)


def test_temperature_is_the_best_of_a_grid(drawn):
    logits, labels = drawn[0][:200] * 2.0, drawn[1][:200]

    def loss(temperature):
        return -np.log(softmax(logits / temperature, axis=1)[np.arange(200), labels]).mean()

    grid = np.linspace(0.5, 6, 2000)
    assert fit_temperature(logits, labels) == pytest.approx(grid[np.argmin([loss(each) for each in grid])], abs=0.01)


def test_offset_and_factor_are_found_again(drawn):
    logits, labels = drawn
    scale, offset = fit_vector_scaling((logits - np.array([0.0, 1.0, -1.0])) / 2.0, labels)
    np.testing.assert_allclose(scale, 2.0, rtol=0.15)
    np.testing.assert_allclose(offset - offset[0], [0.0, 1.0, -1.0], atol=0.25)


def test_overconfident_logits_are_mended(drawn):
    logits, labels = drawn
    found = fit_calibration(4 * logits, labels, CLASSES, CalibrationRule.TEMPERATURE)
    assert found.log_loss[1] < found.log_loss[0]
    assert found.calibration_error[1] < 0.03 < 0.1 < found.calibration_error[0]
    assert (found.scale, found.offset, found.n_cycles) == ((1, 1, 1), (0, 0, 0), 4000)


def test_rule_none_changes_nothing(drawn):
    found = fit_calibration(*drawn, CLASSES, CalibrationRule.NONE)
    assert (found.temperature, found.thresholds) == (1.0, {})
    assert found.log_loss[0] == found.log_loss[1]


def test_thresholds_of_calibrated_probabilities_are_near_a_half(drawn):
    thresholds = fit_thresholds(softmax(drawn[0], axis=1), drawn[1], CLASSES)
    assert all(0.4 < value < 0.6 for value in thresholds.values())
    assert len(thresholds) == 3


def test_threshold_is_where_decisions_become_right():
    sure = np.array([0.5, 0.55, 0.6, 0.65, 0.7, 0.8])
    probabilities = np.stack([1 - sure, sure], axis=1)
    thresholds = fit_thresholds(probabilities, np.array([0, 0, 0, 1, 1, 1]), ("normal", "crackle"))
    assert thresholds == {"crackle": 0.65}  # at 0.5 a tie goes to the first class, which is right


def test_class_that_is_never_right():
    probabilities = np.array([[0.2, 0.8], [0.1, 0.9], [0.9, 0.1]])
    assert fit_thresholds(probabilities, np.array([0, 0, 0]), ("normal", "crackle")) == {"crackle": HIGHEST_THRESHOLD}


def test_calibration_uses_the_validation_patients_alone(small_recipe, run, made_corpus, tmp_path):
    run(small_recipe(), tmp_path / "run")
    trained = load_run(tmp_path / "run")
    found = calibrate_run(trained, made_corpus)
    assert found.n_cycles > 0
    assert found.log_loss[1] <= found.log_loss[0]
    tested = read_predictions(tmp_path / "run" / "predictions.csv").table
    assert found.n_cycles != len(tested)


def test_run_without_validation_patients(small_recipe, run, made_corpus, tmp_path):
    run(small_recipe(validation_share=0.0, selection="last", epochs=1), tmp_path / "run")
    with pytest.raises(SplitError, match="--calibration none"):
        calibrate_run(load_run(tmp_path / "run"), made_corpus)
