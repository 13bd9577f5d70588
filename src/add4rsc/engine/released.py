"""Training checkpoints of the released Patch-Mix and ADD4RSC code -> run folders.

Such a file of torch.save is a dict: `model` is the backbone, `classifier` its head, `bias_denoise_encoder` the ADD
layer where there is one, `args` the settings (METHODS 1.3, 4.2). A run folder made of it is tested, drawn and trained
on like one of ours.
"""

import argparse
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from add4rsc.add.presets import FILTER_PREFIXES, convert_state
from add4rsc.backbones import backbones
from add4rsc.backbones._states import TORCH_MAGIC, convert
from add4rsc.engine.checkpoint import save_tensors
from add4rsc.engine.folder import RECIPE
from add4rsc.engine.model import MODEL, build_method
from add4rsc.errors import CheckpointError, RunFolderError
from add4rsc.methods import recipes
from add4rsc.recipe import Recipe
from add4rsc.storage import write_text
from add4rsc.terms import CYCLE_CLASSES

ADD_KEYS = ("bias_denoise_encoder", "denoise_encoder")
CLASSES = {4: ("cycle-4", CYCLE_CLASSES), 2: ("cycle-2", ("normal", "adventitious"))}
"""Task and classes by the length of the logits."""
ADD_DIM_KEY = "norm1.scale"


@dataclass(frozen=True)
class ReleasedCheckpoint:
    """What a training checkpoint of the released code is, in our terms."""

    kind: str
    """In words."""
    recipe: Recipe
    classes: tuple[str, ...]
    tensors: dict[str, Tensor]
    """Under the names of the method that the recipe builds."""


def read_training_checkpoint(file: Path) -> dict[str, dict[str, Tensor]] | None:
    """The networks in a training checkpoint of the released code by their names; None if the file is no such thing.

    Nothing in the file is run: beside tensors, only the plain settings object of argparse is let in.
    """
    with file.open("rb") as opened:
        if not opened.read(2).startswith(TORCH_MAGIC):
            return None
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get("classifier"), dict):
        return None
    return {name: dict(part) for name, part in content.items() if isinstance(part, dict) and _is_state(part)}


def _is_state(part: Mapping[Any, Any]) -> bool:
    return bool(part) and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in part.items())


def convert_training_checkpoint(parts: Mapping[str, Mapping[str, Tensor]], origin: str) -> ReleasedCheckpoint:
    """Bring the networks of a training checkpoint under our names, and find the recipe that builds them.

    Args:
        parts: what `read_training_checkpoint` gives.
        origin: the file, for messages.

    Raises:
        CheckpointError: if a part is missing, of no known kind, or does not fit the recipe that it seems to be of.
    """
    if "model" not in parts:
        raise CheckpointError(f"{origin}: has a classifier but no 'model'. Pass the file as training wrote it.")
    backbone, tensors = _backbone(_bare(parts["model"]), origin)
    head, n_classes, has_norm = _head(_bare(parts["classifier"]), origin)
    if n_classes not in CLASSES:
        raise CheckpointError(
            f"{origin}: tells {n_classes} classes apart; known are {' and '.join(map(str, CLASSES))}."
        )
    add = next((_bare(parts[key]) for key in ADD_KEYS if key in parts), None)
    recipe = _recipe(backbone, tensors, add)
    recipe = recipe.model_copy(
        update={"options": recipe.options | {"head_norm": has_norm}, "task": CLASSES[n_classes][0]}
    )
    named = {f"backbone.{key}": value for key, value in tensors.items()} | head
    if add is not None:
        named |= {f"add.{key}": value for key, value in convert_state(add, _preset(add)).items()}
    _require_fit(recipe, named, n_classes, origin)
    what = f"ADD4RSC ({_preset(add)})" if add is not None else "Patch-Mix code base"
    return ReleasedCheckpoint(f"{what} with {backbone}, {n_classes} classes", recipe, CLASSES[n_classes][1], named)


def import_training_checkpoint(file: Path, folder: Path) -> ReleasedCheckpoint:
    """Make a run folder of a training checkpoint.

    Raises:
        CheckpointError: if the file is no training checkpoint, or does not fit.
        RunFolderError: if the folder holds a run already.
    """
    parts = read_training_checkpoint(file)
    if parts is None:
        raise CheckpointError(
            f"{file}: is no training checkpoint of the released code. Expected a dict with 'model' and 'classifier'."
        )
    if (folder / RECIPE).exists():
        raise RunFolderError(f"{folder} holds a run already. Choose another folder with --run-folder.")
    found = convert_training_checkpoint(parts, str(file))
    metadata = {"recipe": found.recipe.model_dump_json(), "classes": ",".join(found.classes)}
    save_tensors(folder / MODEL, found.tensors, metadata)
    write_text(folder / RECIPE, found.recipe.model_dump_json(indent=2) + "\n")
    return found


