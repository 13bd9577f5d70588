"""Half precision: with a scaler, and without one as ADD4RSC's released code trains; on a CPU."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric

from add4rsc.datasets.opening import open_dataset
from add4rsc.engine import processes
from add4rsc.engine.checkpoint import TrainingState, load_tensors
from add4rsc.engine.features import FeatureStore
from add4rsc.engine.fit import FitSettings, fit
from add4rsc.engine.preparation import prepare_data
from add4rsc.engine.processes import LeavingInputs, build_fabric, precision_of, tell_precision, unscaled_half_precision
from add4rsc.engine.run import resolve_recipe
from add4rsc.engine.subsets import LabelledFeatures, TrainingData
from add4rsc.protocol.split import make_split

TINY = 1e-9
"""Below half precision's smallest number, 6e-8."""


def half(scaled: bool, scale: float = 2.0**16) -> Fabric:
    """Half precision on a CPU, which a run would refuse as too slow; a GPU's goes through the same code."""
    plugin = (
        LeavingInputs("16-mixed", "cpu", torch.amp.GradScaler("cpu", scale))
        if scaled
        else unscaled_half_precision("cpu")
    )
    return Fabric(accelerator="cpu", devices=1, plugins=plugin)


def scaler_state(folder: Path) -> dict:
    return json.loads(load_tensors(folder / "state.safetensors")[1]["progress"])["scaler"]


def step_of(scaled: bool, loss_factor: float) -> tuple[float, float]:
    """How far one step of gradient descent moves a weight whose gradient is that factor, and the scale after it."""
    fabric = half(scaled)
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(module.weight)
    model, optimiser = fabric.setup(module, torch.optim.SGD(module.parameters(), lr=1.0))
    fabric.backward((model(torch.ones(1, 1)) * loss_factor).sum())
    optimiser.step()
    return module.weight.item(), float(fabric.strategy.precision.scaler.get_scale())


def test_scaler_saves_small_gradients_and_the_unscaled_form_loses_them() -> None:
    moved, scale = step_of(True, TINY)
    assert moved == pytest.approx(-TINY, rel=1e-2)
    assert scale == 2.0**16
    assert step_of(False, TINY) == (0.0, 1.0)
    assert step_of(True, 0.25)[0] == step_of(False, 0.25)[0] == -0.25


def test_a_step_that_overflows_is_left_out_and_the_scale_halved() -> None:
    assert step_of(True, 8.0) == (0.0, 2.0**15)  # 8 * 65,536 is above half precision's largest number, 65,504
    assert step_of(False, 8.0) == (-8.0, 1.0)


@pytest.fixture
def data(made_corpus, feature_cache, small_recipe) -> TrainingData:
    """6 training cycles of 23, and as many of validation."""
    dataset = open_dataset(made_corpus)
    recipe = resolve_recipe(small_recipe(**SHORT), dataset)
    split = make_split(dataset, dataset.tasks[recipe.task], recipe.split, validation_share=0.5)
    whole = prepare_data(recipe, split, shown=False)
    few = [LabelledFeatures(FeatureStore(*(part[:6] for part in (each.store.files, each.store.rows))), each.labels[:6])
           for each in (whole.train, whole.validation, whole.test)]  # fmt: skip
    return TrainingData(whole.classes, *few)


SHORT = {"crop.duration": 0.15, "batch_size": 3, "selection": "last", "options.dropout": 0.0, "epochs": 3}


def start(recipe, data, folder, fabric) -> TrainingState:
    return fit(fabric, recipe, data, 1, FitSettings(folder / "checkpoint", show_progress=False))


def test_run_keeps_the_scale_and_a_resumed_one_goes_on_with_it(small_recipe, data, tmp_path) -> None:
    recipe = small_recipe(**SHORT | {"optimiser.clip_norm": 1.0})
    whole = start(recipe, data, tmp_path / "whole", half(True))
    kept = scaler_state(tmp_path / "whole" / "checkpoint")
    steps = pd.read_csv(tmp_path / "whole" / "steps.csv")
    n_overflown = int((~np.isfinite(steps["gradient_norm"])).sum())
    assert len(steps) == 6
    assert kept["scale"] == 2.0**16 * 0.5**n_overflown
    assert kept["_growth_tracker"] + n_overflown <= 6
    assert kept != half(True).strategy.precision.state_dict()
    start(recipe.model_copy(update={"epochs": 2, "schedule": recipe.schedule}), data, tmp_path / "two", half(True))
    shorter = scaler_state(tmp_path / "two" / "checkpoint")
    resumed = start(recipe, data, tmp_path / "two", half(True))
    assert scaler_state(tmp_path / "two" / "checkpoint") == kept != shorter
    assert len(resumed.history) == len(whole.history) == 3


@pytest.mark.parametrize("scaled", [True, False])
def test_half_precision_learns_as_single_does(small_recipe, data, tmp_path, scaled) -> None:
    recipe = small_recipe(**SHORT | {"epochs": 1, "averaging": {"kind": "half-step", "decay": 0.5}})
    losses = []
    for name, fabric in (("single", Fabric(accelerator="cpu", devices=1)), ("half", half(scaled, 2.0**8))):
        start(recipe, data, tmp_path / name, fabric)
        losses.append(pd.read_csv(tmp_path / name / "steps.csv")["loss"])
    assert (losses[0] - losses[1]).abs().max() < 0.02
    assert (losses[0] != losses[1]).any()
    assert bool(scaler_state(tmp_path / "half" / "checkpoint")) is scaled


@pytest.mark.parametrize(
    ("precision", "has_bfloat16", "used"),
    [
        ("16-mixed", True, "bf16-mixed"),
        ("16-mixed-unscaled", True, "bf16-mixed"),
        ("16-mixed", False, "32-true"),
        ("bf16-mixed", False, "32-true"),
    ],
)
def test_a_cpu_says_what_it_takes_in_place_of_what_it_has_not(
    precision, has_bfloat16, used, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(processes, "computes_bfloat16", lambda: has_bfloat16)
    fabric = build_fabric(precision, "cpu", 1)
    assert precision_of(fabric) == used
    tell_precision(fabric, precision)
    assert f"{precision}: this device computes in {used}" in capsys.readouterr().err
    tell_precision(build_fabric("32-true", "cpu", 1), "32-true")
    assert not capsys.readouterr().err


def test_bfloat16_is_taken_where_the_processor_has_it(capsys) -> None:
    fabric = build_fabric("bf16-mixed", "cpu", 1)
    assert precision_of(fabric) == ("bf16-mixed" if processes.computes_bfloat16() else "32-true")
