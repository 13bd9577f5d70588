"""Test the forms of the ADD layer under the kind of noise that they have learnt with, on validation patients.

Usage: python results/made_noise.py RUNS --sprsound FOLDER

RUNS is what results/experiments.py wrote. Every finished seed of the group sprsound-noisy hears the cycles of its
validation patients as they are and among made noise, at fixed ratios and with draws that no training had. Beside the
same networks under recorded noise of other classes, this tells a layer that does not denoise from one that only knows
the noise of its training. Predictions stay in the run folders; scores and differences come into this folder.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
from collect_experiments import PLAIN, finished_seeds, on_common_seeds, place_of
from lightning_fabric import Fabric

from add4rsc.augment.noise import NoiseAugmentation, NoiseMixer
from add4rsc.augment.response import ResponseAugmentation
from add4rsc.augment.scene import Scene
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.batches import NO_AUGMENTATION, CycleFeatures
from add4rsc.engine.features import cache_folder, prepare_features
from add4rsc.engine.loading import TrainedRun, load_run
from add4rsc.engine.predict import compute_rows, softmax, to_predictions
from add4rsc.engine.subsets import own_split
from add4rsc.metrics.compare import compare_runs
from add4rsc.metrics.icbhi import icbhi_score
from add4rsc.metrics.runs import Run
from add4rsc.predictions import Predictions, read_predictions
from add4rsc.storage import write_text

LEVELS: tuple[float | None, ...] = (None, 10.0, 0.0)
"""Signal-to-noise ratios in decibels; None is without noise."""
DRAW = 1000
"""Seed of the noise: no training has it."""
COMMAND = "python results/made_noise.py runs/experiments --sprsound SPRSOUND\n"


def heard(folder: Path, corpus: Path, level: float | None) -> Predictions:
    """Predictions of a run's validation patients among made noise; made once."""
    path = folder / f"made-noise-{'none' if level is None else f'{level:g}'}.csv"
    if not path.exists():
        write_text(path, predict_among_noise(load_run(folder), corpus, level).table.to_csv(index=False))
    return read_predictions(path)


def predict_among_noise(run: TrainedRun, corpus: Path, level: float | None) -> Predictions:
    """The network on the cycles of validation patients, each in noise of its own at one ratio."""
    recipe = run.recipe
    split = own_split(recipe, open_dataset(corpus, recipe.dataset))
    noise = NoiseAugmentation() if level is None else _at(level)
    scene = Scene(NoiseMixer(noise, run.front_end), ResponseAugmentation())
    store = prepare_features(split.validation, recipe.crop, run.front_end, cache_folder())
    cycles = CycleFeatures(store, NO_AUGMENTATION, DRAW, scene)
    fabric = Fabric(accelerator="cpu", devices=1)
    logits = compute_rows(fabric, run.network, lambda log_mel, _: run.network(log_mel), cycles)
    return to_predictions(split.validation, softmax(logits), split.task, subset="validation", split=split.name)


def _at(level: float) -> NoiseAugmentation:
    return NoiseAugmentation(probability=1.0, lowest_snr_db=level, highest_snr_db=level)


def rows_of(form: str, runs: dict[float | None, Run], plain: dict[float | None, Run]) -> Iterator[dict[str, object]]:
    """At every level the mean scores of a form, and its difference from the network without it."""
    for level, run in runs.items():
        of_seeds = [icbhi_score(table.labels, table.decisions) for table in run.tables]
        row: dict[str, object] = {"form": form, "level": level, "seeds": len(of_seeds)}
        for name in ("specificity", "sensitivity", "score"):
            row[name] = sum(getattr(each, name) for each in of_seeds) / len(of_seeds)
        if form != "plain":
            found = compare_runs(*on_common_seeds(plain[level], replace(run, name=form))).scores["score"]
            row |= {"difference": found.difference, "low": found.interval.low, "high": found.interval.high}
        yield row


def main() -> None:
    """Hear, score and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--sprsound", type=Path, required=True)
    arguments = parser.parse_args()
    plain: dict[float | None, Run] = {}
    rows: list[dict[str, object]] = []
    folders = sorted((arguments.runs / PLAIN).parent.iterdir(), key=lambda path: (path.name != "plain", path.name))
    for folder in folders:
        seeds = finished_seeds(folder)
        if not seeds:
            continue
        runs = {
            level: Run(folder.name, {seed: heard(run, arguments.sprsound, level) for seed, run in seeds.items()})
            for level in LEVELS
        }
        plain = plain or runs
        rows += rows_of(folder.name, runs, plain)
    place = place_of("task-1-2", "validation-among-made-noise", "forms")
    place.mkdir(parents=True, exist_ok=True)
    write_text(place / "scores.csv", pd.DataFrame(rows).round(6).to_csv(index=False))
    write_text(place / "command.txt", COMMAND)


if __name__ == "__main__":
    main()
