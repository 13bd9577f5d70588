"""Moved frequencies, measured on tones and on noise."""

import numpy as np
import pytest

from add4rsc.augment.warping import change_vocal_tract, shift_pitch, warp_frequencies

RATE = 4000
TIME = np.arange(2 * RATE) / RATE


def tone(frequency: float) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * TIME).astype(np.float32)


def peak(waveform: np.ndarray) -> float:
    middle = waveform[RATE // 4 : -RATE // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), n=8 * len(middle)))
    return spectrum.argmax() * RATE / (8 * len(middle))


@pytest.mark.parametrize("frequency", [200.0, 437.0, 905.0])
@pytest.mark.parametrize("semitones", [-1.0, 1.7, 3.0])
def test_pitch_moves_a_tone_by_semitones_and_keeps_its_length_and_size(frequency, semitones):
    shifted = shift_pitch(tone(frequency), RATE, semitones)
    assert len(shifted) == len(TIME)
    assert shifted.dtype == np.float32
    assert peak(shifted) == pytest.approx(frequency * 2 ** (semitones / 12), abs=1.0)
    middle = shifted[RATE // 4 : -RATE // 4]
    assert np.std(middle) == pytest.approx(2**-0.5, rel=0.1)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) ** 2
    near = slice(spectrum.argmax() - 10, spectrum.argmax() + 11)
    assert spectrum[near].sum() > 0.95 * spectrum.sum()  # still a tone


def jaitly_and_hinton(frequency: float, factor: float, rate: float = RATE) -> float:
    """Their G(f), with 4800 of 8000 Hz in proportion."""
    high, half = 0.6 * rate / 2, rate / 2
    corner = high * min(factor, 1) / factor
    if frequency <= corner:
        return frequency * factor
    return half - (half - high * min(factor, 1)) / (half - corner) * (half - frequency)


@pytest.mark.parametrize("factor", [0.9, 0.97, 1.1])
@pytest.mark.parametrize("frequency", [150.0, 800.0, 1500.0, 1900.0])
def test_vocal_tract_moves_a_tone_as_the_paper_says(frequency, factor):
    assert peak(change_vocal_tract(tone(frequency), RATE, factor)) == pytest.approx(
        jaitly_and_hinton(frequency, factor), abs=2.0
    )


def test_the_map_that_moves_nothing_gives_the_sound_back():
    noise = np.random.default_rng(0).standard_normal(3000).astype(np.float32)
    still = warp_frequencies(noise, RATE, (0.0, 1.0), (0.0, 1.0))
    np.testing.assert_allclose(still, noise, atol=1e-5)


def test_noise_stays_as_loud_and_band_noise_moves_as_a_band():
    generator = np.random.default_rng(0)
    spectrum = np.fft.rfft(generator.standard_normal(4 * RATE))
    frequencies = np.fft.rfftfreq(4 * RATE, 1 / RATE)
    spectrum[(frequencies < 300) | (frequencies > 500)] = 0
    noise = np.fft.irfft(spectrum).astype(np.float32)
    power = np.abs(np.fft.rfft(shift_pitch(noise, RATE, 3.0))) ** 2
    centre = (power * frequencies).sum() / power.sum()
    assert centre == pytest.approx(400 * 2**0.25, rel=0.03)
    assert power.sum() == pytest.approx((np.abs(spectrum) ** 2).sum(), rel=1e-3)


def test_sounds_of_any_length_keep_it():
    generator = np.random.default_rng(0)
    for length in (1, 10, 63, 64, 65, 100, 255, 256, 257, 1001):
        sound = generator.standard_normal(length).astype(np.float32)
        changed = shift_pitch(sound, RATE, 2.0)
        assert changed.shape == sound.shape
        assert np.isfinite(changed).all()
    assert not shift_pitch(np.zeros(500, dtype=np.float32), RATE, 2.0).any()
