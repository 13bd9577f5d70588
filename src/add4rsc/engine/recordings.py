"""Whole recordings judged by a network that was trained on their events.

The network looks at every window of a recording; what it says of them is pooled, and a logistic regression that was
fitted on the recordings of validation patients decides. No annotation of a tested recording is looked at.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from lightning_fabric import Fabric
from numpy import ndarray

from add4rsc.datasets._base import AbstractDataset, cycles_for
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.ensemble import check_held_back
from add4rsc.engine.features import cache_folder, prepare_features
from add4rsc.engine.loading import TrainedRun
from add4rsc.engine.predict import predict_probabilities, to_predictions
from add4rsc.engine.subsets import own_split
from add4rsc.engine.windows import split_cycles
from add4rsc.errors import MissingExtraError, SplitError, UnknownNameError, WrongUsageError
from add4rsc.metrics.sprsound import sprsound_score
from add4rsc.predictions import Predictions
from add4rsc.terms import RespiratoryCycle, Subset, Task

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

NOT_JUDGED = "poor_quality"
"""Not answered: the official score counts no recording of poor quality, and takes the answer for an error elsewhere."""
N_HIGHEST = 3
"""Windows whose mean stands for the most striking part of a recording."""
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Candidates for the inverse strength of the regression's penalty."""
N_FOLDS = 5
LEAST_PROBABILITY = 1e-4


def predict_recordings(run: TrainedRun, data_folder: Path, task_name: str) -> Predictions:
    """Judge the test recordings of the run's own split.

    Args:
        run: a network that was trained on events of the corpus, with validation patients.
        data_folder: of the corpus.
        task_name: a task of whole recordings.

    Raises:
        UnknownNameError: if the corpus has no such task.
        WrongUsageError: if it is none of whole recordings, or the run is of another corpus or without validation.
        SplitError: if the recordings of validation patients are of one class, or nobody was held back from all
            members of an ensemble.
        MissingExtraError: if scikit-learn is not installed.
        DatasetNotFoundError, AudioError, AnnotationError: as their messages say.
    """
    dataset = open_dataset(data_folder)
    task = _find_task(run, dataset, task_name)
    known, asked = _divide(run, dataset, task)
    labels = np.array([task.label(each.annotation) for each in known], dtype=np.int64)
    judge = fit_judge(_pool(run, known), labels, [each.recording.patient_id for each in known])
    probabilities = np.zeros((len(asked), len(task.classes)))
    probabilities[:, judge.classes_] = judge.predict_proba(_pool(run, asked))
    constants = {"subset": "test", "split": run.recipe.split or "", "selection": run.recipe.selection.value}
    return to_predictions(asked, probabilities, task, **constants)


def _find_task(run: TrainedRun, dataset: AbstractDataset, name: str) -> Task:
    if name not in dataset.tasks:
        raise UnknownNameError("task", name, dataset.tasks)
    if dataset.tasks[name].unit != "recording" or dataset.name != run.recipe.dataset:
        raise WrongUsageError(
            f"{run.folder} was trained on {run.recipe.dataset}. Judge whole recordings of the same corpus, by a task "
            f"of recordings; '{name}' of {dataset.name} is one of {dataset.tasks[name].unit}s."
        )
    if run.recipe.validation_share == 0:
        raise WrongUsageError(f"{run.folder} has no validation patients to fit on. Train with validation_share=0.2.")
    check_held_back(run)
    return dataset.tasks[name]


def _divide(
    run: TrainedRun, dataset: AbstractDataset, task: Task
) -> tuple[list[RespiratoryCycle], list[RespiratoryCycle]]:
    """The recordings of the run's validation patients that are judged, and those of its test."""
    recipe = run.recipe
    split = own_split(recipe, dataset)
    patients = {cycle.recording.patient_id for cycle in split.validation}
    tested = dataset.published_split(recipe.split or "").members(Subset.TEST)
    recordings = cycles_for(dataset, task)
    test = [each for each in recordings if each.recording.recording_id in tested]
    known = [
        each
        for each in recordings
        if each.recording.patient_id in patients
        and each.recording.recording_id not in tested
        and task.class_of[each.annotation] != NOT_JUDGED
    ]
    return known, test


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
    inside = values.clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.log(inside / (1 - inside))


def fit_judge(
    pooled: Float[ndarray, "recording value"], labels: Int[ndarray, " recording"], patients: Sequence[str]
) -> "Pipeline":
    """A logistic regression in which classes weigh the same; folds of patients find the strength of its penalty.

    Raises:
        MissingExtraError: if scikit-learn is not installed.
        SplitError: if all recordings are of one class.
    """
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise MissingExtraError("Judging whole recordings", "train") from error
    if len(np.unique(labels)) < 2:
        raise SplitError("The recordings of validation patients are all of one class. Train with validation_seed=1.")
    folds = StratifiedGroupKFold(min(N_FOLDS, len(set(patients))), shuffle=True, random_state=0)

    def candidate(strength: float) -> "Pipeline":
        regression = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000)
        return make_pipeline(StandardScaler(), regression)

    def quality(strength: float) -> float:
        decisions = cross_val_predict(candidate(strength), pooled, labels, groups=patients, cv=folds)
        return sprsound_score(labels, np.asarray(decisions)).score

    return candidate(max(STRENGTHS, key=quality)).fit(pooled, labels)
