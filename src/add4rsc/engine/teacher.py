"""What a trained run says of the cycles that another one learns from (`AbstractTaughtMethod`)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray

from add4rsc.datasets._base import AbstractDataset
from add4rsc.engine.ensemble import load_ensemble
from add4rsc.engine.loading import TrainedRun, load_run, seed_folders
from add4rsc.engine.subsets import TrainingData
from add4rsc.engine.testing import predict_cycles
from add4rsc.engine.windows import split_cycles
from add4rsc.errors import RecipeError, SplitError
from add4rsc.methods import methods
from add4rsc.methods._base import AbstractTaughtMethod, read_options
from add4rsc.protocol.split import Split, make_split
from add4rsc.recipe import Recipe
from add4rsc.terms import RespiratoryCycle


def taught(data: TrainingData, recipe: Recipe, split: Split, corpora: Sequence[AbstractDataset]) -> TrainingData:
    """The same, with a teacher's answers for the training cycles where the recipe names one.

    A cycle is answered by the mean of those of the teacher's networks that have not learnt from its recording, if there
    are any, as in a cross-validation; otherwise by that of all. Every network hears it without augmentation, in its own
    crop and features.

    Args:
        data: of the run that learns.
        recipe: resolved.
        split: whose training cycles are those of `data`, before any windows are cut.
        corpora: the run's own, and those that join it.

    Raises:
        RecipeError: if the teacher tells other classes apart, or the recipe goes on for single stethoscopes or joins
            cycles, of which a teacher says nothing.
        SplitError: if the teacher has learnt from recordings that are to be tested on.
        RunFolderError, CheckpointError: if there is no teacher in the folder, or a damaged one.
    """
    folder = _teacher_of(recipe)
    if folder is None:
        return data
    if recipe.device_fine_tuning is not None:
        raise RecipeError(
            "Networks for single stethoscopes have no teacher. "
            "Use --set device_fine_tuning=null, or leave out options.teacher."
        )
    cycles = split_cycles(split.train, recipe.crop)[0]
    if len(cycles) != len(data.train.labels):
        raise RecipeError(
            "A teacher says nothing of joined cycles. Use --set waveform.joined_scale=0, or leave out options.teacher."
        )
    members = _load_members(folder, data.classes)
    learnt = [_learnt_recordings(member, corpora) for member in members]
    _check_test(folder, learnt, split)
    is_new = np.array([[cycle.recording.path not in paths for cycle in cycles] for paths in learnt])
    answers = torch.from_numpy(_mean_answers(members, is_new, cycles)).float()
    return replace(data, train=replace(data.train, answers=answers))


def _teacher_of(recipe: Recipe) -> Path | None:
    """The folder that the method's options name."""
    method = methods.get(recipe.method)
    named = method.teacher(read_options(method, recipe.options)) if issubclass(method, AbstractTaughtMethod) else None
    return None if named is None else Path(named)


def _load_members(folder: Path, classes: tuple[str, ...]) -> tuple[TrainedRun, ...]:
    members = load_ensemble(folder).members if len(seed_folders(folder)) > 1 else (load_run(folder),)
    if members[0].classes != classes:
        raise RecipeError(
            f"{folder} tells apart {', '.join(members[0].classes)}; this run {', '.join(classes)}. "
            "Name a teacher of the same task with --set options.teacher=RUN."
        )
    return members


def _learnt_recordings(member: TrainedRun, corpora: Sequence[AbstractDataset]) -> frozenset[Path]:
    """Files of these corpora that a network has learnt from."""
    return frozenset(path for corpus in corpora for path in _learnt_of(member.recipe, corpus))


def _learnt_of(recipe: Recipe, corpus: AbstractDataset) -> Iterator[Path]:
    if corpus.name not in (recipe.dataset, *recipe.more_corpora):
        return
    name = recipe.split if corpus.name == recipe.dataset else None
    split = make_split(
        corpus,
        corpus.tasks[recipe.task or ""],
        name or corpus.split_names[0],
        validation_share=recipe.validation_share,
        validation_seed=recipe.validation_seed,
    )
    yield from (cycle.recording.path for cycle in split.train)


def _check_test(folder: Path, learnt: Sequence[frozenset[Path]], split: Split) -> None:
    """Raise SplitError if a teacher knows a recording of the test."""
    tested = {cycle.recording.path for cycle in split.test}
    known = sorted(path.name for path in tested & frozenset().union(*learnt))
    if known:
        raise SplitError(
            f"{folder} has learnt from {len(known)} recordings of this run's test subset, such as {known[0]}. "
            f"Name a teacher that was trained on the same split, '{split.name}'."
        )


def _mean_answers(
    members: Sequence[TrainedRun], is_new: Bool[ndarray, "member cycle"], cycles: Sequence[RespiratoryCycle]
) -> Float[ndarray, "cycle class"]:
    """The mean over the networks to which a cycle is new; over all where it is new to none."""
    asked = is_new | ~is_new.any(axis=0)
    sums = np.zeros((len(cycles), len(members[0].classes)))
    for member, rows in zip(members, asked, strict=True):
        if rows.any():
            indices = np.flatnonzero(rows).tolist()
            sums[indices] += predict_cycles(member, [cycles[index] for index in indices])
    return sums / asked.sum(axis=0)[:, None]
