"""A report as a page, JSON, CSV, Markdown or LaTeX, all with the same numbers."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from add4rsc.errors import WrongUsageError
from add4rsc.metrics.evaluation import without_nan
from add4rsc.report.document import Report, RunReport
from add4rsc.report.errors_gallery import find_recordings, make_clip
from add4rsc.report.evidence import Evidence
from add4rsc.report.tables import Table, as_latex, as_markdown, as_rows
from add4rsc.storage import write_text
from add4rsc.terms import RESEARCH_USE_ONLY

CSV_COLUMNS: tuple[str, ...] = ("run", "selection", "table", "row", "measure", "value", "low", "high")


def as_json(report: Report) -> str:
    """Everything as one JSON object, with the evaluation of every run as `add4rsc evaluate --json` has it."""
    value = {
        "notice": RESEARCH_USE_ONLY,
        "made": report.made,
        "runs": [_run_as_values(run) for run in report.runs],
        "side_by_side": {table.key: table.records() for table in report.side},
        "side_by_side_problem": report.side_problem,
    }
    return json.dumps(without_nan(value), indent=2, ensure_ascii=False) + "\n"


def _run_as_values(run: RunReport) -> dict[str, Any]:
    evidence = run.evidence
    return {
        "name": evidence.name,
        "selection": evidence.selection,
        "seeds": evidence.seeds,
        "result": evidence.result,
        "over_seeds": evidence.over_seeds,
        "tables": {table.key: table.records() for table in run.all_tables()},
        "published_problem": run.published_problem,
        "recipe": evidence.recipe,
        "run": evidence.record,
    }


def as_csv(report: Report) -> str:
    """One row a number, in full precision; every row carries the run and how its epoch was chosen."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for run in report.runs:
        about = {"run": run.evidence.name, "selection": run.evidence.selection}
        writer.writerows(about | row for table in run.all_tables() for row in as_rows(table))
    about = {"run": "side by side", "selection": "as in table overview"}
    writer.writerows(about | row for table in report.side for row in as_rows(table))
    writer.writerow({"run": "notice", "value": RESEARCH_USE_ONLY})
    return buffer.getvalue()


def as_markdown_text(report: Report) -> str:
    """All tables in Markdown."""
    parts = [f"# {report.title}", RESEARCH_USE_ONLY, f"Made on {report.made}."]
    if report.side:
        parts += ["## Side by side", *map(as_markdown, report.side), report.side_problem]
    for run in report.runs:
        parts += [f"## {run.evidence.name}", _warning(run), *map(as_markdown, run.all_tables()), run.published_problem]
    return "\n\n".join(part for part in (*parts, RESEARCH_USE_ONLY) if part) + "\n"


def as_latex_text(report: Report) -> str:
    r"""All tables in LaTeX, to be put in with `\input`; the notice and the warnings are comments and captions."""
    parts = [f"% {RESEARCH_USE_ONLY}", f"% {report.title}", f"% Made on {report.made}. Needs \\usepackage{{booktabs}}."]
    parts += map(as_latex, report.side)
    for number, run in enumerate(report.runs, start=1):
        parts.append(f"% Run {number}: {run.evidence.name}; {run.evidence.selection}")
        parts += [as_latex(_of_run(table, run.evidence, number)) for table in run.all_tables()]
    return "\n".join([*parts, f"% {RESEARCH_USE_ONLY}"]) + "\n"


def _of_run(table: Table, evidence: Evidence, number: int) -> Table:
    """The table with the run in its caption and its label, which must be of its own in a document."""
    title = f"{table.title} ({evidence.name}{': ' + evidence.stamp if evidence.stamp else ''})"
    return Table(f"{number}-{table.key}", title, table.columns, table.rows, table.notes, table.n_labels)


def _warning(run: RunReport) -> str:
    return (
        f"**{run.evidence.stamp.capitalize()}: too good, and no estimate for new patients.**"
        if run.evidence.stamp
        else ""
    )


def as_html(report: Report, data_folder: Path | None = None) -> str:
    """One page with everything in it, plots, pictures and clips included; it asks no server for anything.

    Raises:
        MissingExtraError: if matplotlib or jinja2 is not installed.
        DatasetNotFoundError: if `data_folder` holds no recordings.
    """
    from add4rsc.report.page import render_page

    recordings = find_recordings(data_folder) if data_folder is not None else None
    clips = [
        None if recordings is None else [make_clip(error, recordings) for error in run.errors] for run in report.runs
    ]
    return render_page(report, clips)


WRITERS: dict[str, Callable[[Report], str]] = {
    "json": as_json,
    "csv": as_csv,
    "md": as_markdown_text,
    "tex": as_latex_text,
}
FORMATS = ("html", *WRITERS)


def write_report(report: Report, targets: Mapping[str, Path], data_folder: Path | None = None) -> None:
    """Write a report in some of `FORMATS`; `data_folder` gives the page pictures and clips of the errors.

    Raises:
        StorageError: if a file cannot be written.
        MissingExtraError: for a page without matplotlib or jinja2.
    """
    texts = {name: as_html(report, data_folder) if name == "html" else WRITERS[name](report) for name in targets}
    for name, text in texts.items():
        write_text(targets[name], text)


def choose_targets(out: Path, formats: Sequence[str]) -> dict[str, Path]:
    """Format -> file: by the suffix of `out`, or as `report.FORMAT` in the folder `out`.

    Raises:
        WrongUsageError: for a format that does not exist, or that does not go with `out`.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise WrongUsageError(f"--format {','.join(unknown)}: there is no such format. Known: {', '.join(FORMATS)}.")
    suffix = out.suffix[1:]
    if suffix in FORMATS and not out.is_dir():
        if set(formats) - {suffix}:
            raise WrongUsageError(f"-o {out} is one {suffix} file. For --format {','.join(formats)} name a folder.")
        return {suffix: out}
    if suffix and not out.is_dir():
        raise WrongUsageError(
            f"-o {out}: the suffix is none of {', '.join(FORMATS)}. Use one of them, or name a folder."
        )
    return {name: out / f"report.{name}" for name in formats or ("html",)}
