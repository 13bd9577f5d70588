"""Spectrum correction: bring the recordings of every stethoscope to one mean spectrum.

Nguyen and Pernkopf 2022 (arXiv:2108.01991), METHODS A4: m_d(f) is the mean magnitude spectrum of stethoscope d over its
training recordings, m_ref(f) the mean over stethoscopes, and every spectrum of d is multiplied by c_d(f) = m_ref / m_d.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pydantic import Field

from add4rsc.audio.io import read_waveform
from add4rsc.errors import RecipeError
from add4rsc.terms import Recording, Settings

Gains = dict[str, tuple[float, ...]]
"""Stethoscope -> c_d at frequencies that are evenly spaced from 0 Hz to half the sample rate."""


class SpectrumCorrection(Settings):
    """Which spectrum is brought about. Recordings of stethoscopes that training does not have stay as they are.

    The cycles of a run are corrected, all three subsets, and those of `add4rsc test`. Predictions for other recordings,
    exported networks and measurements of robustness take the sound as it is; `spectrum_correction.json` in the run
    folder has the gains for those who want more.
    """

    reference: tuple[str, ...] = ()
    """Stethoscopes whose mean spectrum all are brought to; empty for all that training has."""
    largest_gain_db: float = Field(default=20.0, gt=0)
    """Bound of every gain, upwards and downwards. Above half the rate at which a stethoscope records there is nothing
    to be amplified; the publication names no bound."""


def mean_spectrum(waveform: Float[ndarray, " sample"], n_fft: int) -> Float[ndarray, " bin"]:
    """Mean magnitude of a recording's short-time spectrum: Hann windows that overlap by half."""
    padded = np.pad(waveform, (0, max(0, n_fft - len(waveform))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[:: n_fft // 2]
    return np.abs(np.fft.rfft(frames * np.hanning(n_fft).astype(np.float32))).mean(axis=0)


def estimate_gains(spectra: Mapping[str, Sequence[Float[ndarray, " bin"]]], settings: SpectrumCorrection) -> Gains:
    """c_d of every stethoscope.

    Args:
        spectra: mean spectra of each stethoscope's training recordings; every recording counts the same.
        settings: the reference and the bound of the gains.

    Raises:
        RecipeError: if the reference names a stethoscope that has no recording.
    """
    means = {name: np.mean(np.stack(each), axis=0) for name, each in spectra.items()}  # m_d
    unknown = sorted(set(settings.reference) - means.keys())
    if unknown:
        raise RecipeError(
            f"Recipe key 'spectrum_correction.reference' names {', '.join(unknown)}, of which no training recording "
            f"is. Known: {', '.join(sorted(means))}."
        )
    reference = np.mean([means[name] for name in settings.reference or means], axis=0)  # m_ref
    largest = 10 ** (settings.largest_gain_db / 20)
    smallest_step = np.finfo(np.float32).tiny
    gains = {
        name: np.clip((reference + smallest_step) / (mean + smallest_step), 1 / largest, largest)
        for name, mean in means.items()
    }
    return {name: tuple(map(float, each)) for name, each in sorted(gains.items())}


def apply_gains(waveform: Float[ndarray, " sample"], gains: Sequence[float]) -> Float[ndarray, " sample"]:
    """Filter a waveform so that its spectrum is multiplied by real gains; nothing moves in time.

    Args:
        waveform: a whole recording.
        gains: at frequencies that are evenly spaced from 0 Hz to half the sample rate.
    """
    from scipy.signal import oaconvolve

    taps = np.fft.fftshift(np.fft.irfft(gains))
    taps[0] /= 2
    taps = np.append(taps, taps[0])  # as many on either side of the middle
    return oaconvolve(waveform, taps.astype(np.float32), mode="full")[len(taps) // 2 :][: len(waveform)]


def read_recording(recording: Recording, sample_rate: int) -> Float[ndarray, " sample"]:
    """A whole recording as mono at a sample rate, its spectrum corrected by the recording's gains.

    Raises:
        AudioError: if it cannot be read.
    """
    waveform = read_waveform(recording.path, sample_rate)
    return apply_gains(waveform, recording.gains) if recording.gains else waveform
