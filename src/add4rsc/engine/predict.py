"""Network and cycles -> predictions."""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from lightning_fabric import Fabric
from numpy import ndarray
from torch import Tensor, nn

from add4rsc.audio.windows import vote
from add4rsc.engine.batches import NO_AUGMENTATION, CycleFeatures, load_batches
from add4rsc.engine.features import FeatureStore
from add4rsc.methods._base import AbstractInformedMethod, AbstractTwoStageMethod
from add4rsc.predictions import Predictions
from add4rsc.protocol.groups import group_codes
from add4rsc.terms import RespiratoryCycle, Task

OF_PATIENTS = ("age", "sex", "diagnosis")


Groups = Mapping[str, Int[torch.Tensor, " cycle"]]
"""Codes of what is known of each cycle's recording, by the names of `terms.GROUPS`."""


def known_groups(
    cycles: Sequence[RespiratoryCycle], hidden: Collection[str] = ()
) -> dict[str, Int[torch.Tensor, " cycle"]]:
    """Codes of what is known of each cycle's recording, those of `hidden` left out."""
    return {name: torch.from_numpy(codes) for name, codes in group_codes(cycles).items() if name not in hidden}


def predict_probabilities(
    fabric: Fabric,
    model: nn.Module,
    store: FeatureStore,
    *,
    groups: Groups | None = None,
    batch_size: int = 64,
    n_workers: int = 0,
) -> Float[ndarray, "cycle class"]:
    """Class probabilities of every cycle, computed by all processes, each cycle once; the same array in all of them.

    Of a cycle with several windows, those vote.

    Args:
        fabric: of the run.
        model: the network.
        store: features of the cycles, or of their windows.
        groups: what is known of the cycles, for a network that asks for it; None for nothing.
        batch_size: cycles, or windows, in one pass.
        n_workers: further processes that load batches.
    """
    told = _of_rows(groups, store) if groups and isinstance(model, AbstractInformedMethod) else None

    def logits(log_mel: Tensor, indices: Tensor) -> Tensor:
        return model(log_mel) if told is None else model(log_mel, _at(indices, told, fabric))

    cycles = CycleFeatures(store, NO_AUGMENTATION, seed=0)
    found = compute_rows(fabric, model, logits, cycles, batch_size=batch_size, n_workers=n_workers)
    probabilities = softmax(found)
    return probabilities if store.windows is None else vote(probabilities, *store.windows)


def part_probabilities(
    fabric: Fabric, model: AbstractTwoStageMethod, store: FeatureStore, *, n_workers: int = 0
) -> Float[ndarray, "part cycle class"]:
    """What every part of a network says by itself, as `predict_probabilities` has it of the whole."""

    def logits(log_mel: Tensor, _: Tensor) -> Tensor:
        return model.part_logits(log_mel)

    found = compute_rows(fabric, model, logits, CycleFeatures(store, NO_AUGMENTATION, seed=0), n_workers=n_workers)
    of_parts = [softmax(found[:, part]) for part in range(found.shape[1])]
    return np.stack([each if store.windows is None else vote(each, *store.windows) for each in of_parts])


def softmax(logits: Float[ndarray, "row class"]) -> Float[ndarray, "row class"]:
    """Probabilities of logits, in double precision."""
    return torch.from_numpy(logits).double().softmax(dim=-1).numpy()


def compute_rows(
    fabric: Fabric,
    model: nn.Module,
    compute: Callable[[Tensor, Tensor], Tensor],
    cycles: CycleFeatures,
    *,
    batch_size: int = 64,
    n_workers: int = 0,
) -> Float[ndarray, "row ..."]:
    """What a network finds in every row of a store, computed by all processes, each row once; the same in all of them.

    Args:
        fabric: of the run.
        model: the network; in evaluation mode meanwhile, and without gradients.
        compute: from log-mel frames and the indices of their rows to what is found, in single precision or wider.
        cycles: the rows, with or without augmentation.
        batch_size: rows in one pass.
        n_workers: further processes that load batches.
    """
    mine = list(range(fabric.global_rank, len(cycles), fabric.world_size))
    batches = [mine[first : first + batch_size] for first in range(0, len(mine), batch_size)]
    was_training = model.training
    model.eval()
    indices, values = [], []
    with torch.inference_mode():
        for rows, features in load_batches(cycles, batches, n_workers):
            with fabric.autocast():
                found = compute(fabric.to_device(features["log_mel"]), rows)
            indices.append(rows.numpy())
            values.append(found.float().cpu().numpy())
    model.train(was_training)
    return _gather(fabric, indices, values)


def _of_rows(groups: Groups, store: FeatureStore) -> Groups:
    """Codes of every row of a store, which is a cycle or a window of one."""
    if store.windows is None:
        return groups
    owners = torch.tensor(store.windows.owners, dtype=torch.long)
    return {name: codes[owners] for name, codes in groups.items()}


def _at(indices: Int[torch.Tensor, " batch"], groups: Groups, fabric: Fabric) -> Groups:
    """The codes of some rows, on the network's device."""
    return {name: fabric.to_device(codes[indices]) for name, codes in groups.items()}


def _gather(
    fabric: Fabric, indices: Sequence[Int[ndarray, " _"]], values: Sequence[Float[ndarray, "_ ..."]]
) -> Float[ndarray, "row ..."]:
    """Put the rows of all processes in order."""
    local = (np.concatenate(indices), np.concatenate(values)) if indices else None
    parts = [local]
    if fabric.world_size > 1:
        parts = [None] * fabric.world_size
        torch.distributed.all_gather_object(parts, local)
    filled = [part for part in parts if part is not None]
    if not filled:
        return np.zeros((0, 1))
    order = np.concatenate([rows for rows, _ in filled]).argsort()
    return np.concatenate([found for _, found in filled])[order]


def to_predictions(
    cycles: Sequence[RespiratoryCycle], probabilities: Float[ndarray, "cycle class"], task: Task, **constants: str
) -> Predictions:
    """One row a cycle; `constants` are further columns with one value (split, selection, subset ...).

    Age, sex and diagnosis are columns where the corpus knows them of any of the patients, for scores of subgroups.
    """
    known = [name for name in OF_PATIENTS if any(name in cycle.recording.metadata for cycle in cycles)]
    rows = [
        {
            "cycle_id": cycle.cycle_id,
            "recording": cycle.recording.recording_id,
            "patient": cycle.recording.patient_id,
            "start": round(cycle.start, 6),
            "end": round(cycle.end, 6),
            "label": task.class_of[cycle.annotation],
            "decision": task.classes[int(np.argmax(row))],
            **{f"p_{name}": round(float(value), 7) for name, value in zip(task.classes, row, strict=True)},
            "stethoscope": cycle.recording.stethoscope,
            "chest_location": cycle.recording.chest_location,
            **{name: cycle.recording.metadata.get(name, "") for name in known},
            **constants,
        }
        for cycle, row in zip(cycles, probabilities, strict=True)
    ]
    return Predictions(pd.DataFrame(rows), task.classes)
