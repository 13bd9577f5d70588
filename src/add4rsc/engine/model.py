"""Recipe -> network: front-end settings, backbone with its weights, method."""

from add4rsc.audio.frontend import FrontEnd
from add4rsc.backbones import backbones
from add4rsc.backbones.weights import load_weights
from add4rsc.errors import RecipeError
from add4rsc.methods import methods
from add4rsc.methods._base import AbstractMethod, read_options
from add4rsc.recipe import Recipe


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
    if pretrained and recipe.weights is not None:
        load_weights(backbone, recipe.weights)
    return method.create(backbone, resolve_front_end(recipe).n_mels, n_classes, options)
