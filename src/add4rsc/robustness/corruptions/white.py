"""White noise."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from add4rsc.robustness.corruptions import corruptions
from add4rsc.robustness.corruptions._base import AdditiveNoise, CycleSound


@corruptions.register("white")
class WhiteNoise(AdditiveNoise):
    """White noise: as much power in every hertz up to half the network's sample rate."""

    def noise(self, cycle: CycleSound, noise_class: str, generator: Generator) -> Float[ndarray, " sample"]:  # noqa: ARG002
        """Independent normal samples."""
        return generator.standard_normal(len(cycle.waveform), dtype=np.float32)
