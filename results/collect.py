"""Copy what a finished run found into this folder, with the command that made it.

Usage: python results/collect.py RUN_FOLDER DATASET/TASK/TEST/METHOD "add4rsc train ..."
"""

import argparse
import shutil
from pathlib import Path

from add4rsc.metrics.evaluation import evaluate
from add4rsc.predictions import read_predictions
from add4rsc.storage import write_json, write_text

KEPT = ("recipe.json", "run.json", "history.csv", "predictions.csv")


def collect(run: Path, destination: Path, command: str) -> None:
    """Copy a run's tables, those of its folds and seeds included, score its predictions anew, and note the command."""
    for source in sorted(path for name in KEPT for path in run.rglob(name)):
        part = source.relative_to(run)
        if source.name == "predictions.csv" and part.parent.name.startswith("fold-"):
            continue  # pooled one folder up
        (destination / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, destination / part)
        if source.name == "predictions.csv":
            write_json(destination / part.parent / "summary.json", evaluate(read_predictions(source)))
    write_text(destination / "command.txt", command + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("place")
    parser.add_argument("command")
    arguments = parser.parse_args()
    collect(arguments.run, Path(__file__).parent / arguments.place, arguments.command)
