"""The weight of the normal class: found on validation patients, kept with the network, and seen in its predictions."""

import numpy as np
import pandas as pd
import pytest
import torch

from add4rsc.engine.decision import FEWEST, best_offset, match_shares, never_answered, shift_normal
from add4rsc.engine.loading import load_run
from add4rsc.engine.run import RunSettings, train
from add4rsc.engine.testing import predict_test_subset
from add4rsc.errors import WrongUsageError
from add4rsc.methods import recipes
from add4rsc.recipe import change_recipe


def test_offset_is_a_sum_to_the_logit():
    logits = np.random.default_rng(0).normal(size=(20, 4))
    expected = torch.from_numpy(logits + np.array([0.7, 0, 0, 0])).softmax(dim=1).numpy()
    given = torch.from_numpy(logits).softmax(dim=1).numpy()
    np.testing.assert_allclose(shift_normal(given, 0.7), expected, rtol=1e-12)


def test_best_offset_finds_a_threshold_that_was_moved():
    """Two classes whose log odds have their border at 1.5 instead of 0, with ten times as many normal cycles."""
    generator = np.random.default_rng(1)
    log_odds = np.concatenate([generator.normal(3.0, 0.8, 2000), generator.normal(0.0, 0.8, 200)])
    labels = np.repeat([0, 1], [2000, 200])
    normal = 1 / (1 + np.exp(-log_odds))
    assert best_offset(labels, np.stack([normal, 1 - normal], axis=1)) == pytest.approx(-1.5, abs=0.3)


def test_run_keeps_validation_and_offset(made_corpus, feature_cache, tmp_path):
    changes = {"epochs": 2, "crop.duration": 0.6, "validation_share": 0.4, "decision_offset": "validation"}
    recipe = change_recipe(recipes.get("fine_tuning/small_cnn")(), changes)
    plain = change_recipe(recipe, {"decision_offset": "none"})
    for name, each in (("moved", recipe), ("plain", plain)):
        train(each, [1], RunSettings(made_corpus, tmp_path / name, accelerator="cpu", show_progress=False))
    moved, raw = (pd.read_csv(tmp_path / name / "predictions.csv") for name in ("moved", "plain"))
    validation = pd.read_csv(tmp_path / "plain" / "validation.csv")
    classes = [column for column in raw.columns if column.startswith("p_")]
    names = [column.removeprefix("p_") for column in classes]
    labels = np.array([names.index(label) for label in validation["label"]])
    offset = best_offset(labels, validation[classes].to_numpy())
    assert moved["normal_offset"].unique().tolist() == [pytest.approx(offset, abs=1e-3)]
    np.testing.assert_allclose(moved[classes], shift_normal(raw[classes].to_numpy(), offset), atol=1e-5)
    again = predict_test_subset(load_run(tmp_path / "moved"), made_corpus).table
    np.testing.assert_allclose(again[classes], moved[classes], atol=1e-5)
    assert not set(validation["patient"]) & set(raw["patient"])


def test_every_group_has_the_shares_in_its_mean():
    draw = np.random.default_rng(0)
    probabilities = draw.dirichlet([3.0, 1.0, 1.0], size=200)
    probabilities[100:] = shift_normal(probabilities[100:], -3.0)
    shares = np.array([0.7, 0.1, 0.2])
    found = match_shares(probabilities, ["one"] * 100 + ["other"] * 100, shares)
    np.testing.assert_allclose([found[:100].mean(axis=0), found[100:].mean(axis=0)], [shares, shares], atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    for group in (slice(100), slice(100, None)):
        moved = np.log(found[group]) - np.log(probabilities[group])
        odds = moved - moved[:, :1]
        np.testing.assert_allclose(odds, np.tile(odds[0], (100, 1)), atol=1e-9)  # one offset for each class


def test_a_shift_of_a_group_is_taken_out():
    probabilities = np.random.default_rng(0).dirichlet([3.0, 1.0, 1.0], size=100)
    shifted, shares = shift_normal(probabilities, -3.0), probabilities.mean(axis=0)
    np.testing.assert_allclose(match_shares(shifted, ["a"] * 100, shares), probabilities, atol=1e-4)


def test_a_small_group_is_left_as_it_is():
    probabilities = np.tile([[0.4, 0.6]], (FEWEST + 19, 1))
    groups = ["small"] * 19 + ["other"] * FEWEST
    found = match_shares(probabilities, groups, np.array([0.9, 0.1]))
    np.testing.assert_allclose(found, [[0.4, 0.6]] * 19 + [[0.9, 0.1]] * FEWEST, atol=1e-5)


def test_a_class_that_is_not_expected_is_not_found():
    probabilities = np.random.default_rng(0).dirichlet([1.0, 1.0, 1.0], size=50)
    found = match_shares(probabilities, ["a"] * 50, np.array([0.6, 0.4, 0.0]))
    assert np.isfinite(found).all()
    assert (found[:, 2] < 1e-3).all()
    np.testing.assert_allclose(found.mean(axis=0), [0.6, 0.4, 0.0], atol=1e-5)


def test_certain_answers_are_moved_too():
    probabilities = np.eye(2)[np.arange(40) % 4 // 3]
    found = match_shares(probabilities, ["a"] * 40, np.array([0.5, 0.5]))
    assert np.isfinite(found).all()


def test_what_is_never_answered_leaves_its_probability_to_the_others(made):
    table = made(classes=("normal", "cas", "poor_quality"))
    sure = table.probabilities.copy()
    sure[0] = [0.0, 0.0, 1.0]
    table = table.answered(sure)
    found = never_answered(table, ["poor_quality"])
    assert (found.probabilities[:, 2] == 0).all()
    np.testing.assert_allclose(found.probabilities[0], [0.5, 0.5, 0.0])
    expected = sure[1:, :2] / sure[1:, :2].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.probabilities[1:, :2], expected)
    assert (found.decisions[1:] == sure[1:, :2].argmax(axis=1)).all()
    assert (found.labels == table.labels).all()
    assert set(found.table["never_answered"]) == {"poor_quality"}


@pytest.mark.parametrize(
    ("names", "told"), [(["crackle"], "no class 'crackle'"), (["cas", "normal"], "fewer than two")]
)
def test_classes_that_cannot_be_left_out_are_told(made, names, told):
    with pytest.raises(WrongUsageError, match=told):
        never_answered(made(classes=("normal", "cas", "poor_quality")), names)
