"""Stochastic normalisation in a run: resumed, and in two processes."""

import pandas as pd
import pytest
import torch

from add4rsc.engine import fit
from add4rsc.engine.checkpoint import load_tensors
from add4rsc.methods import recipes
from add4rsc.recipe import change_recipe

SMALL = {"backbone": "small_cnn", "weights": None, "epochs": 2, "batch_size": 22, "crop.duration": 1.0}
"""23 training cycles in batches of 22, so that one of two processes has nothing in every second step."""


@pytest.fixture
def recipe():
    recipe = recipes.get("stochastic_normalisation/mn04-small")()
    return change_recipe(recipe, SMALL | {"validation_share": 0.5, "spectrum_correction": None})


def test_resumed_run_ends_as_an_uninterrupted_one(run, recipe, tmp_path, monkeypatch):
    """Stopped in the third of four steps, which is the first of the second epoch."""
    run(recipe, tmp_path / "whole")
    taken, step = [], fit._step

    def stop(*arguments):
        taken.append(step(*arguments))
        if len(taken) == 3:
            raise KeyboardInterrupt
        return taken[-1]

    with monkeypatch.context() as patch:
        patch.setattr(fit, "_step", stop)
        with pytest.raises(KeyboardInterrupt):
            run(recipe, tmp_path / "halves")
    run(recipe, tmp_path / "halves", resume=True)
    whole, halves = (load_tensors(tmp_path / name / "model.safetensors")[0] for name in ("whole", "halves"))
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


@pytest.mark.slow
def test_two_processes_give_what_one_gives(run, recipe, tmp_path):
    run(recipe, tmp_path / "one")
    run(recipe, tmp_path / "two", devices=2)
    one, two = (pd.read_csv(tmp_path / name / "history.csv")["validation_loss"] for name in ("one", "two"))
    pd.testing.assert_series_equal(one, two, atol=1e-3, rtol=0)
