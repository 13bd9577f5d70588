"""The recipe that methods have in common which are tried on two CPU cores."""

from typing import Any

from add4rsc.audio.crop import Crop
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.backbones import backbones
from add4rsc.recipe import Optimiser, Recipe, Schedule

MN04: dict[str, Any] = {
    "backbone": "mn04",
    "weights": "mn04/audioset",
    "crop": Crop(duration=3.0),
    "augmentation": SpectrogramAugmentation(
        n_time_masks=1, max_time_mask=40, n_mel_masks=1, max_mel_mask=16, time_shift=0.5, level_shift=0.2
    ),
    "optimiser": Optimiser(name="adamw", learning_rate=6e-4, weight_decay=1e-3),
    "schedule": Schedule(warmup_epochs=0.5),
    "epochs": 8,
    "batch_size": 32,
    "class_weights": "square-root",
}
"""EfficientAT's mn04 from AudioSet weights on 3 s of each cycle: `fine_tuning/mn04`."""


def small(recipe: Recipe) -> Recipe:
    """A recipe of `fine_tuning/mn04`'s kind with cycles of 2 s and 4 epochs."""
    changes = {"name": f"{recipe.name}-small", "crop": Crop(duration=2.0), "epochs": 4, "drop_last": True}
    return recipe.model_copy(update=changes)


def mn04_recipe(name: str, method: str, **changes: Any) -> Recipe:
    """That recipe with another method.

    Args:
        name: of the new recipe.
        method: a registered method.
        changes: other keys of the recipe.
    """
    return Recipe(name=name, method=method, **(MN04 | changes))


AST_SMALL: dict[str, Any] = {
    "backbone": "ast",
    "weights": "ast/small-m2d",
    "backbone_options": {
        "stride": [16, 16],
        "dim": 192,
        "n_layers": 4,
        "n_heads": 3,
        "n_mels": 64,
        "n_frames": 124,
        "pooling": "patches",
    },
    "front_end": backbones.get("small_cnn").front_end(),
    "crop": Crop(duration=2.0),
    "augmentation": SpectrogramAugmentation(
        n_time_masks=1, max_time_mask=12, n_mel_masks=1, max_mel_mask=8, time_shift=0.5, level_shift=0.2
    ),
    "optimiser": Optimiser(name="adamw", learning_rate=5e-4, weight_decay=1e-2),
    "schedule": Schedule(warmup_epochs=0.5),
    "epochs": 6,
    "batch_size": 32,
    "drop_last": True,
    "class_weights": "square-root",
    "precision": "bf16-mixed",
}
"""A transformer of 4 blocks and 192 dimensions that comes with the package, on 2 s of each cycle and 64 bands
below 4 kHz; in bfloat16, which halves the time where the processor has it."""

SMALL_TRANSFORMER = (
    "a transformer of 4 blocks and 192 dimensions, pretrained on respiratory sounds alone, in place of the published "
    "network, with the recipe of fine_tuning/ast-small: 2 s, few epochs, weighted loss"
)
"""The deviation that all small recipes of transformers share."""


def ast_recipe(name: str, method: str, **changes: Any) -> Recipe:
    """A recipe of the small transformer with another method.

    Args:
        name: of the new recipe.
        method: a registered method.
        changes: other keys of the recipe.
    """
    return Recipe(name=name, method=method, **(AST_SMALL | changes))
