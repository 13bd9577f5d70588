"""Windows in a run: training cycles of their own, one row a cycle in the predictions, the same from the folder."""

import numpy as np
import pandas as pd
import pytest
from lightning_fabric import Fabric

from add4rsc.audio.windows import window_times
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.calibrate import validation_logits
from add4rsc.engine.features import cache_folder, prepare_features
from add4rsc.engine.loading import load_run
from add4rsc.engine.predict import predict_probabilities
from add4rsc.engine.preparation import prepare_data
from add4rsc.engine.run import resolve_recipe
from add4rsc.engine.testing import predict_test_subset
from add4rsc.engine.windows import split_cycles
from add4rsc.protocol.split import make_split


@pytest.fixture
def split(made_corpus):
    dataset = open_dataset(made_corpus)
    return make_split(dataset, dataset.tasks["cycle-4"], "icbhi2017/official", validation_share=0.5)


def n_windows(cycles, crop):
    return sum(len(window_times(cycle.start, cycle.end, crop)) for cycle in cycles)


def test_windows_are_training_cycles_with_copies_and_the_tested_ones_vote(
    small_recipe, split, made_corpus, feature_cache
):
    recipe = resolve_recipe(
        small_recipe(crop__windows="mean", waveform__copies=1, waveform__padding="smart"), open_dataset(made_corpus)
    )
    data = prepare_data(recipe, split, shown=False)
    crop = recipe.crop
    assert len(data.train.labels) == len(data.train.store) == n_windows(split.train, crop) > len(split.train)
    assert len(data.train.store.copies[0]) == len(data.train.store)
    assert all(len(codes) == len(data.train.labels) for codes in data.train.groups.values())
    for subset, cycles in ((data.validation, split.validation), (data.test, split.test)):
        assert len(subset.labels) == len(cycles)
        assert len(subset.store) == n_windows(cycles, crop)
        assert subset.labels.tolist() == [split.task.label(cycle.annotation) for cycle in cycles]
    plain = prepare_data(
        recipe.model_copy(update={"crop": crop.model_copy(update={"windows": None})}), split, shown=False
    )
    assert len(plain.train.labels) == len(split.train)
    np.testing.assert_array_equal(plain.test.store.features(0), data.test.store.features(0))


@pytest.mark.parametrize("rule", ["mean", "majority"])
def test_a_run_predicts_each_cycle_once_by_the_vote_of_its_windows(
    run, small_recipe, split, tmp_path, rule, made_corpus
):
    run(small_recipe(crop__windows=rule, epochs=1), tmp_path)
    trained = load_run(tmp_path)
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert table["cycle_id"].tolist() == [cycle.cycle_id for cycle in split.test]
    probabilities = [name for name in table if name.startswith("p_")]
    parts, windows = split_cycles(split.test, trained.recipe.crop)
    store = prepare_features(parts, trained.recipe.crop, trained.front_end, cache_folder())
    rows = predict_probabilities(Fabric(accelerator="cpu", devices=1), trained.network, store)
    for index, cycle in enumerate(split.test):
        own = rows[[place for place, owner in enumerate(windows.owners) if owner == index]]
        assert len(own) == len(window_times(cycle.start, cycle.end, trained.recipe.crop))
        if rule == "mean":
            np.testing.assert_allclose(table.loc[index, probabilities].astype(float), own.mean(axis=0), atol=1e-6)
        else:
            votes = np.bincount(own.argmax(axis=1), minlength=4)
            decision = list(split.task.classes).index(table.loc[index, "decision"])
            assert votes[decision] == votes.max()
    again = predict_test_subset(trained, made_corpus).table
    np.testing.assert_allclose(again[probabilities], table[probabilities], atol=2e-6)
    logits, labels = validation_logits(trained, made_corpus)
    assert len(logits) == len(labels) == n_windows(split.validation, trained.recipe.crop)
