"""Cycles moved towards the others of their recording."""

import numpy as np

from add4rsc.metrics.smoothing import LEAST_PROBABILITY, smooth_recordings


def test_smoothing_moves_logarithms_towards_those_of_the_recording():
    probabilities = np.random.default_rng(0).dirichlet([1.0, 1.0, 1.0], size=5)
    recordings = ["a", "b", "a", "a", "c"]
    found = np.log(smooth_recordings(probabilities, recordings, 0.25))
    own = np.log(probabilities)
    expected = 0.75 * own[0] + 0.25 * own[[0, 2, 3]].mean(axis=0)
    np.testing.assert_allclose(found[0] - found[0, 0], expected - expected[0], atol=1e-9)
    np.testing.assert_allclose(np.exp(found)[[1, 4]], probabilities[[1, 4]])  # alone in their recordings
    np.testing.assert_allclose(smooth_recordings(probabilities, recordings, 0.0), probabilities)


def test_one_cycle_does_not_outweigh_all_others():
    """A probability of nothing counts as a small one."""
    found = smooth_recordings(np.array([[1.0, 0.0], [0.5, 0.5]]), ["a", "a"], 1.0)
    assert found[0, 1] == found[1, 1]
    np.testing.assert_allclose(found[0, 0] / found[0, 1], LEAST_PROBABILITY**-0.5, rtol=1e-6)
