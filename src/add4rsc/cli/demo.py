"""`add4rsc demo`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from add4rsc.cli._app import app

RECIPE = "add4rsc/small_cnn"


@app.command()
def demo(out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("demo")) -> None:
    """Made recordings -> train -> evaluate -> predict -> report, on the CPU, offline, in about a minute."""
    from add4rsc.cli._output import print_evaluation

    corpus, run = out / "recordings", out / "run"
    typer.echo(f"1. Made breath sounds with known crackles and wheezes -> {corpus}")
    result = _train(corpus, run)
    typer.echo("3. Evaluate on patients that were never trained on")
    print_evaluation(result, "made sounds")
    typer.echo("These sounds are made: the scores show that the parts work, and say nothing about patients.")
    _predict(corpus, run, out / "predictions")
    _report(corpus, run, out / "report.html")


def _train(corpus: Path, run: Path) -> dict[str, Any]:
    import torch

    from add4rsc.datasets.synthetic import synthesise
    from add4rsc.engine.run import RunSettings, train
    from add4rsc.methods import recipes

    torch.set_num_threads(1)  # so small a network gains nothing from more, and loses much on a busy machine
    synthesise(corpus, n_recordings=48, seed=0)
    typer.echo(f"2. Train {RECIPE} -> {run}")
    return train(recipes.get(RECIPE)(), [1], RunSettings(corpus, run, accelerator="cpu", overwrite=True))


def _predict(corpus: Path, run: Path, folder: Path) -> None:
    """Classify one recording of a test patient, as one would one's own."""
    from add4rsc import load
    from add4rsc.cli._output import print_table
    from add4rsc.predictions import read_predictions

    name = read_predictions(run / "predictions.csv").table["recording"].iloc[0]
    result = load(run).predict(next(corpus.rglob(f"{name}.wav")))
    result.save(folder, ["csv", "audacity"])
    rows = [[f"{row.start:.2f}", f"{row.end:.2f}", str(row.decision)] for row in result.table.itertuples()]
    print_table(f"4. Predict {name} -> {folder}", ["start", "end", "decision"], rows)


def _report(corpus: Path, run: Path, path: Path) -> None:
    from add4rsc.report.document import make_report
    from add4rsc.report.formats import write_report

    write_report(make_report([run]), {"html": path}, corpus)
    typer.echo(f"5. Report with plots, intervals and the most confident errors -> {path}")
