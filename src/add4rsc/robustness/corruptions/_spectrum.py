"""Change the spectrum of a waveform by a gain over frequency."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy import fft

MARGIN = 0.1
"""Seconds of mirrored sound on either side, so that the ends do not run into each other."""


def apply_gain(
    waveform: Float[ndarray, " sample"],
    sample_rate: int,
    gain: Callable[[Float[ndarray, " bin"]], Float[ndarray, " bin"]],
) -> Float[ndarray, " sample"]:
    """Filter without any delay: every frequency (hertz) is scaled by its gain, and nothing moves in time."""
    margin = min(round(MARGIN * sample_rate), len(waveform) - 1)
    padded = np.pad(waveform, margin, mode="reflect") if margin else waveform
    n_fft = fft.next_fast_len(len(padded), real=True)
    spectrum = fft.rfft(padded, n_fft) * gain(fft.rfftfreq(n_fft, 1 / sample_rate))
    return fft.irfft(spectrum, n_fft)[margin : margin + len(waveform)].astype(np.float32)
