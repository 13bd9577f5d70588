"""Pink noise."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator
from scipy import fft

from add4rsc.robustness.corruptions import corruptions
from add4rsc.robustness.corruptions._base import AdditiveNoise, CycleSound

LOWEST = 20.0
"""Hertz; what lies below is not heard, and would only take its share of the power."""


@corruptions.register("pink")
class PinkNoise(AdditiveNoise):
    """Pink noise: as much power in every octave from 20 Hz up, as most rooms and machines have it."""

    def noise(self, cycle: CycleSound, noise_class: str, generator: Generator) -> Float[ndarray, " sample"]:  # noqa: ARG002
        """White noise whose amplitudes are divided by the root of the frequency."""
        n_samples = len(cycle.waveform)
        n_fft = fft.next_fast_len(max(n_samples, round(self.sample_rate / LOWEST)), real=True)
        frequencies = fft.rfftfreq(n_fft, 1 / self.sample_rate)
        spectrum = fft.rfft(generator.standard_normal(n_fft, dtype=np.float32))
        spectrum *= np.where(frequencies < LOWEST, 0.0, np.maximum(frequencies, LOWEST) ** -0.5)
        return fft.irfft(spectrum, n_fft)[:n_samples].astype(np.float32)
