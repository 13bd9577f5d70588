"""A recording level that was too high."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from add4rsc.robustness.corruptions import corruptions
from add4rsc.robustness.corruptions._base import AbstractCorruption, CycleSound


@corruptions.register("clipping")
class Clipping(AbstractCorruption):
    """A recording level that was too high: the loudest share of a cycle's samples is cut to one height."""

    unit = "share"
    levels = (0.01, 0.05, 0.2, 0.5)
    is_random = False

    def corrupt(
        self,
        cycle: CycleSound,
        level: float,
        noise_class: str,  # noqa: ARG002
        generator: Generator,  # noqa: ARG002
    ) -> Float[ndarray, " sample"]:
        """Clip at the height that this share of the samples exceeds."""
        centre = np.float32(cycle.waveform.mean(dtype=np.float64))
        height = np.quantile(np.abs(cycle.waveform - centre), 1 - level).astype(np.float32)
        return np.clip(cycle.waveform, centre - height, centre + height)
