"""Changed copies of a sound; their ranges are held by tests/augment/test_waveform.py."""

import numpy as np

from add4rsc.audio.variation import generator_of, vary_waveform

NOISE = np.random.default_rng(0).standard_normal(4000).astype(np.float32)


def test_generator_depends_on_the_samples_alone() -> None:
    draws = [generator_of(sound).integers(1 << 60) for sound in (NOISE, NOISE.copy(), NOISE[:-1], -NOISE)]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3
    assert generator_of(np.asfortranarray(np.stack([NOISE, NOISE])[:, ::1])[0]).integers(1 << 60) == draws[0]


def test_usual_bounds_are_mild() -> None:
    for seed in range(20):
        changed = vary_waveform(NOISE, np.random.default_rng(seed))
        assert changed.dtype == np.float32
        assert 1 / 1.1 < len(changed) / len(NOISE) < 1 / 0.9
        assert 0.5 / 1.1 < changed.std() / NOISE.std() < 2 * 1.1
