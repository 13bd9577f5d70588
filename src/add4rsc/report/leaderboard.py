"""Many systems under one protocol: ranked, with intervals, and with what is not significant between them.

A row's score is the mean over its seeds. Two rows differ significantly where the permutation of their patients says so
at 5 % after Holm's correction for all pairs.
"""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

from add4rsc import __version__
from add4rsc.engine.benchmarking import Entry
from add4rsc.metrics.compare import Comparison, compare_runs, holm
from add4rsc.metrics.evaluation import without_nan
from add4rsc.report.evidence import Evidence
from add4rsc.report.forest import forest_plot
from add4rsc.report.scores import HEADINGS
from add4rsc.report.tables import Cell, Column, Estimate, Table, as_latex, as_markdown, as_rows
from add4rsc.report.templating import fill_template
from add4rsc.terms import RESEARCH_USE_ONLY

SIGNIFICANT = 0.05
CSV_COLUMNS: tuple[str, ...] = ("table", "row", "measure", "value", "low", "high")
NOT_COMPARABLE = (
    "The published score was made under another protocol, mostly with the epoch chosen on the test set, and on the "
    "complete ICBHI 2017: it stands here to name the row, and must not be set against the measured one."
)


@dataclass(frozen=True)
class Leaderboard:
    """Rows of one test set, the best first."""

    title: str
    subtitle: str
    evidence: Sequence[Evidence]
    ranking: Table
    pairs: Table
    deviations: Table
    problems: Sequence[tuple[str, str]]
    """Recipes without a score, and why."""
    made: str
    """Day, and the version of this package."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables, in the order of the page."""
        return (self.ranking, self.pairs, self.deviations)


def make_leaderboard(entries: Sequence[Entry], evidence: Sequence[Evidence], title: str) -> Leaderboard:
    """Rank finished rows by their mean Score, compare them pair by pair, and list those that failed.

    Args:
        entries: of all rows.
        evidence: of the finished ones, in the same order.
        title: of the page.

    Raises:
        PredictionsError: if two rows are not on the same cycles.
    """
    finished = [entry for entry in entries if not entry.problem]
    order = sorted(range(len(finished)), key=lambda index: -(evidence[index].score("score").value or 0.0))
    ranked = [replace(evidence[index], name=finished[index].recipe) for index in order]
    rows = [finished[index] for index in order]
    comparisons = _compare_all(ranked)
    first = ranked[0].result if ranked else {}
    subtitle = (
        f"{first.get('split', '')}, {first.get('n_cycles', 0):,} test cycles of {first.get('n_patients', 0)} patients"
    )
    return Leaderboard(
        title,
        subtitle,
        ranked,
        ranking_table(rows, ranked, comparisons),
        pairs_table(comparisons),
        deviations_table(rows),
        [(entry.recipe, entry.problem) for entry in entries if entry.problem],
        f"{datetime.now(UTC).date().isoformat()}, add4rsc {__version__}",
    )


def _compare_all(ranked: Sequence[Evidence]) -> list[Comparison]:
    """Every pair, the better first, with the p-values of the Score corrected for all of them."""
    found = [
        compare_runs(replace(two.run, name=two.name), replace(one.run, name=one.name))
        for one, two in combinations(ranked, 2)
    ]
    corrected = holm([each.scores["score"].p_permutation for each in found])
    return [
        replace(each, scores=each.scores | {"score": replace(each.scores["score"], p_holm=p)})
        for each, p in zip(found, corrected, strict=True)
    ]


def ranking_table(entries: Sequence[Entry], ranked: Sequence[Evidence], comparisons: Sequence[Comparison]) -> Table:
    """One row a system, the best first."""
    columns = (
        Column("rank", "Rank", "count"),
        Column("recipe", "Recipe"),
        *(
            Column(name, f"{HEADINGS[name]} (%)", "share")
            for name in ("specificity", "sensitivity", "score", "score_binary")
        ),
        Column("sd", "sd of Score over seeds (points)", "share"),
        Column("same", "Ranks that it does not differ from significantly"),
        Column("n_parameters", "Parameters", "count"),
        Column("n_learning", "of them learnt", "count"),
        Column("training_seconds", "Training (s a seed)", "count"),
        Column("latency_ms", "Latency (ms a cycle)", "number"),
        Column("reported", "Published Score (%)", "share"),
    )
    rows = tuple(
        _ranking_row(rank, entry, evidence, _same_as(evidence.name, ranked, comparisons))
        for rank, (entry, evidence) in enumerate(zip(entries, ranked, strict=True), start=1)
    )
    notes = (
        "Means over seeds, 95 % intervals over patients. Always answering the normal class scores 50.0.",
        NOT_COMPARABLE,
    )
    return Table("ranking", "Ranking", columns, rows, notes, n_labels=2)


