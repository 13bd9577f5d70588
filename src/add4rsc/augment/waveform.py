"""What training may do to one cycle's waveform. Changed copies are made once, before the features (METHODS 4.2)."""

import numpy as np
import soxr
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator
from pydantic import Field

from add4rsc.terms import Settings

SOXR_RATE = 16_000.0
"""Any rate serves: only the ratio of two counts."""


class WaveformAugmentation(Settings):
    """Speed, loudness and noise.

    `copies` changed waveforms stand beside each training cycle; each epoch draws one of them or the cycle itself, all
    as likely, as `raw_augment` does in the released code of Patch-Mix and ADD4RSC.
    """

    copies: int = Field(default=0, ge=0)
    speed: float = Field(default=0.1, ge=0, lt=1)
    """Largest change of speed, and with it of pitch, as a share."""
    gain_db: float = Field(default=6.0, ge=0)
    """Largest change of loudness."""
    lowest_snr_db: float = 15.0
    """Loudest white noise; that of each copy lies up to 20 dB below it."""


SNR_RANGE_DB = 20.0


def augment_waveform(
    waveform: Float[ndarray, " sample"], settings: WaveformAugmentation, generator: Generator
) -> Float[ndarray, " changed"]:
    """Change one cycle at random; longer or shorter than before by what the speed makes of it."""
    speed = 1 + settings.speed * generator.uniform(-1, 1)
    changed = soxr.resample(waveform, speed * SOXR_RATE, SOXR_RATE) if settings.speed else waveform
    snr_db = settings.lowest_snr_db + SNR_RANGE_DB * generator.uniform()
    power = float(np.mean(np.square(changed))) if len(changed) else 0.0
    noise = generator.standard_normal(len(changed)) * (power * 10 ** (-snr_db / 10)) ** 0.5
    gain = 10 ** (settings.gain_db * generator.uniform(-1, 1) / 20)
    return (gain * (changed + noise)).astype(np.float32)
