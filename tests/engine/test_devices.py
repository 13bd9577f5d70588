"""Networks for single stethoscopes: who is trained on what, who judges whom, and going on after a stop."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file

from add4rsc.datasets.opening import open_dataset
from add4rsc.engine import devices, fit
from add4rsc.engine.features import cache_folder, prepare_features
from add4rsc.engine.loading import load_run
from add4rsc.engine.predict import predict_probabilities
from add4rsc.engine.testing import predict_test_subset
from add4rsc.protocol.split import make_split

FINE_TUNING = {"epochs": 2, "learning_rate": 5e-3}
SPLIT = "patient-folds-2/1"


@pytest.fixture
def recipe(small_recipe):
    return small_recipe(epochs=1, split=SPLIT, device_fine_tuning=FINE_TUNING)


def networks(folder):
    return {path.parent.name: load_file(path) for path in sorted(folder.glob("device-*/model.safetensors"))}


def equal(left, right):
    return all(torch.equal(left[name], right[name]) for name in left)


def test_each_stethoscope_is_judged_by_its_own_network(run, recipe, small_recipe, made_corpus, tmp_path):
    run(recipe, tmp_path / "devices")
    run(small_recipe(epochs=1, split=SPLIT), tmp_path / "shared")
    shared = load_file(tmp_path / "shared" / "model.safetensors")
    assert equal(load_file(tmp_path / "devices" / "model.safetensors"), shared)
    dataset = open_dataset(made_corpus)
    split = make_split(dataset, dataset.tasks["cycle-4"], SPLIT, validation_share=0.5)
    trained = {cycle.recording.stethoscope for cycle in split.train}
    found = networks(tmp_path / "devices")
    assert found.keys() == {f"device-{name}" for name in trained}
    assert not any(equal(each, shared) for each in found.values())
    table, other = (pd.read_csv(tmp_path / name / "predictions.csv") for name in ("devices", "shared"))
    assert table["cycle_id"].tolist() == other["cycle_id"].tolist()
    probabilities = [name for name in table if name.startswith("p_")]
    own = load_run(tmp_path / "shared").recipe
    for stethoscope, rows in table.groupby("stethoscope"):
        cycles = [cycle for cycle in split.test if cycle.recording.stethoscope == stethoscope]
        folder = f"devices/device-{stethoscope}" if stethoscope in trained else "shared"
        network = load_run(tmp_path / folder).network
        store = prepare_features(cycles, own.crop, own.front_end, cache_folder())
        expected = predict_probabilities(Fabric(accelerator="cpu", devices=1), network, store)
        np.testing.assert_allclose(rows[probabilities], expected, atol=1e-6)
    assert (table["decision"] != other["decision"]).any() or not np.allclose(table[probabilities], other[probabilities])


def test_training_uses_the_cycles_of_the_stethoscope_alone_and_the_last_epoch_where_nothing_can_choose(
    run, recipe, made_corpus, tmp_path, monkeypatch
):
    seen = []

    def watch(fabric, recipe, data, seed, settings):
        seen.append((recipe, len(data.train.labels), np.unique(data.validation.labels == 0)))
        return fit.fit(fabric, recipe, data, seed, settings)

    monkeypatch.setattr(devices, "fit", watch)
    run(recipe, tmp_path)
    dataset = open_dataset(made_corpus)
    split = make_split(dataset, dataset.tasks["cycle-4"], SPLIT, validation_share=0.5)
    assert seen
    for own, n_trained, kinds in seen:
        (name,) = own.stethoscopes
        assert n_trained == sum(cycle.recording.stethoscope == name for cycle in split.train)
        assert own.selection.value == ("validation" if len(kinds) == 2 else "last")
        assert (own.epochs, own.optimiser.learning_rate) == (2, 5e-3)
        history = pd.read_csv(tmp_path / f"device-{name}" / "history.csv")
        assert len(history) == 2
    kept = json.loads((tmp_path / "recipe.json").read_text())
    assert kept["device_fine_tuning"] == FINE_TUNING
    assert all(each.recipe.start_from is None for each in devices.load_devices(load_run(tmp_path)).values())


def test_stopped_between_two_stethoscopes_it_goes_on(run, recipe, tmp_path, monkeypatch):
    run(recipe, tmp_path / "whole")
    calls = []

    def stop(fabric, own, data, seed, settings):
        calls.append(own.stethoscopes)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit.fit(fabric, own, data, seed, settings)

    monkeypatch.setattr(devices, "fit", stop)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "stopped")
    assert len(networks(tmp_path / "stopped")) == 1
    monkeypatch.undo()
    monkeypatch.setenv("ADD4RSC_HOME", str(cache_folder().parent))
    run(recipe, tmp_path / "stopped", resume=True)
    whole, stopped = networks(tmp_path / "whole"), networks(tmp_path / "stopped")
    assert whole.keys() == stopped.keys()
    assert all(equal(whole[name], stopped[name]) for name in whole)
    assert (tmp_path / "whole" / "predictions.csv").read_text() == (
        tmp_path / "stopped" / "predictions.csv"
    ).read_text()


def test_overwriting_begins_anew_and_testing_uses_the_networks_again(run, recipe, made_corpus, tmp_path):
    run(recipe, tmp_path)
    first = (tmp_path / "predictions.csv").read_text()
    again = predict_test_subset(load_run(tmp_path), made_corpus).table
    table = pd.read_csv(tmp_path / "predictions.csv")
    probabilities = [name for name in table if name.startswith("p_")]
    np.testing.assert_allclose(again[probabilities], table[probabilities], atol=2e-6)
    changed = recipe.model_copy(
        update={"device_fine_tuning": recipe.device_fine_tuning.model_copy(update={"learning_rate": 1e-2})}
    )
    run(changed, tmp_path, overwrite=True)
    assert (tmp_path / "predictions.csv").read_text() != first


def test_every_rule_of_selection_has_networks_of_its_own(run, small_recipe, tmp_path):
    settings = {"epochs": 1, "learning_rate": 5e-3}
    run(small_recipe(epochs=2, split=SPLIT, also_select=["last"], device_fine_tuning=settings), tmp_path)
    assert (tmp_path / "predictions-last.csv").is_file()
    for folder in tmp_path.glob("device-*"):
        assert (folder / "model.safetensors").is_file()
        assert (folder / "last" / "model.safetensors").is_file()
