"""`add4rsc demo`."""

from pathlib import Path
from typing import Annotated

import typer

from add4rsc.cli._app import app


@app.command()
def demo(out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("demo")) -> None:
    """Synthetic recordings -> train -> evaluate -> predict, on the CPU, offline, in under a minute."""
    from add4rsc.cli._output import print_evaluation, print_table
    from add4rsc.datasets.synthetic import synthesise
    from add4rsc.engine.run import RunSettings, train
    from add4rsc.methods import recipes
    from add4rsc.predictions import read_predictions

    corpus, run = out / "recordings", out / "run"
    typer.echo(f"1. Made breath sounds with known crackles and wheezes -> {corpus}")
    synthesise(corpus, n_recordings=48, seed=0)
    typer.echo(f"2. Train add4rsc/small_cnn -> {run}")
    result = train(recipes.get("add4rsc/small_cnn")(), [1], RunSettings(corpus, run, accelerator="cpu", overwrite=True))
    typer.echo("3. Evaluate on patients that were never trained on")
    print_evaluation(result, "made sounds")
    typer.echo("These sounds are made: the scores show that the parts work, and say nothing about patients.")
    table = read_predictions(run / "predictions.csv").table
    first = table[table["recording"] == table["recording"].iloc[0]]
    rows = [[f"{row.start:.2f}", f"{row.end:.2f}", row.label, row.decision] for row in first.itertuples()]
    print_table(f"4. Predictions of {first['recording'].iloc[0]}", ["start", "end", "label", "decision"], rows)
    typer.echo(f"All {len(table)} rows: {run / 'predictions.csv'}")
    typer.echo(f"Next: add4rsc train add4rsc/small_cnn --data-folder YOUR_ICBHI_FOLDER  (or see {out}/run/recipe.json)")
