"""What is judged once more where the seeds of a run are the folds of a cross-validation."""

import json
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from add4rsc.datasets import datasets
from add4rsc.datasets.sprsound import SprSound2022
from add4rsc.engine.context import ContextJudge, best_smoothing
from add4rsc.engine.decision import never_answered
from add4rsc.engine.run import RunSettings, train
from add4rsc.methods import recipes
from add4rsc.metrics.smoothing import smooth_recordings
from add4rsc.predictions import Predictions, read_predictions
from add4rsc.recipe import change_recipe

RESULTS = Path(__file__).parents[2] / "results"
CLASSES = datasets.get("sprsound2022").tasks["task-1-2"].classes
NAME = "folds"


@pytest.fixture
def collecting(load_script, monkeypatch, tmp_path) -> ModuleType:
    monkeypatch.syspath_prepend(RESULTS)
    script = load_script("results/collect_folds.py")
    monkeypatch.setattr("collect_experiments.RESULTS", tmp_path / "results")
    return script


def of_fold(made, fold, seed, classes=CLASSES):
    """Predictions of patients that no other fold has."""
    found = made(seed=seed, labels_seed=200 + seed, n_patients=6, n_cycles=20, classes=classes)
    table = found.table.assign(split="sprsound2022/inter", selection="validation")
    for column in ("cycle_id", "recording", "patient"):
        table[column] = f"{fold}-" + table[column]
    return Predictions(table, classes)


@pytest.fixture
def run(made, tmp_path):
    """Three folds that hold back different patients, and tests that all of them have heard."""
    folder = tmp_path / "runs" / "group" / "in-folds"
    for seed in (1, 2, 3):
        (folder / f"seed-{seed}").mkdir(parents=True)
        tables = {"validation": of_fold(made, f"v{seed}", seed), "predictions": of_fold(made, "test", 7)}
        tables |= {f"tested-on-{test}": of_fold(made, test, 8) for test in ("intra", "union")}
        for name, predictions in tables.items():
            predictions.table.to_csv(folder / f"seed-{seed}" / f"{name}.csv", index=False)
        for name in ("summary.json", "run.json", "recipe.json", "history.csv"):
            (folder / f"seed-{seed}" / name).write_text("{}")
    return folder


def smoothed(predictions, smoothing):
    return smooth_recordings(predictions.probabilities, predictions.table["recording"].tolist(), smoothing)


def test_every_training_patient_is_judged_by_the_other_folds(collecting, run):
    collecting.collect_held_back(run, NAME)
    place = collecting.place_of("task-1-2", collecting.HELD_BACK, NAME)
    kept = read_predictions(place / "predictions.csv")
    held_back = [read_predictions(run / f"seed-{seed}" / "validation.csv") for seed in (1, 2, 3)]
    assert list(kept.table["cycle_id"]) == [each for table in held_back for each in table.table["cycle_id"]]

    n_right = dict.fromkeys(("-in-context", "-in-context-weighed", "-smoothed"), 0)
    for index, own in enumerate(held_back):
        others = [*held_back[:index], *held_back[index + 1 :]]
        for end, weighed in (("-in-context", False), ("-in-context-weighed", True)):
            judged = ContextJudge.fit(*others, weighed=weighed).judge(own)
            n_right[end] += (judged.decisions == judged.labels).sum()
        n_right["-smoothed"] += (smoothed(own, best_smoothing(*others)).argmax(axis=1) == own.labels).sum()
    for end, expected in n_right.items():
        matrix = json.loads((place.with_name(f"{NAME}{end}") / "summary.json").read_text())["confusion_matrix"]
        assert np.trace(matrix) == expected
    assert not (place.with_name(f"{NAME}-in-context") / "predictions.csv").exists()
    assert "collect_folds.py" in (place / "command.txt").read_text()


def test_tests_are_judged_by_all_folds(collecting, run):
    collecting.collect_in_context(run, NAME, run)
    place = collecting.place_of("task-1-2", "inter", f"{NAME}-in-context")
    held_back = [read_predictions(run / f"seed-{seed}" / "validation.csv") for seed in (1, 2, 3)]
    expected = ContextJudge.fit(*held_back).judge(read_predictions(run / "seed-1" / "predictions.csv"))
    found = read_predictions(place / "seed-1" / "predictions.csv")
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
    assert (place / "ensemble" / "summary.json").exists()
    coarse = collecting.place_of("task-1-1", "inter", f"{NAME}-in-context") / "seed-1" / "predictions.csv"
    np.testing.assert_allclose(read_predictions(coarse).probabilities[:, 0], expected.probabilities[:, 0], atol=1e-5)
    place = collecting.place_of("task-1-2", "inter", f"{NAME}-smoothed")
    expected = smoothed(read_predictions(run / "seed-1" / "predictions.csv"), best_smoothing(*held_back))
    found = read_predictions(place / "seed-1" / "predictions.csv")
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)


