"""`add4rsc predict` and `add4rsc merge`."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from add4rsc.cli._app import app
from add4rsc.cli._output import print_json, print_table
from add4rsc.errors import Add4rscError, MissingExtraError, StorageError, WrongUsageError
from add4rsc.terms import RESEARCH_USE_ONLY

if TYPE_CHECKING:
    from add4rsc.inference.batch import Outcome, Plan
    from add4rsc.inference.illustration import Draw
    from add4rsc.inference.listing import Source
    from add4rsc.inference.pipeline import Choices
    from add4rsc.inference.result import FileProblem, RecordingResult

MAX_SHOWN = 40
"""Rows on the terminal; the files have all."""


@app.command()
def predict(
    paths: Annotated[list[str], typer.Argument(help="Recordings, folders, globs, or - for a list on standard input.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder to write; without it, only print.")] = None,
    model: Annotated[
        Path | None, typer.Option(help="An ONNX file or a run folder; default: the package's own.")
    ] = None,
    formats: Annotated[
        str | None, typer.Option("--format", help="Any of csv,json,audacity,raven,textgrid,html. [default: csv]")
    ] = None,
    cycles: Annotated[
        str, typer.Option(help="auto (annotation beside the file, else envelope), annotation, envelope or windows.")
    ] = "auto",
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Probability that a class must reach to be decided.")
    ] = None,
    patient: Annotated[str, typer.Option(help="Regular expression whose first group is the patient in a name.")] = "",
    smooth: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Move every cycle this far towards the mean of its recording; 0.35 suits the default model.",
        ),
    ] = 0.0,
    shard: Annotated[str, typer.Option(help="Take one part of the recordings, such as 1/8.")] = "1/1",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the batch in the folder.")] = False,
    denoised: Annotated[
        bool,
        typer.Option("--denoised", help="Write sound and frames after the ADD layer's first filter (illustrative)."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is heard in every breath of any recordings. Research use only, not a medical device."""
    from add4rsc.inference.batch import Plan
    from add4rsc.inference.listing import find_sources
    from add4rsc.inference.model import read_choice
    from add4rsc.inference.opening import fingerprint
    from add4rsc.inference.outputs import check_formats
    from add4rsc.inference.patients import patient_of
    from add4rsc.inference.pipeline import Choices

    choices = Choices(read_choice(cycles), threshold, patient, smooth)
    patient_of("", patient)
    part = _read_shard(shard)
    if out is None and (formats is not None or resume or denoised or part != (1, 1)):
        raise WrongUsageError("--format, --resume, --shard and --denoised need a folder to write. Add -o FOLDER.")
    names = check_formats((formats or "csv").split(","))
    sources, unlisted = find_sources(paths, sys.stdin if "-" in paths else ())
    if not sources and not unlisted:
        raise Add4rscError(f"No sound files in {', '.join(paths)}. Pass recordings, or folders that hold some.")
    with _named_output():
        if out is None:
            code = _print_only(model, sources, unlisted, choices, as_json)
        else:
            plan = Plan(fingerprint(model), names, choices, part, resume, denoised)
            code = _run(model, (sources, unlisted), out, plan, as_json)
    raise typer.Exit(code)


