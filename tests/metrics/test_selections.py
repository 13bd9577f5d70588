"""A run folder's tables of several rules of selection."""

from collections.abc import Callable
from pathlib import Path

import pytest

from add4rsc.metrics.evaluation import evaluate
from add4rsc.metrics.runs import DESCRIPTIONS
from add4rsc.metrics.selections import evaluate_run, other_table
from add4rsc.predictions import Predictions, read_predictions
from add4rsc.protocol.selection import Selection

Make = Callable[..., Predictions]


def write(table: Predictions, path: Path, **columns: object) -> None:
    table.table.assign(**columns).to_csv(path, index=False)


def test_every_rule_is_scored_beside_the_own_one(made: Make, tmp_path: Path) -> None:
    write(made(seed=1), tmp_path / "predictions.csv", selection="validation", epoch=3)
    write(made(seed=2, skill=0.5), tmp_path / "predictions-test.csv", selection="test", epoch=9)
    found = evaluate_run(tmp_path)
    own, other = (evaluate(read_predictions(path)) for path in sorted(tmp_path.glob("*.csv"), reverse=True))
    assert {key: found[key] for key in own} == own
    assert list(found["selections"]) == ["validation", "test"]
    for row, result in zip(found["selections"].values(), (own, other), strict=True):
        assert row["score"] == result["score"]
        assert row["intervals"] == result["intervals"]
        assert row["score_above_own_rule"] == result["score"] - own["score"]
    test = found["selections"]["test"]
    assert (test["epoch"], test["description"]) == (9, "epoch chosen on the test set")


def test_folds_of_several_epochs_have_none_and_foreign_tables_no_rule(made: Make, tmp_path: Path) -> None:
    table = made()
    write(table, tmp_path / "predictions.csv", epoch=[1, 2] * (len(table.table) // 2))
    row = evaluate_run(tmp_path)["selections"]["unknown"]
    assert (row["epoch"], row["description"], row["score_above_own_rule"]) == (None, "selection unknown", 0)


def test_descriptions_are_those_of_the_protocol() -> None:
    assert {rule.value: rule.description for rule in Selection} == DESCRIPTIONS


@pytest.mark.parametrize("rule", list(Selection))
def test_name_of_a_rules_table(rule: Selection) -> None:
    assert other_table(rule.value) == f"predictions-{rule.value}.csv"
