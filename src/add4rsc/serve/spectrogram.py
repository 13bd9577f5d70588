"""Mel spectrograms to look at: bytes in place of decibels, at the width and height of a picture."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from add4rsc.audio.io import AudioInfo, read_waveform

LONGEST = 600.0
"""Seconds of one picture."""
F_MIN, F_MAX = 50.0, 2000.0
"""Hertz: below, there is mostly the heart and the hand; above, hardly any crackle or wheeze (CORSA, 2000)."""
RANGE_DB = 70.0
"""From the loudest to what is drawn as nothing."""
WINDOW = 0.064
"""Seconds: resolves 30 Hz, and a coarse crackle in time."""
PADDING = 4
"""Times the window's length: the narrowest band is narrower than a bin without it."""
READ_AT_ONCE = 60.0


@dataclass(frozen=True)
class Picture:
    """What part of a recording is drawn, and how finely. Times in seconds, frequencies in hertz."""

    start: float
    end: float
    n_frames: int
    n_mels: int
    f_max: float = F_MAX

    @property
    def step(self) -> float:
        """Seconds of one frame."""
        return (self.end - self.start) / self.n_frames


def read_spectrogram(path: Path, info: AudioInfo, picture: Picture) -> UInt8[ndarray, "frame mel"]:
    """Levels of mel bands: 255 is the loudest in the picture, 0 is `RANGE_DB` below it or less.

    A frame that is longer than the window is the mean of several.

    Raises:
        AudioError: if that part of the recording cannot be read.
    """
    power = np.concatenate(list(_power(path, info, picture)))
    level = 10 * np.log10(power + 1e-14)
    return np.round(255 * np.clip(1 + (level - level.max()) / RANGE_DB, 0, 1)).astype(np.uint8)


def highest_frequency(info: AudioInfo, wanted: float) -> float:
    """The upper edge of the highest band that a recording can have."""
    return min(wanted, info.sample_rate / 2)


def legend(picture: Picture) -> dict[str, Any]:
    """What has to be known to put a picture in its place: its part of the recording, its axes, its range."""
    return {
        "start": picture.start,
        "end": picture.end,
        "n_frames": picture.n_frames,
        "n_mels": picture.n_mels,
        "hertz": [round(float(each), 1) for each in centres(picture.f_max, picture.n_mels)],
        "max_hertz": picture.f_max,
        "range_db": RANGE_DB,
    }


def centres(f_max: float, n_mels: int) -> Float[ndarray, " mel"]:
    """Centre frequencies of the bands in hertz, evenly apart in mel."""
    return _edges(f_max, n_mels)[1:-1]


def _edges(f_max: float, n_mels: int) -> Float[ndarray, " edge"]:
    f_min = min(F_MIN, f_max / 4)
    low, high = (2595 * np.log10(1 + edge / 700) for edge in (f_min, f_max))  # O'Shaughnessy's mel
    mel = np.linspace(low, high, n_mels + 2)
    return 700 * (10 ** (mel / 2595) - 1)


def _filters(frequencies: Float[ndarray, " bin"], f_max: float, n_mels: int) -> Float[ndarray, "bin mel"]:
    """Triangles between the neighbours' centres, each of weight 1."""
    low, centre, high = (_edges(f_max, n_mels)[at : at + n_mels] for at in range(3))
    rising = (frequencies[:, None] - low) / (centre - low)
    falling = (high - frequencies[:, None]) / (high - centre)
    weights = np.clip(np.minimum(rising, falling), 0, None)
    return weights / np.maximum(weights.sum(axis=0), 1e-9)


def _power(path: Path, info: AudioInfo, picture: Picture) -> Iterator[Float[ndarray, "frame mel"]]:
    """Mean power in each band, for as many frames at once as are read at once."""
    sample_rate = max(2, round(2 * picture.f_max))
    n_window = max(16, round(WINDOW * sample_rate))
    window = np.hanning(n_window) / np.hanning(n_window).sum()
    filters = _filters(np.fft.rfftfreq(PADDING * n_window, 1 / sample_rate), picture.f_max, picture.n_mels)
    n_sub = max(1, int(np.ceil(picture.step / (WINDOW / 2))))
    n_at_once = max(1, int(READ_AT_ONCE / picture.step))
    for first in range(0, picture.n_frames, n_at_once):
        n_frames = min(n_at_once, picture.n_frames - first)
        times = picture.start + (first + (np.arange(n_frames * n_sub) + 0.5) / n_sub) * picture.step
        frames = _frames(path, info, times, sample_rate, n_window)
        spectrum = np.fft.rfft(frames * window, PADDING * n_window, axis=1)
        bands = (spectrum.real**2 + spectrum.imag**2) @ filters
        yield bands.reshape(n_frames, n_sub, picture.n_mels).mean(axis=1)


def _frames(
    path: Path, info: AudioInfo, times: Float[ndarray, " frame"], sample_rate: int, n_window: int
) -> Float[ndarray, "frame sample"]:
    """Windows around some times; before the beginning and after the end there is silence."""
    begin = max(0.0, float(times[0]) - WINDOW)
    end = float(times[-1]) + WINDOW
    waveform = read_waveform(path, sample_rate, begin, None if end >= info.duration else end)
    padded = np.pad(waveform, n_window)
    first = np.round((times - int(begin * sample_rate) / sample_rate) * sample_rate).astype(np.int64) + n_window // 2
    return padded[np.clip(first, 0, len(padded) - n_window)[:, None] + np.arange(n_window)]
