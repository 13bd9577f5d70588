"""`add4rsc test`: a trained network on another corpus."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from add4rsc.cli import testing
from add4rsc.cli._app import app
from add4rsc.engine.run import RunSettings, train
from add4rsc.methods import recipes
from add4rsc.recipe import change_recipe


def test_verb_is_known():
    assert testing.predict_and_score in [command.callback for command in app.registered_commands]


@pytest.fixture(scope="module")
def run(made_corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    recipe = change_recipe(recipes.get("fine_tuning/small_cnn")(), {"epochs": 1, "split": "patient-folds-3/1"})
    train(recipe, [1], RunSettings(made_corpus, folder, show_progress=False))
    return folder


def test_own_test_subset_gives_the_run_s_own_predictions(run, made_corpus, tmp_path):
    result = CliRunner().invoke(
        app, ["test", str(run), "--data-folder", str(made_corpus), "-o", str(tmp_path), "--json"]
    )
    assert result.exit_code == 0, result.output
    own, again = pd.read_csv(run / "predictions.csv"), pd.read_csv(tmp_path / "predictions.csv")
    chances = [name for name in own if name.startswith("p_")]
    pd.testing.assert_frame_equal(own[["cycle_id", *chances]], again[["cycle_id", *chances]], atol=1e-5)
    assert json.loads(result.stdout)["split"] == "patient-folds-3/1"


def test_another_split_is_another_test_subset(run, made_corpus):
    result = CliRunner().invoke(
        app, ["test", str(run), "--data-folder", str(made_corpus), "--split", "patient-folds-3/2", "--json"]
    )
    assert result.exit_code == 0, result.output
    written = pd.read_csv(run / "tested-on-patient-folds-3-2" / "predictions.csv")
    own = pd.read_csv(run / "predictions.csv")
    assert not set(written["patient"]) & set(own["patient"])


@pytest.mark.data
def test_another_corpus_is_read_by_the_task_of_the_same_name(run, shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("ADD4RSC_HOME", str(tmp_path / "cache"))
    folder = shared_data / "sprsound2022"
    result = CliRunner().invoke(app, ["test", str(run), "--data-folder", str(folder), "-o", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["split"], found["n_cycles"], found["is_official"]) == ("sprsound2022/inter", 1429, True)
