"""Train a large network for some steps and write down what every step did: loss, size of the gradient, time.

Usage: python benchmarks/first_steps.py RECIPE --data-folder FOLDER --steps N [--set KEY=VALUE ...]

Nothing is predicted or chosen: it shows that a recipe learns on this machine, and what a step costs. Writes steps.csv,
recipe.json and run.json to results/first-steps/RECIPE. Public weights are used where they are at hand, and random ones,
as run.json then says, where not.
"""

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from lightning_fabric import Fabric

from add4rsc.cli._recipes import find_recipe
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.fit import FitSettings, fit
from add4rsc.engine.memory import keep_freed_memory
from add4rsc.engine.model import build_method
from add4rsc.engine.preparation import prepare_data
from add4rsc.engine.processes import build_fabric, launch
from add4rsc.engine.provenance import describe_environment
from add4rsc.engine.run import resolve_recipe
from add4rsc.errors import CheckpointError
from add4rsc.protocol.split import make_split
from add4rsc.recipe import Recipe, change_recipe
from add4rsc.storage import write_json, write_text

RESULTS = Path(__file__).parents[1] / "results" / "first-steps"
NO_CHOICE = {"epochs": 1, "selection": "last", "validation_share": 0.0, "schedule.shape": "constant"}


def find_weights(recipe: Recipe) -> Recipe:
    """The recipe, from random weights if the pretrained ones are not on this machine."""
    try:
        build_method(recipe, 4)
    except CheckpointError:
        return change_recipe(recipe, {"weights": None, "weights_left_out": ()})
    return recipe


def train_steps(fabric: Fabric, recipe: Recipe, data_folder: Path, folder: Path) -> None:
    """One epoch, of as many steps as the recipe says."""
    keep_freed_memory()
    dataset = open_dataset(data_folder, recipe.dataset)
    split = make_split(dataset, dataset.tasks[recipe.task or ""], recipe.split or "", validation_share=0.0)
    data = prepare_data(recipe, split, shown=True)
    began = time.monotonic()
    fit(fabric, recipe, data, 1, FitSettings(folder / "checkpoint"))
    write_json(folder / "run.json", describe(folder, recipe, time.monotonic() - began))


def describe(folder: Path, recipe: Recipe, seconds: float) -> dict[str, Any]:
    """The course of the loss, and whether every tensor learns."""
    steps = pd.read_csv(folder / "steps.csv")
    tenth = max(1, len(steps) // 10)
    return {
        "recipe": recipe.name,
        "weights": recipe.weights or "random: the public ones are not on this machine",
        "precision": recipe.precision,
        "n_steps": len(steps),
        "batch_size": recipe.batch_size,
        "loss_of_first_tenth": float(steps["loss"][:tenth].mean()),
        "loss_of_last_tenth": float(steps["loss"][-tenth:].mean()),
        "largest_gradient_norm": float(steps["gradient_norm"].max()),
        "most_tensors_without_gradient": int(steps["without_gradient"].max()),
        "seconds_per_step": seconds / len(steps),
        **describe_environment(),
    }


def main() -> None:
    """Read the command line, train, keep the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--steps", type=int, help="default: a whole epoch")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    recipe = change_recipe(find_recipe(arguments.recipe, None, arguments.changes), NO_CHOICE)
    recipe = find_weights(change_recipe(recipe, {"steps_per_epoch": arguments.steps}))
    recipe = resolve_recipe(recipe, open_dataset(arguments.data_folder, recipe.dataset))
    folder = arguments.out or RESULTS / arguments.recipe.replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "recipe.json", recipe.model_dump_json(indent=2) + "\n")
    fabric = build_fabric(recipe.precision, "auto", 1)
    launch(fabric, partial(train_steps, recipe=recipe, data_folder=arguments.data_folder, folder=folder))


if __name__ == "__main__":
    main()