def test_recordings_of_both_tests_make_the_union_and_coarser_answers(collecting, run, made):
    classes = datasets.get("sprsound2022").tasks["task-2-2"].classes
    file, tables = collecting.judged_file("task-2-2", ""), {}
    of_fold(made, "all", 3, classes).table.to_csv(run / file, index=False)
    for seed in (1, 2, 3):
        for test, drawn in (("inter", 7), ("intra", 8)):
            tables[test] = of_fold(made, test, drawn, classes)
            tables[test].table.to_csv(run / f"seed-{seed}" / f"{test}-{file}", index=False)
    collecting.score_recordings(run, "task-2-1", NAME, file)
    inter, union = (collecting.place_of("task-2-1", test, NAME) for test in ("inter", "union"))
    found = read_predictions(inter / "seed-3" / "predictions.csv")
    assert found.classes == ("normal", "adventitious", "poor_quality")
    finer = tables["inter"].probabilities
    expected = np.c_[finer[:, 0], finer[:, 1:4].sum(axis=1), finer[:, 4]]
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)  # tables have five digits
    summary = json.loads((union / "seed-3" / "summary.json").read_text())
    assert summary["split"] == "sprsound2022/union"
    assert sum(map(sum, summary["confusion_matrix"])) == len(tables["inter"].table) + len(tables["intra"].table)
    assert not list(union.rglob("predictions.csv"))


def test_a_committee_is_the_mean_of_its_members_fold_by_fold(collecting, run, made, monkeypatch):
    runs, other = run.parents[1], run.parent / "other"
    shutil.copytree(run, other)
    shutil.rmtree(other / "seed-3")
    for seed in (1, 2):
        table = read_predictions(run / f"seed-{seed}" / "predictions.csv")
        turned = table.answered(table.probabilities[:, ::-1])
        turned.table.to_csv(other / f"seed-{seed}" / "predictions.csv", index=False)
    members = {"committees/all": ("group/in-folds", "group/other"), "committees/none": ("group/none",)}
    monkeypatch.setattr(collecting, "COMMITTEES", members)
    found = collecting.hear_together(runs, "committees/all", run)
    assert sorted(collecting.finished_seeds(found)) == [1, 2]
    table = read_predictions(run / "seed-2" / "predictions.csv")
    expected = (table.probabilities + table.probabilities[:, ::-1]) / 2
    together = read_predictions(found / "seed-2" / "predictions.csv")
    np.testing.assert_allclose(together.probabilities, expected, atol=1e-6)
    collecting.collect_committees(runs, run)
    place = collecting.place_of("task-1-2", "inter", f"{collecting.COMMITTEE}-in-context")
    assert (place / "ensemble" / "summary.json").exists()
    assert not (collecting.place_of("task-2-2", "inter", f"{collecting.COMMITTEE}-recordings")).exists()


def test_answers_of_networks_of_recordings_are_scored_on_both_tasks(collecting, run, made):
    classes = datasets.get("sprsound2022").tasks["task-2-2"].classes
    for seed in (1, 2, 3):
        drawn = {"validation": (f"v{seed}", seed), "predictions": ("inter", 7), "tested-on-intra": ("intra", 8)}
        for file, of in drawn.items():
            of_fold(made, *of, classes).table.to_csv(run / f"seed-{seed}" / f"{file}.csv", index=False)
        shutil.copyfile(run / f"seed-{seed}" / "tested-on-intra.csv", run / f"seed-{seed}" / "tested-on-union.csv")
    collecting.collect_answers(run, NAME, run)
    fine, coarse = (collecting.place_of(task, "inter", NAME) for task in ("task-2-2", "task-2-1"))
    found = read_predictions(fine / "seed-3" / "predictions.csv")
    expected = never_answered(read_predictions(run / "seed-3" / "predictions.csv"), ["poor_quality"])
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
    assert not list(coarse.rglob("predictions.csv"))
    for place, n_classes in ((coarse, 3), (fine, 5)):
        matrix = np.array(json.loads((place / "seed-3" / "summary.json").read_text())["confusion_matrix"])
        assert matrix.shape == (n_classes, n_classes)
        assert matrix[:, -1].sum() == 0
    held_back = json.loads((collecting.place_of("task-2-2", collecting.HELD_BACK, NAME) / "summary.json").read_text())
    assert held_back["n_cycles"] == 3 * 6 * 20


