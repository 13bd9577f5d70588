"""Spectrum correction against loops, filters of scipy, and two made stethoscopes."""

import numpy as np
import pytest
import soundfile
import torch
from scipy import signal

from add4rsc.audio.frontend import FrontEnd, LogMelFilterBank
from add4rsc.audio.spectrum_correction import (
    SpectrumCorrection,
    apply_gains,
    estimate_gains,
    mean_spectrum,
    read_recording,
)
from add4rsc.errors import RecipeError
from add4rsc.terms import Recording

RATE, N_FFT = 8_000, 256
COLOUR = signal.firwin2(33, [0, 500, 1500, 4000], [1.0, 1.0, 0.3, 0.2], fs=RATE)
"""Of the second stethoscope: the first one's sound, with less above 500 Hz."""


def noise(seed: int, seconds: float = 4.0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(RATE * seconds))).astype(np.float32)


def through_second(waveform: np.ndarray) -> np.ndarray:
    return signal.convolve(waveform, COLOUR, mode="same").astype(np.float32)


def test_mean_spectrum_is_that_of_frames_one_by_one():
    waveform = noise(0, 0.2)
    rows = []
    for first in range(0, len(waveform) - N_FFT + 1, N_FFT // 2):
        frame = waveform[first : first + N_FFT] * np.hanning(N_FFT)
        rows.append([abs(sum(frame * np.exp(-2j * np.pi * k * np.arange(N_FFT) / N_FFT))) for k in range(129)])
    np.testing.assert_allclose(mean_spectrum(waveform, N_FFT), np.mean(rows, axis=0), rtol=1e-4, atol=1e-6)
    assert mean_spectrum(waveform[:10], N_FFT).shape == (129,)


def test_gains_worked_by_hand():
    spectra = {"a": [np.array([1.0, 4.0]), np.array([3.0, 4.0])], "b": [np.array([6.0, 1.0])]}
    bound = SpectrumCorrection(largest_gain_db=60)
    gains = estimate_gains(spectra, bound)
    assert gains["a"] == pytest.approx((4 / 2, 2.5 / 4))
    assert gains["b"] == pytest.approx((4 / 6, 2.5 / 1))
    of_a = estimate_gains(spectra, bound.model_copy(update={"reference": ("a",)}))
    assert of_a["a"] == pytest.approx((1.0, 1.0))
    assert of_a["b"] == pytest.approx((2 / 6, 4.0))


def test_gains_are_bounded_where_a_stethoscope_hears_nothing():
    spectra = {"deaf": [np.array([1.0, 0.0])], "whole": [np.array([1.0, 1.0])]}
    gains = estimate_gains(spectra, SpectrumCorrection(largest_gain_db=20))
    assert gains["deaf"] == pytest.approx((1.0, 10.0))
    assert gains["whole"] == pytest.approx((1.0, 0.5))


def test_reference_that_is_not_there_is_named():
    with pytest.raises(RecipeError, match=r"reference' names Meditron, .* Known: a\."):
        estimate_gains({"a": [np.ones(3)]}, SpectrumCorrection(reference=("Meditron",)))


def test_tones_are_scaled_by_the_gain_at_their_frequency_and_stay_where_they_are():
    gains = np.linspace(0.5, 3.0, N_FFT // 2 + 1)
    time = np.arange(RATE) / RATE
    for frequency in (500.0, 1000.0, 2750.0):  # of the FFT's bins
        tone = np.sin(2 * np.pi * frequency * time).astype(np.float32)
        expected = np.interp(frequency, np.linspace(0, RATE / 2, N_FFT // 2 + 1), gains) * tone
        changed = apply_gains(tone, tuple(gains.tolist()))
        assert changed.dtype == np.float32
        inner = slice(N_FFT, -N_FFT)
        np.testing.assert_allclose(changed[inner], expected[inner], atol=2e-3)


@pytest.mark.parametrize("n_samples", [1, 100, N_FFT, 1001])
def test_gains_of_one_change_nothing(n_samples):
    waveform = noise(1)[:n_samples]
    np.testing.assert_allclose(apply_gains(waveform, (1.0,) * 129), waveform, atol=1e-6)


def test_two_stethoscopes_that_differ_by_a_filter_come_out_equal(tmp_path):
    """Estimated on other recordings than the one that both stethoscopes hear."""
    heard = {
        "first": [noise(seed) for seed in range(1, 9)],
        "second": [through_second(noise(20 + k)) for k in range(8)],
    }
    spectra = {name: [mean_spectrum(each, N_FFT) for each in waveforms] for name, waveforms in heard.items()}
    gains = estimate_gains(spectra, SpectrumCorrection())
    front_end = FrontEnd(sample_rate=RATE, n_mels=24, n_fft=N_FFT, log_offset=1e-9, mean=0.0, scale=1.0)
    filter_bank, bands = LogMelFilterBank(front_end), {}
    for name, waveform in (("first", noise(50)), ("second", through_second(noise(50)))):
        soundfile.write(tmp_path / f"{name}.wav", waveform, RATE, subtype="FLOAT")
        for corrected, kept in (("before", ()), ("after", gains[name])):
            recording = Recording(name, tmp_path / f"{name}.wav", "1", stethoscope=name, gains=kept)
            sound = torch.from_numpy(read_recording(recording, RATE))[None]
            bands[name, corrected] = filter_bank(sound)[0].mean(dim=0)
    before, after = ((bands["first", each] - bands["second", each]).abs() for each in ("before", "after"))
    assert before.max() > 2.0  # nepers of energy
    assert after.max() < 0.15
