"""Tables and JSON on standard output."""

import json
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from add4rsc.terms import RESEARCH_USE_ONLY


def print_json(value: Any) -> None:
    """One JSON object on standard output."""
    typer.echo(json.dumps(value, indent=2))


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table on standard output."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)


def print_evaluation(result: dict[str, Any], title: str) -> None:
    """What `evaluate` says, for people."""
    if isinstance(result["score"], dict):
        _print_seeds(result, title)
        return
    low_high = result["intervals"]
    names = ["specificity", "sensitivity", "score", "sensitivity_binary", "score_binary"]
    rows = [[name.replace("_", " "), _number(result[name]), _range(low_high[name])] for name in names]
    print_table(title, ["", "value", "95 % interval over patients"], rows)
    _print_confusion(result)
    if len(result["per_stethoscope"]) > 1:
        _print_groups(result["per_stethoscope"])
    _print_footnotes(result)


def _print_seeds(result: dict[str, Any], title: str) -> None:
    names = ["specificity", "sensitivity", "score", "sensitivity_binary", "score_binary"]
    rows = [[name.replace("_", " "), _number(result[name]["mean"]), _number(result[name]["sd"])] for name in names]
    print_table(f"{title}, {len(result['seeds'])} seeds", ["", "mean", "sd"], rows)
    _print_footnotes(result)


def _print_confusion(result: dict[str, Any]) -> None:
    rows = []
    for name, counts in zip(result["classes"], result["confusion_matrix"], strict=True):
        score = result["per_class"][name]
        shares = [_number(score[part]) for part in ("recall", "precision", "f1")]
        rows.append([name, *map(str, counts), *shares])
    columns = ["", *result["classes"], "recall", "precision", "F1"]
    print_table("labels in rows, decisions in columns", columns, rows)


def _print_groups(groups: dict[str, dict[str, Any]]) -> None:
    rows = [
        [name, str(group["n_cycles"]), str(group["n_patients"])]
        + [_number(group[part]) for part in ("specificity", "sensitivity", "score", "score_binary")]
        for name, group in groups.items()
    ]
    print_table("by stethoscope", ["", "cycles", "patients", "Sp", "Se", "Score", "binary"], rows)


def _print_footnotes(result: dict[str, Any]) -> None:
    complete = "complete official test" if result["is_official"] else "not a complete official test"
    chosen = {
        "validation": "epoch chosen on validation patients",
        "last": "last epoch",
        "test": "epoch chosen on the test set",
    }.get(result["selection"], "selection unknown")
    typer.echo(
        f"{result['n_cycles']} cycles of {result['n_patients']} patients; split {result['split'] or 'unknown'} "
        f"({complete}); {chosen}. Always answering the normal class scores 0.5."
    )
    typer.echo(RESEARCH_USE_ONLY)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _range(pair: list[float | None]) -> str:
    return f"{_number(pair[0])} to {_number(pair[1])}"
