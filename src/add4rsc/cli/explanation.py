"""`add4rsc explain`: what the network sees in one cycle, and which cycles are typical to it."""

from pathlib import Path
from typing import Annotated

import typer

from add4rsc.cli._app import app
from add4rsc.errors import WrongUsageError


@app.command()
def explain(
    run: Annotated[Path, typer.Argument(help="A run folder of an add4rsc recipe.")],
    file: Annotated[Path | None, typer.Argument(help="A recording; none with --examples.")] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write; made if missing.")] = Path("explanation"),
    cycle: Annotated[
        int | None, typer.Option(help="Number of the cycle in the annotation beside the file, from 1; default 1.")
    ] = None,
    start: Annotated[float | None, typer.Option(min=0, help="First second, in place of --cycle.")] = None,
    end: Annotated[float | None, typer.Option(min=0, help="Last second, in place of --cycle.")] = None,
    examples: Annotated[
        bool, typer.Option("--examples", help="Each class' prototypes, criticisms and mistakes, of any method.")
    ] = False,
    data_folder: Annotated[Path | None, typer.Option(help="The run's corpus, for --examples.")] = None,
    per_class: Annotated[int, typer.Option(min=1, help="Examples of each kind a class.")] = 3,
) -> None:
    """Draw a cycle's log-mel frames, the filter's mask, the attention maps and the probabilities, as PNG and SVG.

    Without an annotation beside the file and without times, the whole file is one cycle.

    With --examples: the training cycles whose decision an adversarial attack changes last (prototypes) and first
    (criticisms), and the surest mistakes, as examples.csv and one PNG a class.
    """
    if examples:
        _explain_by_examples(run, file, data_folder, (out, per_class))
    elif file is None:
        raise WrongUsageError("What is to be explained? Give a recording, or --examples with --data-folder.")
    else:
        _explain_cycle(run, file, (cycle, start, end), out)


def _explain_cycle(run: Path, file: Path, stretch: tuple[int | None, float | None, float | None], out: Path) -> None:
    from add4rsc.engine.explanation import choose_stretch, explain_cycle
    from add4rsc.engine.loading import load_run
    from add4rsc.report.figures import draw_explanation, draw_heads, save_figure
    from add4rsc.terms import RESEARCH_USE_ONLY

    trained = load_run(run)
    first, last = choose_stretch(file, *stretch)
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


def _explain_by_examples(run: Path, file: Path | None, data_folder: Path | None, asked: tuple[Path, int]) -> None:
    if data_folder is None or file is not None:
        raise WrongUsageError("--examples are training cycles: give --data-folder with the run's corpus, and no file.")
    from add4rsc.engine.examples import examples_table, find_examples
    from add4rsc.engine.loading import load_run
    from add4rsc.engine.progress import counting_line
    from add4rsc.report.examples import draw_examples
    from add4rsc.storage import write_text
    from add4rsc.terms import RESEARCH_USE_ONLY

    (out, per_class), trained = asked, load_run(run)
    found = find_examples(trained, data_folder, per_class, counting_line("training cycles"))
    write_text(out / "examples.csv", examples_table(found).to_csv(index=False))
    typer.echo(out / "examples.csv")
    for label in trained.classes:
        of_class = [example for example in found if example.label == label]
        if of_class:
            draw_examples(of_class, trained.front_end, trained.recipe.crop.duration, out / f"{label}.png")
            typer.echo(out / f"{label}.png")
    typer.echo(RESEARCH_USE_ONLY)
