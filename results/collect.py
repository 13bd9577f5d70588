"""Copy what a finished run found into this folder, with the command that made it.

Usage: python results/collect.py RUN_FOLDER DATASET/TASK/TEST/METHOD "add4rsc train ..." [--task TASK]
       python results/collect.py BENCHMARK_FOLDER DATASET/TASK/TEST "add4rsc benchmark ..." [--join]

A folder of `add4rsc benchmark` is copied row by row, and its table beside the rows. With --join, its rows join those of
the table that is there, or take their places, and all are ranked anew from their stored predictions, which takes
minutes. With --task, the predictions are first read as those of a coarser task of the same corpus. A run of several
seeds gets its ensemble too: the mean of their probabilities.
"""

import argparse
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from add4rsc.cli._coarse import read_as
from add4rsc.engine.benchmarking import Entry
from add4rsc.engine.summary import summarise_seeds
from add4rsc.metrics.evaluation import evaluate
from add4rsc.metrics.runs import mean_probabilities, read_run
from add4rsc.predictions import Predictions, read_predictions
from add4rsc.report.evidence import read_evidence
from add4rsc.report.leaderboard import WRITERS, make_leaderboard
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


def collect_benchmark(folder: Path, place: Path, command: str, *, joins: bool) -> None:
    """Copy every finished row of a benchmark over what its place held, and the table; other rows stay."""
    table = json.loads((folder / TABLE).read_text())
    for row in table["ranking"]:
        name = folder_of(row)
        shutil.rmtree(place / name, ignore_errors=True)  # a file of an older run would count for the new one
        collect(folder / name, place / name, command, None)
    place.mkdir(parents=True, exist_ok=True)
    if joins:
        rank_anew(table, place)
    else:
        shutil.copyfile(folder / TABLE, place / TABLE)


def folder_of(row: dict[str, Any]) -> str:
    """Where the runs of a row of a ranking are."""
    return row["recipe"].replace("/", "-")


def rank_anew(table: dict[str, Any], place: Path) -> None:
    """Rank the rows of a table and those of the one that is there; what both have is the new one's."""
    there = json.loads((place / TABLE).read_text())
    entries = {row["recipe"]: entry_of(row, each, place) for each in (there, table) for row in each["ranking"]}
    evidence = read_evidence([Path(entry.folder) for entry in entries.values()])
    board = make_leaderboard(list(entries.values()), evidence, there["title"])
    write_text(place / TABLE, WRITERS["json"](board))


def entry_of(row: dict[str, Any], table: dict[str, Any], place: Path) -> Entry:
    """A row of a table as the benchmark had it."""
    deviations = (each["deviation"] for each in table["deviations"] if each["recipe"] == row["recipe"])
    return Entry(
        row["recipe"],
        row["recipe"].split("/")[0],
        str(place / folder_of(row)),
        row["n_parameters"],
        row["n_learning"],
        None if row["training_seconds"] is None else float(row["training_seconds"]),
        None if row["latency_ms"] is None else row["latency_ms"] / 1000,
        tuple(deviations),
        row["reported"],
    )


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
    parser.add_argument("--join", action="store_true")
    arguments = parser.parse_args()
    is_benchmark = (arguments.run / TABLE).exists()
    take = partial(collect_benchmark, joins=arguments.join) if is_benchmark else partial(collect, task=arguments.task)
    take(arguments.run, Path(__file__).parent / arguments.place, arguments.command)
