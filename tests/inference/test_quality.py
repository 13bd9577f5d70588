"""Each flag on a sound that was made to have it, and on one that was made not to."""

import numpy as np
import pytest
from scipy import signal

from add4rsc.audio.io import read_info, read_waveform
from add4rsc.inference._spectra import Sound
from add4rsc.inference.quality import CHECKS, FLAGS, UNJUDGEABLE, assess, breath_to_background_db, clipped_share

RATE = 8000


def noise(duration: float = 20.0, rate: int = RATE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(round(duration * rate))


def time(duration: float = 20.0, rate: int = RATE) -> np.ndarray:
    return np.arange(round(duration * rate)) / rate


def breathing(rate: int = RATE, duration: float = 20.0) -> np.ndarray:
    """Coloured noise that falls by 9 dB an octave, swelling every 4 s: what a clean recording is like."""
    b, a = signal.butter(1, 250, fs=rate)
    swell = 0.08 + np.clip(np.sin(2 * np.pi * time(duration, rate) / 4), 0, None) ** 2
    return (0.15 * signal.lfilter(b, a, noise(duration, rate)) * swell).astype(np.float32)


def speaking(rate: int = RATE, pitch: float = 130.0) -> np.ndarray:
    """Pulses of a moving pitch through three formants, four syllables a second."""
    seconds = time(rate=rate)
    moving = pitch * (1 + 0.12 * np.sin(2 * np.pi * 0.7 * seconds))
    voice = np.diff(np.floor(np.cumsum(moving) / rate), prepend=0)
    for formant, width in ((600, 80), (1200, 100), (2400, 150)):
        if formant < rate / 2:
            radius = np.exp(-np.pi * width / rate)
            voice = signal.lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * formant / rate), radius**2], voice)
    syllables = np.clip(np.sin(2 * np.pi * 4 * seconds) + 0.2, 0, 1)
    return (0.3 * voice / np.abs(voice).max() * syllables + 0.002 * noise(rate=rate)).astype(np.float32)


def wheezing() -> np.ndarray:
    """A breath with a loud tone of 350 Hz and two of its multiples."""
    seconds = time()
    tones = sum(np.sin(2 * np.pi * 350 * k * seconds) / k for k in (1, 2, 3))
    return (breathing() + 0.05 * tones * np.clip(np.sin(2 * np.pi * seconds / 4), 0, None)).astype(np.float32)


def beating(rate_per_minute: float = 75.0) -> np.ndarray:
    """Two thumps of 45 Hz a beat, 35 dB above the breath."""
    seconds = time()
    phase = (seconds * rate_per_minute / 60) % 1
    thumps = np.exp(-(((phase - 0.1) / 0.04) ** 2)) + 0.6 * np.exp(-(((phase - 0.45) / 0.04) ** 2))
    return (0.02 * breathing() + 0.5 * thumps * np.sin(2 * np.pi * 45 * seconds)).astype(np.float32)


def low_passed(cutoff: float, rate: int) -> np.ndarray:
    flat = 0.1 * noise(rate=rate) * (0.2 + np.clip(np.sin(2 * np.pi * time(rate=rate) / 4), 0, None))
    spectrum = np.fft.rfft(flat)
    spectrum[np.fft.rfftfreq(len(flat), 1 / rate) > cutoff] = 0
    return (np.fft.irfft(spectrum, len(flat)) + 1e-5 * noise(rate=rate, seed=1)).astype(np.float32)


HUM = 0.01 * sum(np.sin(2 * np.pi * 50 * k * time()) / k for k in (1, 2, 3))
MADE = {
    "clipping": np.clip(5 * breathing(), -0.2, 0.2),
    "dc": breathing() + np.float32(0.1),
    "band_limited": low_passed(1500, RATE),
    "mains_hum": (breathing() + HUM).astype(np.float32),
    "heart_dominated": beating(),
    "low_breath": (0.05 * noise()).astype(np.float32),
    "speech": speaking(),
}


@pytest.mark.parametrize("rate", [RATE, 16_000, 44_100])
def test_a_clean_breath_has_no_flag(rate):
    assert assess(breathing(rate), rate) == ()


