"""Find respiratory cycles, or the events within them, in a recording that has no annotation.

A small network says of every moment whether a breath begins or ends there (`_breath_network`). From that, dynamic
programming chooses the boundaries that are likely and fit together. For a network that was trained on whole cycles,
they follow each other at a period, as a beat tracker's beats do (Ellis, J. New Music Research 36:51, 2007). For one
that was trained on single events, each has a beginning, an end and a usual length, and what is between them is left out
(a semi-Markov chain, found as in Ostendorf et al. 1996). Constants were chosen on validation patients of two corpora;
`docs/segmenter.md` says how well it works. Times in seconds, frequencies in hertz.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from add4rsc.inference._base import Stretch
from add4rsc.inference._breath_network import (
    FRAME,
    LEAST_SPREAD,
    SHIFT,
    STEP,
    STEP_TIME,
    BreathTracks,
    breath_levels,
    n_level_frames,
    track_breaths,
)
from add4rsc.inference.cycles import Unit

BLOCK, CONTEXT = 120.0, 15.0
"""Boundaries are sought in blocks, each with its surroundings: breathing changes over a long recording."""
BETWEEN_PEAKS = 0.16
"""Two peaks of one track are no nearer."""

LEAST_CYCLE_LOGIT, CYCLE_COST = -3.0, -1.5
"""Logits: what is no beginning of a cycle at all, and what one must gain to be drawn."""
BETWEEN_STARTS, SHORTEST_CYCLE = 0.2, 0.6
SMOOTHING = 0.08
PERIODS = (1.0, 6.0)
USUAL_PERIOD, PERIOD_SPREAD = 2.4, 0.7
"""Median of 2,534 annotated cycles, and the spread of the logarithm within which another period is believed."""
AS_SIMILAR, NEAR_HALF = 0.7, 2
"""Half a period is the period if its lag, give or take some steps, is nearly as similar."""
DISTANCE_WEIGHT, LATE_COST = 2.0, 1.0
"""What an unusual distance costs, and the most that a long pause does: recordings hold pauses."""
FULL_HEAD, FULL_PAUSE = 0.5, 2.5
"""Periods: what before the first beginning is a stretch of its own; from where on a long one is divided."""

LEAST_EVENT_LOGIT, EVENT_COST = -4.0, -6.0
"""Logits: what is no boundary of an event at all, and what an event must gain to be drawn."""
SHORTEST_EVENT, LONGEST_EVENT = 0.2, 6.0
USUAL_EVENT, EVENT_SPREAD = 1.25, 0.6
"""Median of 6,656 annotated events, and the spread of the logarithm."""
LENGTH_WEIGHT, INSIDE_WEIGHT = 0.2, 2.0
"""What an unusual length costs, and what a second within an event gains for each logit."""


def find_cycles(waveform: Float[ndarray, " sample"], sample_rate: int, unit: Unit = "cycle") -> list[Stretch]:
    """Find respiratory cycles or events, in order; empty where no breath is heard.

    Cycles follow each other to the end of the recording; events leave gaps. Beside the waveform it needs a small part
    of its memory, whatever the length. What is found at one place depends on nothing that is more than
    `BLOCK + CONTEXT` away.

    Args:
        waveform: in [-1, 1].
        sample_rate: of the waveform; from 1,500 Hz on.
        unit: what the network that classifies the stretches was trained on.
    """
    duration = len(waveform) / sample_rate
    blocks = _blocks(waveform, sample_rate)
    return _find_events(blocks, duration) if unit == "event" else _find_whole_cycles(blocks, duration)


@dataclass(frozen=True)
class _Block:
    """The tracks of a part of a recording; only what begins from `start` to before `end` is its own."""

    tracks: BreathTracks
    offset: float
    """Time of the tracks' first frame."""
    start: float
    end: float

    def times(self, frames: Int[ndarray, " mark"]) -> Float[ndarray, " mark"]:
        """Seconds of the recording."""
        return self.offset + frames * STEP_TIME


def _blocks(waveform: Float[ndarray, " sample"], sample_rate: int) -> Iterator[_Block]:
    """The parts of a recording in which there is any sound, the first reaching back to its beginning."""
    n_frames = n_level_frames(len(waveform), sample_rate)
    n_block, n_context = (round(each / STEP_TIME) * STEP for each in (BLOCK, CONTEXT))
    for first in range(0, n_frames, n_block):
        begin, end = max(0, first - n_context), min(n_frames, first + n_block + n_context)
        levels = breath_levels(waveform, sample_rate, begin, end)
        if levels.std(axis=0).max() < LEAST_SPREAD:
            continue
        limits = (first * SHIFT if first else 0.0, (first + n_block) * SHIFT)
        yield _Block(track_breaths(levels), begin * SHIFT + FRAME / 2, *limits)


def _peaks(track: Float[ndarray, " frame"], least: float) -> Int[ndarray, " peak"]:
    """Frames where a track is highest, the first and the last among them."""
    lowest = [track.min() - 1]
    padded = np.concatenate([lowest, track, lowest])
    return find_peaks(padded, height=least, distance=round(BETWEEN_PEAKS / STEP_TIME))[0] - 1


def _find_events(blocks: Iterable[_Block], duration: float) -> list[Stretch]:
    found: list[Stretch] = []
    for block in blocks:
        events = _best_events(block.tracks)
        for start, end in zip(block.times(events[:, 0]), block.times(events[:, 1]), strict=True):
            if block.start <= start < block.end:
                _add_event(found, Stretch(float(start), min(float(end), duration)))
    return found


