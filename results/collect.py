"""Copy what a finished run found into this folder, with the command that made it.

Usage: python results/collect.py RUN_FOLDER DATASET/TASK/TEST/METHOD "add4rsc train ..." [--task TASK]
       python results/collect.py BENCHMARK_FOLDER DATASET/TASK/TEST "add4rsc benchmark ..."

A folder of `add4rsc benchmark` is copied row by row, and its table beside the rows. With --task, the predictions are
first read as those of a coarser task of the same corpus. A run of several seeds gets its ensemble too: the mean of
their probabilities.
"""

import argparse
import json
import shutil
from functools import partial
from pathlib import Path

from add4rsc.cli._coarse import read_as
from add4rsc.engine.summary import summarise_seeds
from add4rsc.metrics.evaluation import evaluate
from add4rsc.metrics.runs import mean_probabilities, read_run
from add4rsc.predictions import Predictions, read_predictions
from add4rsc.storage import write_json, write_text

TABLE = "benchmark.json"
KEPT = ("recipe.json", "run.json", "history.csv", "predictions.csv")


def collect(run: Path, destination: Path, command: str, task: str | None) -> None:
    """Copy a run's tables, those of its folds and seeds included, score its predictions anew, and note the command."""
    for source in sorted(path for name in KEPT for path in run.rglob(name)):
        part = source.relative_to(run)
        if part.parts[0].startswith(("tested-on-", "robustness")):
            continue  # other tests, which have places of their own
        if source.name == "predictions.csv" and part.parent.name.startswith("fold-"):
            continue  # pooled one folder up
        (destination / part).parent.mkdir(parents=True, exist_ok=True)
        if source.name == "predictions.csv":
            predictions = read_predictions(source)
            write_scored(destination / part.parent, predictions if task is None else read_as(predictions, task))
        else:
            shutil.copyfile(source, destination / part)
    summarise(destination)
    write_text(destination / "command.txt", command + "\n")


def collect_benchmark(folder: Path, place: Path, command: str) -> None:
    """Copy every finished row of a benchmark, and its table; rows of other benchmarks on the same test stay."""
    table = json.loads((folder / TABLE).read_text())
    for row in table["ranking"]:
        name = row["recipe"].replace("/", "-")
        collect(folder / name, place / name, command, None)
    place.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / TABLE, place / TABLE)


def write_scored(folder: Path, predictions: Predictions) -> None:
    """A table, with probabilities of five digits, and its scores."""
    folder.mkdir(parents=True, exist_ok=True)
    chances = {f"p_{name}": predictions.table[f"p_{name}"].round(5) for name in predictions.classes}
    write_text(folder / "predictions.csv", predictions.table.assign(**chances).to_csv(index=False))
    write_json(folder / "summary.json", evaluate(predictions))


def summarise(folder: Path) -> None:
    """Mean and spread over the seeds, and their ensemble; nothing for a run of one seed."""
    run = read_run(folder)
    if len(run.of_seed) < 2:
        return
    write_json(folder / "summary.json", summarise_seeds({seed: evaluate(each) for seed, each in run.of_seed.items()}))
    write_scored(folder / "ensemble", mean_probabilities(run).tables[0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("place")
    parser.add_argument("command")
    parser.add_argument("--task")
    arguments = parser.parse_args()
    take = collect_benchmark if (arguments.run / TABLE).exists() else partial(collect, task=arguments.task)
    take(arguments.run, Path(__file__).parent / arguments.place, arguments.command)
