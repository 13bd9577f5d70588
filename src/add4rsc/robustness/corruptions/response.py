"""A stethoscope of another frequency response."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from add4rsc.robustness.corruptions import corruptions
from add4rsc.robustness.corruptions._base import AbstractCorruption, CycleSound
from add4rsc.robustness.corruptions._spectrum import apply_gain

KNOTS = 62.5 * 2.0 ** np.arange(8)
"""Hertz: an octave apart up to 8 kHz; the response is a line between them over octaves, and level outside."""


@corruptions.register("response")
class OtherResponse(AbstractCorruption):
    """A stethoscope of another frequency response: random gains an octave apart, the loudness kept."""

    unit = "dB"
    levels = (6.0, 12.0, 18.0)
    """Largest boost or cut."""

    def corrupt(
        self,
        cycle: CycleSound,
        level: float,
        noise_class: str,  # noqa: ARG002
        generator: Generator,
    ) -> Float[ndarray, " sample"]:
        """Draw gains between minus and plus the level."""
        gains_db = level * generator.uniform(-1, 1, len(KNOTS))

        def gain(frequencies: Float[ndarray, " bin"]) -> Float[ndarray, " bin"]:
            return 10 ** (np.interp(np.log2(np.maximum(frequencies, 1.0)), np.log2(KNOTS), gains_db) / 20)

        changed = apply_gain(cycle.waveform, self.sample_rate, gain)
        power, was = (float(np.var(each, dtype=np.float64)) for each in (changed, cycle.waveform))
        return changed * np.float32((was / power) ** 0.5) if power else changed
