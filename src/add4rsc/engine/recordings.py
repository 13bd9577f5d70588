"""Whole recordings judged by a network that was trained on their events.

The network looks at every window of a recording; what it says of them is pooled, and a judge that was fitted on the
recordings of validation patients decides. No annotation of a tested recording is looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
from jaxtyping import Float
from lightning_fabric import Fabric
from numpy import ndarray

from add4rsc.datasets._base import AbstractDataset, cycles_for
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.ensemble import check_held_back
from add4rsc.engine.features import cache_folder, prepare_features
from add4rsc.engine.judge import fit_judge, judged_probabilities, log_odds
from add4rsc.engine.loading import TrainedRun
from add4rsc.engine.predict import predict_probabilities, to_predictions
from add4rsc.engine.subsets import own_split
from add4rsc.engine.windows import split_cycles
from add4rsc.errors import UnknownNameError, WrongUsageError
from add4rsc.predictions import Predictions
from add4rsc.terms import RespiratoryCycle, Subset, Task

NOT_JUDGED = "poor_quality"
"""Not answered: the official score counts no recording of poor quality, and takes the answer for an error elsewhere."""
N_HIGHEST = 3
"""Windows whose mean stands for the most striking part of a recording."""


@dataclass(frozen=True)
class HeardRecordings:
    """What a network says of the whole recordings of its validation patients, or of its test."""

    run: TrainedRun
    dataset: AbstractDataset
    subset: Subset
    split: str
    """Whose test, or the run's own."""
    recordings: Sequence[RespiratoryCycle]
    values: Float[ndarray, "recording value"]


def predict_recordings(
    run: TrainedRun,
    data_folder: Path,
    task_name: str,
    fit_on: Sequence[TrainedRun] = (),
    *,
    split_name: str | None = None,
    weighed: bool = False,
) -> Predictions:
    """Judge the test recordings of the run's own split, or of another one of the corpus.

    Args:
        run: a network that was trained on events of the corpus, with validation patients.
        data_folder: of the corpus.
        task_name: a task of whole recordings.
        fit_on: further networks, of the same classes and split, on whose validation recordings the judge is fitted too,
            each heard by the one that held it back: the other folds of a cross-validation.
        split_name: whose test recordings; None is the run's own split.
        weighed: whether normal recordings weigh as much as all others together in the judge (`fit_judge`).

    Raises:
        UnknownNameError: if the corpus has no such task.
        WrongUsageError: if it is none of whole recordings, or a run is of another corpus, split or set of classes, or
            without validation.
        SplitError: if the recordings of validation patients are of one class, or nobody was held back from all
            members of an ensemble.
        MissingExtraError: if scikit-learn is not installed.
        DatasetNotFoundError, AudioError, AnnotationError: as their messages say.
    """
    _find_task(open_dataset(data_folder), task_name)
    for each in fit_on:
        _check_fellow(run, each)
    known = [hear_recordings(each, data_folder, Subset.VALIDATION) for each in (run, *fit_on)]
    asked = hear_recordings(run, data_folder, Subset.TEST, split_name)
    return judge_recordings(asked, task_name, known, weighed=weighed)


def hear_recordings(
    run: TrainedRun, data_folder: Path, subset: Subset, split_name: str | None = None
) -> HeardRecordings:
    """Look at every window of the recordings of a test, or of those training recordings that are the run's validation.

    Raises:
        WrongUsageError, SplitError, DatasetNotFoundError, AudioError, AnnotationError: see `predict_recordings`.
    """
    dataset = open_dataset(data_folder)
    _check_run(run, dataset)
    name = split_name or run.recipe.split or ""
    recordings = _recordings_of(run, dataset, subset, name)
    return HeardRecordings(run, dataset, subset, name, recordings, _pool(run, recordings))


