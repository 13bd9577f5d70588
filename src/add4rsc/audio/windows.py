"""Several windows of a cycle that is longer than the crop: where they lie, and how their predictions come together.

Gairola et al. 2021 (RespireNet, arXiv:2011.00196; METHODS A2): windows of the crop's length, half a window apart; each
is a training cycle, and in a test the windows of one cycle vote.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from add4rsc.audio.crop import Crop, Voting

STEP = 0.5
"""Distance of windows, as a share of their length."""
LEAST_REST = 0.25
"""Share of a step from which what is left behind the last window gets a window of its own."""
MARGIN = 1e-3
"""Seconds by which the last window begins earlier: no rounding of samples makes it shorter than the others."""


def overlapping_windows(duration: float, length: float) -> list[tuple[float, float]]:
    """Windows that overlap by half and reach from the first to the last second; one shorter one if all is shorter.

    >>> overlapping_windows(5.0, 2.0)
    [(0.0, 2.0), (1.0, 3.0), (2.0, 4.0), (3.0, 5.0)]
    """
    if duration <= length:
        return [(0.0, duration)]
    step = length * STEP
    n_whole = int((duration - length) / step + 1e-9) + 1
    starts = [index * step for index in range(n_whole)]
    if duration - (starts[-1] + length) > LEAST_REST * step:
        starts.append(duration - length)
    return [(start, start + length) for start in starts]


def window_times(start: float, end: float, crop: Crop) -> list[tuple[float, float]]:
    """What is to be cropped of a cycle: itself, or its windows, each longer than the crop by less than two margins.

    Args:
        start: first second of the cycle.
        end: last second.
        crop: with or without windows.
    """
    if crop.windows is None or end - start <= crop.duration + 2 * MARGIN:
        return [(start, end)]
    starts = [first for first, _ in overlapping_windows(end - start, crop.duration)]
    last = min(starts[-1], end - start - crop.duration - MARGIN)
    firsts = [start + first for first in (*starts[:-1], last)]
    return [(first, min(end, first + crop.duration + MARGIN)) for first in firsts]


def vote(
    probabilities: Float[ndarray, "window class"], owners: Sequence[int], rule: Voting
) -> Float[ndarray, "cycle class"]:
    """Class probabilities of every cycle from those of its windows.

    Args:
        probabilities: of every window.
        owners: the cycle of each window, in order; every cycle from 0 on has one.
        rule: `mean` of the windows; or `majority`: the mean of those windows that decide for the class for which most
            of them do, of two such classes the one with the greater sum of probabilities.

    >>> windows = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    >>> vote(windows, [0, 0, 0], "mean").round(2).tolist(), vote(windows, [0, 0, 0], "majority").tolist()
    ([[0.57, 0.43]], [[0.4, 0.6]])
    """
    firsts = np.flatnonzero(np.diff(np.asarray(owners), prepend=-1))
    groups = np.split(probabilities, firsts[1:])
    return np.stack([_vote_once(group, rule) for group in groups]) if len(firsts) else probabilities[:0]


def _vote_once(windows: Float[ndarray, "window class"], rule: Voting) -> Float[ndarray, " class"]:
    if rule == "mean" or len(windows) == 1:
        return windows.mean(axis=0)
    decisions = windows.argmax(axis=1)
    votes = np.bincount(decisions, minlength=windows.shape[1])
    winner = max(range(len(votes)), key=lambda label: (votes[label], windows[:, label].sum()))
    return windows[decisions == winner].mean(axis=0)
