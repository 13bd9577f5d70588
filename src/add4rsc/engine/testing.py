"""The test subset of a corpus through a network that is trained already."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from lightning_fabric import Fabric
from numpy import ndarray

from add4rsc.datasets import datasets
from add4rsc.datasets._base import AbstractDataset
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.committee import COMMITTEE
from add4rsc.engine.context import SMOOTHING
from add4rsc.engine.correction import correct_as_trained
from add4rsc.engine.decision import SHARES, match_shares
from add4rsc.engine.devices import predict_with_devices
from add4rsc.engine.ensemble import check_held_back
from add4rsc.engine.features import cache_folder, prepare_windows
from add4rsc.engine.loading import TrainedRun
from add4rsc.engine.predict import known_groups, predict_probabilities, to_predictions
from add4rsc.engine.shifting import SHIFTS, count_shifts
from add4rsc.engine.subsets import own_split
from add4rsc.errors import PredictionsError, WrongUsageError
from add4rsc.methods._base import AbstractInformedMethod
from add4rsc.metrics.coarsening import merge_probabilities, merged_classes
from add4rsc.metrics.smoothing import smooth_recordings
from add4rsc.predictions import SUM_TOLERANCE, Predictions
from add4rsc.protocol.split import make_split
from add4rsc.protocol.stethoscopes import only_stethoscopes
from add4rsc.terms import RespiratoryCycle, Subset, Task


def predict_test_subset(
    run: TrainedRun,
    data_folder: Path,
    split_name: str | None = None,
    hidden: Collection[str] = (),
    smoothing: float | None = None,
    class_shares: Mapping[str, float] | None = None,
) -> Predictions:
    """Predict the test cycles of a corpus: the run's own, or another that shares a task with it.

    The shared task may be coarser than the run's: a network that tells SPRSound's seven classes apart answers ICBHI's
    four too, the probabilities of the classes that become one added up.

    Args:
        run: the trained network.
        data_folder: of the corpus.
        split_name: whose test subset; None is the run's own split, or the first one of another corpus.
        hidden: groups of `terms.GROUPS` that the network is not told, if it is one that is told what is known of the
            recordings.
        smoothing: how far cycles are moved towards the mean of their recording (`metrics.smoothing`).
        class_shares: of the classes, which the mean of each stethoscope's cycles is then brought to
            (`decision.match_shares`); nothing named stands for those of the training cycles of the split.

    Raises:
        DatasetNotFoundError, SplitError, UnknownNameError, AudioError, AnnotationError: as their messages say.
        WrongUsageError: if the network's classes answer no task of the corpus, or something is to be hidden from a
            network that hears the sound alone.
    """
    recipe = run.recipe
    if hidden and not isinstance(run.network, AbstractInformedMethod):
        raise WrongUsageError(
            f"{run.folder} holds a network of method '{recipe.method}', which is told nothing but the sound, so that "
            "nothing can be hidden from it. Test it without --hide and --without-metadata."
        )
    dataset = open_dataset(data_folder)
    (task, coarse), is_own = _find_task(run, dataset), dataset.name == recipe.dataset
    named = split_name or (recipe.split if is_own else None) or dataset.split_names[0]
    split = make_split(dataset, task, named, validation_share=0.0)
    test = only_stethoscopes(split, recipe.stethoscopes if is_own else ()).test
    probabilities = predict_cycles(run, test, hidden)
    if coarse is not None:
        probabilities = merge_probabilities(probabilities, *coarse)
    constants = {"subset": Subset.TEST.value, "split": split.name, **_constants(run)}
    if smoothing is not None:
        probabilities = smooth_recordings(probabilities, [cycle.recording.recording_id for cycle in test], smoothing)
        constants[SMOOTHING] = f"{smoothing:g}"
    if class_shares is not None:
        shares = _shares(class_shares or split.class_shares(), task)
        probabilities = match_shares(probabilities, [cycle.recording.stethoscope for cycle in test], shares)
        constants[SHARES] = ",".join(f"{name}={share:.3f}" for name, share in zip(task.classes, shares, strict=True))
    return to_predictions(test, probabilities, task, **constants)


def predict_validation_subset(run: TrainedRun, data_folder: Path) -> Predictions:
    """Predict the cycles of the patients whom a run held back, of the training side of its own split.

    Raises:
        WrongUsageError: if the corpus is not the run's own, or nobody was held back.
        SplitError: if the run is an ensemble whose members held back different patients.
        DatasetNotFoundError, AudioError, AnnotationError: as their messages say.
    """
    dataset = open_dataset(data_folder)
    if dataset.name != run.recipe.dataset or run.recipe.validation_share == 0:
        raise WrongUsageError(
            f"{run.folder} holds nobody of {dataset.name} back, so that nothing can be fitted on what it says of them. "
            "Name the corpus that it was trained on, and train with selection=validation."
        )
    check_held_back(run)
    split = only_stethoscopes(own_split(run.recipe, dataset), run.recipe.stethoscopes)
    constants = {"subset": Subset.VALIDATION.value, "split": split.name, **_constants(run)}
    return to_predictions(split.validation, predict_cycles(run, split.validation), split.task, **constants)


def _constants(run: TrainedRun) -> dict[str, str]:
    """What every row of a run's predictions says of the run."""
    n_shifts = count_shifts(run)
    shifts = {SHIFTS: str(n_shifts)} if n_shifts > 1 else {}
    committee = {COMMITTEE: ",".join("/".join(each.folder.parts[-2:]) for each in run.fellows)} if run.fellows else {}
    return {"selection": run.recipe.selection.value, **shifts, **committee}


