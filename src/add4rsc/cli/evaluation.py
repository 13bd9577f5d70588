"""`add4rsc evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from add4rsc.cli._app import app
from add4rsc.cli._output import print_evaluation, print_json


@app.command()
def evaluate(
    run_or_csv: Annotated[Path, typer.Argument(help="A run folder, or a predictions CSV of any program.")],
    task: Annotated[str, typer.Option(help="Read the table as that of a coarser task (`add4rsc list datasets`).")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
) -> None:
    """Score a table of predictions, or those of a run's seeds. Needs no model and no sound."""
    from add4rsc.cli._coarse import evaluate_as
    from add4rsc.engine.summary import summarise_seeds
    from add4rsc.metrics.evaluation import evaluate as evaluate_predictions
    from add4rsc.metrics.runs import tables_of_seeds
    from add4rsc.metrics.selections import evaluate_run
    from add4rsc.predictions import read_predictions

    of_seeds = tables_of_seeds(run_or_csv)
    if task:
        result = evaluate_as(run_or_csv, task)
    elif of_seeds:
        result = summarise_seeds({seed: evaluate_run(table.parent) for seed, table in of_seeds.items()})
    elif run_or_csv.is_dir():
        result = evaluate_run(run_or_csv)
    else:
        result = evaluate_predictions(read_predictions(run_or_csv))
    if as_json:
        print_json(result)
    else:
        print_evaluation(result, str(run_or_csv))
