"""Where breaths begin and end, frame by frame: a small network on band levels, in numpy alone.

Twenty levels of 64 ms frames go through a stack of dilated convolutions with skip connections (Bai, Kolter and Koltun
2018, arXiv:1803.01271, not causal here), which gives four logits every 40 ms. Its weights are fitted by
`benchmarks/fit_segmenter.py` on the training patients of two corpora. Times in seconds, frequencies in hertz.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.lib.stride_tricks import sliding_window_view
from safetensors.numpy import load_file
from scipy.ndimage import uniform_filter1d

WEIGHTS = Path(__file__).with_name("breath_network.safetensors")
FRAME, SHIFT = 0.064, 0.02
N_BANDS = 20
BAND_EDGES = np.geomspace(100.0, 1800.0, N_BANDS + 1)
"""A recording at 4 kHz holds all of them; one at a lower rate lacks the highest, which fitting has seen too."""
FLOOR = 1e-13
"""Added to the power of a band, where a full-scale tone has 1/4: below the rounding of 16 bits."""
FRAMES_AT_ONCE = 256
ADAPTATION = 6.0
"""Span over which a level is compared with its own mean and spread."""
LEAST_SPREAD = 1.0
"""Decibels: what varies less is no breath."""
HIGHEST = 3.0
"""Standard deviations at which a level is cut off."""
KERNEL, STEP = 5, 2
STEP_TIME = SHIFT * STEP
"""Between two frames of the tracks."""
DILATIONS = (1, 2, 4, 8, 16, 32)
HEADS = ("cycle_start", "event_start", "event_end", "event_inside")


@dataclass(frozen=True)
class BreathTracks:
    """Logits, `STEP_TIME` apart; frame 0 is at `FRAME / 2`."""

    cycle_start: Float[ndarray, " frame"]
    """Whether a respiratory cycle begins here."""
    event_start: Float[ndarray, " frame"]
    event_end: Float[ndarray, " frame"]
    event_inside: Float[ndarray, " frame"]
    """Whether a part of a breath that a listener would mark, in or out, is being heard."""


def breath_levels(
    waveform: Float[ndarray, " sample"], sample_rate: int, first: int = 0, last: int | None = None
) -> Float[ndarray, "frame band"]:
    """Levels in dB of the bands in frames `first` to `last`, `SHIFT` apart; the floor where the rate lacks a band."""
    n_frame = round(FRAME * sample_rate)
    last = n_level_frames(len(waveform), sample_rate) if last is None else last
    window = np.hanning(n_frame).astype(np.float32)
    window /= window.sum()
    bands = _bands(np.fft.rfftfreq(n_frame, 1 / sample_rate))
    levels = np.empty((max(0, last - first), N_BANDS), dtype=np.float32)
    frames = sliding_window_view(waveform, n_frame) if len(levels) else waveform
    for begin in range(first, last, FRAMES_AT_ONCE):
        starts = _first_samples(np.arange(begin, min(begin + FRAMES_AT_ONCE, last)), sample_rate)
        spectrum = np.fft.rfft(frames[starts] * window, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2) @ bands
        levels[begin - first : begin - first + len(starts)] = 10 * np.log10(power + FLOOR)
    return levels


def n_level_frames(n_samples: int, sample_rate: int) -> int:
    """How many whole frames a waveform holds."""
    room = n_samples - round(FRAME * sample_rate)
    n_frames = int(room / (SHIFT * sample_rate)) + 2
    return int(np.searchsorted(_first_samples(np.arange(max(0, n_frames)), sample_rate), room, side="right"))


def _first_samples(frames: ndarray, sample_rate: int) -> ndarray:
    """Rounded for each frame by itself: a rounded shift would lose 1.4 s in ten minutes at 11,025 Hz."""
    return np.rint(frames * SHIFT * sample_rate).astype(np.int64)


def _bands(frequencies: Float[ndarray, " bin"]) -> Float[ndarray, "bin band"]:
    """Weights that average the bins of each band."""
    members = (frequencies[:, None] >= BAND_EDGES[:-1]) & (frequencies[:, None] < BAND_EDGES[1:])
    return members / np.maximum(1, members.sum(axis=0))


def adapt(levels: Float[ndarray, "frame band"]) -> Float[ndarray, "frame band"]:
    """Measure each band in standard deviations from the mean of its surroundings."""
    span = round(ADAPTATION / SHIFT)
    deviation = levels - uniform_filter1d(levels, span, axis=0, mode="reflect")
    variance = uniform_filter1d(deviation**2, span, axis=0, mode="reflect")
    return np.clip(deviation / np.sqrt(np.maximum(variance, LEAST_SPREAD**2)), -HIGHEST, HIGHEST)


def track_breaths(levels: Float[ndarray, "frame band"]) -> BreathTracks:
    """The network's logits of a stretch of levels; half as many frames, rounded up."""
    weights = _weights()
    hidden = np.maximum(_convolve(adapt(levels), weights, "inlet", 1, STEP), 0)
    for layer, dilation in enumerate(DILATIONS):
        hidden = hidden + np.maximum(_convolve(hidden, weights, f"layers.{layer}", dilation, 1), 0)
    logits = _convolve(hidden, weights, "outlet", 1, 1)
    return BreathTracks(*logits.T)


def _convolve(
    signal: Float[ndarray, "frame channel"], weights: dict[str, ndarray], layer: str, dilation: int, step: int
) -> Float[ndarray, "step unit"]:
    """Sum over the taps of a centred kernel; zeros beyond the ends."""
    kernel = weights[f"{layer}.weight"]
    reach = dilation * (len(kernel) // 2)
    padded = np.pad(signal, ((reach, reach), (0, 0)))
    n_frames = len(signal)
    total = weights[f"{layer}.bias"] + padded[:n_frames:step] @ kernel[0]
    for tap in range(1, len(kernel)):
        total += padded[tap * dilation : tap * dilation + n_frames : step] @ kernel[tap]
    return total


@cache
def _weights() -> dict[str, ndarray]:
    """Kernels as tap x channel in x channel out, and biases, as float32."""
    return {name: values.astype(np.float32) for name, values in load_file(WEIGHTS).items()}
