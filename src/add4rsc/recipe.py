"""The recipe: everything that decides a training run, as one frozen value."""

import difflib
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from add4rsc.audio.crop import Crop
from add4rsc.audio.frontend import FrontEnd
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.errors import RecipeError
from add4rsc.protocol.selection import Selection
from add4rsc.terms import Settings


class Optimiser(Settings):
    """The optimiser and its step."""

    name: Literal["adam", "adamw", "sgd"] = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled for `adamw`, an L2 term for the others; biases and normalisation weights are left out of it."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """For `sgd` alone."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Largest norm of the whole gradient; None leaves it as it is."""


class Schedule(Settings):
    """The learning rate over the steps, as a share of the optimiser's."""

    shape: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: float = Field(default=0.0, ge=0)
    """Linear rise from 0."""
    final_share: float = Field(default=1e-3, ge=0, le=1)
    """Where the cosine ends."""
    per_epoch: bool = False
    """Change only between epochs, as the Patch-Mix code base does: cos(pi e / E) for epoch e = 1..E."""


class Averaging(Settings):
    """Averages of the weights."""

    kind: Literal["none", "ema", "half-step"] = "none"
    """`ema` evaluates a moving average of the weights; `half-step` puts (1 - decay) of every step into the weights
    themselves, as the Patch-Mix code base's "moving average" does, which halves each step at decay 0.5."""
    decay: float = Field(default=0.999, ge=0, lt=1)


class Reported(Settings):
    """What the paper printed, as fractions."""

    specificity: float
    sensitivity: float
    score: float


class Recipe(Settings):
    """Everything that decides a training run. Written beside every run; can be passed back with `--config`."""

    name: str
    method: str
    backbone: str
    weights: str | None = None
    """Pretrained weights by name (`add4rsc weights list`) or path; None starts from random ones."""
    backbone_options: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    """The method's own settings."""
    dataset: str | None = None
    """None recognises the corpus from the folder."""
    task: str | None = None
    """None is the corpus' first task."""
    split: str | None = None
    """None is the corpus' first split."""
    crop: Crop = Crop()
    front_end: FrontEnd | None = None
    """None is what the backbone was made for."""
    augmentation: SpectrogramAugmentation = SpectrogramAugmentation()
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    averaging: Averaging = Averaging()
    epochs: int = Field(default=50, gt=0)
    batch_size: int = Field(default=32, gt=0)
    drop_last: bool = False
    """Leave out a last, smaller batch of an epoch."""
    class_weights: Literal["none", "inverse", "square-root"] = "none"
    """Weight of a cycle's loss by its class' frequency f: 1/f or 1/sqrt(f), with mean 1 over the training cycles."""
    sampler: Literal["shuffled", "balanced"] = "shuffled"
    """`balanced` draws with replacement so that every class is as frequent."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    validation_share: float = Field(default=0.2, ge=0, lt=1)
    validation_seed: int = 0
    selection: Selection = Selection.VALIDATION
    paper: str = ""
    """Key of the publication (`add4rsc cite`)."""
    paper_selection: Selection | None = None
    """How the paper chose its epoch, where that is known."""
    reported: Reported | None = None
    deviations: tuple[str, ...] = ()
    """Where the recipe departs from the publication, or fills what it does not say."""


def change_recipe(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    """The same recipe with some keys changed; `changes` is nested like the recipe, or has dotted keys.

    Raises:
        RecipeError: for a key that does not exist, with the nearest one, or a value that it cannot hold.
    """
    values = recipe.model_dump()
    for key, value in changes.items():
        _place(values, key.split("."), value)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(_explain(error.errors()[0], values)) from error


def _place(values: dict[str, Any], path: list[str], value: Any) -> None:
    """Set a nested value; a mapping is merged into what is there."""
    head, *rest = path
    if rest:
        if not isinstance(values.get(head), dict):
            values[head] = {}
        _place(values[head], rest, value)
    elif isinstance(value, dict) and isinstance(values.get(head), dict) and head not in FREE_KEYS:
        for key, inner in value.items():
            _place(values[head], [key], inner)
    else:
        values[head] = value


FREE_KEYS = frozenset({"options", "backbone_options"})
"""Keys whose content another part checks; given whole, they replace what was there."""


def _explain(error: ErrorDetails, values: dict[str, Any]) -> str:
    """The first thing that is wrong, in words, with the nearest known key."""
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        return f"Recipe key '{key}' cannot be {error['input']!r}: {error['msg']}. Change it with --set {key}=VALUE."
    *path, last = (str(part) for part in error["loc"])
    for part in path:
        values = values[part]
    known = [name for name in values if name != last] if path else list(Recipe.model_fields)
    return f"There is no recipe key '{key}'. {nearest(last, known)}"


def nearest(name: str, known: list[str]) -> str:
    """A hint for a mistyped name."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(sorted(known))}."
