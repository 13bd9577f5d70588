"""Every recipe under torchrun with two processes, against one process with the same batches; in double precision.

Normalisation over the few cycles here multiplies the rounding of single precision by a million within four steps, so
that a fault would hide in it. Choose recipes with `-k`: both trainings are of the chosen ones alone.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from add4rsc.backbones import backbones
from add4rsc.engine import run
from add4rsc.engine.features import FeatureStore
from add4rsc.engine.preparation import prepare_data
from add4rsc.engine.run import RunSettings, train
from add4rsc.engine.subsets import TrainingData
from add4rsc.methods import methods, recipes
from add4rsc.protocol.split import Split
from add4rsc.recipe import Recipe, change_recipe

LOSS = "validation_loss"
"""After every epoch, on all validation cycles. Decisions may differ where two classes are as likely."""
N_EPOCHS = 2

SMALL = {
    "epochs": N_EPOCHS,
    "steps_per_epoch": 2,
    "batch_size": 8,
    "crop.duration": 1.0,
    "crop.windows": None,
    "precision": "32-true",
    "weights": None,
    "weights_left_out": (),
    "dataset": None,
    "split": None,
    "validation_share": 0.5,
    "selection": "last",
    "also_select": (),
    "device_fine_tuning": None,
    "spectrum_correction": None,
    "optimiser.name": "sgd",
    "optimiser.learning_rate": 1e-2,
    "optimiser.clip_norm": 10.0,  # a random ResNet-50 behind a norm has gradients of 1e7, which multiply any rounding
    "schedule.warmup_epochs": 0.0,
}
FEWER = {
    "input_size": [128, 256],
    "tokenizer": None,
    "generator_steps": 2,
    "predictor_dim": 16,
    "predictor_layers": 1,
    "predictor_heads": 2,
    "generator_layers": 2,
    "generator_width": 8,
    "fill_to": 10,
    "sampling_steps": 3,
    "fusion": {"epochs": N_EPOCHS, "optimiser": {"name": "sgd", "learning_rate": 1e-2}},
}
"""Options that save time; those that a method or its recipe has not are left out."""

SINGLE = torch.Tensor.float


def small_form(name: str) -> Recipe:
    """The recipe on the smallest form of its backbone."""
    recipe = recipes.get(name)()
    known = methods.get(recipe.method).Options.model_fields
    fewer = {key: value for key, value in FEWER.items() if key in known}
    if recipe.options.get("input_size") is None:
        fewer.pop("input_size", None)
    options = recipe.options | fewer
    kind = backbones.get(recipe.backbone)
    backbone_options = recipe.backbone_options | dict(kind.tiny)
    changes = SMALL | {"options": options, "backbone_options": backbone_options}
    if "text_options" in backbone_options:
        no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        changes["backbone_options"]["text_options"] = backbone_options["text_options"] | no_dropout
    if options.get("stage") == "pretraining":
        changes["crop.duration"] = 0.6  # no longer than what the smallest form encodes at once
    return change_recipe(recipe, changes)


def train_all(corpus: Path, folder: Path, names: list[str]) -> None:
    """Train each in its own folder; what torchrun's processes and the single one do."""
    for name in names:
        settings = RunSettings(corpus, folder / name.replace("/", "-"), accelerator="cpu", show_progress=False)
        train(small_form(name), (1,), settings)


def start(launcher: list[str], corpus: Path, folder: Path, names: list[str], home: Path) -> None:
    """Run this file, which trains them all."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ADD4RSC_HOME": str(home)}
    command = [sys.executable, *launcher, __file__, str(corpus), str(folder), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def trained(request, made_corpus, shared_home, tmp_path_factory) -> Path:
    """Folders `one` and `two` with a run of every recipe whose test was chosen."""
    folder = tmp_path_factory.mktemp("processes")
    own = [item for item in request.session.items if item.path == request.path]
    names = [item.callspec.params["name"] for item in own]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    start(torchrun, made_corpus, folder / "two", names, shared_home)
    start([], made_corpus, folder / "one", names, shared_home)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", recipes.names())
def test_two_processes_under_torchrun_give_what_one_gives(trained, name):
    one, two = (pd.read_csv(trained / each / name.replace("/", "-") / "history.csv") for each in ("one", "two"))
    assert len(one) == len(two) >= N_EPOCHS
    assert (one[LOSS] - two[LOSS]).abs().max() < 1e-5


def set_precision(dtype: torch.dtype, widen: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Of new numbers, and of those that are widened from half precision on the way."""
    torch.set_default_dtype(dtype)
    torch.Tensor.float = widen


def prepare_in_single_precision(recipe: Recipe, split: Split, *, shown: bool) -> TrainingData:
    """Features as always."""
    set_precision(torch.float32, SINGLE)
    data = prepare_data(recipe, split, shown=shown)
    set_precision(torch.float64, torch.Tensor.double)
    return data


def pass_through(features: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
    """In place of dropout, which draws otherwise in every process."""
    return features


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.nn.functional.dropout = pass_through
    run.prepare_data = prepare_in_single_precision
    set_precision(torch.float64, torch.Tensor.double)
    read = FeatureStore.features
    FeatureStore.features = lambda store, index: read(store, index).astype(np.float64)
    train_all(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
