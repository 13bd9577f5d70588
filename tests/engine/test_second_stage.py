"""A head that learns on the features which the chosen parts have stored: what it learns from, and going on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from add4rsc.datasets.opening import open_dataset
from add4rsc.engine import fit
from add4rsc.engine.batches import epoch_order
from add4rsc.engine.folder import SECOND_STAGE
from add4rsc.engine.loading import load_run
from add4rsc.engine.preparation import prepare_data
from add4rsc.engine.testing import predict_test_subset
from add4rsc.errors import Add4rscError, RecipeError
from add4rsc.methods.mvst import GatedFusion
from add4rsc.protocol.split import make_split

PATCHES = [[16, 16], [32, 8]]
HEAD = {"epochs": 4, "batch_size": 8, "optimiser": {"name": "adamw", "learning_rate": 3e-3}}
FIRST = 3
"""Epochs of the first stage."""


@pytest.fixture
def recipe(small_recipe):
    def make(fusion=HEAD, **changes):
        return small_recipe(method="mvst", options={"patches": PATCHES, "fusion": fusion}, epochs=FIRST, **changes)

    return make


def second(folder: Path, rule: str = "validation") -> Path:
    return folder / SECOND_STAGE.replace("*", rule)


def data_of(folder: Path, corpus: Path):
    """The recipe as the run resolved it, and its subsets."""
    own = load_run(folder).recipe
    dataset = open_dataset(corpus)
    return own, prepare_data(
        own, make_split(dataset, dataset.tasks["cycle-4"], own.split, validation_share=0.5), shown=False
    )


def assert_same_results(folder: Path, other: Path) -> None:
    assert (folder / "predictions.csv").read_bytes() == (other / "predictions.csv").read_bytes()
    one, two = load_file(folder / "model.safetensors"), load_file(other / "model.safetensors")
    assert one.keys() == two.keys()
    assert all(one[name].equal(two[name]) for name in one)
    histories = [pd.read_csv(each / "history.csv").drop(columns="seconds") for each in (folder, other)]
    pd.testing.assert_frame_equal(*histories, check_exact=True)


def test_features_are_those_of_the_chosen_views_for_cycles_as_they_are(run, recipe, made_corpus, tmp_path):
    run(recipe(), tmp_path)
    network = load_run(tmp_path).network
    _, data = data_of(tmp_path, made_corpus)
    for name, subset in (("train", data.train), ("validation", data.validation)):
        stored = np.load(second(tmp_path) / f"{name}.npy")
        frames = torch.stack([torch.from_numpy(subset.store.features(index)) for index in range(len(subset.labels))])
        with torch.no_grad():
            found = torch.stack([each(frames) for each in network.backbone.networks], dim=1)
        assert stored.shape[:2] == (len(subset.labels), 2)
        np.testing.assert_allclose(stored[:, 0], found[:, 0], atol=1e-5)
    assert len(np.load(second(tmp_path) / "test.npy")) == 0  # nothing looks at the test set


def test_fusion_is_what_a_plain_loop_makes_of_the_stored_features(run, recipe, made_corpus, tmp_path):
    run(recipe(selection="last", class_weights="none", fusion=HEAD | {"schedule": {"shape": "constant"}}), tmp_path)
    own, data = data_of(tmp_path, made_corpus)
    features = torch.from_numpy(np.load(second(tmp_path, "last") / "train.npy"))
    labels = torch.from_numpy(data.train.labels)
    chosen = load_file(tmp_path / "checkpoint" / "chosen-last.safetensors")
    fusion = GatedFusion(2, features.shape[2], 4)
    fusion.load_state_dict({k.removeprefix("fusion."): v for k, v in chosen.items() if k.startswith("fusion.")})
    optimiser = torch.optim.AdamW(fusion.parameters(), lr=3e-3, weight_decay=0.0)
    for epoch in range(HEAD["epochs"]):
        order = epoch_order(data.train.labels, own, 1, epoch)
        for first in range(0, len(order), 8):
            batch = order[first : first + 8]
            optimiser.zero_grad()
            functional.cross_entropy(fusion(features[batch]), labels[batch]).backward()
            optimiser.step()
    trained = load_file(tmp_path / "model.safetensors")
    assert not torch.equal(trained["fusion.head.weight"], chosen["fusion.head.weight"])
    for name, value in fusion.state_dict().items():
        torch.testing.assert_close(trained[f"fusion.{name}"], value, atol=1e-5, rtol=1e-4)


def test_every_view_has_an_epoch_of_its_own(run, recipe, tmp_path, monkeypatch):
    """The scores say that the first view is best after the second epoch, the other after the first."""
    scores = {"view_16x16": [0.1, 0.9, 0.5], "view_32x8": [0.8, 0.3, 0.2]}
    states = []
    evaluate = fit.evaluate

    def pretend(fabric, own, network, data, n_workers):
        found = evaluate(fabric, own, network, data, n_workers)
        if f"validation_{next(iter(scores))}_score" not in found:
            return found
        states.append({name: value.clone() for name, value in network.state_dict().items()})
        return found | {f"validation_{view}_score": each[len(states) - 1] for view, each in scores.items()}

    monkeypatch.setattr(fit, "evaluate", pretend)
    run(recipe(), tmp_path)
    trained = load_file(tmp_path / "model.safetensors")
    for view, epoch in ((0, 1), (1, 0)):
        for name, value in trained.items():
            if name.startswith((f"backbone.networks.{view}.", f"view_heads.{view}.")):
                assert torch.equal(value, states[epoch][name])
    assert json.loads((tmp_path / "run.json").read_text())["epochs_of_parts"] == {"view_16x16": 2, "view_32x8": 1}


def test_history_has_both_stages_and_the_epoch_that_counts_is_of_the_second(run, recipe, made_corpus, tmp_path):
    run(recipe(), tmp_path)
    epoch = json.loads((tmp_path / "run.json").read_text())["epoch"]
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["epoch"].tolist() == list(range(1, FIRST + HEAD["epochs"] + 1))
    assert history["stage"].tolist() == [1] * FIRST + [2] * HEAD["epochs"]
    later = history[history["stage"] == 2]
    assert epoch == later["epoch"][later["validation_score"].idxmax()]
    assert {"loss_view_16x16", "validation_view_32x8_score"} <= set(history.columns[history[:FIRST].notna().all()])
    assert later["loss_classification"].notna().all()
    validation = pd.read_csv(tmp_path / "validation.csv")
    chances = validation[[name for name in validation if name.startswith("p_")]].to_numpy()
    places = [list(load_run(tmp_path).classes).index(name) for name in validation["label"]]
    loss = -np.log(chances[np.arange(len(places)), places]).mean()
    assert later["validation_loss"][later["epoch"] == epoch].item() == pytest.approx(loss, abs=1e-4)
    again = predict_test_subset(load_run(tmp_path), made_corpus).table
    table = pd.read_csv(tmp_path / "predictions.csv")
    probabilities = [name for name in table if name.startswith("p_")]
    np.testing.assert_allclose(again[probabilities], table[probabilities], atol=2e-6)


@contextmanager
def interrupted_at(monkeypatch: pytest.MonkeyPatch, call: int) -> Iterator[None]:
    """Ctrl-C in the middle of one of the training steps."""
    taken, step = [], fit._step

    def stop(*arguments):
        taken.append(step(*arguments))
        if len(taken) == call:
            raise KeyboardInterrupt
        return taken[-1]

    with monkeypatch.context() as patch:
        patch.setattr(fit, "_step", stop)
        yield


def test_stopped_in_either_stage_it_goes_on_and_ends_the_same(run, recipe, tmp_path, monkeypatch):
    """23 training cycles are three steps an epoch in both stages."""
    own = recipe(also_select=["last"])
    run(own, tmp_path / "whole")
    for call, n_states in ((5, 0), (3 * FIRST + 8, 1), (3 * (FIRST + HEAD["epochs"]) + 5, 2)):
        folder = tmp_path / str(call)
        with pytest.raises(KeyboardInterrupt), interrupted_at(monkeypatch, call):
            run(own, folder)
        assert len(list(folder.glob(f"{SECOND_STAGE}/checkpoint/state.safetensors"))) == n_states
        run(own, folder, resume=True)
        assert_same_results(folder, tmp_path / "whole")
        name = "predictions-last.csv"
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    last, validation = (
        load_file(second(tmp_path / "whole", rule) / "checkpoint" / "state.safetensors")
        for rule in ("last", "validation")
    )
    assert last.keys() == validation.keys()


def test_overwriting_forgets_the_stored_features(run, recipe, tmp_path):
    run(recipe(also_select=["last"]), tmp_path)
    run(recipe(fusion=HEAD | {"epochs": 1}), tmp_path, overwrite=True)
    assert not list(second(tmp_path, "last").rglob("*.*"))
    assert len(pd.read_csv(tmp_path / "history.csv")) == FIRST + 1


def test_augmented_looks_are_other_features(run, recipe, tmp_path):
    changes = {"augmentation.time_shift": 0.5, "augmentation.level_shift": 0.5}
    for name, augmented in (("plain", False), ("augmented", True)):
        run(recipe(fusion=HEAD | {"augmented": augmented}, **changes), tmp_path / name)
    plain, augmented = (
        {part: np.load(second(tmp_path / name) / f"{part}.npy") for part in ("train", "validation")}
        for name in ("plain", "augmented")
    )
    assert not np.allclose(plain["train"], augmented["train"], atol=1e-3)
    np.testing.assert_array_equal(plain["validation"], augmented["validation"])


def test_rule_that_looks_at_the_test_set_has_its_features(run, recipe, tmp_path):
    run(recipe(selection="test", validation_share=0.0), tmp_path)
    history, table = pd.read_csv(tmp_path / "history.csv"), pd.read_csv(tmp_path / "predictions.csv")
    assert len(np.load(second(tmp_path, "test") / "test.npy")) == len(table)
    later = history[history["stage"] == 2]
    assert table["epoch"].unique() == later["epoch"][later["test_score"].idxmax()]


@pytest.mark.slow
def test_two_processes_give_what_one_gives(run, recipe, tmp_path):
    own = recipe(**{"batch_size": 22, "optimiser.clip_norm": 1.0})
    run(own, tmp_path / "one")
    run(own, tmp_path / "two", devices=2)
    one, two = (pd.read_csv(tmp_path / name / "history.csv")["validation_loss"] for name in ("one", "two"))
    assert len(one) == FIRST + HEAD["epochs"]
    pd.testing.assert_series_equal(one, two, atol=1e-3, rtol=0)


@pytest.mark.slow
def test_batches_of_the_second_stage_are_divisible_before_the_first_begins(run, recipe, tmp_path):
    with pytest.raises(Add4rscError, match=r"^Batches of 7 cycles cannot be divided.*second stage"):
        run(recipe(fusion=HEAD | {"batch_size": 7}), tmp_path, devices=2)
    assert not (tmp_path / "checkpoint").exists()


def test_networks_for_single_stethoscopes_are_refused(run, recipe, tmp_path):
    own = recipe(device_fine_tuning={"epochs": 1, "learning_rate": 1e-3})
    with pytest.raises(RecipeError, match=r"'mvst' learns in two stages.*device_fine_tuning=null"):
        run(own, tmp_path)
