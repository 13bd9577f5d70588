import json

import pytest
import yaml

from add4rsc.backbones import backbones
from add4rsc.cli._recipes import find_recipe, read_seeds
from add4rsc.errors import RecipeError, UnknownNameError, WrongUsageError
from add4rsc.methods import recipes

NAME = "fine_tuning/small_cnn"


def test_changes_are_applied_in_order(tmp_path):
    config = tmp_path / "recipe.yaml"
    config.write_text("epochs: 7\noptimiser: {learning_rate: 1e-4, name: sgd}\ncrop: {duration: 2.5}\n")
    recipe = find_recipe(NAME, config, ["epochs=9", "batch_size=4", "augmentation.time_shift=0.25"])
    plain = recipes.get(NAME)()
    assert (recipe.epochs, recipe.batch_size) == (9, 4)
    assert (recipe.optimiser.learning_rate, recipe.optimiser.name) == (1e-4, "sgd")
    assert recipe.optimiser.weight_decay == plain.optimiser.weight_decay
    assert recipe.crop.duration == 2.5
    assert recipe.augmentation.time_shift == 0.25
    assert recipe.augmentation.level_shift == plain.augmentation.level_shift


@pytest.mark.parametrize(
    ("change", "value"),
    [("1e-4", 1e-4), ("3", 3.0), ("none", None), ("None", None), ("null", None), (".5", 0.5)],
)
def test_values_are_numbers_words_or_nothing(change, value):
    assert find_recipe(NAME, None, [f"optimiser.clip_norm={change}"]).optimiser.clip_norm == value


def test_lists_and_mappings_can_be_given():
    recipe = find_recipe("add4rsc/small_cnn", None, ["options={preset: paper}", "deviations=[a, b]"])
    assert recipe.options == {"preset": "paper"}
    assert recipe.deviations == ("a", "b")


def test_one_key_of_the_front_end_leaves_the_others_to_the_backbone():
    recipe = find_recipe(NAME, None, ["front_end.n_mels=32", "front_end.f_min=20"])
    assert recipe.front_end == backbones.get("small_cnn").front_end().model_copy(update={"n_mels": 32, "f_min": 20})
    assert find_recipe(NAME, None, ["front_end=none"]).front_end is None


@pytest.mark.parametrize("dump", [json.dumps, yaml.safe_dump])
def test_recipe_comes_back_from_its_own_file(tmp_path, dump):
    recipe = find_recipe(NAME, None, ["epochs=3", "split=patient-folds-3", "optimiser.clip_norm=1"])
    file = tmp_path / "recipe"
    file.write_text(dump(recipe.model_dump(mode="json")))
    assert find_recipe("add4rsc/small_cnn", file, []) == recipe


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: [1", "cannot be read as YAML"),
        ("- 1", "holds no keys"),
        ("", "holds no keys"),
        ("epoch: 3", "Did you mean 'epochs'"),
        ("3: 4", "no recipe key '3'"),
        ("optimiser: {nam: sgd}", "Did you mean 'name'"),
        ("optimiser: 3", "'optimiser' cannot be 3"),
        ("epochs: many", "'epochs' cannot be 'many'"),
        ("\x00\x01", "cannot be read as YAML"),
    ],
)
def test_files_that_hold_no_recipe(tmp_path, content, said):
    file = tmp_path / "recipe.yaml"
    file.write_text(content)
    with pytest.raises(RecipeError, match=said):
        find_recipe(NAME, file, [])


def test_missing_file_and_unknown_recipe(tmp_path):
    with pytest.raises(RecipeError, match=r"no.yaml: cannot be read"):
        find_recipe(NAME, tmp_path / "no.yaml", [])
    with pytest.raises(UnknownNameError, match=r"Did you mean 'fine_tuning/small_cnn'\?.*add4rsc list recipes"):
        find_recipe("finetuning/small_cnn", None, [])


@pytest.mark.parametrize("change", ["epochs", "=3", "epochs=[", "epochs={"])
def test_changes_that_are_none(change):
    with pytest.raises(WrongUsageError, match="--set"):
        find_recipe(NAME, None, [change])


def test_seeds():
    assert read_seeds("3,1,2") == [3, 1, 2]
    for wrong in ("", "1,,2", "1.5", "a"):
        with pytest.raises(WrongUsageError, match="whole numbers"):
            read_seeds(wrong)
    with pytest.raises(WrongUsageError, match="twice"):
        read_seeds("1,2,1")


def test_changes_that_fit_together_alone_need_no_order():
    changes = ["device_fine_tuning.epochs=5", "device_fine_tuning.learning_rate=1e-4"]
    for told in (changes, changes[::-1]):
        found = find_recipe(NAME, None, told).device_fine_tuning
        assert found is not None
        assert (found.epochs, found.learning_rate) == (5, 1e-4)
    with pytest.raises(RecipeError, match="learning_rate"):
        find_recipe(NAME, None, changes[:1])
