"""Where windows lie, and how they vote."""

from collections import Counter

import numpy as np
import pytest

from add4rsc.audio.crop import Crop, crop_cycle
from add4rsc.audio.windows import MARGIN, overlapping_windows, vote, window_times

RATE = 4000


@pytest.mark.parametrize("duration", [2.0, 2.3, 3.0, 3.2, 3.3, 4.0, 7.77, 60.0])
def test_windows_overlap_by_half_and_reach_the_end(duration):
    found = overlapping_windows(duration, 2.0)
    starts = np.array([start for start, _ in found])
    assert {round(end - start, 9) for start, end in found} == {2.0}
    assert starts[0] == 0
    assert np.diff(starts)[:-1] == pytest.approx(1.0)
    assert 0 <= duration - found[-1][1] <= 0.25 + 1e-9
    assert found[-1][1] <= duration + 1e-9


def test_without_windows_a_long_cycle_is_itself():
    assert window_times(1.5, 9.5, Crop(duration=2.0)) == [(1.5, 9.5)]
    assert window_times(1.5, 3.0, Crop(duration=2.0, windows="mean")) == [(1.5, 3.0)]


@pytest.mark.parametrize("start", [0.0, 1.2344, 0.777777])
def test_crops_of_windows_are_stretches_of_the_cycle_of_full_length(start):
    crop = Crop(duration=2.0, windows="mean", padding="zero")
    recording = np.arange(1, 9 * RATE, dtype=np.float32)
    end = start + 5.6
    times = window_times(start, end, crop)
    crops = [crop_cycle(recording, RATE, first, last, crop) for first, last in times]
    assert len(crops) == 5
    for each, expected in zip(crops, (0.0, 1.0, 2.0, 3.0, 3.6), strict=True):
        assert (np.diff(each) == 1).all()  # nothing was filled up
        assert each[0] == pytest.approx((start + expected) * RATE, abs=1 + 1 + MARGIN * RATE)
    assert crops[-1][-1] >= int(end * RATE) - MARGIN * RATE - 2


def test_means_are_those_of_each_cycle_alone():
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(4), size=12)
    owners = [0, 0, 0, 1, 2, 2, 2, 2, 3, 3, 4, 4]
    found = vote(probabilities, owners, "mean")
    for cycle in range(5):
        own = [row for row, owner in zip(probabilities.tolist(), owners, strict=True) if owner == cycle]
        assert found[cycle].tolist() == pytest.approx([sum(column) / len(own) for column in zip(*own, strict=True)])


def test_majority_decides_as_most_windows_and_ties_go_to_the_surer_class():
    generator = np.random.default_rng(1)
    owners = np.repeat(np.arange(200), generator.integers(1, 7, size=200))
    probabilities = generator.dirichlet(0.7 * np.ones(4), size=len(owners))
    found = vote(probabilities, owners.tolist(), "majority")
    assert found.sum(axis=1) == pytest.approx(1)
    differs_from_mean = 0
    for cycle in range(200):
        own = probabilities[owners == cycle]
        votes = Counter(own.argmax(axis=1).tolist())
        most = [label for label, count in votes.items() if count == max(votes.values())]
        expected = max(most, key=lambda label, own=own: own[:, label].sum())
        assert found[cycle].argmax() == expected
        differs_from_mean += own.mean(axis=0).argmax() != expected
    assert differs_from_mean > 5
    assert vote(probabilities[:0], [], "mean").shape == (0, 4)