def _add_event(found: list[Stretch], event: Stretch) -> None:
    """Add an event; where two blocks disagree, the earlier one ends sooner, or stays alone."""
    if found and found[-1].end > event.start:
        shortened = Stretch(found[-1].start, event.start)
        if shortened.duration < SHORTEST_EVENT:
            return
        found[-1] = shortened
    found.append(event)


def _best_events(tracks: BreathTracks) -> Int[ndarray, "event 2"]:
    """First and last frames of the events that gain most together."""
    last = len(tracks.event_end) - 1
    starts = np.union1d(_peaks(tracks.event_start, LEAST_EVENT_LOGIT), [0])
    ends = np.union1d(_peaks(tracks.event_end, LEAST_EVENT_LOGIT), [last])
    inside = np.concatenate([[0.0], np.cumsum(tracks.event_inside)]) * STEP_TIME
    gains_at_start = tracks.event_start[starts] - INSIDE_WEIGHT * inside[starts] - EVENT_COST
    gains_at_end = tracks.event_end[ends] + INSIDE_WEIGHT * inside[ends]
    n_ended = np.searchsorted(ends, starts, side="right")
    best, chosen = np.zeros(len(ends) + 1), np.full(len(ends), -1)
    for index, end in enumerate(ends):
        lengths = (end - starts) * STEP_TIME
        near = np.flatnonzero((lengths >= SHORTEST_EVENT) & (lengths <= LONGEST_EVENT))
        best[index + 1] = best[index]
        if len(near):
            costs = LENGTH_WEIGHT * (np.log(lengths[near] / USUAL_EVENT) / EVENT_SPREAD) ** 2
            sums = best[n_ended[near]] + gains_at_start[near] + gains_at_end[index] - costs
            if sums.max() > best[index]:
                best[index + 1], chosen[index] = sums.max(), near[int(np.argmax(sums))]
    path, index = [], len(ends)
    while index > 0:
        start = chosen[index - 1]
        if start >= 0:
            path.append((starts[start], ends[index - 1]))
        index = int(n_ended[start]) if start >= 0 else index - 1
    return np.array(path[::-1], dtype=np.int64).reshape(-1, 2)


def _find_whole_cycles(blocks: Iterable[_Block], duration: float) -> list[Stretch]:
    starts: list[float] = []
    period = USUAL_PERIOD
    for block in blocks:
        track = block.tracks.cycle_start
        period = _period(1 / (1 + np.exp(-track)))
        peaks = _peaks(track, LEAST_CYCLE_LOGIT)
        times = block.times(peaks[_best_path(peaks * STEP_TIME, track[peaks] - CYCLE_COST, period)])
        inside = times[(times >= block.start) & (times < block.end)]
        starts.extend(float(time) for time in inside if not starts or time - starts[-1] >= BETWEEN_STARTS)
    return list(_stretches(starts, period, duration))


def _period(likely: Float[ndarray, " frame"]) -> float:
    """The lag at which beginnings come back, near the usual one unless another is clearly better."""
    shortest, longest = (round(limit / STEP_TIME) for limit in PERIODS)
    n_frames = len(likely)
    if n_frames < 2 * shortest:
        return USUAL_PERIOD
    smooth = gaussian_filter1d(likely, SMOOTHING / STEP_TIME)
    smooth -= smooth.mean()
    products = np.fft.irfft(np.abs(np.fft.rfft(smooth, 2 * n_frames)) ** 2)
    lags = np.arange(shortest, min(longest, n_frames // 2) + 1)
    similarity = products[lags] / (1 - lags / (2 * n_frames))
    belief = np.exp(-((np.log(lags * STEP_TIME / USUAL_PERIOD) / PERIOD_SPREAD) ** 2) / 2)
    best = int(np.argmax(similarity * belief))
    half = lags[best] // 2 - shortest
    near = slice(max(0, half - NEAR_HALF), half + NEAR_HALF + 1)
    if half >= 0 and similarity[near].max() >= AS_SIMILAR * similarity[best]:
        best = near.start + int(np.argmax(similarity[near]))  # two breaths had been taken for one
    return float(lags[best] * STEP_TIME)


def _best_path(times: Float[ndarray, " peak"], gains: Float[ndarray, " peak"], period: float) -> Int[ndarray, " start"]:
    """Indices of the beginnings that gain most together, less what their distances cost."""
    if not len(times):
        return np.zeros(0, dtype=np.int64)
    best = gains.copy()
    previous = np.full(len(times), -1)
    for index in range(1, len(times)):
        distances = times[index] - times[:index]
        costs = DISTANCE_WEIGHT * np.log(distances / period) ** 2
        costs = np.where(distances > period, np.minimum(costs, LATE_COST), costs)
        sums = np.where(distances >= SHORTEST_CYCLE, best[:index] - costs, -np.inf)
        before = int(np.argmax(sums))
        if sums[before] > 0:
            best[index] += sums[before]
            previous[index] = before
    path = [int(np.argmax(best))]
    while previous[path[-1]] >= 0:
        path.append(int(previous[path[-1]]))
    return np.array(path[::-1])


def _stretches(starts: list[float], period: float, duration: float) -> Iterator[Stretch]:
    """From each start to the next, the last to the end; long ones divided evenly."""
    if not starts:
        return
    head = [0.0] if starts[0] > FULL_HEAD * period else []
    edges = [*head, *(max(0.0, start) for start in starts), duration]
    for start, end in itertools.pairwise(edges):
        length = end - start
        n_parts = max(1, round(length / period)) if length > FULL_PAUSE * period else 1
        for part in range(n_parts):
            yield Stretch(start + length * part / n_parts, start + length * (part + 1) / n_parts)
