"""Weights that are found on validation patients, and comparisons under noise over the seeds that two networks share."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from add4rsc.engine.decision import OFFSET, best_offset

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture
def collecting(load_script, monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(RESULTS)
    return load_script("results/collect_experiments.py")


def test_the_normal_class_is_weighed_by_all_validation_patients_together(collecting, made):
    of_test = made(seed=3, labels_seed=103)
    folds = [made(seed=seed, labels_seed=100 + seed, skill=0.1 * seed) for seed in (1, 2)]
    found = collecting.weighed(of_test, *folds)
    labels, probabilities = (
        np.concatenate([getattr(each, name) for each in folds]) for name in ("labels", "probabilities")
    )
    offset = best_offset(labels, probabilities)
    assert {float(each) for each in found.table[OFFSET]} == {round(offset, 3)}
    odds = [each.probabilities[:, 0] / each.probabilities[:, 1] for each in (of_test, found)]
    assert np.log(odds[1] / odds[0]) == pytest.approx(np.full(len(odds[0]), offset), abs=1e-9)
    assert list(found.decisions) == list(found.probabilities.argmax(axis=1))


def test_every_experiment_has_one_place_for_its_results(collecting, load_script):
    experiments = load_script("results/experiments.py").list_experiments()
    collected = {each.path for each in experiments if each.corpus == "sprsound" and each.group not in collecting.PROBED}
    assert collecting.NAMES.keys() | collecting.JOINT.keys() | collecting.OF_RECORDINGS.keys() == collected
    names = [*collecting.NAMES.values(), *collecting.OF_RECORDINGS.values()]
    assert len(set(names)) == len(names)
    forms = {each.name for each in experiments if each.corpus == "icbhi"}
    assert forms <= {path.removeprefix("sprsound-noisy/") for path in collecting.NAMES} | collecting.ON_ICBHI.keys()


def test_stored_recipe_names_its_teacher_but_no_folder_of_this_machine(collecting, tmp_path):
    run = tmp_path / "deep" / "runs" / "taught" / "folds" / "seed-1"
    run.mkdir(parents=True)
    for name in ("run.json", "history.csv"):
        (run / name).write_text("as it was")
    (run / "recipe.json").write_text(f'{{"options": {{"teacher": "{run.parents[2]}/folds/plain"}}}}')
    collecting.copy_run(run, tmp_path / "place")
    told = (tmp_path / "place" / "recipe.json").read_text()
    assert told == '{"options": {"teacher": "runs/experiments/folds/plain"}}'
    assert (tmp_path / "place" / "history.csv").read_text() == "as it was"


def test_what_is_heard_once_more_is_of_the_same_experiment(collecting):
    assert collecting.path_of(Path("runs") / "sprsound-folds" / f"plain{collecting.SHIFTED}") == "sprsound-folds/plain"
