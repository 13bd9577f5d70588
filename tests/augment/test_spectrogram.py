from itertools import pairwise

import pytest
import torch

from add4rsc.augment.spectrogram import SpectrogramAugmentation, augment_spectrogram

N_FRAMES, N_MELS = 50, 12


@pytest.fixture
def log_mel(generator):
    return torch.randn(N_FRAMES, N_MELS, generator=generator)


def draws(log_mel, n_draws=60, **settings):
    """Changed copies under many seeds."""
    settings = SpectrogramAugmentation(**settings)
    return [augment_spectrogram(log_mel, settings, torch.Generator().manual_seed(seed)) for seed in range(n_draws)]


@pytest.mark.parametrize(
    "settings",
    [
        {"n_time_masks": 1, "max_time_mask": 9},
        {"n_mel_masks": 1, "max_mel_mask": 4},
        {"n_time_masks": 2, "max_time_mask": 9, "n_mel_masks": 2, "max_mel_mask": 4, "mask_rule": "patch-mix"},
        {"time_shift": 0.5},
        {"level_shift": 0.5},
    ],
)
def test_input_is_left_alone_and_the_seed_decides(log_mel, settings):
    before = log_mel.clone()
    first, again = draws(log_mel, **settings), draws(log_mel, **settings)
    assert log_mel.equal(before)
    assert all(one.equal(two) for one, two in zip(first, again, strict=True))
    assert any(not one.equal(log_mel) for one in first)
    assert any(not one.equal(two) for one, two in pairwise(first))
    assert all(one.shape == log_mel.shape for one in first)


def stretches(changed) -> list[int]:
    """Where a mask of whole rows lies."""
    return [int(index) for index in changed.nonzero()[:, 0]]


@pytest.mark.parametrize(("axis", "kind", "widest"), [(1, "time", 9), (0, "mel", 4)])
def test_masks_are_one_stretch_up_to_the_widest_filled_with_the_mean(log_mel, axis, kind, widest):
    settings = {f"n_{kind}_masks": 1, f"max_{kind}_mask": widest}
    widths = set()
    for changed in draws(log_mel, 300, **settings):
        rows = stretches((changed != log_mel).all(dim=axis))
        assert rows == list(range(rows[0], rows[0] + len(rows))) if rows else True
        assert (changed != log_mel).any(dim=axis).sum() == len(rows)
        masked = changed[rows] if kind == "time" else changed[:, rows]
        assert torch.allclose(masked, log_mel.mean().expand_as(masked), atol=1e-6)
        widths.add(len(rows))
    assert widths == set(range(widest + 1))


def test_masks_reach_both_ends(log_mel):
    masked = [(changed != log_mel).all(dim=1) for changed in draws(log_mel, 400, n_time_masks=1, max_time_mask=9)]
    assert any(rows[0] for rows in masked)
    assert any(rows[-1] for rows in masked)


def test_a_mask_wider_than_the_cycle_is_cut_to_it(log_mel):
    for changed in draws(log_mel[:5], n_time_masks=3, max_time_mask=500):
        assert changed.shape == (5, N_MELS)
        assert changed.isfinite().all()


def test_time_shift_turns_the_cycle_within_its_bound(log_mel):
    shifts = set()
    for changed in draws(log_mel, 200, time_shift=0.1):
        matching = [shift for shift in range(-25, 26) if changed.equal(torch.roll(log_mel, shift, dims=0))]
        assert len(matching) == 1
        shifts.add(matching[0])
    assert shifts == set(range(-5, 6))


def test_level_shift_adds_one_number_within_its_bound(log_mel):
    added = [changed - log_mel for changed in draws(log_mel, 200, level_shift=0.5)]
    assert all(torch.allclose(each, each.mean().expand_as(each), atol=1e-5) for each in added)
    values = [float(each.mean()) for each in added]
    assert -0.5 <= min(values) < -0.4
    assert 0.4 < max(values) <= 0.5


def test_probability_is_the_share_of_cycles_that_change(log_mel):
    changed = [not each.equal(log_mel) for each in draws(log_mel, 1000, level_shift=1.0, probability=0.3)]
    assert sum(changed) / 1000 == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(
    ("settings", "is_off"),
    [
        ({}, True),
        ({"n_time_masks": 3}, True),
        ({"max_mel_mask": 3}, True),
        ({"time_shift": 0.5, "probability": 0.0}, True),
        ({"n_mel_masks": 1, "max_mel_mask": 1}, False),
        ({"level_shift": 0.1}, False),
    ],
)
def test_off_means_that_nothing_ever_changes(log_mel, settings, is_off):
    assert SpectrogramAugmentation(**settings).is_off is is_off
    if is_off:
        assert all(changed.equal(log_mel) for changed in draws(log_mel, 20, **settings))
