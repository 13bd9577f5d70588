"""What is judged by networks of events and networks of recordings together."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from add4rsc.datasets import datasets
from add4rsc.engine.context import ContextJudge
from add4rsc.engine.decision import never_answered
from add4rsc.predictions import Predictions, read_predictions

RESULTS = Path(__file__).parents[2] / "results"
TASKS = datasets.get("sprsound2022").tasks
EVENTS, RECORDINGS = TASKS["task-1-2"].classes, TASKS["task-2-2"].classes
SEEDS = (1, 2, 3)
NAME = "louder"


@pytest.fixture
def collecting(load_script, monkeypatch, tmp_path) -> ModuleType:
    monkeypatch.syspath_prepend(RESULTS)
    script = load_script("results/collect_beside.py")
    monkeypatch.setattr("collect_experiments.RESULTS", tmp_path / "results")
    return script


def renamed(predictions, fold):
    """Predictions of a fold's own patients and recordings."""
    table = predictions.table.assign(split="sprsound2022/inter", selection="validation")
    for column in ("cycle_id", "recording", "patient"):
        table[column] = f"{fold}-" + table[column]
    return Predictions(table, predictions.classes)


def of_events(made, fold, seed):
    return renamed(made(seed=seed, labels_seed=200 + seed, n_patients=6, n_cycles=20, classes=EVENTS), fold)


def of_recordings(made, events, seed):
    """One row for each recording of some events."""
    firsts = events.table.drop_duplicates("recording").reset_index(drop=True)
    kept = ("recording", "patient", "split", "selection")
    found = made(seed=seed, labels_seed=300 + seed, n_patients=6, n_cycles=20, classes=RECORDINGS).table[: len(firsts)]
    return Predictions(found.assign(**{name: firsts[name] for name in kept}), RECORDINGS)


@pytest.fixture
def runs(made, tmp_path):
    """Three folds of either kind, whose patients are shifted by a fold, and tests that all of them have heard."""
    folders = [tmp_path / "runs" / "group" / name for name in ("of-events", "of-recordings")]
    for seed in SEEDS:
        held_back = of_events(made, f"v{seed}", seed)
        tests = {name: of_events(made, name, 7) for name in ("predictions", "tested-on-intra", "tested-on-union")}
        other = {"validation": of_recordings(made, held_back, seed)}
        other |= {name: of_recordings(made, each, 8) for name, each in tests.items()}
        for folder, own, tables in (
            (folders[0], seed, {"validation": held_back, **tests}),
            (folders[1], seed % 3 + 1, other),
        ):
            place = folder / f"seed-{own}"
            place.mkdir(parents=True)
            for name, predictions in tables.items():
                predictions.table.to_csv(place / f"{name}.csv", index=False)
            for name in ("summary.json", "run.json", "recipe.json"):
                (place / name).write_text("{}")
            (place / "history.csv").write_text("epoch\n1\n")
    return folders


def validation(run):
    return [read_predictions(run / f"seed-{seed}" / "validation.csv") for seed in SEEDS]


def test_events_of_tests_are_judged_by_all_folds_of_both_kinds(collecting, runs):
    events, recordings = runs
    collecting.collect_in_context(events, recordings, NAME, events)
    place = collecting.place_of("task-1-2", "inter", f"{NAME}-in-context-beside-recordings")
    judge = ContextJudge.fit(*validation(events), beside=validation(recordings))
    expected = judge.judge(*(read_predictions(run / "seed-2" / "predictions.csv") for run in runs))
    found = read_predictions(place / "seed-2" / "predictions.csv")
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
    assert (place / "ensemble" / "summary.json").exists()
    assert "collect_beside.py" in (place / "command.txt").read_text()


def test_training_patients_are_judged_by_the_other_folds(collecting, runs):
    events, recordings = runs
    collecting.collect_in_context(events, recordings, NAME, events)
    place = collecting.place_of("task-1-2", collecting.HELD_BACK, f"{NAME}-in-context-beside-recordings")
    held_back, beside, n_right = validation(events), validation(recordings), 0
    for index, own in enumerate(held_back):
        judge = ContextJudge.fit(*held_back[:index], *held_back[index + 1 :], beside=beside)
        judged = judge.judge(own, beside[index - 2])  # the fold of recordings that has the same patients
        n_right += (judged.decisions == judged.labels).sum()
    assert np.trace(json.loads((place / "summary.json").read_text())["confusion_matrix"]) == n_right


def test_answers_of_networks_of_recordings_are_scored_on_both_tasks(collecting, runs):
    collecting.collect_answers(runs[1], "whole", runs[1])
    fine, coarse = (collecting.place_of(task, "inter", "whole") for task in ("task-2-2", "task-2-1"))
    found = read_predictions(fine / "seed-3" / "predictions.csv")
    expected = never_answered(read_predictions(runs[1] / "seed-3" / "predictions.csv"), ["poor_quality"])
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
    assert not list(coarse.rglob("predictions.csv"))
    counted = [json.loads((place / "seed-3" / "summary.json").read_text()) for place in (coarse, fine)]
    assert [len(each["confusion_matrix"]) for each in counted] == [3, 5]
    held_back = json.loads(
        (collecting.place_of("task-2-2", collecting.HELD_BACK, "whole") / "summary.json").read_text()
    )
    assert held_back["n_cycles"] == sum(len(each.table) for each in validation(runs[1]))
