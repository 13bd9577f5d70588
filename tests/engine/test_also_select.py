"""One training run under several rules of selection."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from add4rsc.errors import RecipeError
from add4rsc.recipe import Recipe

RULES = ("last", "validation", "test")


def test_one_run_gives_all_three_rules(
    run: Callable[..., Any], small_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    result = run(small_recipe(also_select=["last", "test"]), tmp_path / "all")
    run(small_recipe(), tmp_path / "one")
    history = pd.read_csv(tmp_path / "all" / "history.csv")
    chosen = {"last": len(history), **{rule: int(history[f"{rule}_score"].idxmax()) + 1 for rule in RULES[1:]}}
    assert {rule: row["epoch"] for rule, row in result["selections"].items()} == chosen
    best_on_test = result["selections"]["test"]
    assert best_on_test["description"] == "epoch chosen on the test set"
    assert best_on_test["score"] == pytest.approx(history["test_score"].max(), abs=1e-12)
    for rule in ("last", "test"):
        table = pd.read_csv(tmp_path / "all" / f"predictions-{rule}.csv")
        assert set(table["selection"]) == {rule}
        assert (table["label"] == table["decision"])[table["label"] == "normal"].mean() == pytest.approx(
            result["selections"][rule]["specificity"]
        )
    assert json.loads((tmp_path / "all" / "summary.json").read_text())["selections"] == result["selections"]
    # looking at the test set besides changes nothing of the run's own result
    same = ["predictions.csv", "model.safetensors"]
    assert (tmp_path / "all" / same[0]).read_text() == (tmp_path / "one" / same[0]).read_text()
    left, right = (load_file(tmp_path / folder / same[1]) for folder in ("all", "one"))
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert "test_score" not in pd.read_csv(tmp_path / "one" / "history.csv")


def test_folds_and_seeds_keep_every_rule(
    run: Callable[..., Any], small_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe = small_recipe(also_select=["last"], epochs=1, split="patient-folds-2")
    result = run(recipe, tmp_path, seeds=(1, 2))
    assert list(result["selections"]) == ["validation", "last"]
    assert len(result["selections"]["last"]["score"]["values"]) == 2
    pooled = pd.read_csv(tmp_path / "seed-2" / "predictions-last.csv")
    assert sorted(pooled["fold"].unique()) == [1, 2]
    assert len(pooled) == result["n_cycles"]


def test_folds_by_stethoscope_have_its_name(
    run: Callable[..., Any], small_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe = small_recipe(epochs=1, selection="last", validation_share=0.0)
    recipe = recipe.model_copy(update={"split": "icbhi2017/leave-one-stethoscope-out/Meditron"})
    result = run(recipe, tmp_path)
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert set(table["stethoscope"]) == {"Meditron"}
    assert not result["is_official"]


def test_validation_rule_without_validation_patients_is_refused(
    run: Callable[..., Any], small_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    recipe = small_recipe(selection="last", also_select=["validation"], validation_share=0.0)
    with pytest.raises(RecipeError, match="validation patients"):
        run(recipe, tmp_path)
