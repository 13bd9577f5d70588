"""Which epoch counts: scores after every one, and the weights that each rule of selection would choose by now.

Of a method of two stages the rules choose for every part of the network by itself, so that the chosen weights may be of
several epochs.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from lightning_fabric import Fabric
from numpy import ndarray
from torch import nn

from add4rsc.engine.checkpoint import History, TrainingState, load_tensors, save_tensors
from add4rsc.engine.predict import part_probabilities, predict_probabilities
from add4rsc.engine.subsets import LabelledFeatures, TrainingData
from add4rsc.errors import SplitError
from add4rsc.methods._base import AbstractTwoStageMethod
from add4rsc.metrics.icbhi import icbhi_score
from add4rsc.protocol.selection import Selection, select_epoch
from add4rsc.recipe import Recipe


def check_selection(recipe: Recipe, data: TrainingData) -> None:
    """Raise SplitError if a rule of selection looks at a subset that has no score."""
    looked_at = {Selection.VALIDATION: data.validation, Selection.TEST: data.test}
    for rule in recipe.selections:
        if rule in looked_at and len(np.unique(looked_at[rule].labels == 0)) < 2:
            raise SplitError(
                f"The {rule.value} cycles are all normal, or all abnormal, so no epoch can be chosen on them. "
                "Try other patients (--set validation_seed=1), a larger validation_share, or --set selection=last."
            )


def evaluate(
    fabric: Fabric, recipe: Recipe, network: nn.Module, data: TrainingData, n_workers: int
) -> dict[str, float]:
    """Scores of this epoch on validation patients, and on the test set only if a rule of the recipe looks at it.

    In the first of two stages those of the mean of all parts' probabilities, and of every part.
    """
    subsets = {"validation": data.validation}
    if Selection.TEST in recipe.selections:
        subsets["test"] = data.test
    scores = {}
    for name, subset in subsets.items():
        if len(subset.labels):
            for part, probabilities in _probabilities(fabric, network, subset, n_workers).items():
                scores |= _scores(_prefix(name, part), subset.labels, probabilities)
    return scores


def _probabilities(
    fabric: Fabric, network: nn.Module, subset: LabelledFeatures, n_workers: int
) -> dict[str, Float[ndarray, "cycle class"]]:
    """Of the whole network, whose name is empty, and of its parts."""
    if isinstance(network, AbstractTwoStageMethod):
        of_parts = part_probabilities(fabric, network, subset.store, n_workers=n_workers)
        return {"": of_parts.mean(axis=0)} | dict(zip(network.parts(), of_parts, strict=True))
    whole = predict_probabilities(fabric, network, subset.store, groups=subset.groups, n_workers=n_workers)
    return {"": whole}


def _prefix(subset: str, part: str) -> str:
    """Beginning of the history's columns of scores."""
    return f"{subset}_{part}_" if part else f"{subset}_"


def _scores(
    prefix: str, labels: Int[ndarray, " cycle"], probabilities: Float[ndarray, "cycle class"]
) -> dict[str, float]:
    result = icbhi_score(labels, probabilities.argmax(axis=1))
    chosen = np.take_along_axis(probabilities, labels[:, None], axis=1)
    return {
        f"{prefix}loss": float(-np.log(np.maximum(chosen, 1e-12)).mean()),
        f"{prefix}specificity": result.specificity,
        f"{prefix}sensitivity": result.sensitivity,
        f"{prefix}score": result.score,
    }


def selection_scores(history: History, selection: Selection, part: str = "") -> list[float]:
    """The score of every epoch that a rule of selection looks at; of the whole network, or of a part of it."""
    return [row.get(f"{_prefix(selection.value, part)}score", math.nan) for row in history]


def chosen_epoch(history: History, selection: Selection, recipe: Recipe, part: str = "") -> int:
    """Index of the epoch that a rule of selection chooses among those so far; for the whole network, or for a part."""
    sensitivities = [row.get(f"{_prefix(selection.value, part)}sensitivity", math.nan) for row in history]
    scores = selection_scores(history, selection, part)
    return select_epoch(scores, selection, sensitivities, recipe.least_sensitivity)


def chosen_file(selection: Selection) -> str:
    """Name of the file in the checkpoint folder that holds the weights which a rule chose."""
    return f"chosen-{selection.value}.safetensors"


def keep_chosen(recipe: Recipe, state: TrainingState, folder: Path) -> None:
    """Write the weights that each rule would choose now, where the latest epoch is among those that it chooses.

    Raises:
        StorageError: if they cannot be written; what was there stays good.
    """
    latest = len(state.history) - 1
    parts = chosen_parts(state.evaluated)
    for rule in recipe.selections:
        new = [
            beginning
            for part, beginnings in parts.items()
            if chosen_epoch(state.history, rule, recipe, part) == latest
            for beginning in beginnings
        ]
        if new:
            path, tensors = folder / chosen_file(rule), state.evaluated.state_dict()
            if latest > 0 and len(parts) > 1:
                fresh = {name: value for name, value in tensors.items() if name.startswith(tuple(new))}
                tensors = load_tensors(path)[0] | fresh
            save_tensors(path, tensors, {})


def chosen_parts(network: nn.Module) -> Mapping[str, Sequence[str]]:
    """What is chosen by itself, as `AbstractTwoStageMethod.parts` has it; of other networks the whole."""
    return network.parts() if isinstance(network, AbstractTwoStageMethod) else {"": ("",)}
