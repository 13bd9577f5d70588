"""`add4rsc compare`, `evaluate` of several rules of selection, `check-published` and `list published`."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

CLASSES = ("normal", "crackle", "wheeze", "both")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a made table of predictions; the labels are the same for all seeds."""

    def make(name: str, seed: int, n_patients: int = 6, **columns: object) -> Path:
        labels = np.random.default_rng(9).integers(0, 4, 60)[: 10 * n_patients]
        p = np.random.default_rng(seed).dirichlet(np.ones(4), len(labels))
        numbers = np.arange(len(labels))
        table = pd.DataFrame(
            {
                "cycle_id": [f"r{each}@0" for each in numbers],
                "recording": [f"r{each}" for each in numbers],
                "patient": [f"p{each // 10}" for each in numbers],
                "start": 0.0,
                "end": 1.0,
                "label": np.array(CLASSES)[labels],
                "decision": np.array(CLASSES)[p.argmax(axis=1)],
                **{f"p_{each}": p[:, index] for index, each in enumerate(CLASSES)},
                **columns,
            }
        )
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, index=False)
        return path

    return make


def test_two_tables_are_compared(cli, write):
    first, second = write("a.csv", 1, selection="test"), write("b.csv", 2)
    outcome = cli("compare", first, second, "--json")
    assert outcome.code == 0
    result = json.loads(outcome.out)
    assert (result["n_cycles"], result["n_patients"]) == (60, 6)
    assert result["scores"].keys() == {"specificity", "sensitivity", "score", "sensitivity_binary", "score_binary"}
    for score in result["scores"].values():
        low, high = score["interval"]
        assert low <= score["difference"] <= high
        assert 0 < score["p_permutation"] <= 1
    told = cli("compare", first, second)
    assert told.code == 0
    assert "A: epoch chosen on the test set. B: selection unknown." in told.out


def test_three_tables_are_two_corrected_comparisons(cli, write):
    paths = [write(f"{seed}.csv", seed) for seed in (1, 2, 3)]
    found = json.loads(cli("compare", *paths, "--json").out)["comparisons"]
    assert [each["second"] for each in found] == [str(path) for path in paths[1:]]
    assert all(each["scores"]["score"]["p_holm"] >= each["scores"]["score"]["p_permutation"] for each in found)
    assert "Holm" in cli("compare", *paths).out


def test_seeds_are_compared_by_mean_or_as_ensemble(cli, write, tmp_path):
    for run in ("a", "b"):
        for seed in (1, 2):
            write(f"{run}/seed-{seed}/predictions.csv", seed + 10 * ord(run))
    results = {
        kind: json.loads(cli("compare", tmp_path / "a", tmp_path / "b", "--seeds", kind, "--json").out)
        for kind in ("mean", "ensemble")
    }
    assert results["mean"]["paired"] == "means over seeds of their scores"
    assert list(results["mean"]["by_seed"]) == ["1", "2"]
    assert results["ensemble"]["paired"] == "table by table"
    assert results["mean"]["scores"]["score"] != results["ensemble"]["scores"]["score"]


def test_other_cycles_and_single_runs_are_refused(cli, write):
    first, second = write("a.csv", 1), write("b.csv", 2, n_patients=5)
    outcome = cli("compare", first, second)
    assert outcome.code == 1
    assert "not on the same cycles: 10 are only in the first" in outcome.err
    alone = cli("compare", first)
    assert alone.code == 2
    assert "RUN_A RUN_B" in alone.err


def test_evaluate_prints_the_price_of_choosing_on_the_test_set(cli, write, tmp_path):
    write("run/predictions.csv", 1, selection="validation", epoch=2)
    write("run/predictions-test.csv", 2, selection="test", epoch=5)
    result = json.loads(cli("evaluate", tmp_path / "run", "--json").out)
    assert list(result["selections"]) == ["validation", "test"]
    told = cli("evaluate", tmp_path / "run").out
    gain = result["selections"]["test"]["score_above_own_rule"]
    assert "epoch chosen on the test set" in told
    assert f"{gain:+.4f}" in told
    chosen_on_test = cli("evaluate", tmp_path / "run" / "predictions-test.csv").text
    assert "predictions-test.csv - epoch chosen on the test set value" in chosen_on_test


def test_published_percentages_are_checked(cli):
    outcome = cli("check-published", "85.13", "45.94", "--split", "icbhi2017/official", "--json")
    assert outcome.code == 0
    result = json.loads(outcome.out)
    for part in ("specificity", "sensitivity"):
        assert (result[part]["possible"], result[part]["count"]) == (False, None)
    everywhere = json.loads(cli("check-published", "85.13", "45.94", "--json").out)["splits"]
    both = [name for name, each in everywhere.items() if all(part["possible"] for part in each.values())]
    assert both == ["icbhi2017/random-file-seed1"]
    weak = cli("check-published", "70.4", "40.2", "--split", "icbhi2017/official")
    assert "a weak test" in weak.out
    assert "a weak test" not in cli("check-published", "85.13", "45.94", "--split", "icbhi2017/official").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("85,13", "45.94"), "85.13"),
        (("185.13", "45.94"), "from 0 to 100"),
        (("85.13", "45.94", "--split", "icbhi2017/oficial"), "Did you mean 'icbhi2017/official'"),
    ],
)
def test_what_cannot_be_checked_is_wrong_usage(cli, arguments, message):
    outcome = cli("check-published", *arguments)
    assert outcome.code == 2
    assert message in outcome.err


def test_published_results_are_listed(cli):
    rows = json.loads(cli("list", "published", "--json").out)["published"]
    best = next(row for row in rows if row["system"] == "ADD4RSC (AST)")
    assert (best["score"], best["score_percent"], best["selection"]) == (0.6553, "65.53", "test")
    assert best["comparable_with"] == "icbhi2017/random-file-seed1 cycle-4 icbhi-4"
    told = cli("list", "published").out
    assert "ADD4RSC (AST) 2025: Sp/Se/Score 85.13/45.94/65.53" in told


def test_splits_are_listed_with_their_folds(cli):
    rows = {row["name"]: row for row in json.loads(cli("list", "splits", "--json").out)["splits"]}
    assert (rows["icbhi2017/official"]["test_normal"], rows["icbhi2017/official"]["test_abnormal"]) == (1579, 1177)
    assert len(rows["icbhi2017/five-fold"]["folds"]) == 5
    assert {"sprsound2022/inter", "sprsound2022/intra", "sprsound2022/union", "patient-folds-N"} <= rows.keys()
