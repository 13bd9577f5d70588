"""Cut a cycle out of a recording and bring it to a fixed length."""

from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pydantic import Field, model_validator

from add4rsc.audio.variation import generator_of, vary_waveform
from add4rsc.terms import Settings


class BandPass(Settings):
    """A Butterworth band pass, run forwards and backwards so that nothing moves in time."""

    order: int = Field(gt=0, le=10)
    low: float = Field(default=200.0, gt=0)
    high: float = Field(default=1800.0, gt=0)
    """Corner frequencies in hertz; `high` is cut to just below half the sample rate."""


Voting = Literal["mean", "majority"]


class Crop(Settings):
    """How a respiratory cycle becomes a waveform of fixed length. All times in seconds."""

    duration: float = Field(default=8.0, gt=0)
    """Length of every cropped cycle; a longer cycle keeps its beginning or its end (`kept`), or has `windows`."""
    padding: Literal["repeat", "zero", "changed"] = "repeat"
    """How a shorter cycle is filled: by its own repetition, by zeros on both sides, or (`changed`) by a copy of another
    speed, loudness and noise, repeated, before or behind it (Gairola et al. 2021, the `aug` of RespireNet's code)."""
    recording_fade: float = Field(default=0.0, ge=0)
    """Linear fade-in and fade-out at the ends of the whole recording (62.5 ms in the Patch-Mix code base)."""
    repeat_fade: float = Field(default=0.0, ge=0)
    """Linear fade-out at the end of a cycle that was filled by repetition (62.5 ms in the same)."""
    band_pass: BandPass | None = None
    """Of the whole recording, before everything else."""
    windows: Voting | None = None
    """How a longer cycle is predicted from windows that overlap by half, each of which is a training cycle: by the
    `mean` of their probabilities, or by their `majority`. None keeps its beginning alone (`add4rsc.audio.windows`)."""
    kept: Literal["end"] | None = None
    """What a longer cycle keeps: its `end` (as CycleGuardian's code, METHODS A19), or, None, its beginning."""

    @model_validator(mode="after")
    def _check(self) -> "Crop":
        if self.windows is not None and self.kept is not None:
            raise ValueError("windows hear the whole cycle: leave out kept, or windows")
        return self

    def n_samples(self, sample_rate: int) -> int:
        """Samples in a cropped cycle."""
        return round(self.duration * sample_rate)


def crop_cycle(
    recording: Float[ndarray, " sample"], sample_rate: int, start: float, end: float, crop: Crop
) -> Float[ndarray, " crop"]:
    """Cut one cycle out of a recording's waveform and bring it to the crop's length.

    Args:
        recording: the whole recording, already faded by `fade_recording` if the crop asks for it.
        sample_rate: of the waveform, in hertz.
        start: first second of the cycle.
        end: last second; past the recording's end the cycle ends there.
        crop: length and padding.

    Raises:
        ValueError: if not one sample lies between the two times.
    """
    return fit_length(cut_cycle(recording, sample_rate, start, end), sample_rate, crop)


def cut_cycle(
    recording: Float[ndarray, " sample"], sample_rate: int, start: float, end: float
) -> Float[ndarray, " cut"]:
    """The samples between two times (seconds), as many as there are.

    Raises:
        ValueError: if there is none.
    """
    cycle = recording[int(start * sample_rate) : int(end * sample_rate)]
    if len(cycle) == 0:
        raise ValueError(f"no samples between {start} and {end} s")
    return cycle


def fit_length(cycle: Float[ndarray, " sample"], sample_rate: int, crop: Crop) -> Float[ndarray, " crop"]:
    """Cut a cycle to the crop's length, or fill it up."""
    n_samples = crop.n_samples(sample_rate)
    if len(cycle) >= n_samples:
        return shorten(cycle, n_samples, crop)
    if crop.padding == "zero":
        before = (n_samples - len(cycle)) // 2
        return np.pad(cycle, (before, n_samples - len(cycle) - before))
    if crop.padding == "changed":
        return _fill_with_changed(cycle, n_samples)
    repeated = np.tile(cycle, -(-n_samples // len(cycle)))[:n_samples]
    return fade(repeated, 0, round(crop.repeat_fade * sample_rate))


def shorten(cycle: Float[ndarray, " sample"], n_samples: int, crop: Crop) -> Float[ndarray, " shorter"]:
    """So many samples of a cycle, or all that it has: its first or its last ones, as the crop asks.

    >>> shorten(np.arange(4.0), 3, Crop(kept="end")).tolist()
    [1.0, 2.0, 3.0]
    """
    return cycle[max(0, len(cycle) - n_samples) :] if crop.kept == "end" else cycle[:n_samples]


def _fill_with_changed(cycle: Float[ndarray, " sample"], n_samples: int) -> Float[ndarray, " crop"]:
    """Fill up with a changed copy: as often before the cycle as behind it, and one cycle always in one way.

    So that a cycle has the same features in training, in a test and after export, its samples decide what is drawn.
    """
    generator = generator_of(cycle)
    copy = vary_waveform(cycle, generator)
    return fill_beside(cycle, copy, n_samples, in_front=bool(generator.uniform() < 0.5))


def fill_beside(
    cycle: Float[ndarray, " sample"], filling: Float[ndarray, " filling"], n_samples: int, *, in_front: bool
) -> Float[ndarray, " crop"]:
    """Put something, repeated as often as it takes, in front of a shorter cycle or behind it; itself for nothing."""
    n_missing = n_samples - len(cycle)
    filling = np.tile(filling if len(filling) else cycle, -(-n_missing // max(len(filling), 1)))
    if in_front:
        return np.concatenate([filling[len(filling) - n_missing :], cycle])
    return np.concatenate([cycle, filling[:n_missing]])


def fade_recording(waveform: Float[ndarray, " sample"], sample_rate: int, crop: Crop) -> Float[ndarray, " sample"]:
    """Filter a whole recording, and fade it in and out, as the crop asks."""
    if crop.band_pass is not None:
        waveform = _pass_band(waveform, sample_rate, crop.band_pass)
    n_fade = round(crop.recording_fade * sample_rate)
    return fade(waveform, n_fade, n_fade)


def _pass_band(waveform: Float[ndarray, " sample"], sample_rate: int, band_pass: BandPass) -> Float[ndarray, " sample"]:
    from scipy import signal

    corners = (band_pass.low, min(band_pass.high, 0.499 * sample_rate))
    sections = signal.butter(band_pass.order, corners, btype="bandpass", fs=sample_rate, output="sos")
    n_padded = min(3 * (2 * len(sections) + 1), len(waveform) - 1)
    return signal.sosfiltfilt(sections, waveform, padlen=n_padded).astype(np.float32)


def fade(waveform: Float[ndarray, " sample"], n_in: int, n_out: int) -> Float[ndarray, " sample"]:
    """Scale the first `n_in` samples up from 0 and the last `n_out` down to 0, linearly; a copy unless both are 0.

    >>> fade(np.ones(5, dtype=np.float32), 0, 3).tolist()
    [1.0, 1.0, 1.0, 0.5, 0.0]
    """
    if n_in == n_out == 0:
        return waveform
    faded = waveform.copy()
    n_in, n_out = min(n_in, len(faded)), min(n_out, len(faded))
    faded[:n_in] *= np.linspace(0, 1, n_in, dtype=np.float32)
    faded[len(faded) - n_out :] *= np.linspace(1, 0, n_out, dtype=np.float32)
    return faded
