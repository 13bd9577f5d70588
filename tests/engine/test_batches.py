import numpy as np
import pytest
import torch

from add4rsc.audio.frontend import FrontEnd
from add4rsc.augment.noise import NoiseAugmentation, NoiseMixer
from add4rsc.augment.response import ResponseAugmentation
from add4rsc.augment.scene import Scene
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.engine.batches import (
    NO_AUGMENTATION,
    CycleFeatures,
    batch_indices,
    class_weights,
    epoch_order,
    load_batches,
    process_share,
    seeded,
)
from add4rsc.engine.features import FeatureStore
from add4rsc.methods import recipes

RECIPE = recipes.get("fine_tuning/small_cnn")()
LABELS = np.array([0] * 30 + [1] * 9 + [3] * 3)
STRONG = SpectrogramAugmentation(n_time_masks=1, max_time_mask=8, time_shift=0.5, level_shift=1.0)


@pytest.fixture
def store(tmp_path) -> FeatureStore:
    """Nine cycles in two files."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / "a.npy", tmp_path / "b.npy"]
    for path, n_cycles in zip(paths, (5, 4), strict=True):
        np.save(path, rng.standard_normal((n_cycles, 20, 6), dtype=np.float32))
    return FeatureStore((paths[0],) * 5 + (paths[1],) * 4, (*range(5), *range(4)))


def recipe(**changes):
    return RECIPE.model_copy(update=changes)


def test_stream_depends_on_every_part():
    def draw(*parts):
        return torch.rand(4, generator=seeded(*parts)).tolist()

    assert draw("order", 1, 2) == draw("order", 1, 2)
    parts = [("order", 1, 2), ("order", 2, 1), ("order", 12), ("step", 1, 2), (1, 2), (1, 2, 0)]
    assert len({tuple(draw(*each)) for each in parts}) == len(parts)


def test_shuffled_epoch_sees_every_cycle_once_in_an_order_of_its_own():
    orders = [tuple(epoch_order(LABELS, recipe(), seed, epoch)) for seed in (1, 2) for epoch in (0, 1)]
    assert all(sorted(order) == list(range(42)) for order in orders)
    assert len(set(orders)) == 4
    assert orders[0] == tuple(epoch_order(LABELS, recipe(), 1, 0))


def test_balanced_epochs_see_classes_equally_often():
    drawn = [
        LABELS[index] for epoch in range(200) for index in epoch_order(LABELS, recipe(sampler="balanced"), 1, epoch)
    ]
    counts = np.bincount(drawn, minlength=4)
    assert counts.sum() == 200 * 42
    assert counts[2] == 0
    assert counts[[0, 1, 3]] == pytest.approx([2800] * 3, rel=0.06)


def test_batches_cut_the_order():
    assert batch_indices(range(7), recipe(batch_size=3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert batch_indices(range(7), recipe(batch_size=3, drop_last=True)) == [[0, 1, 2], [3, 4, 5]]
    assert batch_indices(range(6), recipe(batch_size=3, drop_last=True)) == [[0, 1, 2], [3, 4, 5]]
    assert batch_indices(range(2), recipe(batch_size=3, drop_last=True)) == [[0, 1]]


def test_processes_share_a_batch_without_overlap_and_borrow_only_where_there_are_too_few():
    for n_cycles in range(3, 9):
        shares = [process_share(range(10, 10 + n_cycles), rank, 3) for rank in range(3)]
        assert sorted(index for share in shares for index in share) == list(range(10, 10 + n_cycles))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert [process_share([7, 8], rank, 4) for rank in range(4)] == [[7], [8], [7], [8]]


@pytest.mark.parametrize(("kind", "power"), [("none", 0), ("square-root", 0.5), ("inverse", 1)])
def test_class_weights_have_mean_one_over_the_cycles(kind, power):
    weights = class_weights(LABELS, 4, kind)
    assert float(weights[LABELS].sum()) == pytest.approx(len(LABELS))
    assert weights[2] == 0
    assert float(weights[3] / weights[0]) == pytest.approx((30 / 3) ** power)
    assert float(weights[1] / weights[0]) == pytest.approx((30 / 9) ** power)


def test_batches_hold_the_cycles_that_were_asked_for(store):
    cycles = CycleFeatures(store, NO_AUGMENTATION, seed=0)
    batches = list(load_batches(cycles, [[8, 0, 3], [5]], n_workers=0))
    assert [indices.tolist() for indices, _ in batches] == [[8, 0, 3], [5]]
    assert [tuple(features["log_mel"].shape) for _, features in batches] == [(3, 20, 6), (1, 20, 6)]
    for indices, features in batches:
        assert list(features) == ["log_mel"]
        for index, frames in zip(indices.tolist(), features["log_mel"], strict=True):
            assert np.array_equal(frames, np.load(store.files[index])[store.rows[index]])


def test_augmentation_depends_on_seed_epoch_and_cycle_alone(store):
    def augmented(seed, epoch, batches, n_workers=0):
        cycles = CycleFeatures(store, STRONG, seed)
        cycles.epoch = epoch
        loaded = load_batches(cycles, batches, n_workers)
        return {
            index: frames
            for indices, features in loaded
            for index, frames in zip(indices.tolist(), features["log_mel"], strict=True)
        }

    first = augmented(1, 0, [[0, 1, 2], [3, 4]])
    torch.rand(5)
    again = augmented(1, 0, [[4, 2], [1], [3, 0]])
    in_workers = augmented(1, 0, [[4, 2], [1], [3, 0]], n_workers=2)
    for index in range(5):
        assert first[index].equal(again[index])
        assert first[index].equal(in_workers[index])
        for other in (augmented(2, 0, [[index]]), augmented(1, 1, [[index]])):
            assert not first[index].equal(other[index])
    changes = [first[index] - torch.from_numpy(store.features(index)) for index in range(5)]
    assert not changes[0].equal(changes[1])


def test_augmentation_never_changes_what_is_stored(store):
    before = [path.read_bytes() for path in store.files]
    plain = [store.features(index) for index in range(9)]
    cycles = CycleFeatures(store, STRONG, seed=3)
    changed = [cycles[index][1]["log_mel"].numpy() for index in range(9)]
    assert not any(np.array_equal(one, two) for one, two in zip(plain, changed, strict=True))
    assert [path.read_bytes() for path in store.files] == before
    assert all(np.array_equal(store.features(index), plain[index]) for index in range(9))


def test_twins_share_masks_and_stethoscope_and_differ_by_noise_alone(store):
    front_end = FrontEnd(sample_rate=8000, n_mels=6, n_fft=256, f_min=0.0, log_offset=1e-5)
    noise = NoiseAugmentation(probability=1.0, lowest_snr_db=0.0, highest_snr_db=0.0, twin=True)
    response = ResponseAugmentation(probability=1.0)
    scene = Scene(NoiseMixer(noise, front_end), response)
    cycles = CycleFeatures(store, STRONG, 1, scene)
    index, views = cycles[3]
    heard, clean = views["log_mel"], views["clean"]
    assert index == 3
    assert not torch.equal(heard, clean)
    quiet = Scene(NoiseMixer(noise.model_copy(update={"probability": 0.0}), front_end), response)
    same, alone = CycleFeatures(store, STRONG, 1, quiet)[3][1].values()
    assert torch.equal(same, alone)
    assert torch.equal(alone, clean)
    cycles.epoch = 1
    assert not torch.equal(cycles[3][1]["log_mel"], heard)
    plain = Scene(NoiseMixer(noise.model_copy(update={"twin": False}), front_end), response)
    assert torch.equal(CycleFeatures(store, STRONG, 1, plain)[3][1]["log_mel"], heard)


def test_a_second_view_has_draws_of_its_own(store):
    front_end = FrontEnd(sample_rate=8000, n_mels=6, n_fft=256, f_min=0.0, log_offset=1e-5)
    noise = NoiseAugmentation(probability=1.0, lowest_snr_db=0.0, highest_snr_db=0.0)
    scene = Scene(NoiseMixer(noise, front_end), ResponseAugmentation())
    for heard_in in (None, scene):
        cycles = CycleFeatures(store, STRONG, 1, heard_in, n_views=2)
        views = cycles[3][1]
        assert list(views) == ["log_mel", "second"]
        assert not torch.equal(views["log_mel"], views["second"])
        assert torch.equal(CycleFeatures(store, STRONG, 1, heard_in)[3][1]["log_mel"], views["log_mel"])
        assert torch.equal(cycles[3][1]["second"], views["second"])
    unmasked = CycleFeatures(store, NO_AUGMENTATION, 1, scene, n_views=2)[3][1]
    assert not torch.equal(unmasked["log_mel"], unmasked["second"])


def test_class_weights_of_given_ratios_have_mean_one_over_the_cycles():
    labels = np.array([0, 0, 0, 0, 1, 2, 2])
    weights = class_weights(labels, 4, (1.0, 3.0)).numpy()
    assert weights[labels].mean() == pytest.approx(1)
    assert weights[1:3] / weights[0] == pytest.approx([3, 3])
    assert weights[3] == 0  # a class without cycles
    assert class_weights(labels, 3, (2.0, 1.0, 4.0)).numpy() == pytest.approx(np.array([2, 1, 4]) * 7 / (8 + 1 + 8))
