"""From a recipe and a corpus to a trained network, its predictions and its scores."""

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from torch.multiprocessing.spawn import ProcessRaisedException

from add4rsc import errors
from add4rsc.datasets._base import AbstractDataset
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.checkpoint import TrainingState, load_tensors, save_tensors
from add4rsc.engine.features import ChangedCopy, FeatureStore, cache_folder, prepare_features
from add4rsc.engine.fit import FitSettings, LabelledFeatures, TrainingData, chosen_file, fit, selection_scores
from add4rsc.engine.folder import PREDICTIONS, RUN, SUMMARY, claim_folder
from add4rsc.engine.memory import keep_freed_memory
from add4rsc.engine.model import resolve_front_end
from add4rsc.engine.predict import predict_probabilities, to_predictions
from add4rsc.engine.progress import console, counting_line
from add4rsc.engine.provenance import describe_environment
from add4rsc.engine.summary import summarise_seeds
from add4rsc.errors import Add4rscError, RecipeError, WrongUsageError
from add4rsc.metrics.selections import evaluate_run, other_table
from add4rsc.predictions import Predictions, read_predictions
from add4rsc.protocol.selection import Selection, select_epoch
from add4rsc.protocol.split import Split, fold_names, make_split
from add4rsc.protocol.stethoscopes import only_stethoscopes
from add4rsc.recipe import Recipe
from add4rsc.storage import write_json, write_text
from add4rsc.terms import RESEARCH_USE_ONLY, Subset


@dataclass(frozen=True)
class RunSettings:
    """What does not change the result: where things are, and on what they run."""

    data_folder: Path
    run_folder: Path
    devices: int = 1
    accelerator: str = "auto"
    n_workers: int = 0
    resume: bool = False
    overwrite: bool = False
    show_progress: bool = True


def train(recipe: Recipe, seeds: Sequence[int], settings: RunSettings) -> dict[str, Any]:
    """Train a recipe once a seed and once a fold, and write everything under the run folder.

    Returns the content of the run folder's `summary.json`.

    Raises:
        RunFolderError: if the folder holds a finished run, an unfinished one without `resume`, or another recipe's.
        RecipeError, UnknownNameError, DatasetNotFoundError, AudioError, AnnotationError: as their messages say.
    """
    dataset = open_dataset(settings.data_folder, recipe.dataset)
    recipe = resolve_recipe(recipe, dataset)
    if is_first_process():
        claim_folder(settings.run_folder, recipe, seeds, resume=settings.resume, overwrite=settings.overwrite)
    for seed in seeds:
        for split_name in fold_names(recipe.split or ""):
            folder = _sub_folder(settings.run_folder, seed, split_name, recipe, seeds)
            if (folder / SUMMARY).exists():
                continue
            _launch(recipe.model_copy(update={"split": split_name}), seed, replace(settings, run_folder=folder))
        if is_first_process():
            _pool_folds(_seed_folder(settings.run_folder, seed, seeds), recipe)
    return _summarise_seeds(settings.run_folder, recipe, seeds)


def resolve_recipe(recipe: Recipe, dataset: AbstractDataset) -> Recipe:
    """The recipe with every default that depends on the corpus or the backbone filled in.

    Raises:
        RecipeError: if the corpus has no such task, or the rule of selection has nothing to look at.
    """
    task = recipe.task or next(iter(dataset.tasks))
    if task not in dataset.tasks:
        raise RecipeError(f"{dataset.name} has no task '{task}'. Known: {', '.join(dataset.tasks)}.")
    if Selection.VALIDATION in recipe.selections and recipe.validation_share == 0:
        raise RecipeError("Selection 'validation' needs validation patients. Use --set validation_share=0.2.")
    filled = {
        "dataset": dataset.name,
        "task": task,
        "split": recipe.split or dataset.split_names[0],
        "front_end": resolve_front_end(recipe),
    }
    return recipe.model_copy(update=filled)


def is_first_process() -> bool:
    """Whether this process speaks for all that a cluster's launcher started."""
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"


def _seed_folder(folder: Path, seed: int, seeds: Sequence[int]) -> Path:
    return folder / f"seed-{seed}" if len(seeds) > 1 else folder


