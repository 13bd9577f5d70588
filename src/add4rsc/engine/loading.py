"""A run folder -> the trained network in it."""

from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import nn

from add4rsc.audio.frontend import FrontEnd
from add4rsc.engine.checkpoint import load_tensors
from add4rsc.engine.decision import OFFSET, add_offset
from add4rsc.engine.model import MODEL, build_method, resolve_front_end
from add4rsc.errors import CheckpointError, RunFolderError
from add4rsc.metrics.runs import ONLY, files_of_seeds
from add4rsc.recipe import Recipe


@dataclass(frozen=True)
class TrainedRun:
    """What a run has learnt, ready to be used."""

    folder: Path
    recipe: Recipe
    classes: tuple[str, ...]
    network: nn.Module
    """In evaluation mode, on the CPU; its logits have the offset that the recipe's `decision_offset` asked for."""
    members: "tuple[TrainedRun, ...]" = ()
    """The seeds whose answers the network averages, if it does (`engine.ensemble`)."""
    fellows: "tuple[TrainedRun, ...]" = ()
    """Other runs whose answers are averaged with those of the network (`engine.committee`)."""

    @property
    def front_end(self) -> FrontEnd:
        """The features that the network was trained on."""
        return resolve_front_end(self.recipe)


def seed_folders(run: Path) -> dict[int, Path]:
    """Training seed -> folder with a trained network; of one run, itself."""
    if (run / MODEL).is_file():
        return {ONLY: run}
    return {seed: path.parent for seed, path in files_of_seeds(run, MODEL).items()}


def load_run(folder: Path) -> TrainedRun:
    """Load the network that a run chose.

    Args:
        folder: of one run; of several seeds or folds, one of theirs.

    Raises:
        RunFolderError: if there is no trained network in the folder.
        CheckpointError: if it is damaged, or does not fit its own recipe.
    """
    path = folder / MODEL
    if not path.is_file():
        inner = sorted(str(each.parent) for each in folder.glob(f"**/{MODEL}"))
        remedy = f"Pass one of: {', '.join(inner)}." if inner else "Pass the folder of a finished `add4rsc train`."
        raise RunFolderError(f"{folder} holds no {MODEL}. {remedy}")
    tensors, metadata = load_tensors(path)
    try:
        recipe = Recipe.model_validate_json(metadata["recipe"])
        classes = tuple(metadata["classes"].split(","))
    except (KeyError, ValidationError) as error:
        raise CheckpointError(
            f"{path}: does not say of which recipe and classes it is ({str(error).splitlines()[0]}). Train again."
        ) from error
    with torch.random.fork_rng(devices=[]):
        network = build_method(recipe, len(classes), pretrained=False)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: its tensors are not those of its recipe ({str(error).splitlines()[-1].strip()}). "
            "It was changed, or written by another version: train again."
        ) from error
    add_offset(network, float(metadata.get(OFFSET, 0.0)))
    return TrainedRun(folder, recipe, classes, network.eval())
