"""A stethoscope that hears less."""

from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from add4rsc.robustness.corruptions import corruptions
from add4rsc.robustness.corruptions._base import AbstractCorruption, CycleSound
from add4rsc.robustness.corruptions._spectrum import apply_gain

ORDER = 6
"""Of the Butterworth response: 36 dB an octave."""


@corruptions.register("stethoscope")
class LowPassStethoscope(AbstractCorruption):
    """A stethoscope that hears nothing above a corner frequency."""

    unit = "Hz"
    levels = (2000.0, 1000.0, 500.0)
    is_random = False

    def corrupt(
        self,
        cycle: CycleSound,
        level: float,
        noise_class: str,  # noqa: ARG002
        generator: Generator,  # noqa: ARG002
    ) -> Float[ndarray, " sample"]:
        """Halve the power at the corner, and take away 36 dB an octave above it."""
        return apply_gain(cycle.waveform, self.sample_rate, lambda f: (1 + (f / level) ** (2 * ORDER)) ** -0.5)
