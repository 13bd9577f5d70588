"""Recipe -> network: front-end settings, backbone with its weights, method."""

from pathlib import Path

from add4rsc.audio.frontend import FrontEnd
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.backbones.weights import load_weights
from add4rsc.engine.checkpoint import load_tensors
from add4rsc.errors import CheckpointError, RecipeError
from add4rsc.methods import methods
from add4rsc.methods._base import AbstractMethod, read_options
from add4rsc.recipe import Recipe, nearest

MODEL = "model.safetensors"
"""Where a run folder keeps its network."""


def resolve_front_end(recipe: Recipe) -> FrontEnd:
    """The recipe's front-end, or the one that its backbone was made for."""
    return recipe.front_end or backbones.get(recipe.backbone).front_end()


def build_method(recipe: Recipe, n_classes: int, *, pretrained: bool = True) -> AbstractMethod:
    """Build the network that a recipe describes.

    Args:
        recipe: with a registered method and backbone.
        n_classes: length of the logits.
        pretrained: load the recipe's pretrained weights; pass False where a trained state follows.

    Raises:
        UnknownNameError, RecipeError: for a method, backbone or option that does not exist.
        CheckpointError: if the pretrained weights are missing or do not fit.
    """
    method = methods.get(recipe.method)
    options = read_options(method, recipe.options)
    try:
        backbone = backbones.get(recipe.backbone)(**recipe.backbone_options)
    except TypeError as error:
        raise RecipeError(f"Backbone '{recipe.backbone}' does not take these backbone_options: {error}.") from error
    if pretrained and recipe.weights is not None and recipe.start_from is None:
        _load_pretrained(backbone, recipe)
    network = method.create(backbone, resolve_front_end(recipe).n_bands, n_classes, options)
    if pretrained and recipe.start_from is not None:
        _start_from(network, Path(recipe.start_from))
    return network


def _load_pretrained(backbone: AbstractBackbone, recipe: Recipe) -> None:
    """Load pretrained weights, but for the tensors that the recipe leaves out.

    Raises:
        CheckpointError: if the weights are missing or do not fit.
        RecipeError: if a tensor is to be left out that the backbone has not.
    """
    fresh = {name: tensor.clone() for name, tensor in backbone.state_dict().items() if name in recipe.weights_left_out}
    unknown = sorted(set(recipe.weights_left_out) - fresh.keys())
    if unknown:
        raise RecipeError(
            f"Recipe key 'weights_left_out' names {', '.join(unknown)}, which backbone '{recipe.backbone}' has not. "
            + nearest(unknown[0], list(backbone.state_dict()))
        )
    load_weights(backbone, recipe.weights or "")
    backbone.load_state_dict(fresh, strict=False)


def _start_from(network: AbstractMethod, folder: Path) -> None:
    """Take over the network of a run folder, or of a file in one, which must be of the same shape.

    Raises:
        CheckpointError: if there is none, or it does not fit.
    """
    tensors, _ = load_tensors(folder if folder.is_file() else folder / MODEL)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise CheckpointError(
            f"{folder} holds another network than this recipe's ({first}). "
            "Start from a run of the same method, backbone, options and classes."
        ) from error
