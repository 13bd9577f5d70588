"""Several runs: one table of all, and paired differences of each from the first."""

from collections.abc import Sequence

from add4rsc.errors import PredictionsError
from add4rsc.metrics.compare import Comparison, compare_many
from add4rsc.report.evidence import Evidence
from add4rsc.report.scores import HEADINGS
from add4rsc.report.tables import Cell, Column, Estimate, Table

SHOWN = ("score", "specificity", "sensitivity", "score_binary")


def overview_table(runs: Sequence[Evidence]) -> Table:
    """One run a row, with the split and the selection beside every score."""
    columns = (
        Column("run", "Run"),
        Column("split", "Split"),
        Column("selection", "Selection"),
        Column("official", "Complete official test"),
        Column("n_seeds", "Seeds", "count"),
        Column("n_patients", "Patients", "count"),
        Column("n_cycles", "Cycles", "count"),
        *(Column(name, f"{HEADINGS[name]} (%)", "share") for name in SHOWN),
    )
    rows = tuple(
        (
            each.name,
            each.split or "unknown",
            each.selection,
            "yes" if each.result["is_official"] else "no",
            len(each.seeds) or None,
            each.result["n_patients"],
            each.result["n_cycles"],
            *(each.score(name) for name in SHOWN),
        )
        for each in runs
    )
    return Table("overview", "All runs", columns, rows)


def compare(runs: Sequence[Evidence]) -> tuple[list[Comparison], str]:
    """Paired comparisons of every run with the first, or why there are none."""
    first, *others = (each.run for each in runs)
    try:
        return compare_many(first, others), ""
    except PredictionsError as error:
        return [], f"The runs cannot be compared pair by pair. {error}"


def differences_table(comparisons: Sequence[Comparison]) -> Table:
    """Score differences with intervals and p-values, one run and score a row."""
    columns = [
        Column("run", "Run"),
        Column("measure", "Measure"),
        Column("first", f"{comparisons[0].first} (%)", "share"),
        Column("second", "this run (%)", "share"),
        Column("difference", "Difference (points), 95 % interval", "points"),
        Column("p_permutation", "p (permutation)", "p"),
    ]
    several = len(comparisons) > 1
    columns += [Column("p_holm", f"p (Holm, {len(comparisons)} comparisons)", "p")] if several else []
    rows = []
    for each in comparisons:
        for name, score in each.scores.items():
            difference = Estimate(score.difference, score.interval.low, score.interval.high)
            row: tuple[Cell, ...] = (each.second, HEADINGS[name], score.first, score.second, difference)
            rows.append((*row, score.p_permutation, *([score.p_holm] if several else [])))
    notes = (
        f"Differences from {comparisons[0].first}, on the same {comparisons[0].n_cycles:,} cycles; intervals and "
        "p-values keep each patient's cycles together.",
    )
    return Table("differences", "Paired differences", tuple(columns), tuple(rows), notes, n_labels=2)


def mcnemar_table(comparisons: Sequence[Comparison]) -> Table:
    """Cycles that only one of two runs has right, of every seed that both have."""
    columns = (
        Column("run", "Run"),
        Column("seed", "Seed"),
        Column("rows", "Cycles"),
        Column("only_first", f"only {comparisons[0].first} right", "count"),
        Column("only_second", "only this run right", "count"),
        Column("p", "p (McNemar, exact)", "p"),
    )
    rows = tuple(
        (
            each.second,
            seed if len(each.mcnemar) > 1 else "",
            group,
            test.only_first_right,
            test.only_second_right,
            test.p,
        )
        for each in comparisons
        for seed, tests in each.mcnemar.items()
        for group, test in tests.items()
    )
    notes = (
        "McNemar's test takes cycles as independent, which those of one patient are not: trust the permutation more.",
    )
    return Table("mcnemar", "Cycles that only one of two runs has right", columns, rows, notes, n_labels=3)
