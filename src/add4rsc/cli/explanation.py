"""`add4rsc explain`: what the network sees in one cycle."""

from pathlib import Path
from typing import Annotated

import typer

from add4rsc.cli._app import app


@app.command()
def explain(
    run: Annotated[Path, typer.Argument(help="A run folder of an add4rsc recipe.")],
    file: Annotated[Path, typer.Argument(help="A recording.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write; made if missing.")] = Path("explanation"),
    cycle: Annotated[
        int | None, typer.Option(help="Number of the cycle in the annotation beside the file, from 1; default 1.")
    ] = None,
    start: Annotated[float | None, typer.Option(min=0, help="First second, in place of --cycle.")] = None,
    end: Annotated[float | None, typer.Option(min=0, help="Last second, in place of --cycle.")] = None,
) -> None:
    """Draw a cycle's log-mel frames, the filter's mask, the attention maps and the probabilities, as PNG and SVG.

    Without an annotation beside the file and without times, the whole file is one cycle.
    """
    from add4rsc.engine.explanation import choose_stretch, explain_cycle
    from add4rsc.engine.loading import load_run
    from add4rsc.report.figures import draw_explanation, draw_heads, save_figure
    from add4rsc.terms import RESEARCH_USE_ONLY

    trained = load_run(run)
    first, last = choose_stretch(file, cycle, start, end)
    explanation = explain_cycle(trained, file, first, last)
    name = f"{file.stem}@{round(first * 1000)}"
    figures = {name: draw_explanation(explanation)}
    if explanation.attention is not None:
        figures[f"{name}-heads"] = draw_heads(explanation)
    for stem, figure in figures.items():
        for path in save_figure(figure, out / stem):
            typer.echo(path)
    shares = ", ".join(
        f"{label} {share:.3f}" for label, share in zip(explanation.classes, explanation.probabilities, strict=True)
    )
    typer.echo(f"{explanation.title}: {shares}. {RESEARCH_USE_ONLY}")
