"""What a trained run says of the cycles that another one learns from (`TaughtOptions`)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from add4rsc.datasets._base import AbstractDataset
from add4rsc.engine.ensemble import load_ensemble
from add4rsc.engine.loading import TrainedRun, load_run, seed_folders
from add4rsc.engine.subsets import TrainingData, own_split
from add4rsc.engine.testing import coarser_task, predict_cycles
from add4rsc.engine.windows import split_cycles
from add4rsc.errors import RecipeError, SplitError
from add4rsc.methods import methods
from add4rsc.methods._base import read_options
from add4rsc.methods._teaching import TaughtOptions
from add4rsc.metrics.coarsening import merge_probabilities
from add4rsc.metrics.smoothing import smooth_recordings
from add4rsc.protocol.split import Split
from add4rsc.recipe import Recipe
from add4rsc.terms import RespiratoryCycle, Task


def taught(data: TrainingData, recipe: Recipe, split: Split, corpora: Sequence[AbstractDataset]) -> TrainingData:
    """The same, with a teacher's answers for the training cycles where the recipe names one.

    A cycle is answered by the mean of those of the teacher's networks that have not learnt from its recording, if there
    are any, as in a cross-validation; otherwise by that of all. Every network hears it without augmentation, in its own
    crop and features. If the teacher tells more classes apart, the probabilities of those that become one are added up.
    Cycles of corpora that it has not learnt from have their labels for answers.

    Args:
        data: of the run that learns.
        recipe: resolved.
        split: whose training cycles are those of `data`, before any windows are cut.
        corpora: the run's own, and those that join it.

    Raises:
        RecipeError: if the teacher tells other classes apart or has learnt from other corpora, or the recipe goes on
            for single stethoscopes or joins cycles, of which a teacher says nothing.
        SplitError: if the teacher has learnt from recordings that are to be tested on.
        RunFolderError, CheckpointError: if there is no teacher in the folder, or a damaged one.
    """
    options = _options_of(recipe)
    if options is None or options.teacher is None:
        return data
    folder = Path(options.teacher)
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
    members = load_ensemble(folder).members if len(seed_folders(folder)) > 1 else (load_run(folder),)
    learnt = [_learnt_recordings(member, corpora) for member in members]
    _check_test(folder, learnt, split)
    known, merging = _known_cycles(members[0], cycles, corpora), _merging(members[0], data.classes)
    found = _mean_answers(members, learnt, [cycles[index] for index in known])
    answers = np.eye(len(data.classes))[data.train.labels]
    answers[known] = found if merging is None else merge_probabilities(found, *merging)
    if options.teacher_smoothing:
        recordings = [str(cycles[index].recording.path) for index in known]
        answers[known] = smooth_recordings(answers[known], recordings, options.teacher_smoothing)
    return replace(data, train=replace(data.train, answers=torch.from_numpy(answers).float()))


def _options_of(recipe: Recipe) -> TaughtOptions | None:
    """Those of a method that may have a teacher."""
    options = read_options(methods.get(recipe.method), recipe.options)
    return options if isinstance(options, TaughtOptions) else None


def _known_cycles(
    member: TrainedRun, cycles: Sequence[RespiratoryCycle], corpora: Sequence[AbstractDataset]
) -> list[int]:
    """Indices of the cycles of corpora that a network has learnt from.

    Raises:
        RecipeError: if there are none.
    """
    folders = [corpus.folder for corpus in corpora if corpus.name in _corpora_of(member.recipe)]
    paths = [cycle.recording.path for cycle in cycles]
    known = [index for index, path in enumerate(paths) if any(path.is_relative_to(folder) for folder in folders)]
    if not known:
        raise RecipeError(
            f"{member.folder} has learnt from {', '.join(_corpora_of(member.recipe))}, which this run does not. "
            "Name a teacher of the same corpus with --set options.teacher=RUN."
        )
    return known


def _corpora_of(recipe: Recipe) -> tuple[str, ...]:
    return (recipe.dataset or "", *recipe.more_corpora)


def _merging(member: TrainedRun, classes: tuple[str, ...]) -> tuple[Task, Task] | None:
    """The network's task and the coarser one with these classes; None if they are its own.

    Raises:
        RecipeError: if the network does not answer them.
    """
    if member.classes == classes:
        return None
    tasks = coarser_task(member, classes)
    if tasks is None:
        raise RecipeError(
            f"{member.folder} tells apart {', '.join(member.classes)}; this run {', '.join(classes)}. "
            "Name a teacher of the same or a finer task with --set options.teacher=RUN."
        )
    return tasks


def _learnt_recordings(member: TrainedRun, corpora: Sequence[AbstractDataset]) -> frozenset[Path]:
    """Files of these corpora that a network has learnt from."""
    return frozenset(path for corpus in corpora for path in _learnt_of(member.recipe, corpus))


def _learnt_of(recipe: Recipe, corpus: AbstractDataset) -> Iterator[Path]:
    if corpus.name not in _corpora_of(recipe):
        return
    name = recipe.split if corpus.name == recipe.dataset else corpus.split_names[0]
    split = own_split(recipe.model_copy(update={"split": name}), corpus)
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
    members: Sequence[TrainedRun], learnt: Sequence[frozenset[Path]], cycles: Sequence[RespiratoryCycle]
) -> Float[ndarray, "cycle class"]:
    """The mean over the networks to which a cycle is new; over all where it is new to none."""
    is_new = np.array([[cycle.recording.path not in paths for cycle in cycles] for paths in learnt])
    asked = is_new | ~is_new.any(axis=0)
    sums = np.zeros((len(cycles), len(members[0].classes)))
    for member, rows in zip(members, asked, strict=True):
        if rows.any():
            indices = np.flatnonzero(rows).tolist()
            sums[indices] += predict_cycles(member, [cycles[index] for index in indices])
    return sums / asked.sum(axis=0)[:, None]
