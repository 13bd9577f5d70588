"""Reports -> files."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from add4rsc.errors import WrongUsageError
from add4rsc.inference.aggregation import Totals, patient_rows, recording_row
from add4rsc.inference.formats import formats
from add4rsc.inference.formats._base import Report, write_csv
from add4rsc.inference.result import PROBLEM_COLUMNS
from add4rsc.storage import write_atomically, write_text
from add4rsc.terms import RESEARCH_USE_ONLY

COMBINED = "predictions"
"""Stem of the files that hold a whole batch."""
PER_FILE = "files"
"""Folder of the files that hold one recording."""
NOTICE = "NOTICE.txt"
"""Says it for tables without rows too."""


def check_formats(names: Iterable[str]) -> tuple[str, ...]:
    """The names, each once.

    Raises:
        UnknownNameError: for a format that does not exist, with the nearest name.
        WrongUsageError: if there is none.
    """
    wanted = tuple(dict.fromkeys(name.strip().lower() for name in names if name.strip()))
    for name in wanted:
        formats.get(name)
    if not wanted:
        raise WrongUsageError(f"No format is named. Known: {', '.join(formats.names())}.")
    return wanted


def write_report(report: Report, stem: Path, names: Sequence[str]) -> list[Path]:
    """Write a report in some formats, each file in one piece.

    Raises:
        StorageError: if the disk is full.
    """
    paths = []
    for name in names:
        form = formats.get(name)
        path = stem.with_name(stem.name + form.suffix)
        write_atomically(path, lambda file, form=form: form.write(report, file))
        paths.append(path)
    return paths


def write_combined(report: Report, folder: Path, names: Sequence[str]) -> list[Path]:
    """Write all that is said of a whole batch: its recordings in each format, and the tables that sum them up.

    Raises:
        StorageError: if the disk is full.
    """
    paths = write_report(report, folder / COMBINED, names)
    totals = list(Totals(report.classes).row())
    tables = {
        "recordings.csv": (
            ["file", "patient", "cycles_from", *totals],
            lambda: map(recording_row, report.recordings()),
        ),
        "patients.csv": (["patient", "n_recordings", *totals], lambda: patient_rows(report.recordings())),
        "errors.csv": (list(PROBLEM_COLUMNS), lambda: (each.noted_row() for each in report.problems)),
    }
    for name, (columns, rows) in tables.items():
        write_atomically(folder / name, lambda file, c=columns, r=rows: write_csv(file, c, r()))
        paths.append(folder / name)
    write_text(folder / NOTICE, f"{RESEARCH_USE_ONLY} This holds for every file in this folder.\n")
    return paths
