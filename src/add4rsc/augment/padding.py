"""Smart padding: what a short cycle is filled up with in training, and on which side.

Gairola et al. 2021 (RespireNet, arXiv:2011.00196; METHODS A2): its own repetition, a changed copy of it, or a cycle of
the same class, in front or behind. In a test a cycle is filled by its repetition.
"""

from collections.abc import Sequence

from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from add4rsc.audio.crop import fill_beside
from add4rsc.audio.variation import vary_waveform


def pad_smartly(
    cycle: Float[ndarray, " sample"],
    n_samples: int,
    others: Sequence[ndarray],
    generator: Generator,
) -> Float[ndarray, " crop"]:
    """Fill a cycle up to so many samples, or cut it; every way and either side are as likely.

    Args:
        cycle: of any length above 0.
        n_samples: of the result.
        others: cycles of the same class, any of which may be taken; with none, one of the other two ways is.
        generator: of all draws.
    """
    if len(cycle) >= n_samples:
        return cycle[:n_samples]
    way = int(generator.integers(3 if others else 2))
    filling = cycle
    if way == 1:
        filling = vary_waveform(cycle, generator)
    elif way == 2:
        filling = others[int(generator.integers(len(others)))]
    return fill_beside(cycle, filling, n_samples, in_front=bool(generator.uniform() < 0.5))
