"""What holds of every corruption, so that a new file is tested the day it lands."""

import numpy as np
import pytest

from add4rsc.robustness.corruptions import corruptions
from add4rsc.robustness.corruptions._base import SNR_UNIT, noise_generator

RATE = 8000


@pytest.fixture(params=corruptions.names())
def made(request, clips):
    return request.param, corruptions.get(request.param)(RATE, clips)


def corrupted(name, corruption, cycle, level, seed=1):
    noise_class = corruption.noise_classes[0]
    return corruption.corrupt(cycle, level, noise_class, noise_generator(seed, name, noise_class, cycle.cycle_id))


@pytest.mark.parametrize("seconds", [0.05, 2.0])
def test_length_type_and_input_are_kept(made, breath, seconds):
    name, corruption = made
    cycle = breath(seconds)
    before = cycle.waveform.copy()
    for level in (corruption.levels[0], corruption.levels[-1]):
        changed = corrupted(name, corruption, cycle, level)
        assert changed.shape == before.shape
        assert changed.dtype == np.float32
        assert np.isfinite(changed).all()
        assert not np.array_equal(changed, before)
    np.testing.assert_array_equal(cycle.waveform, before)


def test_levels_go_from_mild_to_severe(made, breath):
    name, corruption = made
    cycle = breath()
    changes = [np.square(corrupted(name, corruption, cycle, each) - cycle.waveform).sum() for each in corruption.levels]
    assert len(changes) >= 3
    assert changes == sorted(changes)


def test_noise_seeds_differ_where_something_is_drawn(made, breath):
    name, corruption = made
    cycle, level = breath(), corruption.levels[-1]
    first, again, other = (corrupted(name, corruption, cycle, level, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) != corruption.is_random


def test_it_says_what_it_is(made):
    _, corruption = made
    assert (corruption.__doc__ or "").splitlines()[0].endswith(".")
    assert corruption.unit in (SNR_UNIT, "Hz", "dB", "share")


def test_silence_does_no_harm(made, breath):
    from dataclasses import replace

    name, corruption = made
    silent = replace(breath(), waveform=np.zeros(1000, dtype=np.float32), quiet=np.zeros((0, 0), dtype=np.float32))
    assert not corrupted(name, corruption, silent, corruption.levels[-1]).any()
