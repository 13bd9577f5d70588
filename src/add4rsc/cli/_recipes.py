"""Recipe names, files and `--set` changes -> a recipe."""

import json
from pathlib import Path
from typing import Any

import yaml

from add4rsc.backbones import backbones
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
        recipe = _change(recipe, _read_mapping(config))
    return change_by_options(recipe, changes)


def change_by_options(recipe: Recipe, changes: list[str]) -> Recipe:
    """A recipe with the keys of `--set` changed, all at once: one alone may not fit yet.

    Raises:
        RecipeError: for a key or value that does not fit.
        WrongUsageError: for a change that is not KEY=VALUE.
    """
    values: dict[str, Any] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise WrongUsageError(f"--set {change}: expected KEY=VALUE, such as --set epochs=3.")
        values[key] = _read_value(value)
    return _change(recipe, values)


def _change(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    """Change keys; a change within `front_end` is one of what the backbone was made for."""
    within = any(key.startswith("front_end.") or (key == "front_end" and changes[key]) for key in changes)
    if within and recipe.front_end is None:
        backbone = changes.get("backbone", recipe.backbone)
        recipe = recipe.model_copy(update={"front_end": backbones.get(backbone).front_end()})
    return change_recipe(recipe, changes)


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
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise WrongUsageError(
            f"--set: '{text}' is not a YAML value. Write a number, a word or a list [a, b]."
        ) from error
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None if value.lower() == "none" else value
    return value


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)  # YAML takes 1e-12 for text
    except (OSError, yaml.YAMLError, ValueError) as error:
        raise RecipeError(f"{path}: cannot be read as YAML or JSON ({error}).") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: holds no keys. Write it like a run's recipe.json.")
    return {str(key): value for key, value in content.items()}
