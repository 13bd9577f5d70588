"""Spliced cycles against loops over every frame."""

import pytest
import torch

from add4rsc.augment.splicing import Splices, draw_splices, splice_cycles


def by_loops(log_mel, donor, host, length, donor_start, host_start, fade, match_level):
    """One spliced cycle, frame after frame and band after band."""
    n_frames, n_bands = len(log_mel[0]), len(log_mel[0][0])
    change = 0.0
    if match_level:
        for step in range(length):
            for band in range(n_bands):
                change += log_mel[host][host_start + step][band] - log_mel[donor][donor_start + step][band]
        change /= length * n_bands
    result = [list(frame) for frame in log_mel[host]]
    for step in range(length):
        weight = min(1.0, (step + 1) / (fade + 1), (length - step) / (fade + 1))
        for band in range(n_bands):
            piece = log_mel[donor][donor_start + step][band] + change
            kept = log_mel[host][host_start + step][band]
            result[host_start + step][band] = weight * piece + (1 - weight) * kept
    assert len(result) == n_frames
    return result


@pytest.mark.parametrize("fade", [0, 3, 30])
@pytest.mark.parametrize("match_level", [False, True])
def test_equals_loops(fade, match_level, generator):
    log_mel = torch.randn(4, 20, 3, generator=generator, dtype=torch.float64)
    parts = [(1, 0, 7, 2, 9), (3, 0, 20, 0, 0), (1, 2, 1, 19, 0), (3, 2, 12, 8, 8)]
    splices = Splices(*torch.tensor(parts).T)
    result = splice_cycles(log_mel, splices, fade, match_level=match_level)
    expected = [by_loops(log_mel.tolist(), *part, fade, match_level) for part in parts]
    torch.testing.assert_close(result, torch.tensor(expected, dtype=torch.float64))


def test_without_fade_the_piece_stands_in_the_host():
    log_mel = torch.tensor([[[0.0], [0.0], [0.0], [0.0]], [[1.0], [2.0], [3.0], [4.0]]])
    splices = Splices(*(torch.tensor([value]) for value in (1, 0, 2, 2, 1)))
    assert splice_cycles(log_mel, splices, 0, match_level=False).flatten().tolist() == [0, 3, 4, 0]
    assert splice_cycles(log_mel, splices, 0, match_level=True).flatten().tolist() == [0, -0.5, 0.5, 0]


LABELS = torch.tensor([0, 0, 0, 1, 2, 3, 1])
PATIENTS = torch.tensor([5, 5, 6, 5, 6, 7, -1])


def test_pieces_are_abnormal_hosts_normal_and_of_another_patient(generator):
    seen = set()
    for _ in range(200):
        splices = draw_splices(LABELS, PATIENTS, 50, 0.4, generator)
        assert splices.donors.tolist() == [3, 4, 5, 6]
        assert splices.lengths.min() >= 20
        for starts in (splices.donor_starts, splices.host_starts):
            assert starts.min() >= 0
            assert (starts + splices.lengths).max() <= 50
        seen |= set(zip(splices.donors.tolist(), splices.hosts.tolist(), strict=True))
    possible = {(3, 2), (4, 0), (4, 1), (5, 0), (5, 1), (5, 2), (6, 0), (6, 1), (6, 2)}
    assert seen == possible


def test_lengths_and_places_fill_their_range(generator):
    draws = [draw_splices(LABELS, PATIENTS, 50, 0.4, generator) for _ in range(400)]
    lengths = torch.cat([draw.lengths for draw in draws]).float()
    assert lengths.mean().item() == pytest.approx(0.7 * 50, abs=1)
    assert lengths.max() >= 49
    gaps = torch.cat([50 - draw.lengths - draw.host_starts for draw in draws])
    assert gaps.min() == 0


@pytest.mark.parametrize(
    ("labels", "patients"), [([0, 0], [1, 2]), ([1, 2], [1, 2]), ([0, 1], [4, 4])], ids=["normal", "abnormal", "same"]
)
def test_nothing_is_spliced_where_nobody_fits(labels, patients, generator):
    splices = draw_splices(torch.tensor(labels), torch.tensor(patients), 50, 0.5, generator)
    assert all(len(part) == 0 for part in splices)
    assert splice_cycles(torch.zeros(2, 50, 3), splices, 4, match_level=True).shape == (0, 50, 3)


def test_a_patient_who_is_not_known_is_another_one(generator):
    splices = draw_splices(torch.tensor([0, 1]), torch.tensor([-1, -1]), 50, 0.5, generator)
    assert (splices.donors.tolist(), splices.hosts.tolist()) == ([1], [0])
