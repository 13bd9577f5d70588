"""One step of the loop, against the same by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch.nn import functional

from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.checkpoint import load_tensors
from add4rsc.engine.choice import selection_scores
from add4rsc.engine.fit import FitSettings, fit
from add4rsc.engine.model import build_method
from add4rsc.engine.preparation import prepare_data
from add4rsc.engine.run import resolve_recipe
from add4rsc.engine.subsets import LabelledFeatures, TrainingData
from add4rsc.errors import DivergedError, SplitError
from add4rsc.protocol.selection import Selection
from add4rsc.protocol.split import make_split

PLAIN = {
    "averaging": {"kind": "none"},
    "options.dropout": 0.0,
    "augmentation": {"time_shift": 0.0, "level_shift": 0.0},
    "schedule.shape": "constant",
    "optimiser": {"name": "sgd", "learning_rate": 0.05, "weight_decay": 0.0, "momentum": 0.0},
    "batch_size": 100,
    "epochs": 1,
}


@pytest.fixture
def data(made_corpus, feature_cache, small_recipe) -> TrainingData:
    """23 training cycles, 24 of validation."""
    dataset = open_dataset(made_corpus)
    recipe = resolve_recipe(small_recipe(), dataset)
    split = make_split(dataset, dataset.tasks[recipe.task], recipe.split, validation_share=0.5)
    return prepare_data(recipe, split, shown=False)


def start(recipe, data, folder, seed=1):
    fabric = Fabric(accelerator="cpu", devices=1)
    return fit(fabric, recipe, data, seed, FitSettings(folder, show_progress=False))


def fresh(recipe, seed=1):
    torch.manual_seed(seed)
    return build_method(recipe, 4).train()


def all_cycles(subset: LabelledFeatures):
    frames = [torch.from_numpy(subset.store.features(index)) for index in range(len(subset.labels))]
    return torch.stack(frames), torch.from_numpy(subset.labels)


def by_hand(recipe, data, step_size=0.05, weight=None, clip=None):
    """The state after one step on all training cycles."""
    network = fresh(recipe)
    log_mel, labels = all_cycles(data.train)
    functional.cross_entropy(network(log_mel), labels, weight=weight).backward()
    norm = torch.stack([value.grad.norm() for value in network.parameters()]).norm()
    shrink = 1.0 if clip is None else min(1.0, clip / float(norm))
    with torch.no_grad():
        for value in network.parameters():
            value.sub_(step_size * shrink * value.grad)
    return network.state_dict()


def assert_close(state, expected):
    assert state.keys() == expected.keys()
    for name, value in state.items():
        torch.testing.assert_close(value, expected[name], atol=2e-6, rtol=1e-5, msg=name)


def test_a_step_is_one_of_gradient_descent(small_recipe, data, tmp_path):
    recipe = small_recipe(**PLAIN | {"class_weights": "none"})
    state = start(recipe, data, tmp_path)
    assert_close(state.module.state_dict(), by_hand(recipe, data))
    log_mel, labels = all_cycles(data.train)
    expected = functional.cross_entropy(fresh(recipe)(log_mel), labels).item()
    assert state.history[0]["loss"] == pytest.approx(expected, abs=1e-5)
    assert state.history[0]["loss_classification"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("kind", "power"), [("inverse", 1.0), ("square-root", 0.5)])
def test_class_weights_are_those_of_torch(small_recipe, data, tmp_path, kind, power):
    recipe = small_recipe(**PLAIN | {"class_weights": kind})
    counts = torch.bincount(torch.from_numpy(data.train.labels), minlength=4).float()
    state = start(recipe, data, tmp_path)
    assert_close(state.module.state_dict(), by_hand(recipe, data, weight=counts**-power))


def test_gradient_is_clipped_as_a_whole(small_recipe, data, tmp_path):
    recipe = small_recipe(**PLAIN | {"class_weights": "none", "optimiser.clip_norm": 0.01})
    assert_close(start(recipe, data, tmp_path).module.state_dict(), by_hand(recipe, data, clip=0.01))


def test_half_steps_are_half_for_weights_and_buffers(small_recipe, data, tmp_path):
    recipe = small_recipe(**PLAIN | {"class_weights": "none", "averaging": {"kind": "half-step", "decay": 0.5}})
    before, after = fresh(recipe).state_dict(), by_hand(recipe, data)
    state = start(recipe, data, tmp_path).module.state_dict()
    means = [name for name in state if name.endswith("running_mean")]
    assert means
    assert not torch.equal(before[means[0]], after[means[0]])
    expected = {name: (0.5 * before[name] + 0.5 * after[name]).to(before[name].dtype) for name in state}
    assert_close(state, expected)


def test_small_batches_see_every_cycle_and_several_epochs_learn(small_recipe, data, tmp_path):
    recipe = small_recipe(epochs=20, averaging__kind="none", options__dropout=0.0, class_weights="none")
    history = start(recipe, data, tmp_path).history
    assert [row["epoch"] for row in history] == list(range(1, 21))
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    assert history[0]["learning_rate"] > history[-1]["learning_rate"]


@pytest.mark.parametrize("selection", ["validation", "test", "last"])
def test_chosen_weights_are_those_of_the_chosen_epoch(small_recipe, data, tmp_path, selection):
    recipe = small_recipe(epochs=4, schedule__shape="constant", selection=selection)
    state = start(recipe, data, tmp_path / "whole")
    scores = selection_scores(state.history, Selection(selection))
    best = 3 if selection == "last" else scores.index(max(scores))
    assert ("test_score" in state.history[0]) is (selection == "test")
    kept, _ = load_tensors(tmp_path / "whole" / f"chosen-{selection}.safetensors")
    shorter = start(recipe.model_copy(update={"epochs": best + 1}), data, tmp_path / "shorter")
    assert all(kept[name].equal(value) for name, value in shorter.evaluated.state_dict().items())


def test_global_generator_is_left_alone(small_recipe, data, tmp_path):
    torch.manual_seed(5)
    start(small_recipe(epochs=1), data, tmp_path)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert drawn.equal(torch.rand(3))


def test_seeds_differ(small_recipe, data, tmp_path):
    recipe = small_recipe(epochs=1)
    one, two, same = (start(recipe, data, tmp_path / str(index), seed) for index, seed in enumerate((1, 2, 1)))
    weights = [next(iter(state.module.state_dict().values())) for state in (one, two, same)]
    assert weights[0].equal(weights[2])
    assert not weights[0].equal(weights[1])


def test_diverging_run_says_where_and_what_to_do(small_recipe, data, tmp_path):
    recipe = small_recipe(optimiser__name="sgd", optimiser__learning_rate=1e30)
    with pytest.raises(DivergedError, match=r"The loss is (nan|inf) in epoch \d, step \d.*learning_rate"):
        start(recipe, data, tmp_path)


def test_bfloat16_learns_too(small_recipe, data, tmp_path):
    recipe = small_recipe(epochs=4, averaging__kind="none", precision="bf16-mixed")
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    history = fit(fabric, recipe, data, 1, FitSettings(tmp_path, show_progress=False)).history
    assert history[-1]["loss"] < history[0]["loss"]


def test_subset_without_abnormal_cycles_cannot_choose_an_epoch(small_recipe, data, tmp_path):
    normal = LabelledFeatures(data.validation.store, np.zeros_like(data.validation.labels))
    with pytest.raises(SplitError, match=r"validation cycles are all normal.*validation_seed"):
        start(small_recipe(), replace(data, validation=normal), tmp_path)
    assert start(small_recipe(epochs=1, selection="last"), replace(data, validation=normal), tmp_path).history
