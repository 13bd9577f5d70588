"""Mel spectrograms to look at, against tones and the whole picture."""

import numpy as np
import pytest
import soundfile

from add4rsc.audio.io import read_info
from add4rsc.serve import spectrogram
from add4rsc.serve.spectrogram import Picture, centres, read_spectrogram


@pytest.fixture
def tones(tmp_path):
    """200 Hz for 2 s, then 1200 Hz for 2 s, half as loud."""
    time = np.arange(4 * 8000) / 8000
    samples = np.where(time < 2, 0.5 * np.sin(2 * np.pi * 200 * time), 0.25 * np.sin(2 * np.pi * 1200 * time))
    soundfile.write(tmp_path / "tones.wav", samples, 8000)
    return tmp_path / "tones.wav"


@pytest.mark.parametrize("n_frames", [16, 40, 800])
def test_tones_stand_where_and_when_they_sound(tones, n_frames):
    levels = read_spectrogram(tones, read_info(tones), Picture(0.0, 4.0, n_frames, 64))
    assert levels.shape == (n_frames, 64)
    hertz = centres(2000.0, 64)
    early, late = levels[: n_frames // 2 - 1].argmax(axis=1), levels[n_frames // 2 + 1 :].argmax(axis=1)
    assert np.abs(hertz[early] - 200).max() < 20
    assert np.abs(hertz[late] - 1200).max() < 40
    assert levels.max() == 255


def test_levels_are_decibels(tones):
    levels = read_spectrogram(tones, read_info(tones), Picture(0.2, 3.8, 72, 16)).astype(float)
    quieter = (levels[10].max() - levels[-10].max()) * 70 / 255
    narrower = 10 * np.log10(1)  # a tone's power in a band that is as wide as it gives
    assert 3 < quieter + narrower < 16  # 6 dB, and a wider band


def test_parts_are_read_like_the_whole(tones, monkeypatch):
    picture = Picture(0.0, 4.0, 100, 32)
    whole = read_spectrogram(tones, read_info(tones), picture)
    monkeypatch.setattr(spectrogram, "READ_AT_ONCE", 0.5)
    parts = read_spectrogram(tones, read_info(tones), picture)
    assert np.abs(whole.astype(int) - parts).max() <= 2


def test_centres_are_even_in_mel():
    mel = 2595 * np.log10(1 + centres(2000.0, 40) / 700)
    assert np.diff(mel) == pytest.approx(np.full(39, np.diff(mel)[0]))


def test_slow_recordings_end_at_half_their_rate(tmp_path):
    soundfile.write(tmp_path / "slow.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 2000), 500)
    info = read_info(tmp_path / "slow.wav")
    highest = spectrogram.highest_frequency(info, 2000.0)
    assert highest == 250
    assert read_spectrogram(tmp_path / "slow.wav", info, Picture(0.0, 4.0, 16, 16, highest)).max() == 255
