"""Find respiratory cycles in a recording that has no annotation.

A breath begins where the sound between 160 and 690 Hz rises after a slow fade. So: the level of that band (above
most of the heart's sounds, below what the narrowest stethoscope loses), its rises, the period at which they come back,
and the sequence of rises that is both steep and regular, found by dynamic programming as a beat tracker does (Ellis,
J. New Music Research 36:51, 2007). Constants were chosen on the training patients of two corpora; `docs/segmenter.md`
says how well it works. Times in seconds, frequencies in hertz.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d, uniform_filter1d
from scipy.signal import find_peaks

from add4rsc.inference._base import Stretch

FRAME, SHIFT = 0.064, 0.02
BAND_EDGES = np.geomspace(160.0, 690.0, 7)
"""The mean of the levels of six bands is less moved by a heart beat or a wheeze than the level of their sum."""
FLOOR = 10**-13
"""Added to the power of a band, where a full-scale tone has 1/4: below the rounding of 16 bits."""
FRAMES_AT_ONCE = 512
SMOOTHING = 0.08
ADAPTATION = 6.0
"""Span over which the level is compared with its own mean and spread."""
HIGHEST = 3.0
"""Standard deviations at which the level is cut off."""
BEFORE, AFTER = 0.2, 0.5
"""Spans whose mean levels a rise compares."""
LEVEL_SHARE = 0.2
"""How much the level after a rise counts beside the rise itself."""
LEAST_RISE, RISE_COST = 0.1, 0.6
"""Standard deviations: what is no rise at all, and what a boundary must gain to be drawn."""
BETWEEN_RISES, SHORTEST = 0.2, 0.6
PERIODS = (1.0, 6.0)
USUAL_PERIOD, PERIOD_SPREAD = 2.4, 0.7
"""Median of 2,534 annotated cycles, and the spread of the logarithm within which another period is believed."""
AS_SIMILAR, NEAR_HALF = 0.9, 5
"""Half a period is the period if its lag, give or take some frames, is nearly as similar."""
LATE_COST = 0.5
"""Most that a long pause costs: recordings hold pauses, but no breath of 0.3 s."""
ONSET_DELAY = 0.02
"""How much later than the annotated beginning a rise is steepest."""
FULL_HEAD, FULL_PAUSE = 0.5, 2.5
"""Periods: what before the first rise is a stretch of its own; from where on a long one is divided."""
BLOCK, CONTEXT = 120.0, 15.0
"""Boundaries are sought in blocks, each with its surroundings: breathing changes over a long recording."""


def find_cycles(waveform: Float[ndarray, " sample"], sample_rate: int) -> list[Stretch]:
    """Find respiratory cycles, in order, each ending where the next begins; empty where no breath is heard.

    Beside the waveform it needs a small part of its memory, whatever the length. What is found at one place depends on
    nothing that is more than `BLOCK + CONTEXT` away.

    Args:
        waveform: in [-1, 1].
        sample_rate: of the waveform; from 1,500 Hz on.
    """
    levels = breath_levels(waveform, sample_rate)
    duration = len(waveform) / sample_rate
    n_block, n_context = round(BLOCK / SHIFT), round(CONTEXT / SHIFT)
    starts: list[float] = []
    period = USUAL_PERIOD
    for first in range(0, len(levels), n_block):
        begin = max(0, first - n_context)
        frames, period = _breath_starts(levels[begin : first + n_block + n_context])
        inside = frames[(frames + begin >= first) & (frames + begin < first + n_block)] + begin
        times = inside * SHIFT + FRAME / 2 - ONSET_DELAY
        starts.extend(float(time) for time in times if not starts or time - starts[-1] >= BETWEEN_RISES)
    return list(_stretches(starts, period, duration))


def breath_levels(waveform: Float[ndarray, " sample"], sample_rate: int) -> Float[ndarray, " frame"]:
    """Level of the breath band in dB, `SHIFT` apart: the mean of the levels of its parts."""
    n_frame, n_shift = round(FRAME * sample_rate), round(SHIFT * sample_rate)
    if len(waveform) < n_frame:
        return np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, n_frame)[::n_shift]
    window = np.hanning(n_frame).astype(np.float32)
    window /= window.sum()
    bands = _bands(np.fft.rfftfreq(n_frame, 1 / sample_rate))
    levels = np.empty(len(frames))
    for first in range(0, len(frames), FRAMES_AT_ONCE):
        spectrum = np.fft.rfft(frames[first : first + FRAMES_AT_ONCE] * window, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        levels[first : first + FRAMES_AT_ONCE] = 10 * np.log10(power @ bands + FLOOR).mean(axis=1)
    return levels


def _bands(frequencies: Float[ndarray, " bin"]) -> Float[ndarray, "bin band"]:
    """Weights that average the bins of each band; bands above the highest frequency are left out."""
    members = [(frequencies >= low) & (frequencies < high) for low, high in itertools.pairwise(BAND_EDGES)]
    return np.stack([each / each.sum() for each in members if each.any()], axis=1)


def _breath_starts(levels: Float[ndarray, " frame"]) -> tuple[Int[ndarray, " start"], float]:
    """Frames where breaths begin, and the period in seconds."""
    rises = _rises(_adapt(levels))
    period = _period(rises)
    peaks, _ = find_peaks(rises, height=LEAST_RISE, distance=round(BETWEEN_RISES / SHIFT))
    return peaks[_best_path(peaks * SHIFT, rises[peaks] - RISE_COST, period)], period


def _adapt(levels: Float[ndarray, " frame"]) -> Float[ndarray, " frame"]:
    """Smooth, and measure in standard deviations from the mean of the surroundings."""
    smooth = gaussian_filter1d(levels, SMOOTHING / SHIFT)
    span = round(ADAPTATION / SHIFT)
    deviation = smooth - uniform_filter1d(smooth, span, mode="reflect")
    spread = np.sqrt(np.maximum(uniform_filter1d(deviation**2, span, mode="reflect"), 1.0))  # noise is no breath
    return np.clip(deviation / spread, -HIGHEST, HIGHEST)


def _rises(levels: Float[ndarray, " frame"]) -> Float[ndarray, " frame"]:
    """How much louder it is after each frame than before it, and, by a share, how loud."""
    n_before, n_after = round(BEFORE / SHIFT), round(AFTER / SHIFT)
    sums = np.concatenate([[0.0], np.cumsum(np.pad(levels, (n_before, n_after), mode="edge"))])
    here = np.arange(len(levels)) + n_before
    after = (sums[here + n_after] - sums[here]) / n_after
    before = (sums[here] - sums[here - n_before]) / n_before
    return (1 + LEVEL_SHARE) * after - before


def _period(rises: Float[ndarray, " frame"]) -> float:
    """The lag at which rises come back, near the usual one unless another is clearly better."""
    shortest, longest = (round(limit / SHIFT) for limit in PERIODS)
    n_frames = len(rises)
    if n_frames < 2 * shortest:
        return USUAL_PERIOD
    steep = gaussian_filter1d(np.maximum(rises, 0), SMOOTHING / SHIFT)
    steep -= steep.mean()
    products = np.fft.irfft(np.abs(np.fft.rfft(steep, 2 * n_frames)) ** 2)
    lags = np.arange(shortest, min(longest, n_frames // 2) + 1)
    similarity = products[lags] / (1 - lags / (2 * n_frames))
    belief = np.exp(-((np.log(lags * SHIFT / USUAL_PERIOD) / PERIOD_SPREAD) ** 2) / 2)
    best = int(np.argmax(similarity * belief))
    half = lags[best] // 2 - shortest
    near = slice(max(0, half - NEAR_HALF), half + NEAR_HALF + 1)
    if half >= 0 and similarity[near].max() >= AS_SIMILAR * similarity[best]:
        best = near.start + int(np.argmax(similarity[near]))  # two breaths had been taken for one
    return float(lags[best] * SHIFT)


def _best_path(times: Float[ndarray, " peak"], gains: Float[ndarray, " peak"], period: float) -> Int[ndarray, " start"]:
    """Indices of the rises that gain most together, less what their distances cost."""
    if not len(times):
        return np.zeros(0, dtype=np.int64)
    best = gains.copy()
    previous = np.full(len(times), -1)
    for index in range(1, len(times)):
        distances = times[index] - times[:index]
        costs = np.log(distances / period) ** 2
        costs = np.where(distances > period, np.minimum(costs, LATE_COST), costs)
        sums = np.where(distances >= SHORTEST, best[:index] - costs, -np.inf)
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