def _sub_folder(folder: Path, seed: int, split_name: str, recipe: Recipe, seeds: Sequence[int]) -> Path:
    folder = _seed_folder(folder, seed, seeds)
    return folder if split_name == recipe.split else folder / f"fold-{split_name.rsplit('/', 1)[1]}"


def _launch(recipe: Recipe, seed: int, settings: RunSettings) -> None:
    """Train one seed of one fold on as many processes as asked for."""
    under_launcher = "TORCHELASTIC_RUN_ID" in os.environ or "SLURM_JOB_ID" in os.environ
    several = "ddp" if under_launcher else "ddp_spawn"
    try:
        fabric = Fabric(
            accelerator=settings.accelerator,
            devices=settings.devices,
            strategy=several if settings.devices > 1 or under_launcher else "auto",
            precision=recipe.precision,
        )
    except (ValueError, RuntimeError) as error:
        raise WrongUsageError(f"--accelerator {settings.accelerator} --devices {settings.devices}: {error}") from error
    try:
        # bound beforehand, because Fabric walks through arguments and fails on frozen ones
        fabric.launch(partial(_train_once, recipe=recipe, seed=seed, settings=settings))
    except ProcessRaisedException as error:
        raise _own_error(error) from error


def _own_error(raised: ProcessRaisedException) -> Exception:
    """Our error behind a process' traceback, which is all that torch hands on; that itself if it is none of ours."""
    last = raised.msg.rpartition("\nadd4rsc.errors.")[2]
    name, colon, message = last.partition(": ")
    kind = getattr(errors, name, None) if colon and last != raised.msg else None
    if kind is None:
        return raised
    own = Add4rscError(message.strip())
    own.exit_code = kind.exit_code
    return own


def _train_once(fabric: Fabric, recipe: Recipe, seed: int, settings: RunSettings) -> None:
    """What every process does: features, training, predictions of the test subset."""
    began = time.monotonic()
    keep_freed_memory()
    dataset = open_dataset(settings.data_folder, recipe.dataset)
    split = make_split(
        dataset,
        dataset.tasks[recipe.task or ""],
        recipe.split or "",
        validation_share=recipe.validation_share,
        validation_seed=recipe.validation_seed,
    )
    split = only_stethoscopes(split, recipe.stethoscopes)
    with fabric.rank_zero_first():
        data = _prepare(recipe, split, shown=settings.show_progress and fabric.is_global_zero)
    folder = settings.run_folder
    fit_settings = FitSettings(folder / "checkpoint", settings.n_workers, settings.show_progress)
    state = fit(fabric, recipe, data, seed, fit_settings)
    outcomes = [_outcome(fabric, state, data, split, (rule, settings)) for rule in reversed(recipe.selections)]
    if fabric.is_global_zero:
        own = outcomes[-1]
        metadata = {"recipe": recipe.model_dump_json(), "classes": ",".join(split.task.classes)}
        save_tensors(folder / "model.safetensors", state.evaluated.state_dict(), metadata)
        epoch = int(own.constant("epoch"))
        run = _describe_run(fabric, state, seed, split, data) | {"epoch": epoch, "seconds": time.monotonic() - began}
        _write_results(folder, outcomes, state, run)
    fabric.barrier()


def _outcome(
    fabric: Fabric, state: TrainingState, data: TrainingData, split: Split, chosen: tuple[Selection, RunSettings]
) -> Predictions:
    """Predictions of the test subset by the weights that a rule of selection chose, which the network then has."""
    rule, settings = chosen
    tensors, _ = load_tensors(settings.run_folder / "checkpoint" / chosen_file(rule))
    state.evaluated.load_state_dict(tensors)
    probabilities = predict_probabilities(fabric, state.evaluated, data.test.store, n_workers=settings.n_workers)
    epoch = select_epoch(selection_scores(state.history, rule), rule) + 1
    constants = {"subset": "test", "split": split.name, "selection": rule.value, "epoch": str(epoch)}
    return to_predictions(split.test, probabilities, split.task, **constants)


