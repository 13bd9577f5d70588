"""Several corpora in training: the cycles of others join those of the one that is tested on."""

from collections.abc import Sequence
from dataclasses import replace

from add4rsc.datasets._base import AbstractDataset
from add4rsc.errors import SplitError
from add4rsc.protocol.split import Split, make_split
from add4rsc.terms import Task


def join_training(
    split: Split, others: Sequence[AbstractDataset], *, validation_share: float, validation_seed: int
) -> Split:
    """A split whose training and validation cycles are joined by those of other corpora; the test stays as it is.

    Of each other corpus the training part of its first split is taken, by the task of the same name.

    Raises:
        SplitError: if a corpus has no such task, or tells other classes apart in it.
        PatientLeakError: as `make_split`.
    """
    for other in others:
        task = other.tasks.get(split.task.name)
        if task is None or task.classes != split.task.classes:
            raise SplitError(
                f"{other.name} has no task '{split.task.name}' with the classes {', '.join(split.task.classes)}. "
                "Corpora join in a task that both have, such as --set task=cycle-4."
            )
        joining = make_split(
            other, task, other.split_names[0], validation_share=validation_share, validation_seed=validation_seed
        )
        split = replace(
            split,
            task=_joined_task(split.task, task),
            train=(*split.train, *joining.train),
            validation=(*split.validation, *joining.validation),
        )
    return split


def _joined_task(first: Task, second: Task) -> Task:
    """The task by the annotations of both corpora.

    Raises:
        SplitError: if the two put an annotation of the same name in different classes.
    """
    for annotation in first.class_of.keys() & second.class_of.keys():
        if first.class_of[annotation] != second.class_of[annotation]:
            raise SplitError(
                f"'{annotation}' is {first.class_of[annotation]} in one corpus and {second.class_of[annotation]} in "
                "another. Train on one of them, or choose another task."
            )
    return replace(first, class_of=first.class_of | second.class_of)
