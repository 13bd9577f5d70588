"""Only a complete official test subset, with its own labels, counts as one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from add4rsc.datasets._base import AbstractDataset
from add4rsc.datasets.icbhi2017 import Icbhi2017
from add4rsc.datasets.sprsound import SprSound2022
from add4rsc.metrics.official import OFFICIAL_TESTS, is_official, official_test
from add4rsc.predictions import Predictions
from add4rsc.terms import Subset, Task

pytestmark = pytest.mark.data

N_EVENTS = {"inter": 1429, "intra": 1004, "union": 2433}
N_RECORDINGS = {"inter": 355, "intra": 379, "union": 734}


def official_predictions(dataset: AbstractDataset, task: Task, split: str) -> Predictions:
    members = dataset.published_split(split).members(Subset.TEST)
    cycles = dataset.cycles("recording" if task.unit == "recording" else "cycle")
    rows = [
        {
            "cycle_id": cycle.cycle_id,
            "recording": cycle.recording.recording_id,
            "patient": cycle.recording.patient_id,
            "start": cycle.start,
            "end": cycle.end,
            "label": task.class_of[cycle.annotation],
            "decision": "normal",
            "p_normal": 1.0,
            **{f"p_{name}": 0.0 for name in task.classes[1:]},
        }
        for cycle in cycles
        if cycle.recording.recording_id in members
    ]
    return Predictions(pd.DataFrame(rows), task.classes)


@pytest.fixture(scope="module")
def corpora(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, AbstractDataset]:
    folder = tmp_path_factory.mktemp("icbhi")
    (folder / "ICBHI_final_database").symlink_to(shared_data / "icbhi2017_annotations")
    name = "ICBHI_challenge_train_test.txt"
    (folder / name).write_text((shared_data / "icbhi2017_subset" / name).read_text())
    return {
        "icbhi2017": Icbhi2017(folder, needs_audio=False),
        "sprsound2022": SprSound2022(shared_data / "sprsound2022"),
    }


@pytest.fixture(scope="module")
def icbhi(corpora: dict[str, AbstractDataset]) -> Predictions:
    dataset = corpora["icbhi2017"]
    return official_predictions(dataset, dataset.tasks["cycle-4"], "icbhi2017/official")


def tasks_of(dataset: AbstractDataset) -> list[Task]:
    """Those whose labels are the annotation's; the diagnosis of a patient is no published test."""
    return [task for task in dataset.tasks.values() if not task.annotated_by]


def changed(predictions: Predictions, **columns: object) -> Predictions:
    return Predictions(predictions.table.assign(**columns), predictions.classes)


@pytest.mark.parametrize("split", ["icbhi2017/official", *(f"sprsound2022/{part}" for part in N_EVENTS)])
def test_every_task_of_every_official_test_is_recognised(corpora: dict[str, AbstractDataset], split: str) -> None:
    corpus, part = split.split("/")
    dataset = corpora[corpus]
    for task in tasks_of(dataset):
        predictions = official_predictions(dataset, task, split)
        n_rows = 2756 if part == "official" else (N_RECORDINGS if task.unit == "recording" else N_EVENTS)[part]
        assert len(predictions.table) == n_rows
        for table in (predictions, changed(predictions, split=split)):
            found = official_test(table)
            assert found is not None
            assert (found.split, found.unit) == (split, task.unit)
        assert not is_official(changed(predictions, split=f"{corpus}/another"))


def test_table_has_one_row_a_task_of_a_test(corpora: dict[str, AbstractDataset]) -> None:
    assert len(OFFICIAL_TESTS) == len({each.digest for each in OFFICIAL_TESTS}) == 2 + 3 * 5
    n_tasks = {name: len(tasks_of(dataset)) for name, dataset in corpora.items()}
    assert n_tasks["icbhi2017"] + 3 * n_tasks["sprsound2022"] == len(OFFICIAL_TESTS)


def test_times_rounded_to_milliseconds_by_any_rule_are_the_same_test(icbhi: Predictions) -> None:
    up, down = (
        {name: rule(icbhi.table[name] * 1000) / 1000 for name in ("start", "end")}
        for rule in (lambda ms: np.floor(np.round(ms, 3) + 0.5), lambda ms: np.ceil(np.round(ms, 3) - 0.5))
    )
    even = {name: icbhi.table[name].round(3) for name in ("start", "end")}
    assert any((up[name] != down[name]).any() for name in up)  # there are ties, so that the rules differ
    assert all(is_official(changed(icbhi, **columns)) for columns in (up, down, even))


def test_shuffled_rows_are_the_same_test(icbhi: Predictions) -> None:
    assert is_official(Predictions(icbhi.table.sample(frac=1, random_state=0), icbhi.classes))


def test_anything_else_is_not_official(icbhi: Predictions) -> None:
    table = icbhi.table
    labels, starts, names = table["label"].copy(), table["start"].copy(), table["recording"].copy()
    crackle = int(np.flatnonzero(labels == "crackle")[0])
    labels[crackle], starts[5], names[9] = "wheeze", starts[5] + 0.02, "999_1b1_Al_sc_Meditron"
    swapped = labels.replace({"crackle": "wheeze", "wheeze": "crackle"})
    for column in ({"label": labels}, {"label": swapped}, {"start": starts}, {"recording": names}):
        assert not is_official(changed(icbhi, **column))
    assert not is_official(Predictions(table.iloc[:-1], icbhi.classes))
    assert not is_official(Predictions(pd.concat([table.iloc[:-1], table.iloc[:1]]), icbhi.classes))
