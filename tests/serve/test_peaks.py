"""The outline of a waveform against its samples."""

import numpy as np
import pytest
import soundfile

from add4rsc.audio.io import read_info
from add4rsc.serve import peaks
from add4rsc.serve.peaks import pick_peaks, read_coarse_peaks, read_peaks


@pytest.fixture
def recorded(tmp_path):
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, 130 * 1000).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", samples, 1000, subtype="FLOAT")
    return tmp_path / "noise.wav", samples


def test_exact_peaks(recorded):
    path, samples = recorded
    found = read_peaks(path, read_info(path), 10.0, 20.0, 100)
    parts = samples[10_000:20_000].reshape(100, -1)
    assert np.array_equal(found.lowest, parts.min(axis=1))
    assert np.array_equal(found.highest, parts.max(axis=1))


def test_more_parts_than_samples(recorded):
    path, samples = recorded
    found = read_peaks(path, read_info(path), 0.0, 0.01, 40)
    assert np.array_equal(found.highest, np.repeat(samples[:10], 4))


def test_coarse_peaks_enclose_the_samples(recorded, monkeypatch):
    path, samples = recorded
    monkeypatch.setattr(peaks, "READ_AT_ONCE", 30.0)
    coarse = read_coarse_peaks(path, read_info(path))
    assert len(coarse.lowest) == 13_000
    assert coarse.n_bytes == 4 * 13_000
    found = pick_peaks(coarse, 130.0, 0.0, 130.0, 130)
    parts = samples.reshape(130, -1)
    assert np.all(found.lowest <= parts.min(axis=1))
    assert found.lowest == pytest.approx(parts.min(axis=1), abs=1e-4)
    assert found.highest == pytest.approx(parts.max(axis=1), abs=1e-4)


def test_a_part_of_the_coarse_peaks(recorded):
    path, samples = recorded
    coarse = read_coarse_peaks(path, read_info(path))
    found = pick_peaks(coarse, 130.0, 129.99, 130.0, 3)
    assert found.highest == pytest.approx(np.full(3, samples[-10:].max()), abs=1e-4)
