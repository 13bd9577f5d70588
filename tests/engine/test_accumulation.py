"""Masks that stay: the released code's writing into cached features, derived anew at every epoch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from add4rsc.augment.spectrogram import SpectrogramAugmentation, augment_spectrogram
from add4rsc.engine.batches import CycleFeatures, seeded
from add4rsc.engine.features import FeatureStore

MASKS = SpectrogramAugmentation(
    n_mel_masks=2, max_mel_mask=8, n_time_masks=2, max_time_mask=9, mask_rule="patch-mix", probability=0.7
)
STAYING = MASKS.model_copy(update={"accumulates": True})


@pytest.fixture
def store(tmp_path) -> FeatureStore:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).standard_normal((3, 40, 30)).astype(np.float32))
    path = tmp_path / "a.npy"
    return FeatureStore((path,) * 3, (0, 1, 2))


def epochs_of(dataset: CycleFeatures, index: int, epochs: range) -> list[torch.Tensor]:
    seen = []
    for epoch in epochs:
        dataset.epoch = epoch
        seen.append(dataset[index][1]["log_mel"])
    return seen


def test_each_epoch_masks_what_the_former_ones_left(store) -> None:
    cached = torch.from_numpy(store.features(1))
    seen = epochs_of(CycleFeatures(store, STAYING, seed=5), 1, range(6))
    for epoch, found in enumerate(seen):
        cached = augment_spectrogram(cached, MASKS, seeded(5, epoch, 1))
        assert torch.equal(found, cached)
    plain = epochs_of(CycleFeatures(store, MASKS, seed=5), 1, range(6))
    n_changed = [int((frames != torch.from_numpy(store.features(1))).sum()) for frames in seen]
    assert n_changed == sorted(n_changed)
    assert n_changed[-1] > max(int((frames != torch.from_numpy(store.features(1))).sum()) for frames in plain)


def test_a_resumed_run_sees_the_same(store) -> None:
    whole = epochs_of(CycleFeatures(store, STAYING, seed=2), 0, range(5))
    resumed = epochs_of(CycleFeatures(store, STAYING, seed=2), 0, range(3, 5))
    assert all(torch.equal(one, two) for one, two in zip(whole[3:], resumed, strict=True))


def test_every_copy_keeps_its_own_masks(store, tmp_path) -> None:
    np.save(tmp_path / "b.npy", np.random.default_rng(1).standard_normal((3, 40, 30)).astype(np.float32))
    copy = replace(store, files=(tmp_path / "b.npy",) * 3)
    dataset = CycleFeatures(replace(store, copies=(copy,)), STAYING, seed=3)
    cached = [torch.from_numpy(each.features(2)) for each in (store, copy)]
    drawn = []
    for epoch, found in enumerate(epochs_of(dataset, 2, range(8))):
        after = [augment_spectrogram(each, MASKS, seeded(3, epoch, 2)) for each in cached]
        number = [torch.equal(found, each) for each in after].index(True)
        cached[number] = after[number]
        drawn.append(number)
    assert set(drawn) == {0, 1}
