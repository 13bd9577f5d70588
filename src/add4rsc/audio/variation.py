"""The same sound as another moment or another stethoscope might give it: speed, loudness, white noise."""

import hashlib

import numpy as np
import soxr
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

SOXR_RATE = 16_000.0
"""Any rate serves: only the ratio of two counts."""

SNR_RANGE_DB = 20.0
"""Between the loudest and the faintest noise."""

SPEED, GAIN_DB, LOWEST_SNR_DB = 0.1, 6.0, 15.0
"""Usual bounds: mild enough that a crackle stays a crackle."""


def vary_waveform(
    waveform: Float[ndarray, " sample"],
    generator: Generator,
    *,
    speed: float = SPEED,
    gain_db: float = GAIN_DB,
    lowest_snr_db: float = LOWEST_SNR_DB,
) -> Float[ndarray, " changed"]:
    """Change a sound at random; longer or shorter than before by what the speed makes of it.

    Args:
        waveform: of any length and rate.
        generator: of all three draws.
        speed: largest change of speed, and with it of pitch, as a share.
        gain_db: largest change of loudness.
        lowest_snr_db: of the loudest white noise; the noise lies up to 20 dB below it.
    """
    factor = 1 + speed * generator.uniform(-1, 1)
    changed = soxr.resample(waveform, factor * SOXR_RATE, SOXR_RATE) if speed else waveform
    snr_db = lowest_snr_db + SNR_RANGE_DB * generator.uniform()
    power = float(np.mean(np.square(changed))) if len(changed) else 0.0
    noise = generator.standard_normal(len(changed)) * (power * 10 ** (-snr_db / 10)) ** 0.5
    gain = 10 ** (gain_db * generator.uniform(-1, 1) / 20)
    return (gain * (changed + noise)).astype(np.float32)


def generator_of(waveform: Float[ndarray, " sample"]) -> Generator:
    """A generator whose stream depends on the samples alone: one sound is always changed in one way."""
    digest = hashlib.sha256(np.ascontiguousarray(waveform, dtype="<f4").tobytes()).digest()
    return np.random.default_rng(list(digest))
