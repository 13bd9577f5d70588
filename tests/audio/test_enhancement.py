"""Classical noise reduction on sounds whose noise is known."""

import numpy as np
import pytest
from scipy import signal

from add4rsc.audio.enhancement import Enhancement, _analyse, enhance, noise_power

RATE = 8000
RULES = [Enhancement.SPECTRAL_SUBTRACTION, Enhancement.WIENER]


@pytest.fixture
def breath():
    """Four seconds of puffs of band-limited noise with pauses, as breaths are."""
    draw = np.random.default_rng(1)
    sections = signal.butter(4, (150, 800), btype="bandpass", fs=RATE, output="sos")
    time = np.arange(4 * RATE) / RATE
    return signal.sosfilt(sections, draw.standard_normal(len(time))) * np.maximum(np.sin(np.pi * time), 0) ** 2


@pytest.fixture
def hiss():
    return np.random.default_rng(2).standard_normal(4 * RATE)


def snr_db(clean, heard):
    scale = clean @ heard / (heard @ heard)  # the best that a volume knob can do
    return 10 * np.log10(np.square(clean).sum() / np.square(clean - scale * heard).sum())


def mixed(clean, noise, ratio_db):
    gain = (clean.var() / noise.var() * 10 ** (-ratio_db / 10)) ** 0.5
    return (clean + gain * noise).astype(np.float32)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("ratio", [5.0, 0.0, -5.0])
def test_steady_noise_is_reduced(breath, hiss, rule, ratio):
    noisy = mixed(breath, hiss, ratio)
    assert snr_db(breath, enhance(noisy, RATE, rule)) > snr_db(breath, noisy) + 2.5


@pytest.mark.parametrize("rule", RULES)
def test_pauses_become_quieter(breath, hiss, rule):
    noisy = mixed(breath, hiss, 0.0)
    pause = slice(round(1.2 * RATE), round(1.8 * RATE))
    assert enhance(noisy, RATE, rule)[pause].std() < 0.35 * noisy[pause].std()


@pytest.mark.parametrize("rule", RULES)
def test_clean_sound_stays(breath, rule):
    clean = mixed(breath, np.random.default_rng(3).standard_normal(len(breath)), 60.0)
    assert np.corrcoef(enhance(clean, RATE, rule), clean)[0, 1] > 0.99


@pytest.mark.parametrize("colour", ["white", "brown"])
def test_noise_power_is_found_between_the_breaths(breath, hiss, colour):
    noise = hiss if colour == "white" else signal.lfilter([1], [1, -0.9], hiss)
    noisy = mixed(breath, noise, 0.0)
    found = noise_power(np.abs(_analyse(noisy, 128)) ** 2)
    _, truth = signal.welch(noisy - breath, RATE, nperseg=256, window="cosine", detrend=False, scaling="density")
    truth *= np.square(np.sin(np.pi * (np.arange(256) + 0.5) / 256)).sum() * RATE / 2
    ratio_db = 10 * np.log10(found[2:-2] / truth[2:-2])
    assert abs(np.mean(ratio_db)) < 1.5
    assert np.abs(ratio_db).max() < 6


@pytest.mark.parametrize("n_samples", [1, 37, 255, 256, 257, 4000])
@pytest.mark.parametrize("rule", list(Enhancement))
def test_any_length_is_kept(n_samples, rule):
    waveform = np.random.default_rng(0).standard_normal(n_samples).astype(np.float32)
    changed = enhance(waveform, RATE, rule)
    assert changed.shape == waveform.shape
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()


@pytest.mark.parametrize("rule", RULES)
def test_without_noise_the_waveform_comes_back(breath, rule):
    silence = np.full(RATE, 1e-9, dtype=np.float32)
    waveform = breath.astype(np.float32)
    np.testing.assert_allclose(enhance(waveform, RATE, rule, noise_from=silence), waveform, atol=2e-3)


@pytest.mark.parametrize("rule", RULES)
def test_a_longer_sound_tells_the_noise(breath, hiss, rule):
    noisy = mixed(breath, hiss, 0.0)
    puff = slice(round(0.3 * RATE), round(0.7 * RATE))  # has no pause of its own
    alone, informed = enhance(noisy[puff], RATE, rule), enhance(noisy[puff], RATE, rule, noise_from=noisy)
    assert snr_db(breath[puff], informed) > snr_db(breath[puff], alone)
    assert snr_db(breath[puff], informed) > snr_db(breath[puff], noisy[puff])


@pytest.mark.parametrize("rule", RULES)
def test_silence_in_a_recording_is_not_taken_for_its_noise(breath, hiss, rule):
    noisy = mixed(breath, hiss, 0.0)
    padded = np.concatenate([np.zeros(4 * RATE, dtype=np.float32), noisy])
    np.testing.assert_allclose(
        enhance(padded, RATE, rule)[5 * RATE :].std(), enhance(noisy, RATE, rule)[RATE:].std(), rtol=0.1
    )


def test_none_changes_nothing_and_silence_stays():
    waveform = np.random.default_rng(0).standard_normal(100).astype(np.float32)
    assert enhance(waveform, RATE, Enhancement.NONE) is waveform
    assert not enhance(np.zeros(1000, dtype=np.float32), RATE, Enhancement.WIENER).any()
