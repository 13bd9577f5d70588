"""Recipe names, files and `--set` changes -> a recipe."""

from pathlib import Path
from typing import Any

import yaml

from add4rsc.errors import RecipeError, WrongUsageError
from add4rsc.methods import recipes
from add4rsc.recipe import Recipe, change_recipe


def find_recipe(name: str, config: Path | None, changes: list[str]) -> Recipe:
    """The named recipe with the keys of a file, then those of `--set`, changed.

    Raises:
        UnknownNameError: if there is no such recipe.
        RecipeError: for a file that is not a mapping, or a key or value that does not fit.
        WrongUsageError: for a change that is not KEY=VALUE.
    """
    recipe = recipes.get(name)()
    if config is not None:
        recipe = change_recipe(recipe, _read_mapping(config))
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise WrongUsageError(f"--set {change}: expected KEY=VALUE, such as --set epochs=3.")
        recipe = change_recipe(recipe, {key: _read_value(value)})
    return recipe


def read_seeds(text: str) -> list[int]:
    """Seeds from a list such as 1,2,3.

    Raises:
        WrongUsageError: if it is anything else, or repeats one.
    """
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise WrongUsageError(f"--seeds {text}: expected whole numbers with commas, such as 1,2,3.") from error
    if len(set(seeds)) < len(seeds):
        raise WrongUsageError(f"--seeds {text}: a seed is named twice.")
    return seeds


def _read_value(text: str) -> Any:
    """A YAML value; `1e-4`, which YAML takes for text, is a number."""
    value = yaml.safe_load(text)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None if value.lower() == "none" else value
    return value


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as YAML or JSON ({error}).") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: holds no keys. Write it like a run's recipe.json.")
    return content
