"""`add4rsc train`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from add4rsc.cli._app import app
from add4rsc.cli._output import print_json


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe: `add4rsc list recipes`.")],
    data_folder: Annotated[Path, typer.Option(help="The corpus, in its publisher's layout.")],
    more_data: Annotated[
        list[Path] | None, typer.Option(help="A further corpus whose training cycles join; may be repeated.")
    ] = None,
    run_folder: Annotated[
        Path | None, typer.Option("--run-folder", "-o", help="Where to write; default runs/RECIPE.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="One run a seed, such as 1,2,3.")] = "1",
    config: Annotated[Path | None, typer.Option(help="A recipe.json or .yaml whose keys replace the recipe's.")] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key.")] = None,
    devices: Annotated[int, typer.Option(min=1, help="Processes to train on together.")] = 1,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Further processes that load batches.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last whole epoch.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in the folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Train a recipe, choose an epoch, and predict the test subset."""
    from add4rsc.cli._recipes import find_recipe, read_seeds
    from add4rsc.engine.processes import is_first_process
    from add4rsc.engine.run import RunSettings
    from add4rsc.engine.run import train as train_recipe

    folder = run_folder or Path("runs") / recipe
    settings = RunSettings(
        data_folder, folder, devices, accelerator, workers, resume, overwrite, more_data=tuple(more_data or ())
    )
    summary: dict[str, Any] = train_recipe(find_recipe(recipe, config, changes or []), read_seeds(seeds), settings)
    if not is_first_process():
        return
    if as_json:
        print_json(summary)
        return
    from add4rsc.cli._output import print_evaluation

    print_evaluation(summary, str(folder))