def _ranking_row(rank: int, entry: Entry, evidence: Evidence, same: str) -> tuple[Cell, ...]:
    spread = evidence.over_seeds["score"]["sd"] if evidence.over_seeds else None
    scores = (evidence.score(name) for name in ("specificity", "sensitivity", "score", "score_binary"))
    seconds, latency = entry.training_seconds, entry.latency
    return (
        rank,
        entry.recipe,
        *scores,
        spread,
        same,
        entry.n_parameters,
        entry.n_learning,
        None if seconds is None else round(seconds),
        None if latency is None else 1000 * latency,
        entry.reported_score,
    )


def _same_as(name: str, ranked: Sequence[Evidence], comparisons: Sequence[Comparison]) -> str:
    """Ranks of the others that the corrected test does not tell from this one."""
    rank_of = {each.name: rank for rank, each in enumerate(ranked, start=1)}
    others = [
        rank_of[each.first if each.second == name else each.second]
        for each in comparisons
        if name in (each.first, each.second) and not each.scores["score"].p_holm < SIGNIFICANT
    ]
    return in_ranges(sorted(others))


def in_ranges(ranks: Sequence[int]) -> str:
    """Rising whole numbers, three or more in a row as a range.

    >>> in_ranges([1, 2, 4, 5, 6, 9]), in_ranges([])
    ('1, 2, 4-6, 9', '-')
    """
    groups: list[list[int]] = []
    for rank in ranks:
        if groups and groups[-1][-1] == rank - 1:
            groups[-1].append(rank)
        else:
            groups.append([rank])
    parts = [f"{group[0]}-{group[-1]}" if len(group) > 2 else ", ".join(map(str, group)) for group in groups]
    return ", ".join(parts) or "-"


def pairs_table(comparisons: Sequence[Comparison]) -> Table:
    """Every pair: how much better the better one is, with the interval, and whether that is significant."""
    columns = (
        Column("better", "Better"),
        Column("other", "than"),
        Column("difference", "Score (points), 95 % interval", "points"),
        Column("p", "p (permutation)", "p"),
        Column("p_holm", f"p (Holm, {len(comparisons)} pairs)", "p"),
        Column("verdict", "Verdict"),
    )
    rows = []
    for each in comparisons:
        score = each.scores["score"]
        verdict = "significant" if score.p_holm < SIGNIFICANT else "not significant"
        difference = Estimate(score.difference, score.interval.low, score.interval.high)
        rows.append((each.second, each.first, difference, score.p_permutation, score.p_holm, verdict))
    notes = (
        "Intervals and p-values keep each patient's cycles together; the interval is not corrected for many pairs.",
    )
    return Table("pairs", "Pairs", columns, tuple(rows), notes, n_labels=2)


def deviations_table(entries: Sequence[Entry]) -> Table:
    """Where each row departs from its publication."""
    rows = tuple((entry.recipe, each) for entry in entries for each in entry.deviations or ("-",))
    return Table(
        "deviations",
        "Where rows depart from their publications",
        (Column("recipe", "Recipe"), Column("deviation", "Deviation")),
        rows,
    )


def render_leaderboard(board: Leaderboard) -> str:
    """One page with everything in it; it asks no server for anything."""
    scores = [(each.name, f"{max(1, len(each.seeds))} seeds", each.score("score"), False) for each in board.evidence]
    forest = forest_plot(scores, "leaderboard", "Score of every row") if scores else None
    return fill_template("leaderboard.html", {"board": board, "forest": forest, "notice": RESEARCH_USE_ONLY})


def as_values(board: Leaderboard) -> dict[str, Any]:
    """Everything as plain values."""
    return without_nan(
        {
            "notice": RESEARCH_USE_ONLY,
            "title": board.title,
            "test": board.subtitle,
            "made": board.made,
            **{table.key: table.records() for table in board.tables},
            "problems": [{"recipe": recipe, "problem": problem} for recipe, problem in board.problems],
        }
    )


def _as_json(board: Leaderboard) -> str:
    return json.dumps(as_values(board), indent=2, ensure_ascii=False) + "\n"


def _as_csv(board: Leaderboard) -> str:
    """One row a number, in full precision."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for table in board.tables for row in as_rows(table))
    writer.writerow({"table": "notice", "value": RESEARCH_USE_ONLY})
    return buffer.getvalue()


def _as_markdown(board: Leaderboard) -> str:
    parts = [f"# {board.title}", RESEARCH_USE_ONLY, f"{board.subtitle}. Made on {board.made}."]
    return "\n\n".join([*parts, *map(as_markdown, board.tables)]) + "\n"


def _as_latex(board: Leaderboard) -> str:
    head = [f"% {RESEARCH_USE_ONLY}", f"% {board.title}: {board.subtitle}. Made on {board.made}."]
    return "\n".join([*head, *map(as_latex, board.tables)]) + "\n"


WRITERS: dict[str, Callable[[Leaderboard], str]] = {
    "html": render_leaderboard,
    "json": _as_json,
    "csv": _as_csv,
    "md": _as_markdown,
    "tex": _as_latex,
}
"""Ending of a file -> its text."""
