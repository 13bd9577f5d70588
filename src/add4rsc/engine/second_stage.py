"""The second stage of a method of two: its head learns on the features that the chosen parts have stored."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from lightning_fabric import Fabric
from torch import Generator, Tensor, nn

from add4rsc.engine.batches import NO_AUGMENTATION, CycleFeatures
from add4rsc.engine.checkpoint import History, TrainingState, load_tensors
from add4rsc.engine.choice import chosen_epoch, chosen_file
from add4rsc.engine.features import FeatureStore
from add4rsc.engine.fit import FitSettings, fit
from add4rsc.engine.folder import SECOND_STAGE
from add4rsc.engine.predict import compute_rows
from add4rsc.engine.progress import console
from add4rsc.engine.subsets import LabelledFeatures, TrainingData
from add4rsc.methods._base import AbstractHead, AbstractTwoStageMethod, Batch, Losses
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import Averaging, HeadTraining, Recipe
from add4rsc.storage import write_atomically


class StoredFeaturesHead(nn.Module):
    """A head as `fit` trains networks; in place of log-mel frames it is given stored features."""

    def __init__(self, head: AbstractHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, log_mel: Float[Tensor, "batch part feature"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""
        return self.head(log_mel)

    def losses(self, batch: Batch, _: Generator) -> Losses:
        """The head's own."""
        return self.head.losses(batch.log_mel, batch.labels)


@dataclass(frozen=True)
class Course:
    """The epochs of a run as one rule of selection sees them, and those that count."""

    history: History
    epoch: int
    """Counted from 1, over both stages."""
    epochs_of_parts: dict[str, int]
    """Of a method of two stages, the epoch of the first that was chosen for every part."""


def finish_stages(
    fabric: Fabric, recipe: Recipe, data: TrainingData, seed: int, settings: FitSettings, state: TrainingState
) -> Course:
    """Take over the weights that the recipe's rule of selection chose; in a method of two stages, train the head too.

    The second stage has a folder of its own beside the checkpoint, from which a stopped run goes on.

    Args:
        fabric: of the run.
        recipe: with the rule that is to be followed as its `selection`.
        data: on which the first stage has learnt.
        seed: of the run.
        settings: of the first stage.
        state: where the first stage has come to; its network has the chosen weights afterwards.

    Raises:
        DivergedError, StorageError, CheckpointError: as their messages say.
    """
    network, rule, first = state.evaluated, recipe.selection, state.history
    network.load_state_dict(load_tensors(settings.folder / chosen_file(rule))[0])
    if not isinstance(network, AbstractTwoStageMethod):
        return Course(first, chosen_epoch(first, rule, recipe) + 1, {})
    second = _train_head(fabric, network, recipe, data, seed, settings)
    epoch = len(first) + chosen_epoch(second, rule, recipe) + 1
    parts = {part: chosen_epoch(first, rule, recipe, part) + 1 for part in network.parts()}
    return Course(_one_after_the_other(first, second), epoch, parts)


def _one_after_the_other(first: History, second: History) -> History:
    """The epochs of both stages, counted through."""
    rows = [{"stage": 1.0, **row} for row in first]
    return rows + [{"stage": 2.0, **row, "epoch": len(first) + row["epoch"]} for row in second]


def _train_head(
    fabric: Fabric,
    network: AbstractTwoStageMethod,
    recipe: Recipe,
    data: TrainingData,
    seed: int,
    settings: FitSettings,
) -> History:
    """Store the features, train the head on them, and give the network the head that was chosen."""
    folder = settings.folder.parent / SECOND_STAGE.replace("*", recipe.selection.value)
    if settings.show_progress and fabric.is_global_zero:
        console.print(f"second stage: features of {len(data.train.labels)} training cycles")
    looks = _Looks(fabric, network, seed, folder, settings.n_workers)
    stored = _store_all(looks, recipe, data)
    own = _recipe_of_head(recipe, network.head_training())
    own_settings = replace(settings, folder=folder / "checkpoint")
    head = copy.deepcopy(network.head()).requires_grad_()
    state = fit(fabric, own, stored, seed, own_settings, lambda: StoredFeaturesHead(head))
    state.module.load_state_dict(load_tensors(own_settings.folder / chosen_file(own.selection))[0])
    network.head().load_state_dict(head.state_dict())
    return state.history


def _recipe_of_head(recipe: Recipe, training: HeadTraining) -> Recipe:
    """How `fit` is to train the head: the recipe, without what was done to cycles and with the head's own settings."""
    changes = {
        "epochs": training.epochs,
        "batch_size": training.batch_size,
        "optimiser": training.optimiser,
        "schedule": training.schedule,
        "augmentation": NO_AUGMENTATION,
        "averaging": Averaging(),
        "views": 1,
        "also_select": (),
    }
    return recipe.model_copy(update=changes)


@dataclass(frozen=True)
class _Looks:
    """Who looks at cycles, and where what is seen goes."""

    fabric: Fabric
    network: AbstractTwoStageMethod
    seed: int
    folder: Path
    n_workers: int

    def store(self, name: str, subset: LabelledFeatures, cycles: CycleFeatures) -> LabelledFeatures:
        """Write what the parts find in every cycle of a subset; the same subset, with that in place of its frames."""

        def features(log_mel: Tensor, _: Tensor) -> Tensor:
            return self.network.features(log_mel)

        found = compute_rows(self.fabric, self.network, features, cycles, n_workers=self.n_workers)
        path = self.folder / f"{name}.npy"
        if self.fabric.is_global_zero:
            write_atomically(path, lambda file: np.save(file, found))
        self.fabric.barrier()
        rows = FeatureStore((path,) * len(found), tuple(range(len(found))), windows=subset.store.windows)
        return replace(subset, store=rows)


def _store_all(looks: _Looks, recipe: Recipe, data: TrainingData) -> TrainingData:
    """Stored features of all cycles that the head learns from or is chosen on; of the test's only if those are."""
    subsets = {"train": data.train, "validation": data.validation, "test": data.test}
    if recipe.selection is not Selection.TEST:
        subsets["test"] = LabelledFeatures(FeatureStore((), ()), data.test.labels[:0])
    stored = {}
    for name, subset in subsets.items():
        cycles = CycleFeatures(replace(subset.store, copies=()), NO_AUGMENTATION, looks.seed)
        if name == "train" and looks.network.head_training().augmented:
            cycles = CycleFeatures(subset.store, recipe.augmentation, looks.seed, data.scene)
            cycles.epoch = recipe.epochs  # draws that no epoch of the first stage has had
        stored[name] = looks.store(name, subset, cycles)
    return TrainingData(data.classes, **stored)