def _prepare(recipe: Recipe, split: Split, *, shown: bool) -> TrainingData:
    """Features of all three subsets."""
    everything = [cycle for subset in Subset for cycle in split.subset(subset)]
    progress = counting_line("features of recordings") if shown else None
    front_end = recipe.front_end or resolve_front_end(recipe)
    store = prepare_features(everything, recipe.crop, front_end, cache_folder(), progress)
    subsets, first = [], 0
    for subset in Subset:
        cycles = split.subset(subset)
        members = slice(first, first + len(cycles))
        labels = np.array([split.task.label(cycle.annotation) for cycle in cycles], dtype=np.int64)
        subsets.append(LabelledFeatures(FeatureStore(store.files[members], store.rows[members]), labels))
        first += len(cycles)
    train = subsets[0]
    copies = tuple(
        prepare_features(
            split.train, recipe.crop, front_end, cache_folder(), progress, ChangedCopy(recipe.waveform, number)
        )
        for number in range(1, recipe.waveform.copies + 1)
    )
    subsets[0] = LabelledFeatures(replace(train.store, copies=copies), train.labels)
    return TrainingData(split.task.classes, *subsets)


def _describe_run(fabric: Fabric, state: TrainingState, seed: int, split: Split, data: TrainingData) -> dict[str, Any]:
    """What `run.json` holds, the times excepted."""
    files = sorted({path.name for subset in (data.train, data.validation, data.test) for path in subset.store.files})
    return {
        "seed": seed,
        "n_processes": fabric.world_size,
        "device": str(fabric.device),
        "n_threads": torch.get_num_threads(),
        "n_parameters": sum(weight.numel() for weight in state.module.parameters()),
        "data_checksum": hashlib.sha256("\n".join(files).encode()).hexdigest(),
        "split": split.report(),
        **describe_environment(),
        "notice": RESEARCH_USE_ONLY,
    }


def _write_results(folder: Path, outcomes: Sequence[Predictions], state: TrainingState, run: dict[str, Any]) -> None:
    """Write the results, of the run's own rule of selection last; `summary.json` says that the run is finished."""
    write_text(folder / "history.csv", pd.DataFrame(state.history).to_csv(index=False))
    *others, own = outcomes
    for predictions in others:
        name = other_table(predictions.constant("selection"))
        write_text(folder / name, predictions.table.to_csv(index=False))
    write_text(folder / PREDICTIONS, own.table.to_csv(index=False))
    write_json(folder / RUN, run)
    write_json(folder / SUMMARY, evaluate_run(folder) | {"seed": run["seed"], "epoch": run["epoch"]})


def _pool_folds(folder: Path, recipe: Recipe) -> None:
    """Join the test predictions of all folds, in each of which every patient is tested once."""
    folds = fold_names(recipe.split or "")
    if len(folds) == 1:
        return
    for rule in recipe.selections:
        name = PREDICTIONS if rule is recipe.selection else other_table(rule.value)
        tables = [read_predictions(folder / f"fold-{fold.rsplit('/', 1)[1]}" / name).table for fold in folds]
        pooled = pd.concat(tables, ignore_index=True)
        pooled["fold"], pooled["split"] = pooled["split"].str.rsplit("/", n=1).str[1], recipe.split
        write_text(folder / name, pooled.to_csv(index=False))
    write_json(folder / SUMMARY, evaluate_run(folder))


def _summarise_seeds(folder: Path, recipe: Recipe, seeds: Sequence[int]) -> dict[str, Any]:
    """The run folder's summary: of its one run, or the mean and sd over seeds."""
    summaries = {seed: _evaluate_folder(_seed_folder(folder, seed, seeds)) for seed in seeds}
    if len(seeds) == 1:
        return summaries[seeds[0]]
    summary = {"recipe": recipe.name, **summarise_seeds(summaries)}
    if is_first_process():
        write_json(folder / SUMMARY, summary)
    return summary


def _evaluate_folder(folder: Path) -> dict[str, Any]:
    result = evaluate_run(folder)
    scores = {"Sp": result["specificity"], "Se": result["sensitivity"], "Score": result["score"]}
    told = "  ".join(f"{name} {'-' if value is None else format(value, '.4f')}" for name, value in scores.items())
    console.print(f"{folder}: {told}")
    return result
