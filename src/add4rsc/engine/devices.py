"""Fine-tuning for each stethoscope, from the network that all of them have taught.

Gairola et al. 2021 (RespireNet, arXiv:2011.00196; METHODS A2): a network a stethoscope judges the cycles of that
stethoscope; those of others, and of unknown ones, stay with the shared network.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from lightning_fabric import Fabric
from numpy import ndarray
from torch import nn

from add4rsc.engine.checkpoint import TrainingState, load_tensors, save_tensors
from add4rsc.engine.choice import chosen_epoch, chosen_file
from add4rsc.engine.decision import OFFSET, add_offset
from add4rsc.engine.features import FeatureStore, cache_folder, prepare_windows
from add4rsc.engine.fit import FitSettings, fit
from add4rsc.engine.loading import TrainedRun, load_run
from add4rsc.engine.model import MODEL
from add4rsc.engine.predict import known_groups, predict_probabilities
from add4rsc.engine.preparation import prepare_data
from add4rsc.engine.progress import console
from add4rsc.engine.subsets import LabelledFeatures, TrainingData
from add4rsc.protocol.selection import Selection
from add4rsc.protocol.split import Split
from add4rsc.recipe import Recipe
from add4rsc.storage import write_text
from add4rsc.terms import RespiratoryCycle, Subset

FOLDERS = "device-*"


@dataclass(frozen=True)
class SharedTraining:
    """The shared training that has come to its end, and by which rule its weights were chosen."""

    recipe: Recipe
    split: Split
    seed: int
    folder: Path
    """Of the run."""
    rule: Selection
    n_workers: int = 0
    show_progress: bool = False

    @property
    def stethoscopes(self) -> list[str]:
        """Those with training cycles."""
        return sorted({cycle.recording.stethoscope for cycle in self.split.train} - {""})

    def of(self, name: str) -> Split:
        """The cycles of one stethoscope; of validation and test there may be none."""
        sides = (
            tuple(cycle for cycle in cycles if cycle.recording.stethoscope == name)
            for cycles in (self.split.train, self.split.validation, self.split.test)
        )
        train, validation, test = sides
        return replace(self.split, train=train, validation=validation, test=test)

    def folder_of(self, name: str) -> Path:
        """`device-NAME` in the run folder; for a further rule of selection a folder of the rule's in there."""
        folder = self.folder / FOLDERS.replace("*", re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-"))
        return folder if self.rule is self.recipe.selection else folder / self.rule.value


@dataclass(frozen=True)
class DeviceNetwork:
    """What a stethoscope's cycles have made of the shared network."""

    stethoscope: str
    network: nn.Module
    test: FeatureStore
    validation: FeatureStore
    """Features of this stethoscope's cycles, in the order of the whole subset."""


def fine_tune_devices(fabric: Fabric, shared: SharedTraining) -> list[DeviceNetwork]:
    """Go on from the shared network for every stethoscope with training cycles; none where the recipe asks for none.

    Each has a checkpoint of its own, from which a stopped run goes on. The epoch is chosen by the same rule as the
    shared one's, where the rule finds normal and abnormal cycles of the stethoscope to look at; else the last counts.

    Raises:
        DivergedError, StorageError, AudioError, AnnotationError: as their messages say.
    """
    if shared.recipe.device_fine_tuning is None:
        return []
    return [_fine_tune(fabric, shared, name) for name in shared.stethoscopes]


def _fine_tune(fabric: Fabric, shared: SharedTraining, name: str) -> DeviceNetwork:
    split, folder = shared.of(name), shared.folder_of(name)
    is_shown = shared.show_progress and fabric.is_global_zero
    if is_shown:
        console.print(f"{name}: {len(split.train)} training cycles")
    with fabric.rank_zero_first():
        data = prepare_data(shared.recipe, split, shown=False)
    recipe = _recipe_of(shared, name, data)
    settings = FitSettings(folder / "checkpoint", shared.n_workers, shared.show_progress)
    state = fit(fabric, recipe, data, shared.seed, settings)
    tensors, _ = load_tensors(settings.folder / chosen_file(recipe.selection))
    state.evaluated.load_state_dict(tensors)
    if fabric.is_global_zero:
        _save(folder, recipe, state, data.classes)
    fabric.barrier()
    return DeviceNetwork(name, state.evaluated, data.test.store, data.validation.store)


def _recipe_of(shared: SharedTraining, name: str, data: TrainingData) -> Recipe:
    """The shared recipe, from the shared weights, with the epochs and the rate of the fine-tuning."""
    settings = shared.recipe.device_fine_tuning
    if settings is None:
        return shared.recipe
    looked_at = {Selection.VALIDATION: data.validation, Selection.TEST: data.test}
    has_score = shared.rule not in looked_at or _has_both(looked_at[shared.rule])
    changes = {
        "start_from": str(shared.folder / "checkpoint" / chosen_file(shared.rule)),
        "stethoscopes": (name,),
        "epochs": settings.epochs,
        "optimiser": shared.recipe.optimiser.model_copy(update={"learning_rate": settings.learning_rate}),
        "selection": shared.rule if has_score else Selection.LAST,
        "also_select": (),
        "device_fine_tuning": None,
    }
    return shared.recipe.model_copy(update=changes)


def _has_both(subset: LabelledFeatures) -> bool:
    """Whether there are normal and abnormal cycles."""
    return len(np.unique(subset.labels == 0)) == 2


def _save(folder: Path, recipe: Recipe, state: TrainingState, classes: Sequence[str]) -> None:
    epoch = chosen_epoch(state.history, recipe.selection, recipe) + 1
    kept = recipe.model_copy(update={"start_from": None})  # where the shared weights lie is nobody else's business
    metadata = {"recipe": kept.model_dump_json(), "classes": ",".join(classes), "epoch": str(epoch)}
    save_tensors(folder / MODEL, state.evaluated.state_dict(), metadata)
    write_text(folder / "history.csv", pd.DataFrame(state.history).to_csv(index=False))


def predict_by_devices(
    fabric: Fabric,
    devices: Sequence[DeviceNetwork],
    shared: Float[ndarray, "cycle class"],
    cycles: Sequence[RespiratoryCycle],
    subset: Subset,
    hidden: Collection[str] = (),
) -> Float[ndarray, "cycle class"]:
    """Class probabilities of a subset: of each stethoscope by its own network, where it has one.

    Args:
        fabric: of the run.
        devices: the networks.
        shared: what the shared network says.
        cycles: of the subset.
        subset: validation or test.
        hidden: groups of `terms.GROUPS` that the networks are not told.
    """
    probabilities = shared.copy()
    for device in devices:
        members = _members(cycles, device.stethoscope)
        store = device.test if subset is Subset.TEST else device.validation
        if members:
            groups = known_groups([cycles[index] for index in members], hidden)
            probabilities[members] = predict_probabilities(fabric, device.network, store, groups=groups)
    return probabilities


def _members(cycles: Sequence[RespiratoryCycle], stethoscope: str) -> list[int]:
    return [index for index, cycle in enumerate(cycles) if cycle.recording.stethoscope == stethoscope]


def load_devices(run: TrainedRun) -> dict[str, TrainedRun]:
    """The networks of a run that was fine-tuned for each stethoscope, by the stethoscopes' names; empty for others.

    Raises:
        CheckpointError: if one is damaged.
    """
    if run.recipe.device_fine_tuning is None:
        return {}
    offset = float(load_tensors(run.folder / MODEL)[1].get(OFFSET, 0.0))
    found = [load_run(path.parent) for path in sorted(run.folder.glob(f"{FOLDERS}/{MODEL}"))]
    for each in found:
        add_offset(each.network, offset)
    return {each.recipe.stethoscopes[0]: each for each in found}


def predict_with_devices(
    fabric: Fabric,
    run: TrainedRun,
    shared: Float[ndarray, "cycle class"],
    cycles: Sequence[RespiratoryCycle],
    hidden: Collection[str] = (),
) -> Float[ndarray, "cycle class"]:
    """Like `predict_by_devices`, with the networks that a run folder holds."""
    devices = []
    for name, own in load_devices(run).items():
        members = [cycles[index] for index in _members(cycles, name)]
        store = prepare_windows(members, run.recipe.crop, run.front_end, cache_folder())
        devices.append(DeviceNetwork(name, own.network, store, store))
    return predict_by_devices(fabric, devices, shared, cycles, Subset.TEST, hidden)
