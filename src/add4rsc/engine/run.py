"""From a recipe and a corpus to a trained network, its predictions and its scores."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from lightning_fabric import Fabric
from numpy import ndarray

from add4rsc.datasets._base import AbstractDataset
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.checkpoint import TrainingState, save_tensors
from add4rsc.engine.correction import correct_split
from add4rsc.engine.decision import OFFSET, best_offset, shift_normal
from add4rsc.engine.devices import DeviceNetwork, SharedTraining, fine_tune_devices, predict_by_devices
from add4rsc.engine.fit import FitSettings, fit
from add4rsc.engine.folder import PREDICTIONS, RUN, SUMMARY, VALIDATION, claim_folder
from add4rsc.engine.memory import keep_freed_memory
from add4rsc.engine.model import resolve_front_end
from add4rsc.engine.predict import predict_probabilities, to_predictions
from add4rsc.engine.preparation import prepare_data
from add4rsc.engine.processes import (
    act_first,
    build_fabric,
    is_first_process,
    launch,
    precision_of,
    tell_precision,
)
from add4rsc.engine.progress import console
from add4rsc.engine.provenance import describe_environment
from add4rsc.engine.second_stage import Course, finish_stages
from add4rsc.engine.subsets import TrainingData, own_split
from add4rsc.engine.summary import summarise_seeds
from add4rsc.engine.teacher import taught
from add4rsc.errors import RecipeError
from add4rsc.methods import methods
from add4rsc.methods._base import AbstractTwoStageMethod
from add4rsc.metrics.selections import evaluate_run, other_table
from add4rsc.predictions import Predictions, read_predictions
from add4rsc.protocol.corpora import join_training
from add4rsc.protocol.selection import Selection
from add4rsc.protocol.split import Split, fold_names
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
    more_data: tuple[Path, ...] = ()
    """Folders of further corpora whose training cycles join (`Recipe.more_corpora`)."""


def train(recipe: Recipe, seeds: Sequence[int], settings: RunSettings) -> dict[str, Any]:
    """Train a recipe once a seed and once a fold, and write everything under the run folder.

    Returns the content of the run folder's `summary.json`.

    Raises:
        RunFolderError: if the folder holds a finished run, an unfinished one without `resume`, or another recipe's.
        RecipeError, UnknownNameError, DatasetNotFoundError, AudioError, AnnotationError: as their messages say.
    """
    dataset = open_dataset(settings.data_folder, recipe.dataset)
    joining = tuple(open_dataset(folder).name for folder in settings.more_data)
    if recipe.more_corpora not in ((), joining):
        raise RecipeError(
            f"The recipe trains on {', '.join(recipe.more_corpora)} too. Give each a --more-data folder, in that order."
        )
    recipe = resolve_recipe(recipe.model_copy(update={"more_corpora": joining}), dataset)
    meeting = build_fabric(recipe.precision, settings.accelerator, settings.devices)
    if settings.show_progress:
        tell_precision(meeting, recipe.precision)
    again = {"resume": settings.resume, "overwrite": settings.overwrite}
    act_first(meeting, partial(claim_folder, settings.run_folder, recipe, seeds, **again))
    for seed in seeds:
        for split_name in fold_names(recipe.split or ""):
            folder = _sub_folder(settings.run_folder, seed, split_name, recipe, seeds)
            if (folder / SUMMARY).exists():
                continue
            _launch(recipe.model_copy(update={"split": split_name}), seed, replace(settings, run_folder=folder))
        act_first(meeting, partial(_pool_folds, _seed_folder(settings.run_folder, seed, seeds), recipe))
    return _summarise_seeds(settings.run_folder, recipe, seeds)


def resolve_recipe(recipe: Recipe, dataset: AbstractDataset) -> Recipe:
    """The recipe with every default that depends on the corpus or the backbone filled in.

    Raises:
        RecipeError: if the corpus has no such task, the rule of selection has nothing to look at, or the method cannot
            be fine-tuned for stethoscopes.
    """
    if recipe.device_fine_tuning and issubclass(methods.get(recipe.method), AbstractTwoStageMethod):
        raise RecipeError(
            f"Method '{recipe.method}' learns in two stages, and cannot go on for single stethoscopes. "
            "Use --set device_fine_tuning=null."
        )
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


def _seed_folder(folder: Path, seed: int, seeds: Sequence[int]) -> Path:
    return folder / f"seed-{seed}" if len(seeds) > 1 else folder


def _sub_folder(folder: Path, seed: int, split_name: str, recipe: Recipe, seeds: Sequence[int]) -> Path:
    folder = _seed_folder(folder, seed, seeds)
    return folder if split_name == recipe.split else folder / f"fold-{split_name.rsplit('/', 1)[1]}"


def _launch(recipe: Recipe, seed: int, settings: RunSettings) -> None:
    """Train one seed of one fold on as many processes as asked for, with an engine of its own."""
    fabric = build_fabric(recipe.precision, settings.accelerator, settings.devices)
    # bound beforehand, because Fabric walks through arguments and fails on frozen ones
    launch(fabric, partial(_train_once, recipe=recipe, seed=seed, settings=settings))


def _train_once(fabric: Fabric, recipe: Recipe, seed: int, settings: RunSettings) -> None:
    """What every process does: features, training, predictions of the test subset."""
    began = time.monotonic()
    keep_freed_memory()
    dataset = open_dataset(settings.data_folder, recipe.dataset)
    split = own_split(recipe, dataset)
    corpora = (dataset, *(open_dataset(folder) for folder in settings.more_data))
    split = join_training(
        only_stethoscopes(split, recipe.stethoscopes),
        corpora[1:],
        validation_share=recipe.validation_share,
        validation_seed=recipe.validation_seed,
    )
    with fabric.rank_zero_first():
        split = correct_split(recipe, split, settings.run_folder, stores=fabric.is_global_zero)
        data = prepare_data(recipe, split, shown=settings.show_progress and fabric.is_global_zero)
        data = taught(data, recipe, split, corpora)
    folder = settings.run_folder
    fit_settings = FitSettings(folder / "checkpoint", settings.n_workers, settings.show_progress)
    state = fit(fabric, recipe, data, seed, fit_settings)
    training = _Trained(fabric, recipe, fit_settings, split, data, state, seed)
    outcomes = [_outcome(training, rule) for rule in reversed(recipe.selections)]  # its own last: its weights stay
    if fabric.is_global_zero:
        own = outcomes[-1].test
        metadata = {"recipe": recipe.model_dump_json(), "classes": ",".join(split.task.classes)}
        metadata |= {OFFSET: own.constant(OFFSET)} if recipe.decision_offset != "none" else {}
        save_tensors(folder / "model.safetensors", state.evaluated.state_dict(), metadata)
        course = outcomes[-1].course
        run = _describe_run(fabric, state, seed, split, data) | {"epoch": course.epoch}
        run |= {"epochs_of_parts": course.epochs_of_parts} if course.epochs_of_parts else {}
        _write_results(folder, outcomes, run | {"seconds": time.monotonic() - began})
    fabric.barrier()


@dataclass(frozen=True)
class _Trained:
    """A training that has come to its end."""

    fabric: Fabric
    recipe: Recipe
    settings: FitSettings
    split: Split
    data: TrainingData
    state: TrainingState
    seed: int

    def finish(self, rule: Selection) -> Course:
        """Take over the weights that a rule of selection chose, after the second stage where there is one."""
        recipe = self.recipe.model_copy(update={"selection": rule})
        return finish_stages(self.fabric, recipe, self.data, self.seed, self.settings, self.state)

    def fine_tune_devices(self, rule: Selection) -> list[DeviceNetwork]:
        """The networks of single stethoscopes, from the weights that a rule of selection chose."""
        shown, n_workers = self.settings.show_progress, self.settings.n_workers
        folder = self.settings.folder.parent
        shared = SharedTraining(self.recipe, self.split, self.seed, folder, rule, n_workers, shown)
        return fine_tune_devices(self.fabric, shared)


@dataclass(frozen=True)
class _Outcome:
    """What the weights that a rule of selection chose make of the test and of the validation cycles."""

    test: Predictions
    validation: Predictions | None
    course: Course


def _outcome(trained: _Trained, rule: Selection) -> _Outcome:
    """Predictions by the weights that a rule of selection chose, which the network then has."""
    recipe, split, data = trained.recipe, trained.split, trained.data
    course = trained.finish(rule)
    constants = {"split": split.name, "selection": rule.value, "epoch": str(course.epoch)}
    devices = trained.fine_tune_devices(rule)
    probabilities, validation = _probabilities(trained, Subset.TEST, devices), None
    if len(data.validation.labels):
        of_validation = _probabilities(trained, Subset.VALIDATION, devices)
        if recipe.decision_offset == "validation":
            offset = best_offset(data.validation.labels, of_validation)
            constants[OFFSET] = f"{offset:.3f}"
            probabilities, of_validation = shift_normal(probabilities, offset), shift_normal(of_validation, offset)
        validation = to_predictions(split.validation, of_validation, split.task, subset="validation", **constants)
    test = to_predictions(split.test, probabilities, split.task, subset="test", **constants)
    return _Outcome(test, validation, course)


def _probabilities(
    trained: _Trained, subset: Subset, devices: Sequence[DeviceNetwork]
) -> Float[ndarray, "cycle class"]:
    """Of the cycles of a subset, by the shared network or by those of their stethoscopes."""
    fabric, n_workers = trained.fabric, trained.settings.n_workers
    features = trained.data.test if subset is Subset.TEST else trained.data.validation
    shared = predict_probabilities(
        fabric, trained.state.evaluated, features.store, groups=features.groups, n_workers=n_workers
    )
    return predict_by_devices(fabric, devices, shared, trained.split.subset(subset), subset)


def _describe_run(fabric: Fabric, state: TrainingState, seed: int, split: Split, data: TrainingData) -> dict[str, Any]:
    """What `run.json` holds, the times excepted."""
    files = sorted({path.name for subset in (data.train, data.validation, data.test) for path in subset.store.files})
    return {
        "seed": seed,
        "n_processes": fabric.world_size,
        "device": str(fabric.device),
        "precision": precision_of(fabric),
        "n_threads": torch.get_num_threads(),
        "n_parameters": sum(weight.numel() for weight in state.module.parameters()),
        "data_checksum": hashlib.sha256("\n".join(files).encode()).hexdigest(),
        "split": split.report(),
        **describe_environment(),
        "notice": RESEARCH_USE_ONLY,
    }


def _write_results(folder: Path, outcomes: Sequence[_Outcome], run: dict[str, Any]) -> None:
    """Write the results, of the run's own rule of selection last; `summary.json` says that the run is finished."""
    *others, own = outcomes
    write_text(folder / "history.csv", pd.DataFrame(own.course.history).to_csv(index=False))
    for outcome in others:
        name = other_table(outcome.test.constant("selection"))
        write_text(folder / name, outcome.test.table.to_csv(index=False))
    if own.validation is not None:
        write_text(folder / VALIDATION, own.validation.table.to_csv(index=False))
    write_text(folder / PREDICTIONS, own.test.table.to_csv(index=False))
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
    if is_first_process():
        console.print(f"{folder}: {told}")
    return result
