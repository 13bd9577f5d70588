import shutil

import numpy as np
import pytest
import soundfile

from add4rsc.errors import AudioError, WrongUsageError
from add4rsc.robustness.corruptions.recorded import RecordedNoise

RATE = 8000


def test_classes_are_folders_and_single_files(clips):
    assert RecordedNoise(RATE, clips).noise_classes == ("babble", "hum", "rain")


def test_a_long_clip_gives_a_stretch_of_itself(breath, clips):
    clip, _ = soundfile.read(clips / "babble.wav", dtype="float32")
    noise = RecordedNoise(RATE, clips).noise(breath(1.0), "babble", np.random.default_rng(0))
    place = int(np.argmax(np.correlate(clip, noise, mode="valid")))
    np.testing.assert_array_equal(clip[place : place + len(noise)], noise)


def test_a_short_clip_is_looped(breath, tmp_path):
    clip = np.random.default_rng(0).standard_normal(1000).astype(np.float32) * 0.1
    soundfile.write(tmp_path / "tick.wav", clip, RATE, subtype="FLOAT")
    noise = RecordedNoise(RATE, tmp_path).noise(breath(1.0), "tick", np.random.default_rng(0))
    assert len(noise) == RATE
    np.testing.assert_array_equal(noise[1000:], noise[:-1000])
    start = int(np.flatnonzero(clip == noise[0])[0])
    np.testing.assert_array_equal(noise[:1000], np.concatenate([clip[start:], clip[:start]]))


@pytest.mark.parametrize("seed", range(8))
def test_padding_of_a_clip_is_never_the_noise(breath, clips, seed):
    noise = RecordedNoise(16_000, clips).noise(breath(0.1, rate=16_000), "hum", np.random.default_rng(seed))
    assert noise.std() == pytest.approx(0.5 / 2**0.5, rel=0.1)


def test_a_burst_in_a_faint_clip_is_found(breath, tmp_path):
    clip = 1e-3 * np.random.default_rng(0).standard_normal(60 * RATE)
    clip[30 * RATE : 30 * RATE + 800] = 0.5
    clip[30 * RATE : 30 * RATE + 800 : 2] = -0.5
    soundfile.write(tmp_path / "sneeze.wav", clip, RATE)
    noises = [
        RecordedNoise(RATE, tmp_path).noise(breath(0.5), "sneeze", np.random.default_rng(seed)) for seed in range(5)
    ]
    assert all(np.abs(noise).max() > 0.4 for noise in noises)


def test_other_rates_give_the_same_stretch(breath, clips):
    low, high = (
        RecordedNoise(rate, clips).noise(breath(0.25, rate=rate), "rain", np.random.default_rng(2))
        for rate in (8000, 16_000)
    )
    assert np.corrcoef(low[:1990], high[::2][:1990])[0, 1] > 0.6  # the high rate has what lies above 4 kHz too


def test_digest_follows_the_content(clips, tmp_path):
    copy = shutil.copytree(clips, tmp_path / "copy")
    before, same = (RecordedNoise(RATE, each).digest("rain") for each in (clips, copy))
    assert before == same
    soundfile.write(copy / "set" / "rain" / "c.wav", np.ones(10), RATE)
    assert RecordedNoise(RATE, copy).digest("rain") != before
    assert RecordedNoise(RATE, copy).digest("hum") == RecordedNoise(RATE, clips).digest("hum")


def test_errors_say_what_to_do(breath, tmp_path):
    with pytest.raises(WrongUsageError, match="needs --noise-folder"):
        RecordedNoise(RATE, tmp_path / "none").noise_classes  # noqa: B018
    with pytest.raises(WrongUsageError, match="holds no sound file"):
        RecordedNoise(RATE, tmp_path).noise_classes  # noqa: B018
    soundfile.write(tmp_path / "still.wav", np.zeros(1000), RATE)
    with pytest.raises(AudioError, match="is silent"):
        RecordedNoise(RATE, tmp_path).noise(breath(), "still", np.random.default_rng(0))