def test_a_second_training_stands_beside_the_first(collecting, run):
    collecting.collect_again(run, NAME, run)
    alone = read_predictions(run / "seed-2" / "predictions.csv")
    judge = ContextJudge.fit(*(read_predictions(run / f"seed-{seed}" / "validation.csv") for seed in (1, 2, 3)))
    for end, expected in (("", alone), ("-in-context", judge.judge(alone))):
        place = collecting.place_of("task-1-2", "inter", f"{NAME}-again{end}")
        found = read_predictions(place / "seed-2" / "predictions.csv")
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
        assert (place / "command.txt").read_text().endswith("--again\n")
    assert not collecting.place_of("task-1-2", "intra", f"{NAME}-again").exists()


def test_a_lever_is_compared_on_patients_that_both_networks_held_back(collecting, run, made, monkeypatch):
    lever = run.with_name("lever")
    for seed in (1, 2):
        (lever / f"seed-{seed}").mkdir(parents=True)
        better = made(seed=seed, labels_seed=200 + seed, n_patients=6, n_cycles=20, classes=CLASSES, skill=0.9)
        table = read_predictions(run / f"seed-{seed}" / "validation.csv").answered(better.probabilities).table
        for name in ("validation", "predictions"):
            table.to_csv(lever / f"seed-{seed}" / f"{name}.csv", index=False)
    collecting.collect_lever(lever, run)
    found = json.loads((collecting.place_of_probe(lever) / "task-1-2-against-plain.json").read_text())
    assert found["folds"] == [1, 2]
    assert found["n_patients"] == 12
    tables = {
        place: [read_predictions(place / f"seed-{seed}" / "validation.csv") for seed in (1, 2)]
        for place in (run, lever)
    }
    expected = [
        np.mean(np.concatenate([np.log(each.probabilities[np.arange(len(each.labels)), each.labels]) for each in two]))
        for two in tables.values()
    ]
    assert found["log_likelihood"] == pytest.approx(expected)
    assert found["scores"]["score"]["difference"] > 0.1


@pytest.fixture
def trained(tmp_path, feature_cache):
    """A corpus with two training patients, and a network that holds one of them back."""
    corpus = SprSound2022.fake(tmp_path / "corpus")
    for path in list(corpus.rglob("90000001_5.0_0_p1_1.*")):
        shutil.copyfile(path, path.with_name(path.name.replace("90000001", "90000003")))
    changes = {"epochs": 1, "task": "task-1-2", "validation_share": 0.5}
    folder = tmp_path / "runs" / "group" / "trained"
    recipe = change_recipe(recipes.get("fine_tuning/small_cnn")(), changes)
    for seed in (1, 2):
        settings = RunSettings(corpus, folder / f"seed-{seed}", accelerator="cpu", show_progress=False)
        train(recipe, [seed], settings)
    return folder, corpus


def test_every_test_and_held_back_patient_is_heard_again_and_once(collecting, trained):
    run, corpus = trained
    again = collecting.hear_shifted(run, corpus)
    own, shifted = run / "seed-2", again / "seed-2"
    first, second = (read_predictions(each / "validation.csv") for each in (own, shifted))
    assert list(first.table["cycle_id"]) == list(second.table["cycle_id"])
    assert not np.allclose(first.probabilities, second.probabilities, atol=1e-6)
    union = read_predictions(shifted / "tested-on-union.csv")
    parts = [read_predictions(shifted / name) for name in ("predictions.csv", "tested-on-intra.csv")]
    assert list(union.table["cycle_id"]) == [each for part in parts for each in part.table["cycle_id"]]
    assert union.constant("split") == "sprsound2022/union"
    assert set(union.table["shifts"]) == {collecting.N_SHIFTS}
    (run / "seed-2" / "model.safetensors").unlink()
    assert collecting.hear_shifted(run, corpus) == again
