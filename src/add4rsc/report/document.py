"""The report: everything that it says of some runs, gathered once, whatever it is then written as."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from add4rsc import __version__
from add4rsc.report.errors_gallery import ConfidentError, most_confident_errors
from add4rsc.report.evidence import Evidence, read_evidence
from add4rsc.report.facts import composition_table, facts_table
from add4rsc.report.published import published_tables
from add4rsc.report.scores import (
    class_table,
    confusion_table,
    further_table,
    groups_table,
    patients_table,
    scores_table,
    selections_table,
)
from add4rsc.report.side_by_side import compare, differences_table, mcnemar_table, overview_table
from add4rsc.report.tables import Column, Table

MOST_ERRORS, FEWEST_ERRORS = 12, 3
"""Errors that are shown of one run, and of each of very many."""


@dataclass(frozen=True)
class RunReport:
    """All tables of one run; `published_problem` says why no published scores stand there, where none do."""

    evidence: Evidence
    tables: Mapping[str, Table]
    published: Sequence[Table]
    published_problem: str
    errors: Sequence[ConfidentError]

    def all_tables(self) -> Iterator[Table]:
        """Every table, in the order of the page; of a run that looked at the test labels, each says so."""
        for table in (*self.tables.values(), *self.published):
            yield table.with_notes(self.evidence.stamp and f"Of these numbers: {self.evidence.stamp}.")


@dataclass(frozen=True)
class Report:
    """Runs, and what they are side by side; `side_problem` says why there are no paired differences."""

    title: str
    runs: Sequence[RunReport]
    side: Sequence[Table]
    side_problem: str
    made: str
    """Day, and the version of this package."""


def make_report(paths: Sequence[Path]) -> Report:
    """Gather everything that a report of some runs says.

    Args:
        paths: run folders, of one seed or of several, or predictions CSVs of any program.

    Raises:
        PredictionsError: if a table is missing or does not hold what the contract says.
        RunFolderError: if a file of a run folder cannot be read.
    """
    found = read_evidence(paths)
    n_errors = max(FEWEST_ERRORS, MOST_ERRORS // len(found))
    runs = [_report_run(evidence, n_errors) for evidence in found]
    side, problem = _side_by_side(found)
    made = f"{datetime.now(UTC).date().isoformat()}, add4rsc {__version__}"
    return Report("Report: " + ", ".join(each.name for each in found), runs, side, problem, made)


def _report_run(evidence: Evidence, n_errors: int) -> RunReport:
    errors = most_confident_errors(evidence.predictions, n_errors)
    made = (
        facts_table(evidence),
        composition_table(evidence),
        scores_table(evidence),
        selections_table(evidence),
        further_table(evidence),
        confusion_table(evidence),
        class_table(evidence),
        groups_table(evidence),
        patients_table(evidence),
        errors_table(errors),
    )
    published, problem = published_tables(evidence)
    return RunReport(evidence, {each.key: each for each in made if each is not None}, published, problem, errors)


def _side_by_side(found: Sequence[Evidence]) -> tuple[list[Table], str]:
    if len(found) < 2:
        return [], ""
    comparisons, problem = compare(found)
    tables = [overview_table(found)]
    tables += [differences_table(comparisons), mcnemar_table(comparisons)] if comparisons else []
    stamps = [f"{each.name}: {each.stamp}." for each in found if each.stamp]
    return [table.with_notes(*stamps) for table in tables], problem


def errors_table(errors: Sequence[ConfidentError]) -> Table:
    """The most confident errors as a table."""
    columns = (
        Column("cycle_id", "Cycle"),
        Column("patient", "Patient"),
        Column("start", "Start (s)", "number"),
        Column("end", "End (s)", "number"),
        Column("label", "Label"),
        Column("decision", "Decision"),
        Column("confidence", "Its probability (%)", "share"),
        Column("of_label", "That of the label (%)", "share"),
    )
    rows = tuple(tuple(getattr(error, column.key) for column in columns) for error in errors)
    return Table("errors", "Most confident errors, at most two of a patient", columns, rows)
