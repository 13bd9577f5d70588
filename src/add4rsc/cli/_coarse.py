"""Scores of a run as those of a coarser task."""

from pathlib import Path
from typing import Any

from add4rsc.datasets import datasets
from add4rsc.engine.summary import summarise_seeds
from add4rsc.errors import UnknownNameError
from add4rsc.metrics.coarsening import coarsen
from add4rsc.metrics.evaluation import evaluate
from add4rsc.metrics.runs import read_run
from add4rsc.predictions import Predictions


def evaluate_as(run_or_csv: Path, task: str) -> dict[str, Any]:
    """Scores of a table, or of every seed of a run, read as those of another task of its corpus.

    The corpus is the first part of the table's column `split`.

    Raises:
        UnknownNameError: if the corpus or its task does not exist.
        PredictionsError: if the table does not answer that task.
    """
    run = read_run(run_or_csv)
    results = {}
    for seed, predictions in run.of_seed.items():
        results[seed] = evaluate(read_as(predictions, task))
    return summarise_seeds(results) if len(results) > 1 else next(iter(results.values()))


def read_as(predictions: Predictions, task: str) -> Predictions:
    """A table as that of another task of its corpus, which is the first part of its column `split`.

    Raises:
        UnknownNameError: if the corpus or its task does not exist.
        PredictionsError: if the table does not answer that task.
    """
    tasks = dict(datasets.get(predictions.constant("split").split("/")[0]).tasks)
    if task not in tasks:
        raise UnknownNameError("task", task, tasks)
    return coarsen(predictions, tasks, task)