def _shares(of_classes: Mapping[str, float], task: Task) -> Float[ndarray, " class"]:
    """In the order of the task's classes.

    Raises:
        WrongUsageError: if they are of other classes, or do not sum to 1.
    """
    told = ", ".join(f"{name}={share:g}" for name, share in of_classes.items())
    legal = all(0 <= share <= 1 for share in of_classes.values()) and abs(sum(of_classes.values()) - 1) <= SUM_TOLERANCE
    if of_classes.keys() != set(task.classes) or not legal:
        raise WrongUsageError(
            f"Shares of classes that cannot be: {told}. Give one from 0 to 1 for each of {', '.join(task.classes)}, "
            "which sum to 1, or leave them to training."
        )
    return np.array([of_classes[name] for name in task.classes])


def predict_cycles(
    run: TrainedRun, cycles: Sequence[RespiratoryCycle], hidden: Collection[str] = ()
) -> Float[ndarray, "cycle class"]:
    """Class probabilities of any cycles, as the run's training had them: its spectrum correction, crop and features.

    With fellows the mean of theirs and its own.

    Args:
        run: the trained network, with those of its stethoscopes where it has any.
        cycles: of any corpus.
        hidden: groups of `terms.GROUPS` that the network is not told.

    Raises:
        AudioError, AnnotationError: as their messages say.
    """
    if run.fellows:
        members = (replace(run, fellows=()), *run.fellows)
        return np.mean([predict_cycles(each, cycles, hidden) for each in members], axis=0)
    cycles = correct_as_trained(run.recipe, run.folder, cycles)
    store = prepare_windows(cycles, run.recipe.crop, run.front_end, cache_folder())
    fabric = Fabric(accelerator="auto", devices=1)
    probabilities = predict_probabilities(fabric, run.network, store, groups=known_groups(cycles, hidden))
    return predict_with_devices(fabric, run, probabilities, cycles, hidden)


def _find_task(run: TrainedRun, dataset: AbstractDataset) -> tuple[Task, tuple[Task, Task] | None]:
    """The task of a corpus that a network answers: its own, or the one with the most classes among coarser ones.

    Of a coarser one also the two tasks of the network's own corpus, fine and coarse, that say which classes become one.

    Raises:
        WrongUsageError: if there is none.
    """
    wanted = run.recipe.task or next(iter(dataset.tasks))
    if wanted in dataset.tasks and dataset.tasks[wanted].classes == run.classes:
        return dataset.tasks[wanted], None
    others = sorted(dataset.tasks.values(), key=lambda task: -len(task.classes))
    for task in others if run.recipe.dataset != dataset.name else ():
        if (tasks := coarser_task(run, task.classes)) is not None:
            return task, tasks
    raise WrongUsageError(
        f"{run.folder} tells apart {', '.join(run.classes)}, which answers no task of {dataset.name} "
        f"({', '.join(dataset.tasks)}). Test it on a corpus of its own kind."
    )


def coarser_task(run: TrainedRun, classes: tuple[str, ...]) -> tuple[Task, Task] | None:
    """The task of a network, and one of the same corpus with these classes that it answers; None if there is none."""
    name, wanted = run.recipe.dataset, run.recipe.task
    own: Mapping[str, Task] = datasets.get(name).tasks if name in datasets.names() else {}
    if wanted not in own:
        return None
    same = (task for task in own.values() if task.classes == classes)
    return next(((own[wanted], task) for task in same if _answers(own[wanted], task)), None)


def _answers(fine: Task, coarse: Task) -> bool:
    try:
        merged_classes(fine, coarse)
    except PredictionsError:
        return False
    return True
