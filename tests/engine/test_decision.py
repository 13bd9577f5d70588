"""The weight of the normal class: found on validation patients, kept with the network, and seen in its predictions."""

import numpy as np
import pandas as pd
import pytest
import torch

from add4rsc.engine.decision import best_offset, match_share, shift_normal
from add4rsc.engine.loading import load_run
from add4rsc.engine.run import RunSettings, train
from add4rsc.engine.testing import predict_test_subset
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


def test_every_group_has_the_share_of_normal_cycles():
    draw = np.random.default_rng(0)
    probabilities = draw.dirichlet([3.0, 1.0, 1.0], size=200)
    probabilities[100:] = shift_normal(probabilities[100:], -3.0)
    groups = ["one"] * 100 + ["other"] * 100
    found = match_share(probabilities, groups, 0.7)
    is_normal = found.argmax(axis=1) == 0
    assert (is_normal[:100].sum(), is_normal[100:].sum()) == (70, 70)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    odds = np.log(found[:, 1] / found[:, 2]) - np.log(probabilities[:, 1] / probabilities[:, 2])
    np.testing.assert_allclose(odds, 0, atol=1e-9)


def test_a_group_of_one_cycle_is_left_as_it_is():
    np.testing.assert_allclose(match_share(np.array([[0.4, 0.6]]), ["a"], 0.9), [[0.4, 0.6]])