@app.command()
def merge(
    parts: Annotated[list[Path], typer.Argument(help="Folders of `predict --shard`, all of one batch.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an earlier merge into the folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Join the parts of a sharded predict into what one machine would have written."""
    from add4rsc.inference.batch import merge_batches

    outcome = merge_batches(parts, out, resume=resume)
    _show_outcome(outcome, out, as_json)
    raise typer.Exit(outcome.exit_code)


@contextmanager
def _named_output() -> Iterator[None]:
    """Say what is wrong with standard output; everything else that is written names itself.

    Raises:
        StorageError: if it takes no more.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # whoever reads has had enough
    except OSError as error:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - or else Python tries again at the end
        reason = f"Standard output could not be written ({error.strerror})"
        raise StorageError(f"{reason}. Make room where it goes, or write with -o FOLDER.") from error


def _read_shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise WrongUsageError(f"--shard '{text}' is no part of a whole. Write i/n with i from 1 to n, such as 1/8.")
    return int(match[1]), int(match[2])


def _run(
    model: Path | None,
    listing: "tuple[list[Source], list[FileProblem]]",
    out: Path,
    plan: "Plan",
    as_json: bool,
) -> int:
    """Classify into a folder; the exit code."""
    from add4rsc.cli._batch_progress import BatchProgress
    from add4rsc.inference.batch import run_batch
    from add4rsc.inference.listing import shard_of
    from add4rsc.inference.opening import open_classifier

    sources, unlisted = listing
    if plan.denoised:
        plan = replace(plan, draw=_find_painter())
    with BatchProgress(len(shard_of(sources, *plan.shard))) as progress:
        outcome = run_batch(open_classifier(model), sources, out, plan, unlisted=unlisted, watch=progress)
    _show_outcome(outcome, out, as_json, plan.denoised)
    return outcome.exit_code


def _find_painter() -> "Draw | None":
    """What draws the denoised view; without matplotlib, a word on standard error."""
    try:
        from add4rsc.report.denoised import draw_denoised
    except MissingExtraError as error:
        typer.echo(f"No pictures of the denoised view. {error}", err=True)
        return None
    return draw_denoised


def _print_only(
    model: Path | None, sources: "list[Source]", problems: "list[FileProblem]", choices: "Choices", as_json: bool
) -> int:
    """Classify and print, writing nothing; the exit code."""
    from add4rsc.cli._batch_progress import BatchProgress
    from add4rsc.inference.batch import classify_source
    from add4rsc.inference.formats.json import recording_object
    from add4rsc.inference.opening import open_classifier

    classifier = open_classifier(model)
    results: list[RecordingResult] = []
    problems = list(problems)
    with BatchProgress(len(sources)) as progress:
        for source in sources:
            entry = classify_source(classifier, source, choices)
            if entry.result is not None:
                results.append(entry.result)
            if entry.problem is not None:
                problems.append(entry.problem)
            progress(entry)
    if as_json:
        errors = [problem.row() for problem in problems]
        recordings = [recording_object(result) for result in results]
        head = {"notice": RESEARCH_USE_ONLY, "model": classifier.name, "classes": classifier.classes}
        print_json(head | {"recordings": recordings, "errors": errors})
    else:
        _show_cycles([row for result in results for row in result.rows()])
        _show_problems([(each.file, each.problem, each.remedy) for each in problems])
        typer.echo(RESEARCH_USE_ONLY)
    return 3 if problems else 0


def _show_outcome(outcome: "Outcome", out: Path, as_json: bool, has_views: bool = False) -> None:
    from add4rsc.inference.batch import JOURNAL
    from add4rsc.inference.journal import Journal
    from add4rsc.inference.outputs import PER_FILE
    from add4rsc.inference.result import ILLUSTRATIVE

    counts = {"n_files": outcome.n_files, "n_errors": outcome.n_problems, "n_cycles": outcome.n_cycles}
    if as_json:
        outputs = [str(path) for path in outcome.paths]
        views = {"denoised": {"note": ILLUSTRATIVE, "folder": str(out / PER_FILE)}} if has_views else {}
        missing = {"missing": list(outcome.missing)}
        print_json({"notice": RESEARCH_USE_ONLY, **counts, **missing, "outputs": outputs, **views})
        return
    rows, problems = [], []
    for entry in Journal(out / JOURNAL).entries():
        rows += entry.result.rows()[: MAX_SHOWN + 1] if entry.result and len(rows) <= MAX_SHOWN else []
        problems += [tuple(entry.problem.row().values())] if entry.problem and len(problems) <= MAX_SHOWN else []
    _show_cycles(rows, outcome.n_cycles)
    _show_problems(problems)
    for each in outcome.missing:
        typer.echo(f"Missing: {each}")
    if has_views:
        typer.echo(f"Denoised views in {out / PER_FILE}. {ILLUSTRATIVE}")
    typer.echo(f"{outcome.n_files} files, {outcome.n_cycles} cycles, {outcome.n_problems} problems -> {out}")
    typer.echo(RESEARCH_USE_ONLY)


def _show_cycles(rows: list[dict[str, Any]], n_rows: int | None = None) -> None:
    shown: list[list[str]] = []
    for before, row in zip([None, *rows], rows[:MAX_SHOWN], strict=False):
        file = "" if before and before["file"] == row["file"] else row["file"]
        times = [f"{row['start']:.2f}", f"{row['end']:.2f}"]
        shown.append([file, *times, row["heard"], _highest(row), row["quality"].replace(";", " ")])
    print_table("What is heard", ["file", "start", "end", "heard", "probability", "quality"], shown)
    n_more = (len(rows) if n_rows is None else n_rows) - len(shown)
    if n_more > 0:
        typer.echo(f"... and {n_more} more cycles")


def _highest(row: dict[str, Any]) -> str:
    values = [value for key, value in row.items() if key.startswith("p_") and value is not None]
    return f"{max(values):.2f}" if values else "-"


def _show_problems(problems: list[tuple[str, ...]]) -> None:
    if problems:
        print_table("Could not be judged", ["file", "problem", "remedy"], [list(each) for each in problems[:MAX_SHOWN]])
    if len(problems) > MAX_SHOWN:
        typer.echo("... and more in errors.csv")
