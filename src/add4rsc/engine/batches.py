"""Cycles -> batches.

Every draw has a generator of its own, so that nothing depends on the number of processes, workers or restarts.
"""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset

from add4rsc.augment.scene import Scene
from add4rsc.augment.spectrogram import SpectrogramAugmentation, augment_spectrogram
from add4rsc.engine.features import FeatureStore
from add4rsc.recipe import Recipe

Item = tuple[int, dict[str, Float[Tensor, "time mel"]]]
"""Index of a cycle and its features by the names that `Batch` has for them: `log_mel`, `clean`, `second`."""


def seeded(*parts: int | str) -> Generator:
    """A generator whose stream depends on these parts alone."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


class CycleFeatures(Dataset[Item]):
    """Index and features of a cycle, augmented with what (seed, epoch, index) draw: its scene first, then masks."""

    def __init__(
        self,
        store: FeatureStore,
        augmentation: SpectrogramAugmentation,
        seed: int,
        scene: Scene | None = None,
        *,
        n_views: int = 1,
    ) -> None:
        self.store = store
        self.augmentation = augmentation
        self.seed = seed
        self.scene = scene
        self.n_views = n_views
        self.epoch = 0

    def __len__(self) -> int:
        """Number of cycles."""
        return len(self.store)

    def __getitem__(self, index: int) -> Item:
        """One cycle."""
        log_mel = torch.from_numpy(self._drawn(index).features(index))
        heard, *twin = [log_mel] if self.scene is None else self._heard(self.scene, log_mel, index, "")
        views = {"log_mel": self._masked(heard, index)}
        if twin:
            views["clean"] = self._masked(twin[0], index)
        if self.n_views == 2:
            again = log_mel if self.scene is None else self._heard(self.scene, log_mel, index, AGAIN)[0]
            views["second"] = self._masked(again, index, AGAIN)
        return index, views

    def _heard(self, scene: Scene, log_mel: Float[Tensor, "time mel"], index: int, view: str) -> list[Tensor]:
        """The cycle in its scene, and its twin without noise where there are twins."""
        return scene.hear(log_mel, lambda kind: seeded(kind + view, self.seed, self.epoch, index))

    def _masked(self, log_mel: Float[Tensor, "time mel"], index: int, view: str = "") -> Float[Tensor, "time mel"]:
        """The same masks, shift and level for a cycle and its twin; others for its second view."""
        if self.augmentation.is_off:
            return log_mel
        draw = (view,) if view else ()
        for epoch in self._lasting_epochs(index):
            log_mel = augment_spectrogram(log_mel, self.augmentation, seeded(*draw, self.seed, epoch, index))
        return log_mel

    def _lasting_epochs(self, index: int) -> list[int]:
        """The epochs whose masks are seen: this one, and all former ones of the same copy where they accumulate."""
        if not self.augmentation.accumulates:
            return [self.epoch]
        number = self._copy_number(index, self.epoch)
        return [epoch for epoch in range(self.epoch + 1) if self._copy_number(index, epoch) == number]

    def _drawn(self, index: int) -> FeatureStore:
        """The cycles as they are, or one of their changed copies."""
        number = self._copy_number(index, self.epoch)
        return self.store if number == 0 else self.store.copies[number - 1]

    def _copy_number(self, index: int, epoch: int) -> int:
        """Which copy of a cycle an epoch draws; 0 is the cycle itself."""
        if not self.store.copies:
            return 0
        return int(torch.randint(len(self.store.copies) + 1, (), generator=seeded("copy", self.seed, epoch, index)))


AGAIN = " again"
"""Part of the seeds of a cycle's second view."""

NO_AUGMENTATION = SpectrogramAugmentation()


def epoch_order(labels: Int[ndarray, " cycle"], recipe: Recipe, seed: int, epoch: int) -> list[int]:
    """Which cycles an epoch sees, in order; as many draws as there are cycles."""
    generator = seeded("order", seed, epoch)
    if recipe.sampler == "shuffled":
        return torch.randperm(len(labels), generator=generator).tolist()
    frequency = np.bincount(labels)[labels]
    weights = torch.from_numpy(1.0 / frequency)
    return torch.multinomial(weights, len(labels), replacement=True, generator=generator).tolist()


def batch_indices(order: Sequence[int], recipe: Recipe) -> list[list[int]]:
    """Cut an epoch's order into batches over all processes together."""
    size = recipe.batch_size
    batches = [list(order[first : first + size]) for first in range(0, len(order), size)]
    if recipe.drop_last and len(batches) > 1 and len(batches[-1]) < size:
        batches = batches[:-1]
    return batches[: recipe.steps_per_epoch]


def process_share(batch: Sequence[int], rank: int, n_processes: int) -> list[int]:
    """Which cycles of a batch are a process' own; of fewer cycles than processes, some have one that is another's.

    So no method ever sees an empty batch. Who borrows (`rank >= len(batch)`) must give the cycle no weight.
    """
    return list(batch[rank::n_processes]) or [batch[rank % len(batch)]]


def load_batches(
    dataset: CycleFeatures, batches: Sequence[Sequence[int]], n_workers: int
) -> Iterator[tuple[Int[Tensor, " batch"], dict[str, Float[Tensor, "batch time mel"]]]]:
    """Load batches one after another, in `n_workers` further processes if that is not 0.

    Each is the cycles' indices and their features, as `Item` has them.
    """
    yield from DataLoader(
        dataset,
        batch_sampler=list(batches),  # pyright: ignore[reportArgumentType]
        num_workers=n_workers,
        generator=Generator(),  # or torch's global one would be drawn from
    )


def class_weights(
    labels: Int[ndarray, " cycle"], n_classes: int, kind: str | tuple[float, ...]
) -> Float[Tensor, " class"]:
    """Loss weight of every class, with mean 1 over the training cycles; 0 for a class without any.

    >>> class_weights(np.array([0, 0, 0, 1]), 2, "inverse").tolist()
    [0.666..., 2.0]
    """
    counts = np.bincount(labels, minlength=n_classes).astype(np.float64)
    if isinstance(kind, str):
        ratios = np.maximum(counts, 1) ** -{"none": 0.0, "square-root": 0.5, "inverse": 1.0}[kind]
    else:
        ratios = np.array([*kind, *[kind[-1]] * n_classes])[:n_classes]
    weights = np.where(counts > 0, ratios, 0.0)
    return torch.from_numpy(weights * len(labels) / (weights * counts).sum()).float()
