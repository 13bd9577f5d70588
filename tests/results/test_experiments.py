"""The list of experiments: every one can be trained, and forms differ in what they say that they differ in."""

from pathlib import Path
from types import ModuleType

import pytest
import torch

from add4rsc.engine.model import build_method, resolve_front_end
from add4rsc.methods import recipes
from add4rsc.recipe import Recipe, change_recipe

RUNS = Path("runs")


@pytest.fixture(scope="module")
def experiments(load_script) -> ModuleType:
    return load_script("results/experiments.py")


def recipe_of(experiment) -> Recipe:
    return change_recipe(recipes.get(experiment.recipe)(), experiment.changes)


def test_every_experiment_builds_and_judges_the_classes_of_its_corpus(experiments):
    found = experiments.list_experiments()
    assert len({each.path for each in found}) == len(found)
    for each in found:
        recipe = recipe_of(each)
        n_classes = {"task-1-2": 7, "cycle-4": 4, "task-2-2": 5}[recipe.task or ""]
        front_end = resolve_front_end(recipe)
        network = build_method(recipe, n_classes, pretrained=False).eval()
        n_frames = front_end.n_frames(recipe.crop.n_samples(front_end.sample_rate))
        assert network(torch.zeros(1, n_frames, front_end.n_bands)).shape == (1, n_classes)


def test_forms_of_one_group_differ_in_method_and_options_alone(experiments):
    for group in ("sprsound-noisy", "sprsound-louder", "sprsound-clean", "icbhi-noisy"):
        members = [recipe_of(each) for each in experiments.list_experiments() if each.group == group]
        left_out = {"name", "method", "options", "paper", "deviations"}
        assert len({each.model_dump_json(exclude=left_out) for each in members}) == 1


def test_seeds_of_a_group_come_one_after_the_other(experiments):
    asked = experiments.parse(["--sprsound", "here", "--icbhi", "there"])
    order = [(each.group, seed) for each, seed in experiments.list_runs(asked)]
    assert order
    groups = list(dict.fromkeys(group for group, _ in order))
    assert order == sorted(order, key=lambda pair: (groups.index(pair[0]), pair[1]))


def test_only_the_corpora_that_are_given_are_trained_on(experiments):
    runs = list(experiments.list_runs(experiments.parse(["--icbhi", "there"])))
    assert runs
    assert {each.corpus for each, _ in runs} == {"icbhi"}


def test_folds_hold_back_other_patients_for_each_seed(experiments):
    folds = [each for each in experiments.list_experiments() if each.in_folds]
    assert folds
    for each in folds:
        held_back = [each.changes_of(seed, RUNS)["validation_seed"] for seed in each.seeds]
        assert sorted(held_back) == list(range(len(each.seeds)))
    assert not any(
        "validation_seed" in each.changes_of(1, RUNS) for each in experiments.list_experiments() if not each.in_folds
    )


def test_teachers_are_experiments_that_come_first(experiments):
    found = experiments.list_experiments()
    places = {each.path: place for place, each in enumerate(found)}
    pupils = [each for each in found if each.teacher]
    assert pupils
    for each in pupils:
        assert places[each.teacher] < places[each.path]
        assert each.changes_of(1, RUNS)["options.teacher"] == str(RUNS / each.teacher)


def test_seed_that_no_experiment_lists_is_refused(experiments):
    experiments.check_seeds(experiments.parse(["--only", "joint/plain", "--seeds", "1,3"]))
    with pytest.raises(SystemExit, match="has seed 9"):
        experiments.check_seeds(experiments.parse(["--only", "joint/plain", "--seeds", "1,9"]))


def test_the_recipe_for_sprsound_is_what_was_tried(experiments):
    (tried,) = (each for each in experiments.list_experiments() if each.path == "sprsound-folds/finer")
    expected = change_recipe(recipes.get(tried.recipe)(), tried.changes)
    named = recipes.get("fine_tuning/mn04-sprsound")()
    assert named == expected.model_copy(update={"name": named.name})
