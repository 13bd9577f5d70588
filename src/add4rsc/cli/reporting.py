"""`add4rsc report`."""

from pathlib import Path
from typing import Annotated

import typer

from add4rsc.cli._app import app
from add4rsc.terms import RESEARCH_USE_ONLY


@app.command()
def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders, or predictions CSVs of any program.")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="File (.html .json .csv .md .tex) or folder to write.")
    ] = Path("report.html"),
    formats: Annotated[
        str | None, typer.Option("--format", help="With a folder: which, with commas, such as html,csv,tex.")
    ] = None,
    data_folder: Annotated[
        Path | None, typer.Option(help="The recordings, for pictures and clips of the most confident errors.")
    ] = None,
    model_card: Annotated[bool, typer.Option("--model-card", help="Write a model card beside the report.")] = False,
) -> None:
    """Write one page on a run, or on several side by side: protocol, scores with intervals, plots, errors.

    Needs no model. The same numbers as JSON, CSV, Markdown and LaTeX. Files of these names are replaced.
    """
    from add4rsc.report.document import make_report
    from add4rsc.report.formats import choose_targets, write_report
    from add4rsc.report.model_card import write_model_card

    wanted = [name.strip() for name in formats.split(",")] if formats else []
    targets = choose_targets(out, wanted)
    made = make_report(runs)
    write_report(made, targets, data_folder)
    written = list(targets.values())
    if model_card:
        for number, run in enumerate(made.runs, start=1):
            name = "model_card.md" if len(made.runs) == 1 else f"model_card-{number}.md"
            written.append(write_model_card(run.evidence, written[0].parent / name))
    for path in written:
        typer.echo(path)
    typer.echo(RESEARCH_USE_ONLY)
