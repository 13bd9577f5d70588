"""What the first filter of an ADD layer does to a recording, as frames and as sound: an illustration.

The filter's output is a log-mel spectrogram; nothing in the network is a waveform. Where it lies below the frames that
came in, the recording's own short-time spectrum is turned down by as much, and turned back into sound with its own
phase. Where it lies above, nothing happens: a gain of more than 1 would make noise that nobody recorded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from add4rsc.audio.io import AudioInfo, read_info, read_waveform
from add4rsc.errors import WrongUsageError
from add4rsc.inference._base import AbstractClassifier, AbstractMelFilter
from add4rsc.inference._filtered_frames import Grid, Heard, filter_frames
from add4rsc.inference._resynthesis import GainAt, apply_gain, band_centres, gain_of
from add4rsc.inference.cycles import part_length
from add4rsc.inference.pipeline import read_part
from add4rsc.inference.result import ILLUSTRATIVE

SLICE = 20.0
"""Seconds that are worked on at once."""
MARGIN = 0.1
"""Seconds around a slice, between whose frames gains are interpolated."""


@dataclass(frozen=True)
class Denoised:
    """A stretch of a recording as the first filter of an ADD layer leaves it: an illustration, not a cleaned sound."""

    waveform: Float[ndarray, " sample"]
    """Mono, in [-1, 1], of the stretch's own length."""
    sample_rate: int
    """The recording's own, in hertz."""
    log_mel: Float[ndarray, "time mel"]
    """Natural logarithms of mel energies, as the network's front-end gives them."""
    filtered: Float[ndarray, "time mel"]
    """The same after the filter."""
    frequencies: Float[ndarray, " mel"]
    """Centres of the mel bands in hertz."""
    first_time: float
    """Middle of the first frame, in seconds from the recording's start."""
    frame_shift: float
    """Seconds from one frame to the next."""
    start: float = 0.0
    """Time of the first sample, in seconds from the recording's start."""
    note: str = ILLUSTRATIVE
    """To be shown wherever this is shown."""

    @property
    def gain(self) -> Float[ndarray, "time mel"]:
        """What the recording's amplitude was multiplied by in each frame and band: between 0 and 1."""
        return gain_of(self.log_mel, self.filtered)

    @property
    def times(self) -> Float[ndarray, " time"]:
        """Middle of each frame in seconds from the recording's start."""
        return self.first_time + self.frame_shift * np.arange(len(self.log_mel))


def denoise(classifier: AbstractClassifier, path: Path, start: float = 0.0, end: float | None = None) -> Denoised:
    """A stretch of a recording through the first filter of a model's ADD layer; it takes memory as it is long.

    Args:
        classifier: with an ADD layer.
        path: of the recording.
        start: first second.
        end: last second; None is the recording's.

    Raises:
        WrongUsageError: if the model has no ADD layer, or nothing lies between the times.
        AudioError: if the recording cannot be read.
    """
    return join(list(denoise_slices(classifier, path, start, end)))


def join(pieces: list[Denoised]) -> Denoised:
    """Slices that follow each other, in one."""
    first = pieces[0]
    waveform, log_mel, filtered = (
        np.concatenate(each)
        for each in zip(*((each.waveform, each.log_mel, each.filtered) for each in pieces), strict=True)
    )
    place = (first.frequencies, first.first_time, first.frame_shift, first.start)
    return Denoised(waveform, first.sample_rate, log_mel, filtered, *place)


def denoise_slices(
    classifier: AbstractClassifier, path: Path, start: float = 0.0, end: float | None = None
) -> Iterator[Denoised]:
    """The same, slice after slice, which join without a seam; memory does not grow with the recording's length.

    Raises:
        WrongUsageError: if the model has no ADD layer, or nothing lies between the times.
        AudioError: if the recording cannot be read.
    """
    mel_filter, info = require_filter(classifier), read_info(path)
    stop = info.duration if end is None else min(end, info.duration)
    if not 0 <= start < stop:
        raise WrongUsageError(f"{path} has {info.duration:.3f} s, nothing between {start} and {end} s.")
    grid, reach = frame_grid(classifier, info), MARGIN + classifier.duration
    for first, last in _cut(start, stop, max(SLICE, part_length(info) // SLICE * SLICE)):
        begin, waveform = read_part(path, info, classifier, max(0.0, first - reach), min(info.duration, last + reach))
        heard, own = Heard(waveform, begin), _read_own(path, info, first, last)
        for stretch in _cut(first, last, SLICE):
            yield _slice(mel_filter, grid, (heard, own), info.sample_rate, stretch)


def require_filter(classifier: AbstractClassifier) -> AbstractMelFilter:
    """The first filter of a model's ADD layer.

    Raises:
        WrongUsageError: if there is none.
    """
    if classifier.mel_filter is None:
        raise WrongUsageError(
            f"The model {classifier.name} has no ADD layer whose filter could be shown. Pass --model with a run folder "
            "of an add4rsc recipe (such as add4rsc/mn04), or with an ONNX file that `add4rsc export` made of one."
        )
    return classifier.mel_filter


def frame_grid(classifier: AbstractClassifier, info: AudioInfo) -> Grid:
    """Where windows and frames of a recording lie.

    Raises:
        WrongUsageError: if the model has no ADD layer.
    """
    mel_filter, rate = require_filter(classifier), classifier.sample_rate
    n_window = classifier.crop.n_samples(rate)
    n_frames = mel_filter.apply(np.zeros((1, n_window), np.float32)).log_mel.shape[1]
    return Grid(mel_filter.frames, max(1, int(info.duration * rate)), n_window, n_frames)


def _slice(
    mel_filter: AbstractMelFilter,
    grid: Grid,
    sounds: tuple[Heard, Heard],
    sample_rate: int,
    stretch: tuple[float, float],
) -> Denoised:
    """One slice, from a part of the recording at the network's rate and at its own."""
    (heard, own), (start, end) = sounds, stretch
    stop = max(1, grid.frame_at(end + MARGIN))
    offset = min(grid.frame_at(start - MARGIN), stop - 1)
    log_mel, filtered = filter_frames(mel_filter, grid, heard, offset, stop)
    gain_at = GainAt(grid.frames, offset, gain_of(log_mel, filtered))
    waveform = apply_gain(own, sample_rate, round(start * sample_rate), round(end * sample_rate), gain_at)
    first = grid.frame_at(start)
    inside = slice(first - offset, grid.frame_at(end) - offset)
    return Denoised(
        np.clip(waveform, -1, 1),
        sample_rate,
        log_mel[inside],
        filtered[inside],
        band_centres(grid.frames),
        grid.time_of(first),
        grid.frames.frame_shift / grid.frames.sample_rate,
        start,
    )


def _read_own(path: Path, info: AudioInfo, start: float, end: float) -> Heard:
    """A part of a recording at its own rate, with a margin for the spectrum."""
    first = max(0, int((start - MARGIN) * info.sample_rate))
    stop = None if end + MARGIN >= info.duration else end + MARGIN
    within = (first + 0.5) / info.sample_rate if first else 0.0  # rounding cannot make it the sample before
    return Heard(read_waveform(path, info.sample_rate, within, stop), first)


def _cut(start: float, end: float, length: float) -> Iterator[tuple[float, float]]:
    """A stretch in pieces that begin at multiples of a length."""
    edges = np.arange(np.floor(start / length) + 1, np.ceil(end / length)) * length
    points = [start, *(float(each) for each in edges if start < each < end), end]
    yield from pairwise(points)
