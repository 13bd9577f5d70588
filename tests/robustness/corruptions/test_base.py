import numpy as np
import pytest

from add4rsc.robustness.corruptions._base import mix_at_snr, noise_generator
from add4rsc.robustness.corruptions.white import WhiteNoise


def snr_of(signal, mixed):
    """Decibels, by the textbook, of what is heard of a signal and of what was added to it."""
    added = mixed.astype(np.float64) - signal
    power = [np.sum((each - np.sum(each) / len(each)) ** 2) for each in (signal.astype(np.float64), added)]
    return 10 * np.log10(power[0] / power[1])


@pytest.mark.parametrize("snr_db", [20.0, 0.0, -5.0, 2.5])
@pytest.mark.parametrize("loudness", [1e-3, 1.0])
def test_ratio_is_exact(breath, snr_db, loudness):
    signal = breath().waveform * np.float32(loudness)
    noise = 3.0 + np.random.default_rng(0).laplace(size=len(signal)).astype(np.float32)
    mixed = mix_at_snr(signal, noise.astype(np.float32), snr_db)
    assert snr_of(signal, mixed) == pytest.approx(snr_db, abs=1e-3)
    assert mixed.mean() == pytest.approx(signal.mean(), abs=1e-3 * loudness)
    assert mixed.dtype == np.float32


def test_silence_stays_silence(breath):
    silence = np.zeros(100, dtype=np.float32)
    signal = breath().waveform[:100]
    assert not mix_at_snr(silence, signal, 0.0).any()
    assert np.array_equal(mix_at_snr(signal, silence, 0.0), signal)


def test_draws_depend_on_seed_corruption_class_and_cycle_alone():
    parts = (1, "recorded", "rain", "r@0")
    first = noise_generator(*parts).random(4)
    assert np.array_equal(first, noise_generator(*parts).random(4))
    others = [(2, *parts[1:]), (1, "white", *parts[2:]), (1, "recorded", "wind", "r@0"), (*parts[:3], "r@1")]
    assert all(not np.array_equal(first, noise_generator(*other).random(4)) for other in others)


def test_levels_share_one_draw(breath):
    cycle, noise = breath(), WhiteNoise(8000)
    loud, faint = (noise.corrupt(cycle, level, "", noise_generator(1, "white", "", "r")) for level in (0.0, 20.0))
    np.testing.assert_allclose(loud - cycle.waveform, 10 * (faint - cycle.waveform), atol=1e-5)


def test_a_band_is_kept_at_the_same_ratio(breath):
    from dataclasses import replace

    cycle = breath(rate=32_000)
    limited = replace(cycle, band=2000.0)
    draws = [noise_generator(1, "white", "", "r") for _ in range(2)]
    wide, narrow = (
        WhiteNoise(32_000).corrupt(each, 0.0, "", draw) for each, draw in zip((cycle, limited), draws, strict=True)
    )
    assert snr_of(cycle.waveform, narrow) == pytest.approx(0.0, abs=1e-3)
    spectra = [np.abs(np.fft.rfft(mixed - cycle.waveform)) ** 2 for mixed in (wide, narrow)]
    frequency = np.fft.rfftfreq(len(cycle.waveform), 1 / 32_000)
    shares = [spectrum[frequency > 2100].sum() / spectrum.sum() for spectrum in spectra]
    assert shares[0] > 0.8
    assert shares[1] < 1e-3
