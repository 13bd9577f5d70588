import pytest
from pydantic import ValidationError

from add4rsc.audio.frontend import FrontEnd
from add4rsc.errors import RecipeError
from add4rsc.recipe import Recipe, Reported, change_recipe, nearest

RECIPE = Recipe(name="a/b", method="a", backbone="b", options={"x": 1, "y": {"z": 2}})


def test_dotted_and_nested_changes_are_the_same():
    dotted = change_recipe(RECIPE, {"optimiser.learning_rate": 0.5, "optimiser.name": "sgd"})
    nested = change_recipe(RECIPE, {"optimiser": {"learning_rate": 0.5, "name": "sgd"}})
    assert dotted == nested
    assert dotted.optimiser.momentum == RECIPE.optimiser.momentum
    assert dotted.crop == RECIPE.crop


def test_recipe_itself_is_left_alone():
    before = RECIPE.model_dump_json()
    changed = change_recipe(RECIPE, {"options.x": 7, "options.y.z": 8, "epochs": 1})
    assert changed.options == {"x": 7, "y": {"z": 8}}
    assert RECIPE.model_dump_json() == before
    with pytest.raises(ValidationError):
        RECIPE.epochs = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_options_given_whole_replace_and_by_key_are_merged():
    assert change_recipe(RECIPE, {"options": {"w": 0}}).options == {"w": 0}
    assert change_recipe(RECIPE, {"options.w": 0}).options == {"x": 1, "y": {"z": 2}, "w": 0}


def test_parts_that_are_none_can_be_filled_and_emptied():
    filled = change_recipe(RECIPE, {"front_end": {"n_mels": 20}, "reported.specificity": 0.5,
                                    "reported": {"sensitivity": 0.4, "score": 0.45}})  # fmt: skip
    assert filled.front_end == FrontEnd(n_mels=20)
    assert filled.reported == Reported(specificity=0.5, sensitivity=0.4, score=0.45)
    assert change_recipe(filled, {"front_end": None}).front_end is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epcohs": 3}, r"no recipe key 'epcohs'\. Did you mean 'epochs'"),
        ({"optimizer.name": "sgd"}, r"no recipe key 'optimizer'\. Did you mean 'optimiser'"),
        ({"schedule.warmup": 1}, r"no recipe key 'schedule.warmup'\. Did you mean 'warmup_epochs'"),
        ({"crop": {"zzz": 1}}, r"no recipe key 'crop.zzz'\. Known: .*duration"),
        ({"epochs": 0}, r"'epochs' cannot be 0: .*--set epochs=VALUE"),
        ({"epochs": 1.5}, r"'epochs' cannot be 1.5"),
        ({"epochs.x": 1}, r"'epochs' cannot be"),
        ({"optimiser.name": "lion"}, r"'optimiser.name' cannot be 'lion': .*adamw"),
        ({"selection": "best"}, r"'selection' cannot be 'best'"),
        ({"class_weights": "balanced"}, r"'class_weights' cannot be 'balanced'"),
        ({"validation_share": 1.0}, r"'validation_share' cannot be 1.0"),
        ({"front_end.n_mel": 3}, r"no recipe key 'front_end.n_mel'"),
    ],
)
def test_what_does_not_fit_is_named(changes, said):
    with pytest.raises(RecipeError, match=said) as caught:
        change_recipe(RECIPE, changes)
    assert caught.value.exit_code == 2


def test_hint_is_the_nearest_or_all():
    assert nearest("epoch", ["epochs", "name"]) == "Did you mean 'epochs'?"
    assert nearest("qqq", ["b", "a"]) == "Known: a, b."
