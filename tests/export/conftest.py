"""Run folders with fresh networks: what is exported need not have learnt anything."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from add4rsc.backbones.weights import load_weights
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.checkpoint import save_tensors
from add4rsc.engine.model import build_method
from add4rsc.engine.run import resolve_recipe
from add4rsc.methods import recipes
from add4rsc.recipe import change_recipe

CLASSES = ("normal", "crackle", "wheeze", "both")


@pytest.fixture(scope="session")
def run_folder(made_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A run folder of a recipe with the made corpus, its network as it was before training."""

    def make(
        name: str = "fine_tuning/small_cnn",
        weights: Path | None = None,
        folder: Path | None = None,
        seed: int = 0,
        **changes: Any,
    ) -> Path:
        short = {"crop.duration": 1.0, "validation_share": 0.5} | changes
        recipe = resolve_recipe(change_recipe(recipes.get(name)(), short), open_dataset(made_corpus))
        folder = folder or tmp_path_factory.mktemp("run")
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(seed)
        network = build_method(recipe, 4, pretrained=False)
        if weights is not None:
            load_weights(network.backbone, weights)
        metadata = {"recipe": recipe.model_dump_json(), "classes": ",".join(CLASSES)}
        save_tensors(folder / "model.safetensors", network.state_dict(), metadata)
        scores = {"score": 0.625, "intervals": {"score": [0.5, 0.75]}, "n_cycles": 12}
        (folder / "summary.json").write_text(json.dumps(scores))
        (folder / "run.json").write_text(json.dumps({"seed": 7, "epoch": 3, "commit": "abc"}))
        return folder

    return make