def judge_recordings(
    asked: HeardRecordings, task_name: str, fit_on: Sequence[HeardRecordings], *, weighed: bool = False
) -> Predictions:
    """Decide on recordings by a judge that is fitted on others, which those networks held back that heard them.

    Raises:
        UnknownNameError, WrongUsageError, SplitError, MissingExtraError: see `predict_recordings`.
    """
    task, run = _find_task(asked.dataset, task_name), asked.run
    for each in fit_on:
        _check_fellow(run, each.run)
    known = [cycle for each in fit_on for cycle in each.recordings]
    counts = [task.class_of[cycle.annotation] != NOT_JUDGED for cycle in known]
    known, values = list(compress(known, counts)), np.concatenate([each.values for each in fit_on])[counts]
    labels = np.array([task.label(each.annotation) for each in known], dtype=np.int64)
    judge = fit_judge(values, labels, [each.recording.patient_id for each in known], weighed=weighed)
    probabilities = judged_probabilities(judge, asked.values, len(task.classes))
    constants = {"subset": asked.subset.value, "split": asked.split}
    return to_predictions(asked.recordings, probabilities, task, **constants, selection=run.recipe.selection.value)


def _find_task(dataset: AbstractDataset, name: str) -> Task:
    if name not in dataset.tasks:
        raise UnknownNameError("task", name, dataset.tasks)
    if dataset.tasks[name].unit != "recording":
        raise WrongUsageError(
            f"Judge whole recordings by a task of recordings; '{name}' of {dataset.name} is one of "
            f"{dataset.tasks[name].unit}s."
        )
    return dataset.tasks[name]


def _check_run(run: TrainedRun, dataset: AbstractDataset) -> None:
    if dataset.name != run.recipe.dataset:
        raise WrongUsageError(f"{run.folder} was trained on {run.recipe.dataset}. Judge recordings of the same corpus.")
    if run.recipe.validation_share == 0:
        raise WrongUsageError(f"{run.folder} has no validation patients to fit on. Train with validation_share=0.2.")
    check_held_back(run)


def _check_fellow(run: TrainedRun, other: TrainedRun) -> None:
    """Let a network pass on whose validation patients a judge of another one's answers may be fitted."""
    if (other.classes, other.recipe.split) != (run.classes, run.recipe.split):
        raise WrongUsageError(
            f"{other.folder} has other classes or another split than {run.folder}. Fit on networks of one task and "
            "split, such as the folds of a cross-validation."
        )


def _recordings_of(
    run: TrainedRun, dataset: AbstractDataset, subset: Subset, split_name: str
) -> list[RespiratoryCycle]:
    """The recordings of a split's test; or those of its training whose patients the run holds back."""
    named = dataset.published_split(split_name).members(subset if subset is Subset.TEST else Subset.TRAIN)
    of_recordings = next(task for task in dataset.tasks.values() if task.unit == "recording")
    recordings = [each for each in cycles_for(dataset, of_recordings) if each.recording.recording_id in named]
    if subset is Subset.TEST:
        return recordings
    patients = {cycle.recording.patient_id for cycle in own_split(run.recipe, dataset).validation}
    return [each for each in recordings if each.recording.patient_id in patients]


def _pool(run: TrainedRun, recordings: Sequence[RespiratoryCycle]) -> Float[ndarray, "recording value"]:
    """What the network says of the windows of every recording, which overlap by half."""
    parts, windows = split_cycles(recordings, run.recipe.crop.model_copy(update={"windows": "mean", "kept": None}))
    store = prepare_features(parts, run.recipe.crop, run.front_end, cache_folder())
    probabilities = predict_probabilities(Fabric(accelerator="auto", devices=1), run.network, store)
    owners = np.array(windows.owners if windows is not None else range(len(parts)))
    return np.stack([pool_windows(probabilities[owners == index]) for index in range(len(recordings))])


def pool_windows(probabilities: Float[ndarray, "window class"]) -> Float[ndarray, " value"]:
    """Log odds of every class: of the windows' mean, of its highest window, and of the mean of its highest ones.

    >>> pool_windows(np.array([[0.5, 0.5], [0.5, 0.5]])).tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    highest = np.sort(probabilities, axis=0)[::-1]
    values = np.concatenate([probabilities.mean(axis=0), highest[0], highest[:N_HIGHEST].mean(axis=0)])
    return log_odds(values)
