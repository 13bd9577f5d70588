"""Tables and JSON on standard output."""

import json
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from add4rsc.terms import RESEARCH_USE_ONLY

N_NAMED_COLUMNS = 4
"""Classes whose names a confusion matrix of 80 columns has room for."""
OFFICIAL_PARTS = {"AS": "average", "HS": "harmonic", "SE": "sensitivity", "SP": "specificity"}
"""What SPRSound's official Score is made of -> the same in an evaluation."""


def print_json(value: Any) -> None:
    """One JSON object on standard output."""
    typer.echo(json.dumps(value, indent=2))


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table on standard output."""
    typer.echo(title)  # a table's own title would be folded to the width of the table
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
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
    print_table(_labelled(title, result), ["", "value", "95 % interval over patients"], rows)
    _print_confusion(result)
    _print_other_measures(result)
    if len(result["per_stethoscope"]) > 1:
        _print_groups(result["subgroups"]["stethoscope"])
        others = [name.replace("_", " ") for name in result["subgroups"] if name != "stethoscope"]
        typer.echo(f"--json has further groups, each with its interval: {', '.join(others)}.")
    _print_selections(result.get("selections", {}))
    _print_footnotes(result)


def _labelled(title: str, result: dict[str, Any]) -> str:
    """The title, with a warning where the test set chose the epoch."""
    return f"{title} - epoch chosen on the test set" if result["selection"] == "test" else title


def _print_other_measures(result: dict[str, Any]) -> None:
    names = {
        "macro F1": result["macro_f1"],
        "balanced accuracy": result["balanced_accuracy"],
        "MCC": result["matthews_correlation"],
        "Brier": result["brier"],
        "calibration error": result["expected_calibration_error"],
    }
    typer.echo("  ".join(f"{name} {_number(value)}" for name, value in names.items()))
    if result["split"].startswith("sprsound"):
        official = result["sprsound"]
        low, high = map(_number, official["interval"])
        others = "  ".join(f"{name} {_number(official[key])}" for name, key in OFFICIAL_PARTS.items())
        told = f"Score {_number(official['score'])} ({low} to {high})  {others}"
        generous = _number(result["sprsound_look_alikes"]["M"]["score"])
        typer.echo(f"SPRSound (S): {told}; not comparable with it, but printed by some as Score: M {generous}")
    if result["classes_without_cycles"]:
        typer.echo(f"Without cycles, hence without shares: {', '.join(result['classes_without_cycles'])}.")


def _print_selections(rules: dict[str, dict[str, Any]]) -> None:
    """What each rule of selection gives of the same training, where there are several; values, or means over seeds."""
    if len(rules) < 2:
        return
    names = ("specificity", "sensitivity", "score", "score_binary")
    values = {rule: [_mean(row[name]) for name in names] for rule, row in rules.items()}
    own = next(iter(values.values()))[2]
    rows = []
    for rule, row in rules.items():
        score = values[rule][2]
        gain = None if score is None or own is None else score - own
        rows.append([row["description"], *map(_number, values[rule]), "-" if gain is None else f"{gain:+.4f}"])
    print_table(
        "the same training, by rule of selection", ["", "Sp", "Se", "Score", "binary", "Score against first"], rows
    )


def _mean(value: Any) -> float | None:
    return value["mean"] if isinstance(value, dict) else value


def _print_seeds(result: dict[str, Any], title: str) -> None:
    names = ["specificity", "sensitivity", "score", "sensitivity_binary", "score_binary"]
    measured = {name.replace("_", " "): result[name] for name in names}
    if result["split"].startswith("sprsound"):
        official = result["sprsound"]
        measured |= {f"SPRSound {name}": official[key] for name, key in (OFFICIAL_PARTS | {"Score": "score"}).items()}
    rows = [[name, _number(each["mean"]), _number(each["sd"])] for name, each in measured.items()]
    print_table(_labelled(f"{title}, {len(result['seeds'])} seeds", result), ["", "mean", "sd"], rows)
    _print_selections(result.get("selections", {}))
    _print_footnotes(result)


def _print_confusion(result: dict[str, Any]) -> None:
    """Counts and shares of every class; more classes than a terminal has room for are numbered."""
    classes = result["classes"]
    numbers = [str(number) for number in range(1, len(classes) + 1)] if len(classes) > N_NAMED_COLUMNS else None
    labels = [f"{number} {name}" for number, name in zip(numbers, classes, strict=True)] if numbers else classes
    rows = []
    for label, name, counts in zip(labels, classes, result["confusion_matrix"], strict=True):
        score = result["per_class"][name]
        shares = [_number(score[part]) for part in ("recall", "precision", "f1")]
        rows.append([label, *map(str, counts), *shares])
    columns = ["", *(numbers or classes), "recall", "precision", "F1"]
    print_table("labels in rows, decisions in columns", columns, rows)


def _print_groups(groups: dict[str, dict[str, Any]]) -> None:
    rows = [
        [name, str(group["n_cycles"]), str(group["n_patients"]) + (" (too few)" if group["too_small"] else "")]
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