def _bare(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefix that several GPUs leave."""
    return {key.removeprefix("module."): tensor for key, tensor in state.items()}


def _backbone(state: dict[str, Tensor], origin: str) -> tuple[str, dict[str, Tensor]]:
    """Which of the code bases' two backbones it is, and its tensors under our names."""
    for name in ("ast", "resnet50"):
        found = convert(backbones.get(name), _without_wrapper(state))
        if found is not None:
            return name, found[1]
    raise CheckpointError(
        f"{origin}: 'model' ({', '.join(sorted(state)[:5])} ...) is neither an AST nor a ResNet-50, "
        "the backbones of the released code."
    )


def _without_wrapper(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop the name of an attribute that all tensors of a wrapped ResNet begin with."""
    first = next(iter(state))
    wrapper = re.match(r"^(\w+\.)(?=conv1\.)", first)
    if wrapper is None or not all(key.startswith(wrapper[1]) for key in state):
        return state
    return {key.removeprefix(wrapper[1]): tensor for key, tensor in state.items()}


def _head(state: dict[str, Tensor], origin: str) -> tuple[dict[str, Tensor], int, bool]:
    """The classifier under our names, its number of classes, and whether a LayerNorm is before it."""
    matrices = [key for key, tensor in state.items() if tensor.ndim == 2]
    vectors = [key for key in state if key.endswith(".weight") and state[key].ndim == 1]
    if len(matrices) != 1 or len(vectors) > 1:
        raise CheckpointError(
            f"{origin}: 'classifier' ({', '.join(sorted(state))}) is not one linear layer, with or without a LayerNorm."
        )
    linear = matrices[0].removesuffix("weight")
    named = {"head.1.weight": state[f"{linear}weight"], "head.1.bias": state[f"{linear}bias"]}
    for key in vectors:
        norm = key.removesuffix("weight")
        named |= {"head_norm.weight": state[f"{norm}weight"], "head_norm.bias": state[f"{norm}bias"]}
    return named, len(state[matrices[0]]), bool(vectors)


def _preset(add: Mapping[str, Tensor]) -> str:
    """Which commit wrote an ADD layer: they name its filter differently."""
    prefixes = {key.split(".")[0] for key in add}
    return next((preset for preset, prefix in FILTER_PREFIXES.items() if prefix in prefixes), "released-2025-08")


def _recipe(backbone: str, tensors: Mapping[str, Tensor], add: Mapping[str, Tensor] | None) -> Recipe:
    """The as-released recipe of that kind, with the sizes that the tensors have."""
    if add is not None:
        recipe = recipes.get(f"add4rsc/{backbone}-{_preset(add)}")()
        if ADD_DIM_KEY in add:
            recipe = _of_width(recipe, len(add[ADD_DIM_KEY]))
    else:
        name = "fine_tuning/ast-as-released" if backbone == "ast" else f"fine_tuning/{backbone}"
        recipe = recipes.get(name)()
    if backbone != "ast":
        return recipe
    dim = tensors["cls_token"].shape[-1]
    numbers = {int(key.split(".")[1]) for key in tensors if key.startswith("blocks.")}
    sizes = {"dim": dim, "n_layers": len(numbers), "n_heads": max(1, dim // 64)}
    return recipe.model_copy(update={"backbone_options": recipe.backbone_options | sizes})


def _of_width(recipe: Recipe, dim: int) -> Recipe:
    """The recipe with another number of mel columns in the ADD layer."""
    n_frames = recipe.options["input_size"][0]
    changes: dict[str, Any] = {"options": recipe.options | {"input_size": [n_frames, dim]}}
    if recipe.backbone == "ast":
        changes["backbone_options"] = recipe.backbone_options | {"n_mels": dim}
    return recipe.model_copy(update=changes)


def _require_fit(recipe: Recipe, tensors: Mapping[str, Tensor], n_classes: int, origin: str) -> None:
    """Compare with the network that the recipe builds.

    Raises:
        CheckpointError: if tensors are missing, too many, or of another shape; the message lists them.
    """
    with torch.device("meta"):
        network = build_method(recipe, n_classes, pretrained=False).state_dict()
    problems = {
        "missing": sorted(network.keys() - tensors.keys()),
        "unknown": sorted(tensors.keys() - network.keys()),
        "of another shape": sorted(
            key for key in network.keys() & tensors.keys() if network[key].shape != tensors[key].shape
        ),
    }
    told = [f"{', '.join(keys[:8])}{' ...' if len(keys) > 8 else ''} {what}" for what, keys in problems.items() if keys]
    if told:
        raise CheckpointError(
            f"{origin}: does not fit {recipe.name}: {'; '.join(told)}. "
            "It was trained with other settings than were released."
        )
