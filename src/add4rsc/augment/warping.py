"""A sound whose frequencies are moved while its time stays: another pitch, or another vocal tract."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import signal

FRAME = 0.064
"""Seconds of a frame: four periods of 62.5 Hz."""
OVERLAP = 4
"""Frames in which each sample lies."""
FEWEST_SAMPLES = 64
"""Shorter sounds stay as they are."""
LEAST_POWER = 1e-12
TRACT_CORNER = 0.6
"""Share of half the sample rate up to which a vocal tract scales: 4800 Hz of 8000 Hz, Jaitly and Hinton 2013."""


def shift_pitch(waveform: Float[ndarray, " sample"], sample_rate: int, semitones: float) -> Float[ndarray, " sample"]:
    """Multiply all frequencies; those that leave the band are lost."""
    factor = 2 ** (semitones / 12)
    return warp_frequencies(waveform, sample_rate, (0.0, 1.0), (0.0, factor))


def change_vocal_tract(
    waveform: Float[ndarray, " sample"], sample_rate: int, factor: float
) -> Float[ndarray, " sample"]:
    """Vocal tract length perturbation: multiply the lower frequencies, and squeeze or stretch the rest to fit.

    Jaitly and Hinton, ICML Workshop on Deep Learning for Audio 2013, their G(f).
    """
    corner = TRACT_CORNER * min(factor, 1.0)
    return warp_frequencies(waveform, sample_rate, (0.0, corner / factor, 1.0), (0.0, corner, 1.0))


def warp_frequencies(
    waveform: Float[ndarray, " sample"], sample_rate: int, source: tuple[float, ...], target: tuple[float, ...]
) -> Float[ndarray, " sample"]:
    """Move every frequency by a map that is linear between points, with the phases of a phase vocoder.

    Flanagan and Golden 1966: the frequency in each bin is what its phase does from frame to frame. What comes out is as
    loud as what went in: frames of noise, which add up less well than before, would else lose 3 dB.

    Args:
        waveform: in [-1, 1].
        sample_rate: in hertz.
        source: points of the map, rising from 0 to 1, half the sample rate.
        target: where they go; rising from 0.
    """
    n_fft = min(2 ** round(np.log2(FRAME * sample_rate)), len(waveform) // 2 * 2)
    if len(waveform) < FEWEST_SAMPLES:
        return waveform
    hop = n_fft // OVERLAP
    layout = {"nperseg": n_fft, "noverlap": n_fft - hop}
    spectrum = signal.stft(waveform, **layout)[2]
    to_middle = (-1.0) ** np.arange(len(spectrum))[:, None]  # of the frame, where all bins of a tone have one phase
    spectrum = spectrum * to_middle
    share = np.linspace(0, 1, len(spectrum))
    origin = np.interp(share, target, source, right=np.nan)
    is_heard, place = ~np.isnan(origin), np.nan_to_num(origin) * (len(spectrum) - 1)
    below = np.minimum(place.astype(int), len(spectrum) - 2)
    between, size = (place - below)[:, None], np.abs(spectrum)
    size = is_heard[:, None] * (size[below] * (1 - between) + size[below + 1] * between)
    nearest = spectrum[np.round(place).astype(int)]
    advance = np.pi * hop * np.interp(_frequencies(nearest, np.round(place), hop, n_fft), *_beyond(source, target))
    phase = np.cumsum(np.concatenate([np.angle(nearest[:, :1]), advance], axis=1), axis=1)
    moved = signal.istft(size * np.exp(1j * phase) * to_middle, **layout)[1]
    whole = np.pad(moved, (0, max(0, len(waveform) - len(moved))))[: len(waveform)]
    loss = np.sqrt(np.mean(np.square(waveform)) / max(float(np.mean(np.square(whole))), LEAST_POWER))
    return (whole * loss).astype(np.float32)


def _frequencies(spectrum: ndarray, bins: Float[ndarray, " bin"], hop: int, n_fft: int) -> Float[ndarray, "bin step"]:
    """The frequency in each bin from every frame to the next, as a share of half the sample rate."""
    expected = 2 * np.pi * hop * bins[:, None] / n_fft
    surplus = np.diff(np.angle(spectrum), axis=1) - expected
    wrapped = (surplus + np.pi) % (2 * np.pi) - np.pi
    return (expected + wrapped) / (np.pi * hop)


def _beyond(source: tuple[float, ...], target: tuple[float, ...]) -> tuple[list[float], list[float]]:
    """The map continued to negative frequencies and beyond half the sample rate: bins at the edges may find such."""
    slope = (target[-1] - target[-2]) / (source[-1] - source[-2])
    mirrored = ([-each for each in points[:0:-1]] for points in (source, target))
    left, right = mirrored
    return [*left, *source, 2.0], [*right, *target, target[-1] + slope]
