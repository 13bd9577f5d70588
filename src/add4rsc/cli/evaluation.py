"""`add4rsc evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from add4rsc.cli._app import app
from add4rsc.cli._output import print_evaluation, print_json


@app.command()
def evaluate(
    run_or_csv: Annotated[Path, typer.Argument(help="A run folder, or a predictions CSV of any program.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
) -> None:
    """Score a table of predictions. Needs no model and no sound."""
    from add4rsc.metrics.evaluation import evaluate as evaluate_predictions
    from add4rsc.predictions import read_predictions

    path = run_or_csv / "predictions.csv" if run_or_csv.is_dir() else run_or_csv
    result = evaluate_predictions(read_predictions(path))
    if as_json:
        print_json(result)
    else:
        print_evaluation(result, str(run_or_csv))
