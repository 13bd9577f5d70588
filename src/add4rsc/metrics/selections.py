"""What one training run scores under each rule by which its epoch can be chosen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from add4rsc.metrics.evaluation import evaluate
from add4rsc.metrics.runs import OWN_TABLE, describe_selection
from add4rsc.predictions import Predictions, read_predictions

OTHER_TABLES = "predictions-*.csv"
SCORES = ("specificity", "sensitivity", "score", "sensitivity_binary", "score_binary")


def other_table(selection: str) -> str:
    """Name of the table that a further rule of selection gives, beside `predictions.csv`."""
    return OTHER_TABLES.replace("*", selection)


def evaluate_run(folder: Path) -> dict[str, Any]:
    """`evaluate` of a run folder's predictions, with the scores of every rule of selection under `selections`.

    Raises:
        PredictionsError: if a table is missing or does not hold what the contract says.
    """
    tables = [read_predictions(folder / OWN_TABLE), *map(read_predictions, sorted(folder.glob(OTHER_TABLES)))]
    results = [evaluate(table) for table in tables]
    rules = {
        table.constant("selection") or "unknown": _row(table, result, results[0]["score"])
        for table, result in zip(tables, results, strict=True)
    }
    return results[0] | {"selections": rules}


def _row(table: Predictions, result: Mapping[str, Any], own_score: float | None) -> dict[str, Any]:
    """What is told of one rule; `epoch` is None where the folds of a run have different ones."""
    score = result["score"]
    return {
        "description": describe_selection(table.constant("selection")),
        "epoch": int(float(table.constant("epoch"))) if table.constant("epoch") else None,
        **{name: result[name] for name in SCORES},
        "intervals": result["intervals"],
        "score_above_own_rule": None if score is None or own_score is None else score - own_score,
    }
