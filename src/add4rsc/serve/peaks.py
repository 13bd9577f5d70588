"""The outline of a waveform: its lowest and highest sample in each of many equal parts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from add4rsc.audio.io import AudioInfo, read_waveform

EXACT = 120.0
"""Seconds up to which samples are read; beyond, the outline is made of a coarser one that is read once."""
COARSE = 0.01
"""Seconds of one part of the coarse outline."""
READ_AT_ONCE = 60.0
FULL_SCALE = 32767


@dataclass(frozen=True)
class Peaks:
    """Extremes in [-1, 1], part by part."""

    lowest: Float[ndarray, " bucket"]
    highest: Float[ndarray, " bucket"]


@dataclass(frozen=True)
class CoarsePeaks:
    """Extremes of a whole recording in parts of `COARSE` seconds, as 16-bit integers."""

    lowest: Int[ndarray, " part"]
    highest: Int[ndarray, " part"]

    @property
    def n_bytes(self) -> int:
        """What it takes in memory."""
        return self.lowest.nbytes + self.highest.nbytes


def read_peaks(path: Path, info: AudioInfo, start: float, end: float, n_buckets: int) -> Peaks:
    """Extremes of `n_buckets` equal parts from `start` to `end` (seconds), exact to the sample.

    Raises:
        AudioError: if that part cannot be read.
    """
    waveform = read_waveform(path, info.sample_rate, start, None if end >= info.duration else end)
    return Peaks(*_extremes(waveform, waveform, n_buckets))


def read_coarse_peaks(path: Path, info: AudioInfo) -> CoarsePeaks:
    """Extremes of a whole recording, which is read part by part.

    Raises:
        AudioError: if it cannot be read.
    """
    lowest, highest = [], []
    n_reads = max(1, int(info.duration / READ_AT_ONCE))
    for index in range(n_reads):
        start = index * READ_AT_ONCE
        end = info.duration if index == n_reads - 1 else start + READ_AT_ONCE
        peaks = read_peaks(path, info, start, end, max(1, round((end - start) / COARSE)))
        lowest.append(np.floor(np.clip(peaks.lowest, -1, 1) * FULL_SCALE).astype(np.int16))
        highest.append(np.ceil(np.clip(peaks.highest, -1, 1) * FULL_SCALE).astype(np.int16))
    return CoarsePeaks(np.concatenate(lowest), np.concatenate(highest))


def pick_peaks(coarse: CoarsePeaks, duration: float, start: float, end: float, n_buckets: int) -> Peaks:
    """Extremes of `n_buckets` equal parts from `start` to `end`, from the coarse outline of `duration` seconds."""
    n_parts = len(coarse.lowest)
    first = min(int(start / duration * n_parts), n_parts - 1)
    last = max(first + 1, round(end / duration * n_parts))
    lowest, highest = _extremes(coarse.lowest[first:last], coarse.highest[first:last], n_buckets)
    return Peaks(lowest / FULL_SCALE, highest / FULL_SCALE)


def _extremes(low: ndarray, high: ndarray, n_buckets: int) -> tuple[ndarray, ndarray]:
    first = np.linspace(0, len(low), n_buckets, endpoint=False).astype(np.int64)  # where fewer, one counts for several
    return np.minimum.reduceat(low, first), np.maximum.reduceat(high, first)
