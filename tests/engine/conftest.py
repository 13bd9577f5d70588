"""Small runs on made recordings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from add4rsc.engine.run import RunSettings, train
from add4rsc.methods import recipes
from add4rsc.recipe import Recipe, change_recipe

SMALL = {
    "epochs": 3,
    "batch_size": 8,
    "crop.duration": 1.0,
    "validation_share": 0.5,
    "options.dropout": 0.3,
    "averaging": {"kind": "ema", "decay": 0.7},
}


class Unmoved(nn.Module):
    """A network that gives every cycle the same logits."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(log_mel), -1)


@pytest.fixture(scope="session")
def unmoved() -> type[Unmoved]:
    """Makes a network of logits that gives them to every cycle."""
    return Unmoved


@pytest.fixture
def small_recipe() -> Callable[..., Recipe]:
    """A recipe of three short epochs, with dropout, augmentation and a moving average of the weights."""

    def make(name: str = "fine_tuning/small_cnn", **changes: Any) -> Recipe:
        return change_recipe(recipes.get(name)(), SMALL | {key.replace("__", "."): changes[key] for key in changes})

    return make


@pytest.fixture
def run(made_corpus: Path, feature_cache: Path) -> Callable[..., dict[str, Any]]:
    """Train in a folder; further arguments are of `RunSettings`."""

    def start(recipe: Recipe, folder: Path, seeds: tuple[int, ...] = (1,), **settings: Any) -> dict[str, Any]:
        settings = {"accelerator": "cpu", "show_progress": False} | settings
        return train(recipe, seeds, RunSettings(made_corpus, folder, **settings))

    return start
