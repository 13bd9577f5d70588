"""Divide a corpus: published splits by name, folds by patient, and validation patients carved out of training."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from add4rsc.datasets import datasets
from add4rsc.datasets._base import AbstractDataset, NamedSplit, cycles_for
from add4rsc.errors import MissingExtraError, PatientLeakError, SplitError, UnknownNameError
from add4rsc.terms import RespiratoryCycle, Subset, Task

FOLDS_PATTERN = re.compile(r"patient-folds-(\d+)(?:/(\d+))?")
FOLDS_HELP = "patient-folds-5 (every fold in turn) or patient-folds-5/1 ... /5: any corpus, divided by patient"


@dataclass(frozen=True)
class Split:
    """Labelled cycles of the three subsets; no patient of training is in test, `shared_patients` excepted."""

    name: str
    task: Task
    train: tuple[RespiratoryCycle, ...]
    validation: tuple[RespiratoryCycle, ...]
    test: tuple[RespiratoryCycle, ...]
    shared_patients: tuple[str, ...]

    def subset(self, subset: Subset) -> tuple[RespiratoryCycle, ...]:
        """The cycles of one subset."""
        return {Subset.TRAIN: self.train, Subset.VALIDATION: self.validation, Subset.TEST: self.test}[subset]

    def class_shares(self) -> dict[str, float]:
        """Shares of the classes among the training cycles, validation included."""
        trained = (*self.train, *self.validation)
        per_class = _per_class(trained, self.task)
        return {name: count / len(trained) for name, count in per_class.items()}

    def report(self) -> dict[str, Any]:
        """Counts of cycles and patients per subset, class and stethoscope, and what training and test have in common.

        `stethoscope_shift` is the total variation distance between the stethoscopes of the training cycles (validation
        included) and those of the test cycles: 0 if the shares are equal, 1 if they have none in common.
        """
        trained = (*self.train, *self.validation)
        of_trained_patients = sum(cycle.recording.patient_id in self.shared_patients for cycle in self.test)
        twice = {cycle.cycle_id for cycle in trained} & {cycle.cycle_id for cycle in self.test}
        return {
            "split": self.name,
            "task": self.task.name,
            "subsets": {subset.value: _describe(self.subset(subset), self.task) for subset in Subset},
            "patients_in_two_subsets": list(self.shared_patients),
            "test_cycles_of_training_patients": of_trained_patients,
            "share_of_test_cycles_of_training_patients": of_trained_patients / len(self.test),
            "cycles_in_training_and_test": len(twice),
            "stethoscope_shift": _distance(_stethoscopes(trained), _stethoscopes(self.test)),
        }


def _describe(cycles: Sequence[RespiratoryCycle], task: Task) -> dict[str, Any]:
    return {
        "n_cycles": len(cycles),
        "n_recordings": len({cycle.recording.recording_id for cycle in cycles}),
        "n_patients": len({cycle.recording.patient_id for cycle in cycles}),
        "cycles_per_class": _per_class(cycles, task),
        "cycles_per_stethoscope": dict(sorted(_stethoscopes(cycles).items())),
    }


def _per_class(cycles: Sequence[RespiratoryCycle], task: Task) -> dict[str, int]:
    found = Counter(task.class_of[cycle.annotation] for cycle in cycles)
    return {name: found[name] for name in task.classes}


def _stethoscopes(cycles: Sequence[RespiratoryCycle]) -> Counter[str]:
    return Counter(cycle.recording.stethoscope for cycle in cycles)


def _distance(left: Counter[str], right: Counter[str]) -> float:
    """Total variation distance of two tables of counts."""
    return sum(abs(left[key] / left.total() - right[key] / right.total()) for key in left.keys() | right.keys()) / 2


def fold_names(name: str) -> list[str]:
    """The single divisions that a name stands for: itself, or every one that is tested in turn.

    >>> fold_names("patient-folds-2")
    ['patient-folds-2/1', 'patient-folds-2/2']
    """
    match = FOLDS_PATTERN.fullmatch(name)
    if match is not None and match[2]:
        return [name]
    corpus = name.split("/", maxsplit=1)[0]
    published = datasets.get(corpus).split_folds.get(name, ()) if corpus in datasets.names() else ()
    labels = published if match is None else tuple(str(fold) for fold in range(1, int(match[1]) + 1))
    return [f"{name}/{label}" for label in labels] or [name]


def make_split(
    dataset: AbstractDataset, task: Task, name: str, *, validation_share: float = 0.2, validation_seed: int = 0
) -> Split:
    """Divide a corpus by a named split and carve validation patients out of its training part.

    Args:
        dataset: the corpus.
        task: cycles whose annotation it does not know are left out.
        name: a published split of the corpus, one of its folds (`NAME/LABEL`), or `patient-folds-N/K`.
        validation_share: share of the training cycles that should belong to validation patients; 0 for none.
        validation_seed: which fold of the training patients those are ; the same for every
            training seed, so that seeds can be compared.

    Raises:
        UnknownNameError: if the corpus has no such split.
        AnnotationError: if the file is missing that the task goes by.
        SplitError: if a subset would be empty.
        PatientLeakError: if a patient is on both sides and the split is not known for it.
    """
    cycles = cycles_for(dataset, task)
    named = _named_split(dataset, task, cycles, name)
    train, test = (
        [cycle for cycle in cycles if cycle.recording.recording_id in members]
        for members in (named.members(Subset.TRAIN), named.members(Subset.TEST))
    )
    for side, members in (("training", train), ("test", test)):
        if not members:
            raise SplitError(f"Split '{name}' leaves no {side} cycles in {dataset.folder}. Is the corpus complete?")
    shared = _patients(train) & _patients(test)
    if named.shared_patients is not None and shared - named.shared_patients:
        raise PatientLeakError(name, shared - named.shared_patients)
    is_validation = _validation_patients(train, task, validation_share, validation_seed)
    return Split(
        name,
        task,
        tuple(cycle for cycle in train if not is_validation(cycle)),
        tuple(cycle for cycle in train if is_validation(cycle)),
        tuple(test),
        tuple(sorted(shared)),
    )


def _named_split(dataset: AbstractDataset, task: Task, cycles: Sequence[RespiratoryCycle], name: str) -> NamedSplit:
    match = FOLDS_PATTERN.fullmatch(name)
    if match is None:
        published = (*dataset.split_names, *(fold for each in dataset.split_folds for fold in fold_names(each)))
        if name not in published:
            raise UnknownNameError("split", name, (*published, *dataset.split_folds, "patient-folds-5"))
        return dataset.published_split(name)
    n_folds, fold = int(match[1]), int(match[2] or 0)
    if not 1 <= fold <= n_folds:
        raise SplitError(f"Split '{name}' names no fold. Use patient-folds-{n_folds}/1 to /{n_folds}.")
    in_test = patient_folds(cycles, task, n_folds)[fold - 1]
    return NamedSplit(
        name,
        {
            cycle.recording.recording_id: Subset.TEST if cycle.recording.patient_id in in_test else Subset.TRAIN
            for cycle in cycles
        },
    )


def patient_folds(cycles: Sequence[RespiratoryCycle], task: Task, n_folds: int) -> list[frozenset[str]]:
    """Divide the patients into folds with class shares as equal as whole patients allow.

    Raises:
        SplitError: if there are fewer patients than folds.
        MissingExtraError: if scikit-learn is not installed.
    """
    try:
        from sklearn.model_selection import StratifiedGroupKFold
    except ImportError as error:
        raise MissingExtraError("Dividing patients into folds", "train") from error
    patients = np.array([cycle.recording.patient_id for cycle in cycles])
    labels = np.array([task.label(cycle.annotation) for cycle in cycles])
    n_patients = len(set(patients))
    if n_patients < n_folds:
        raise SplitError(f"{n_patients} patients cannot be divided into {n_folds} folds. Ask for fewer folds.")
    divider = StratifiedGroupKFold(n_folds, shuffle=True, random_state=0)
    return [frozenset(patients[test]) for _, test in divider.split(patients, labels, patients)]


def _validation_patients(
    train: Sequence[RespiratoryCycle], task: Task, share: float, seed: int
) -> Callable[[RespiratoryCycle], bool]:
    if share <= 0:
        return lambda _: False
    n_folds = min(max(2, round(1 / share)), max(2, len(_patients(train))))  # few patients: one of them
    chosen = patient_folds(train, task, n_folds)[seed % n_folds]
    return lambda cycle: cycle.recording.patient_id in chosen


def _patients(cycles: Sequence[RespiratoryCycle]) -> set[str]:
    return {cycle.recording.patient_id for cycle in cycles}
