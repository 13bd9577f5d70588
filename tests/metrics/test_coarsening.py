"""Finer predictions as coarser ones."""

import numpy as np
import pandas as pd
import pytest

from add4rsc.datasets.sprsound import SprSound2022
from add4rsc.errors import PredictionsError
from add4rsc.metrics.coarsening import coarsen
from add4rsc.predictions import Predictions

TASKS = SprSound2022.tasks
SEVEN = TASKS["task-1-2"].classes


def table(labels: list[str], probabilities: np.ndarray, classes: tuple[str, ...] = SEVEN) -> Predictions:
    n = len(labels)
    rows = {"cycle_id": [f"c{i}" for i in range(n)], "recording": "r", "patient": "p", "start": 0.0, "end": 1.0}
    rows |= {"label": labels, "decision": np.array(classes)[probabilities.argmax(axis=1)]}
    rows |= {f"p_{name}": probabilities[:, i] for i, name in enumerate(classes)} | {"split": "sprsound2022/inter"}
    return Predictions(pd.DataFrame(rows), classes)


def test_probabilities_add_up_and_may_change_the_decision():
    chances = dict.fromkeys(SEVEN, 0.0) | {"normal": 0.4, "fine_crackle": 0.3, "coarse_crackle": 0.2, "wheeze": 0.1}
    fine = table(["coarse_crackle"], np.array([[chances[name] for name in SEVEN]]))
    four = coarsen(fine, TASKS, "cycle-4")
    row = four.table.iloc[0]
    assert fine.table["decision"][0] == "normal"
    assert (row["label"], row["decision"]) == ("crackle", "crackle")
    assert [row[f"p_{name}"] for name in four.classes] == pytest.approx([0.4, 0.5, 0.1, 0.0])
    assert row["split"] == "sprsound2022/inter"


def test_every_annotation_lands_where_the_coarse_task_puts_it():
    labels = list(SEVEN)
    fine = table(labels, np.eye(7))
    for name in ("task-1-1", "cycle-4", "task-1-2"):
        coarse = coarsen(fine, TASKS, name)
        of_annotation = {TASKS["task-1-2"].class_of[a]: c for a, c in TASKS[name].class_of.items()}
        assert coarse.table["label"].tolist() == [of_annotation[label] for label in labels]
        assert coarse.table["decision"].tolist() == coarse.table["label"].tolist()
        assert np.allclose(coarse.probabilities.sum(axis=1), 1)


def test_a_task_that_tells_more_apart_or_other_units_is_refused():
    binary = table(["normal"], np.array([[0.5, 0.5]]), TASKS["task-1-1"].classes)
    with pytest.raises(PredictionsError, match="Train on a task that tells more apart"):
        coarsen(binary, TASKS, "task-1-2")
    with pytest.raises(PredictionsError, match="recordings"):
        coarsen(table(["normal"], np.eye(7)[:1]), TASKS, "task-2-1")
    with pytest.raises(PredictionsError, match="no task of the corpus"):
        coarsen(table(["normal"], np.array([[0.5, 0.5]]), ("normal", "snoring")), TASKS, "task-1-1")
