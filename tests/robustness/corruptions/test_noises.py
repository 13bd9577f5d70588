"""What each kind of noise sounds like, by measures that its code does not use."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import signal

from add4rsc.robustness.corruptions.background import OwnBackground, quiet_stretches
from add4rsc.robustness.corruptions.heart import HeartSounds
from add4rsc.robustness.corruptions.pink import PinkNoise
from add4rsc.robustness.corruptions.white import WhiteNoise

RATE = 8000


@pytest.fixture
def draw() -> Callable[[int], np.random.Generator]:
    return np.random.default_rng


@pytest.mark.parametrize(("kind", "slope"), [(WhiteNoise, 0.0), (PinkNoise, -1.0)])
def test_power_falls_as_the_colour_says(breath, draw, kind, slope):
    noise = kind(RATE).noise(breath(60.0), "", draw(1))
    frequency, power = signal.welch(noise, RATE, nperseg=4096)
    kept = (frequency > 50) & (frequency < 3500)
    found = np.polyfit(np.log(frequency[kept]), np.log(power[kept]), 1)[0]
    assert found == pytest.approx(slope, abs=0.06)


def test_pink_noise_has_nothing_below_hearing(breath, draw):
    noise = PinkNoise(RATE).noise(breath(10.0), "", draw(1))
    frequency, power = signal.periodogram(noise, RATE)
    assert power[frequency < 18].sum() < 1e-3 * power.sum()


@pytest.mark.parametrize("seed", range(6))
def test_heart_beats_at_the_rate_of_a_heart(breath, draw, seed):
    sound = HeartSounds(RATE).noise(breath(12.0), "", draw(seed))
    frequency, power = signal.periodogram(sound, RATE)
    assert power[frequency < 200].sum() > 0.99 * power.sum()
    envelope = signal.decimate(np.abs(sound).astype(np.float64), 10)
    envelope = signal.decimate(envelope, 8) - np.mean(envelope)
    likeness = signal.correlate(envelope, envelope, mode="full")[len(envelope) - 1 :]
    lags = np.arange(len(likeness)) / 100.0
    beats = (lags > 60 / 145) & (lags < 60 / 57)
    elsewhere = (lags > 0.12) & (lags < 0.16)  # within a beat, after a burst and before the next
    assert likeness[beats].max() > 0.5 * likeness[0]
    assert likeness[beats].max() > 2 * likeness[elsewhere].max()


@pytest.mark.parametrize("seed", range(20))
def test_even_a_short_cycle_hears_a_beat(breath, draw, seed):
    assert np.abs(HeartSounds(RATE).noise(breath(0.2), "", draw(seed))).max() > 0.1


def test_quiet_stretches_are_those_between_the_breaths(draw):
    recording = 0.01 * draw(0).standard_normal(8 * RATE)
    for first in (0, 3, 6):
        recording[first * RATE : (first + 2) * RATE] += draw(1).standard_normal(2 * RATE)
    recording[-RATE:] = 0.0  # silence that was put there
    quiet = quiet_stretches(recording.astype(np.float32), RATE)
    assert len(quiet) == 6
    assert quiet.std() == pytest.approx(0.01, rel=0.1)
    places = [int(np.argmin([np.abs(recording[i] - row[0]) for i in range(len(recording))])) for row in quiet]
    assert all(2 * RATE <= place < 3 * RATE or 5 * RATE <= place < 6 * RATE for place in places)


def test_silent_and_short_recordings_have_a_background_too(draw):
    assert quiet_stretches(np.zeros(RATE, dtype=np.float32), RATE).size == 0
    short = draw(0).standard_normal(100).astype(np.float32)
    assert quiet_stretches(short, RATE).shape == (1, 100)


def test_background_has_the_spectrum_and_steadiness_of_the_stretches(breath, draw):
    noise = OwnBackground(RATE).noise(breath(20.0), "", draw(3))
    frequency, power = signal.periodogram(noise, RATE, window="hann")
    peaks = [power[np.abs(frequency - pitch) < 10].sum() for pitch in (100, 150, 200)]
    assert sum(peaks) > 0.98 * power.sum()
    loudness = noise.reshape(20, -1).std(axis=1)
    assert loudness.min() > 0.6 * loudness.max()
