"""The seeds of a run as one network."""

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from add4rsc.cli import testing
from add4rsc.cli._app import app
from add4rsc.engine.ensemble import Ensemble, check_held_back, load_ensemble
from add4rsc.engine.loading import load_run
from add4rsc.errors import RunFolderError, SplitError
from add4rsc.recipe import change_recipe


@pytest.fixture
def seeds(small_recipe, run, tmp_path):
    """A run of two seeds."""
    run(small_recipe(epochs=1), tmp_path / "run", (1, 2))
    return tmp_path / "run"


def test_probabilities_are_means(unmoved):
    both = Ensemble([unmoved(0.0, 0.0), unmoved(0.0, float(np.log(3)))])
    np.testing.assert_allclose(both(torch.zeros(2, 5, 4)).softmax(dim=-1), [[0.375, 0.625]] * 2, rtol=1e-6)


def test_sure_members_leave_finite_logits(unmoved):
    assert torch.isfinite(Ensemble([unmoved(0.0, -2000.0), unmoved(0.0, -3000.0)])(torch.zeros(1, 5, 4))).all()


def test_command_tests_the_mean_of_the_seeds(seeds, made_corpus, tmp_path):
    assert testing.predict_and_score in [command.callback for command in app.registered_commands]
    arguments = ["test", str(seeds), "--data-folder", str(made_corpus), "--ensemble", "--out", str(tmp_path / "out")]
    outcome = CliRunner().invoke(app, arguments)
    assert outcome.exit_code == 0, outcome.output
    tables = [pd.read_csv(seeds / f"seed-{seed}" / "predictions.csv").set_index("cycle_id") for seed in (1, 2)]
    found = pd.read_csv(tmp_path / "out" / "predictions.csv").set_index("cycle_id")
    columns = [name for name in found if name.startswith("p_")]
    expected = sum(table.loc[found.index, columns] for table in tables) / 2
    np.testing.assert_allclose(found[columns], expected, atol=1e-5)
    assert not np.allclose(tables[0][columns], tables[1].loc[tables[0].index, columns], atol=1e-3)


def test_one_seed_is_no_ensemble(seeds):
    (seeds / "seed-2" / "model.safetensors").unlink()
    with pytest.raises(RunFolderError, match="holds 1 trained seeds"):
        load_ensemble(seeds)


def test_seeds_of_other_recipes_are_refused(seeds, small_recipe, run):
    run(small_recipe(epochs=1, optimiser__learning_rate=0.5), seeds / "seed-3")
    with pytest.raises(RunFolderError, match=r"differs from .*seed-1 in 'optimiser'"):
        load_ensemble(seeds)


def test_patients_must_be_new_to_all_members(seeds, small_recipe, run):
    check_held_back(load_ensemble(seeds))
    check_held_back(load_run(seeds / "seed-1"))
    run(change_recipe(small_recipe(epochs=1), {"validation_seed": 5}), seeds / "seed-3", (3,))
    with pytest.raises(SplitError, match="held back different patients"):
        check_held_back(load_ensemble(seeds))