@pytest.mark.parametrize("flag", CHECKS)
def test_each_flag_is_raised_by_the_sound_made_for_it(flag):
    assert flag in assess(MADE[flag], RATE)


@pytest.mark.parametrize("flag", sorted(set(CHECKS) - {"clipping"}))
def test_the_sounds_made_for_the_other_flags_are_not_clipped(flag):
    assert "clipping" not in assess(MADE[flag], RATE)


@pytest.mark.parametrize("cutoff", [1000, 2000])
def test_an_edge_is_found_whatever_the_rate_of_the_file(cutoff):
    assert "band_limited" in assess(low_passed(cutoff, 44_100), 44_100)


def test_what_was_recorded_at_4_khz_ends_at_2_khz():
    assert "band_limited" in assess(breathing(4000), 4000)


def test_an_edge_above_2_khz_is_none():
    assert "band_limited" not in assess(low_passed(3400, 44_100), 44_100)


@pytest.mark.parametrize("base", [50, 60])
def test_both_mains_are_known(base):
    hum = 0.01 * sum(np.sin(2 * np.pi * base * k * time()) / k for k in (1, 2, 3))
    assert "mains_hum" in assess((breathing() + hum).astype(np.float32), RATE)


@pytest.mark.parametrize("pitch", [100, 140, 220])
@pytest.mark.parametrize("rate", [4000, 16_000])
def test_speech_is_heard_at_any_pitch_and_rate(pitch, rate):
    assert "speech" in assess(speaking(rate, pitch), rate)


def test_a_wheeze_is_no_speech_and_no_hum():
    assert assess(wheezing(), RATE) == ()


@pytest.mark.parametrize("rate_per_minute", [50, 120])
def test_slow_and_fast_hearts(rate_per_minute):
    assert "heart_dominated" in assess(beating(rate_per_minute), RATE)


def test_rumble_without_a_beat_is_no_heart():
    b, a = signal.butter(2, [20, 60], btype="band", fs=RATE)
    rumble = 3 * signal.lfilter(b, a, noise(seed=2))
    assert "heart_dominated" not in assess((0.02 * breathing() + rumble).astype(np.float32), RATE)


def test_silence_and_shortness_end_the_matter():
    assert assess(np.zeros(RATE * 5, np.float32), RATE) == ("silence",)
    assert assess(np.full(RATE * 5, 0.3, np.float32), RATE) == ("silence",)
    assert assess(breathing()[: RATE // 20], RATE) == ("too_short",)
    assert {"silence", "too_short"} < UNJUDGEABLE


def test_what_is_clipped_throughout_cannot_be_judged():
    square = np.clip(50 * breathing(), -0.3, 0.3)
    assert "hopeless_clipping" in assess(square, RATE)
    assert UNJUDGEABLE.isdisjoint(assess(MADE["clipping"], RATE))


def test_clipped_share_counts_flat_tops():
    waveform = np.zeros(1000, np.float32)
    waveform[100:110], waveform[200:205], waveform[300:302], waveform[400:450] = 0.5, -0.5, 0.5, 0.4
    assert clipped_share(waveform) == pytest.approx(15 / 1000)


def test_breath_to_background_of_a_known_swell():
    swell = np.where(time() % 4 < 2, 1.0, 0.1)
    assert breath_to_background_db(Sound((0.1 * noise() * swell).astype(np.float32), RATE)) == pytest.approx(20, abs=1)


def test_every_flag_has_words():
    assert set(CHECKS) | UNJUDGEABLE == set(FLAGS)


@pytest.mark.data
def test_real_recordings_are_hardly_ever_flagged_wrongly(shared_data):
    """The published databases were recorded by clinicians: flags that mean 'useless' must be rare in them."""
    paths = sorted((shared_data / "icbhi2017_subset" / "ICBHI_final_database").glob("*.flac"))[::6]
    paths += sorted((shared_data / "sprsound2022" / "BioCAS2022" / "test2022_wav").glob("*"))[::40]
    found = [assess(read_waveform(path, rate), rate) for path in paths for rate in [read_info(path).sample_rate]]
    for flag in ("silence", "too_short", "hopeless_clipping", "low_breath", "speech", "mains_hum"):
        assert sum(flag in flags for flags in found) <= 0.05 * len(paths), flag
