"""Classical noise reduction of a waveform: what a user would try in place of a network that stands noise.

Both rules scale the bins of overlapping frames by a gain from an estimate of the noise, which is taken from the quiet
moments of the same sound. Nothing is learnt.
"""

from enum import StrEnum

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.ndimage import uniform_filter1d
from scipy.stats import gamma

FRAME = 0.032
"""Seconds; frames overlap by half."""
N_SMOOTHED = 5
QUIET_SHARE = 0.2
"""The noise power of a bin is found from the power that it stays below in this share of the smoothed frames."""
INDEPENDENT_FRAMES = 4.3
"""What averaging five frames that overlap by half is worth: the root-Hann window's overlap leaves them correlated."""
SILENT = 1e-9
"""Frames of less than this share of the loudest one's energy are silence that was put there: no sign of the noise."""

OVERSUBTRACTION, SLOPE, SNR_RANGE = 4.0, 3 / 20, (-5.0, 20.0)
"""Berouti et al. 1979: times the noise power that is taken away at 0 dB, its fall a decibel, and where that ends."""
SPECTRAL_FLOOR = 0.02
"""Share of the noise power that is left where more than all would be taken."""

SMOOTHING = 0.98
"""Ephraim and Malah 1984: weight of the last frame in the decision-directed estimate."""
LEAST_PRIOR_SNR = 10 ** (-25 / 10)


class Enhancement(StrEnum):
    """How a waveform is cleaned before the front-end."""

    NONE = "none"
    SPECTRAL_SUBTRACTION = "spectral-subtraction"
    WIENER = "wiener"


def enhance(
    waveform: Float[ndarray, " sample"],
    sample_rate: int,
    rule: Enhancement,
    noise_from: Float[ndarray, " longer"] | None = None,
) -> Float[ndarray, " sample"]:
    """Reduce the steady noise in a waveform; as many samples as before.

    Args:
        waveform: a cycle, or a whole recording.
        sample_rate: in hertz.
        rule: `none` gives the waveform back.
        noise_from: a longer sound of the same noise to estimate it from, such as the recording that a cycle is of;
            None takes the waveform itself.
    """
    if rule is Enhancement.NONE or not waveform.any():
        return waveform
    half = max(1, round(FRAME * sample_rate) // 2)
    spectrum = _analyse(waveform, half)
    power = np.square(np.abs(spectrum)).astype(np.float64)
    reference = power if noise_from is None else np.square(np.abs(_analyse(noise_from, half))).astype(np.float64)
    noise = noise_power(reference)
    gain = subtraction_gain(power, noise) if rule is Enhancement.SPECTRAL_SUBTRACTION else wiener_gain(power, noise)
    return _synthesise(spectrum * gain, half, len(waveform))


def noise_power(power: Float[ndarray, "frame bin"]) -> Float[ndarray, " bin"]:
    """Mean noise power of every bin, from the quietest fifth of the smoothed frames.

    Minimum statistics with a low quantile in place of the minimum: smoothed powers of noise are nearly gamma
    distributed, which says by how much the quantile lies below the mean.
    """
    energy = power.sum(axis=1)
    heard = power[energy > SILENT * energy.max()] if energy.any() else power
    smoothed = uniform_filter1d(heard, min(N_SMOOTHED, len(heard)), axis=0, mode="nearest")
    below_mean = gamma.ppf(QUIET_SHARE, INDEPENDENT_FRAMES) / INDEPENDENT_FRAMES
    return np.quantile(smoothed, QUIET_SHARE, axis=0) / below_mean


def subtraction_gain(power: Float[ndarray, "frame bin"], noise: Float[ndarray, " bin"]) -> Float[ndarray, "frame bin"]:
    """Power spectral subtraction with oversubtraction and a floor (Berouti, Schwartz and Makhoul, ICASSP 1979)."""
    snr_db = 10 * np.log10(np.maximum(power.sum(axis=1), 1e-30) / max(float(noise.sum()), 1e-30))
    times = OVERSUBTRACTION - SLOPE * np.clip(snr_db, *SNR_RANGE)
    left = np.maximum(power - times[:, None] * noise, SPECTRAL_FLOOR * noise)
    return np.minimum(np.sqrt(np.divide(left, power, out=np.ones_like(power), where=power > 0)), 1.0)


def wiener_gain(power: Float[ndarray, "frame bin"], noise: Float[ndarray, " bin"]) -> Float[ndarray, "frame bin"]:
    """Wiener's gain by the decision-directed a-priori SNR (Ephraim and Malah 1984; Scalart and Filho 1996)."""
    floor = np.maximum(noise, 1e-30)
    posterior = power / floor
    gains = np.empty_like(power)
    cleaned = np.maximum(posterior[0] - 1, 0.0)
    for index, now in enumerate(posterior):
        prior = SMOOTHING * cleaned + (1 - SMOOTHING) * np.maximum(now - 1, 0.0)
        prior = np.maximum(prior, LEAST_PRIOR_SNR)
        gains[index] = prior / (1 + prior)
        cleaned = gains[index] ** 2 * now
    return gains


def _window(half: int) -> Float[ndarray, " window"]:
    """The root of a Hann window: its squares, half a frame apart, sum to 1."""
    return np.sin(np.pi * (np.arange(2 * half) + 0.5) / (2 * half)).astype(np.float32)


def _analyse(waveform: Float[ndarray, " sample"], half: int) -> ndarray:
    """Spectra of half-overlapping frames; the ends are mirrored, so that they are no quieter than the rest."""
    n_more = -len(waveform) % half
    padded = np.pad(waveform, (half, half + n_more), mode="symmetric")
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * half)[::half]
    return np.fft.rfft(frames * _window(half), axis=1)


def _synthesise(spectrum: ndarray, half: int, n_samples: int) -> Float[ndarray, " sample"]:
    frames = np.fft.irfft(spectrum, 2 * half, axis=1) * _window(half)
    padded = np.zeros((len(frames) + 1) * half)
    padded[:-half] += frames[:, :half].ravel()
    padded[half:] += frames[:, half:].ravel()
    return padded[half : half + n_samples].astype(np.float32)
