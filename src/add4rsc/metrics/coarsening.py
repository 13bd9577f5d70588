"""A finer task's predictions, read as a coarser one's: the probabilities of the classes that become one add up."""

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from add4rsc.errors import PredictionsError
from add4rsc.predictions import COLUMNS, Predictions
from add4rsc.terms import Task


def coarsen(predictions: Predictions, tasks: dict[str, Task], coarse: str) -> Predictions:
    """The same items, told apart as a coarser task of the same corpus does.

    A network trained on SPRSound's seven classes so answers its binary task and ICBHI's four classes too.

    Args:
        predictions: of one of the tasks, which is recognised by its classes.
        tasks: those of the corpus.
        coarse: name of the task wanted.

    Raises:
        PredictionsError: if the table is of none of the tasks, or the wanted task tells apart what the table's does
            not, or is of other units.
    """
    fine = next((task for task in tasks.values() if set(task.classes) == set(predictions.classes)), None)
    if fine is None:
        raise PredictionsError(
            f"The table tells apart {', '.join(predictions.classes)}, which is no task of the corpus. "
            f"Known: {', '.join(tasks)}."
        )
    merged = merged_classes(fine, tasks[coarse])
    wanted = tasks[coarse].classes
    in_order = predictions.table[[f"p_{name}" for name in fine.classes]].to_numpy()
    probabilities = merge_probabilities(in_order, fine, tasks[coarse])
    table = predictions.table.assign(
        label=predictions.table["label"].map(merged), decision=np.array(wanted)[probabilities.argmax(axis=1)]
    )
    others = [name for name in table if name not in COLUMNS and not str(name).startswith("p_")]
    columns = pd.DataFrame({f"p_{name}": probabilities[:, index] for index, name in enumerate(wanted)})
    return Predictions(pd.concat([table[list(COLUMNS)], columns, table[others]], axis=1), wanted)


def merged_classes(fine: Task, coarse: Task) -> dict[str, str]:
    """Which coarse class each fine class becomes.

    Raises:
        PredictionsError: if a fine class would have to become two, or has none, or the units differ.
    """
    becomes: dict[str, set[str]] = {name: set() for name in fine.classes}
    for annotation, name in fine.class_of.items():
        if annotation in coarse.class_of:
            becomes[name].add(coarse.class_of[annotation])
    if fine.unit != coarse.unit or any(len(each) != 1 for each in becomes.values()):
        raise PredictionsError(
            f"Predictions of {fine.name} ({fine.unit}s: {', '.join(fine.classes)}) do not answer {coarse.name} "
            f"({coarse.unit}s: {', '.join(coarse.classes)}). Train on a task that tells more apart."
        )
    return {name: next(iter(each)) for name, each in becomes.items()}


def merge_probabilities(
    probabilities: Float[ndarray, "cycle fine"], fine: Task, coarse: Task
) -> Float[ndarray, "cycle coarse"]:
    """Probabilities of a coarser task's classes.

    Raises:
        PredictionsError: as for `merged_classes`.
    """
    merged = merged_classes(fine, coarse)
    members = [[merged[old] == new for old in fine.classes] for new in coarse.classes]
    return probabilities @ np.array(members, dtype=probabilities.dtype).T
