"""`add4rsc benchmark`: one protocol for all rows, a table that agrees with the runs, and rows that fail alone."""

import csv
import json
import math

import pandas as pd
import pytest
from typer.testing import CliRunner

from add4rsc.cli._app import VERBS, app
from add4rsc.engine.benchmarking import Protocol, choose_recipes
from add4rsc.methods import recipes
from add4rsc.metrics.icbhi import icbhi_score
from add4rsc.predictions import read_predictions
from add4rsc.protocol.selection import Selection

QUICK = ["--set", "epochs=1", "--set", "crop.duration=0.6", "--accelerator", "cpu", "--seeds", "1,2"]


@pytest.fixture(scope="module")
def finished(made_corpus, tmp_path_factory):
    """Two rows that work and one whose weights are missing."""
    assert "benchmark" in VERBS
    __import__("add4rsc.cli.benchmark")
    home = tmp_path_factory.mktemp("home")
    folder = home / "rows"
    rows = ["fine_tuning/small_cnn", "add4rsc/small_cnn", "fine_tuning/resnet50"]
    command = ["benchmark", *rows, "--data-folder", str(made_corpus), "--run-folder", str(folder), *QUICK]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADD4RSC_HOME", str(home))
        result = CliRunner().invoke(app, [*command, "--json"])
        again = CliRunner().invoke(app, [*command, "--resume"])
        mixed = CliRunner().invoke(app, command)
    return folder, result, again, mixed


def test_a_row_that_fails_is_named_and_the_others_are_ranked(finished):
    folder, result, _, _ = finished
    assert result.exit_code == 3
    values = json.loads(result.stdout)
    assert [row["recipe"] for row in values["problems"]] == ["fine_tuning/resnet50"]
    assert "resnet50" in values["problems"][0]["problem"]
    assert {row["recipe"] for row in values["ranking"]} == {"fine_tuning/small_cnn", "add4rsc/small_cnn"}
    assert "Research use only" in values["notice"]
    assert json.loads((folder / "benchmark.json").read_text())["ranking"] == values["ranking"]


def test_ranking_agrees_with_the_stored_predictions(finished):
    folder, result, _, _ = finished
    ranking = json.loads(result.stdout)["ranking"]
    shown = [row["score"]["value"] for row in ranking]
    assert shown == sorted(shown, reverse=True)
    for row in ranking:
        scores = []
        for seed in (1, 2):
            table = read_predictions(folder / row["recipe"].replace("/", "-") / f"seed-{seed}" / "predictions.csv")
            scores.append(icbhi_score(table.labels, table.decisions).score)
        assert row["score"]["value"] == pytest.approx(sum(scores) / 2)
        assert row["score"]["low"] <= row["score"]["value"] <= row["score"]["high"]
        assert row["n_parameters"] >= row["n_learning"] > 10_000
        assert row["latency_ms"] > 0
    pair = json.loads(result.stdout)["pairs"][0]
    assert pair["difference"]["value"] == pytest.approx(shown[0] - shown[1])
    assert pair["p_holm"] == pair["p"]
    is_significant = pair["p_holm"] < 0.05
    assert pair["verdict"] == ("significant" if is_significant else "not significant")
    assert [row["same"] for row in ranking] == (["-", "-"] if is_significant else ["2", "1"])


def test_every_format_has_every_row(finished):
    folder = finished[0]
    for ending in ("html", "md", "tex"):
        text = (folder / f"benchmark.{ending}").read_text()
        assert "Research use only" in text
        for name in ("fine_tuning/small_cnn", "add4rsc/small_cnn"):
            assert name in text.replace("\\", "")
    assert "fine_tuning/resnet50 has no score" in (folder / "benchmark.html").read_text()
    with (folder / "benchmark.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["table"] for row in rows} >= {"ranking", "pairs"}
    assert all(math.isfinite(float(row["value"])) for row in rows if row["measure"] == "score")


def test_resume_keeps_finished_rows_and_nothing_is_mixed_in_silently(finished):
    folder, _, again, mixed = finished
    assert again.exit_code == 3
    assert "Benchmark on icbhi2017" in again.stdout
    assert mixed.exit_code != 0
    assert "--resume" in str(mixed.exception)
    epochs = pd.read_csv(folder / "fine_tuning-small_cnn" / "seed-1" / "history.csv")
    assert len(epochs) == 1


def test_protocol_overrides_every_rule_of_selection():
    protocol = Protocol((1,), "icbhi2017/official", "cycle-4")
    for name in recipes.names():
        recipe = protocol.apply(recipes.get(name)())
        assert recipe.selections == (Selection.VALIDATION,)
        assert recipe.validation_share == protocol.validation_share
        assert (recipe.split, recipe.task) == ("icbhi2017/official", "cycle-4")


def test_methods_stand_for_their_small_recipes():
    assert [recipe.name for recipe in choose_recipes(["fine_tuning/ast"])] == ["fine_tuning/ast"]
    every = choose_recipes([])
    assert {recipe.method for recipe in every} == {name.split("/")[0] for name in recipes.names()}
    assert len({recipe.method for recipe in every}) == len(every)
    assert choose_recipes(["patch_mix_cl"])[0].name.endswith("-small")
