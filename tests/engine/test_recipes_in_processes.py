"""Every recipe under torchrun with two processes, against one process with the same batches."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from add4rsc.backbones import backbones
from add4rsc.engine.run import RunSettings, train
from add4rsc.methods import methods, recipes
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
}
"""Options that save time; those that a method or its recipe has not are left out."""


SENSITIVE = {"resnet50", "group_cnn", "resnet_nl"}
"""Backbones whose many layers of normalisation over few cycles multiply rounding errors by every step."""


def small_form(name: str) -> Recipe:
    """The recipe on the smallest form of its backbone, without dropout, which draws otherwise in every process."""
    recipe = recipes.get(name)()
    known = methods.get(recipe.method).Options.model_fields
    fewer = {key: value for key, value in FEWER.items() if key in known}
    if recipe.options.get("input_size") is None:
        fewer.pop("input_size", None)
    options = recipe.options | fewer
    options |= {"dropout": 0.0} if "dropout" in known else {}
    kind = backbones.get(recipe.backbone)
    backbone_options = recipe.backbone_options | dict(kind.tiny)
    backbone_options |= {"dropout": 0.0} if "dropout" in inspect.signature(kind).parameters else {}
    changes = SMALL | {"options": options, "backbone_options": backbone_options}
    if "text_options" in backbone_options:
        no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        changes["backbone_options"]["text_options"] = backbone_options["text_options"] | no_dropout
    if recipe.backbone in SENSITIVE:
        changes["optimiser.learning_rate"] = 1e-4
    if options.get("stage") == "pretraining":
        changes["crop.duration"] = 0.6  # no longer than what the smallest form encodes at once
    return change_recipe(recipe, changes)


def train_all(corpus: Path, folder: Path, names: list[str]) -> None:
    """Train each in its own folder; what torchrun's processes and the single one do."""
    for name in names:
        settings = RunSettings(corpus, folder / name.replace("/", "-"), accelerator="cpu", show_progress=False)
        train(small_form(name), (1,), settings)


@pytest.mark.slow
def test_two_processes_under_torchrun_give_what_one_gives(made_corpus, feature_cache, tmp_path):
    names = recipes.names()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ADD4RSC_HOME": str(feature_cache)}
    done = subprocess.run(
        [*command, str(made_corpus), str(tmp_path / "two"), *names],
        capture_output=True,
        text=True,
        timeout=1800,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    train_all(made_corpus, tmp_path / "one", names)
    differing = {}
    for name in names:
        histories = [pd.read_csv(tmp_path / each / name.replace("/", "-") / "history.csv") for each in ("one", "two")]
        assert len(histories[0]) == N_EPOCHS
        difference = float((histories[0][LOSS] - histories[1][LOSS]).abs().max())
        if difference > (1e-2 if recipes.get(name)().backbone in SENSITIVE else 1e-4):
            differing[name] = difference
    assert not differing


if __name__ == "__main__":
    torch.set_num_threads(1)
    train_all(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
