"""Prototypes and criticisms: the training cycles whose decision an adversarial attack changes last, and first.

Chang et al. 2022 (arXiv:2203.16141) attack the waveforms of the training cycles with one strength, and see which of
them flip. Here the strength is searched, on the log-mel frames: the least change of all values at once that changes the
decision (`engine/attack.py`).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from lightning_fabric import Fabric
from numpy import ndarray
from torch import Tensor

from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.attack import estimate_change, least_change
from add4rsc.engine.correction import correct_as_trained
from add4rsc.engine.features import FeatureStore, cache_folder, prepare_features
from add4rsc.engine.loading import TrainedRun
from add4rsc.engine.subsets import own_split
from add4rsc.errors import WrongUsageError
from add4rsc.protocol.stethoscopes import only_stethoscopes
from add4rsc.terms import RespiratoryCycle

SHORTLIST = 4
"""So many times as many cycles as are asked for are attacked, at either end of the ranking by estimates."""
BATCH = 32
DB_PER_NAT = 10 / math.log(10)


class Kind(StrEnum):
    """What a cycle is an example of."""

    PROTOTYPE = "prototype"
    """Rightly decided, and hardest to change."""
    CRITICISM = "criticism"
    """Rightly decided, and easiest to change."""
    MISTAKE = "mistake"
    """A criticism that needs no attack: wrongly decided, the surest first."""


@dataclass(frozen=True)
class Example:
    """A training cycle that tells something of what the network takes a class to be."""

    cycle: RespiratoryCycle
    label: str
    decision: str
    kind: Kind
    epsilon: float
    """Least change of all standardised log-mel values that was found to change the decision; 0 for a mistake."""
    epsilon_db: float
    """The same as a change of level."""
    log_mel: Float[ndarray, "time mel"]


@dataclass(frozen=True)
class _TrainingSet:
    cycles: Sequence[RespiratoryCycle]
    store: FeatureStore
    labels: Int[ndarray, " cycle"]

    def load(self, indices: Sequence[int]) -> Float[Tensor, "batch time mel"]:
        return torch.from_numpy(np.stack([self.store.features(index) for index in indices]))


@dataclass(frozen=True)
class _Ranking:
    """What `estimate_change` says of all training cycles."""

    logits: Float[ndarray, "cycle class"]
    estimates: Float[ndarray, " cycle"]
    rivals: Int[ndarray, " cycle"]


def find_examples(
    run: TrainedRun, data_folder: Path, per_class: int = 3, progress: Callable[[int, int], None] | None = None
) -> list[Example]:
    """The prototypes, criticisms and mistakes of every class among a run's training cycles.

    All training cycles are ranked by a first-order estimate; both ends of the ranking are attacked. The examples of a
    kind are of different patients as far as there are enough.

    Args:
        run: the trained network, of any method.
        data_folder: of the corpus that it was trained on.
        per_class: how many of each kind.
        progress: called with cycles ranked and cycles in all.

    Returns:
        By class, kind and rank; fewer where a class has no more.

    Raises:
        WrongUsageError: if the folder holds another corpus.
        DatasetNotFoundError, AudioError, AnnotationError: as their messages say.
    """
    training = _training_set(run, data_folder)
    device = Fabric(accelerator="auto", devices=1).device
    run.network.to(device).eval().requires_grad_(False)
    ranking = _rank(run, training, device, progress)
    found = [_examples_of(run, training, ranking, label, per_class) for label in range(len(run.classes))]
    return [example for of_class in found for example in of_class]


def examples_table(examples: Sequence[Example]) -> pd.DataFrame:
    """One row an example; `epsilon` in standardised log-mel units, `inf` where no attack succeeded."""
    rows = [
        {
            "cycle_id": example.cycle.cycle_id,
            "patient": example.cycle.recording.patient_id,
            "class": example.label,
            "kind": example.kind.value,
            "decision": example.decision,
            "epsilon": float(f"{example.epsilon:.4g}"),
            "epsilon_db": float(f"{example.epsilon_db:.4g}"),
        }
        for example in examples
    ]
    return pd.DataFrame(rows)


def _training_set(run: TrainedRun, data_folder: Path) -> _TrainingSet:
    recipe, dataset = run.recipe, open_dataset(data_folder)
    if dataset.name != recipe.dataset:
        raise WrongUsageError(
            f"{run.folder} was trained on {recipe.dataset}, but {data_folder} holds {dataset.name}. "
            "Examples are training cycles: pass the folder of the run's own corpus."
        )
    split = own_split(recipe, dataset)
    cycles = correct_as_trained(recipe, run.folder, only_stethoscopes(split, recipe.stethoscopes).train)
    store = prepare_features(cycles, recipe.crop, run.front_end, cache_folder())
    labels = np.array([split.task.label(cycle.annotation) for cycle in cycles], dtype=np.int64)
    return _TrainingSet(cycles, store, labels)


def _rank(
    run: TrainedRun, training: _TrainingSet, device: torch.device, progress: Callable[[int, int], None] | None
) -> _Ranking:
    rows: list[tuple[Tensor, ...]] = []
    for part in _batches(range(len(training.cycles))):
        labels = torch.from_numpy(training.labels[part]).to(device)
        rows.append(estimate_change(run.network, training.load(part).to(device), labels))
        if progress is not None:
            progress(part[-1] + 1, len(training.cycles))
    logits, estimates, rivals = (torch.cat(values).cpu().numpy() for values in zip(*rows, strict=True))
    return _Ranking(logits, estimates, rivals)


def _examples_of(
    run: TrainedRun, training: _TrainingSet, ranking: _Ranking, label: int, per_class: int
) -> list[Example]:
    """The examples of one class."""
    members = np.flatnonzero(training.labels == label)
    is_right = ranking.logits[members].argmax(axis=1) == label
    right, wrong = members[is_right], members[~is_right]
    order = right[np.argsort(ranking.estimates[right], kind="stable")]
    n_attacked = SHORTLIST * per_class
    attacked = np.unique(np.concatenate([order[:n_attacked], order[max(0, len(order) - n_attacked) :]]))
    sizes = _attack(run, training, ranking, attacked.tolist())
    by_size = sorted(attacked.tolist(), key=lambda index: sizes[index])
    lead = ranking.logits[wrong].max(axis=1, initial=-np.inf) - ranking.logits[wrong, label]
    surest = wrong[np.argsort(-lead, kind="stable")].tolist()
    half = len(by_size) // 2  # of a few cycles, none is an example of both kinds
    chosen = {
        Kind.PROTOTYPE: _of_several_patients(by_size[half:][::-1], training.cycles, per_class),
        Kind.CRITICISM: _of_several_patients(by_size[:half], training.cycles, per_class),
        Kind.MISTAKE: _of_several_patients(surest, training.cycles, per_class),
    }
    return [
        _example(run, training, kind, index, int(ranking.logits[index].argmax()), sizes.get(index, 0.0))
        for kind, indices in chosen.items()
        for index in indices
    ]


def _attack(run: TrainedRun, training: _TrainingSet, ranking: _Ranking, indices: Sequence[int]) -> dict[int, float]:
    """The found sizes by cycle."""
    sizes: dict[int, float] = {}
    for part in _batches(indices):
        log_mel = training.load(part).to(next(run.network.parameters()).device)
        labels, rivals, start = (
            torch.from_numpy(values[part]).to(log_mel.device)
            for values in (training.labels, ranking.rivals, ranking.estimates)
        )
        found = least_change(run.network, log_mel, labels, rivals, start)
        sizes |= dict(zip(part, found.tolist(), strict=True))
    return sizes


def _example(run: TrainedRun, training: _TrainingSet, kind: Kind, index: int, decision: int, epsilon: float) -> Example:
    return Example(
        cycle=training.cycles[index],
        label=run.classes[training.labels[index]],
        decision=run.classes[decision],
        kind=kind,
        epsilon=epsilon,
        epsilon_db=epsilon * run.front_end.scale * DB_PER_NAT,
        log_mel=training.store.features(index),
    )


def _of_several_patients(ranked: Sequence[int], cycles: Sequence[RespiratoryCycle], n_wanted: int) -> list[int]:
    """The first ones in rank, but a second one of a patient only where there are too few patients."""
    firsts: dict[str, int] = {}
    for index in ranked:
        firsts.setdefault(cycles[index].recording.patient_id, index)
    again = [index for index in ranked if index not in firsts.values()]
    chosen = {*[*firsts.values(), *again][:n_wanted]}
    return [index for index in ranked if index in chosen]


def _batches(indices: Sequence[int]) -> Iterator[list[int]]:
    for first in range(0, len(indices), BATCH):
        yield list(indices[first : first + BATCH])
