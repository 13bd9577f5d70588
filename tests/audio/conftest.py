"""The resampler behind the stored checksums, from its published definition."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import upfirdn


def _sinc_resample(waveform: np.ndarray, old: int, new: int) -> np.ndarray:
    """Resample by a Hann-windowed sinc of 6 zero crossings at 0.99 of the lower Nyquist frequency.

    That is what torchaudio's default is documented to be.
    """
    old, new = old // math.gcd(old, new), new // math.gcd(old, new)
    cutoff = 0.99 * min(old, new)
    reach = math.ceil(6 * old * new / cutoff)
    crossings = np.arange(-reach, reach + 1) / (old * new) * cutoff
    kernel = np.sinc(crossings) * np.cos(np.pi * crossings / 12) ** 2 * (np.abs(crossings) < 6) * cutoff / old
    delay = -reach % old  # puts the kernel's middle on a whole output sample
    filtered = upfirdn(np.pad(kernel, (delay, 0)), waveform, new, old)[(reach + delay) // old :]
    return filtered[: math.ceil(new * len(waveform) / old)].astype(np.float32)


@pytest.fixture(scope="session")
def sinc_resample() -> Callable[[np.ndarray, int, int], np.ndarray]:
    return _sinc_resample
