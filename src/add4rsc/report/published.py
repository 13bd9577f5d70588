"""A run beside the published results that are comparable with it, and beside no others."""

from functools import reduce
from operator import getitem
from typing import Any

from add4rsc.metrics.published import PublishedResult, comparable_results
from add4rsc.metrics.runs import describe_selection
from add4rsc.report.evidence import Evidence
from add4rsc.report.facts import completeness, is_complete
from add4rsc.report.tables import Cell, Column, Table

METRICS = {
    "icbhi-4": "Score, exact classes",
    "icbhi-2": "Score, binary",
    "S": "SPRSound Score",
    "AS": "average score AS",
    "HS": "harmonic score HS",
    "A4": "four-class average A4",
    "M": "one-vs-rest Score M",
}


def published_tables(evidence: Evidence) -> tuple[list[Table], str]:
    """This run beside the published results that are comparable, one table a metric; else why there is none."""
    if not is_complete(evidence):
        return [], (
            f"No published score is shown. The rows are {completeness(evidence)}, and a published score on other "
            "cycles is not comparable with this one."
        )
    found = {metric: comparable_results(evidence.split, evidence.task, metric) for metric in METRICS}
    tables = [_published_table(evidence, metric, rows) for metric, rows in found.items() if rows]
    problem = f"No published result is known for {evidence.split}, task {evidence.task}." if not tables else ""
    return tables, problem


def _published_table(evidence: Evidence, metric: str, results: list[PublishedResult]) -> Table:
    columns = (
        Column("system", "System"),
        Column("year", "Year"),
        Column("specificity", "Specificity (%)", "share", 2),
        Column("sensitivity", "Sensitivity (%)", "share", 2),
        Column("score", f"{METRICS[metric]} (%)", "share", 2),
        Column("sd", "sd (points)", "share", 2),
        Column("selection", "Selection"),
        Column("seeds", "Seeds"),
        Column("source", "Source"),
    )
    ours = (f"this run: {evidence.name}", "", *own_scores(evidence, metric), _own_sd(evidence, metric))
    ours += (_selection(evidence.result["selection"]), str(len(evidence.seeds) or "unknown"), "")
    ranked = sorted((result.to_dict() for result in results), key=lambda row: -(row["score"] or 0.0))
    rows = [
        (row["system"], row["year"], row["specificity"], row["sensitivity"], row["score"], row["score_sd"],
         _selection(row["selection"]), row["seeds"], row["source"])
        for row in ranked
    ]  # fmt: skip
    notes = ("A score whose epoch was chosen on the test set is too good, and is no estimate for new patients.",)
    title = f"Published results on the same test, task and metric ({METRICS[metric]})"
    return Table(f"published-{metric}", title, columns, (ours, *rows), notes)


def _selection(name: str) -> str:
    other = {"blind": "test that nobody could see", "none": "not trained on the corpus"}
    return other.get(name, describe_selection(name))


PARTS: dict[str, tuple[str, ...]] = {
    "icbhi-4": ("score",),
    "icbhi-2": ("score_binary",),
    "S": ("sprsound", "score"),
    "AS": ("sprsound", "average"),
    "HS": ("sprsound", "harmonic"),
    "A4": ("sprsound_look_alikes", "A4"),
    "M": ("sprsound_look_alikes", "M", "score"),
}
"""Metric -> where in an evaluation its score is."""


def own_scores(evidence: Evidence, metric: str) -> tuple[Cell, Cell, Cell]:
    """Specificity, sensitivity and score of a run under a metric of `METRICS`; means of several seeds."""
    if metric == "icbhi-4":
        return evidence.score("specificity"), evidence.score("sensitivity"), evidence.score("score")
    if metric == "icbhi-2":
        return evidence.score("specificity"), evidence.score("sensitivity_binary"), evidence.score("score_binary")
    whose = PARTS["M"][:2] if metric == "M" else PARTS["S"][:1]
    specificity, sensitivity = (_part(evidence, (*whose, name)) for name in ("specificity", "sensitivity"))
    return _mean(specificity), _mean(sensitivity), _mean(_part(evidence, PARTS[metric]))


def _part(evidence: Evidence, path: tuple[str, ...]) -> Any:
    """A part of the evaluation: a value of the one seed, or mean and sd over several."""
    return reduce(getitem, path, evidence.over_seeds or evidence.result)


def _mean(part: Any) -> Cell:
    return part["mean"] if isinstance(part, dict) else part


def _own_sd(evidence: Evidence, metric: str) -> Cell:
    return _part(evidence, PARTS[metric])["sd"] if evidence.over_seeds else None
