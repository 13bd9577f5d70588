"""Occlusion, of a classifier that is worked out by hand."""

import numpy as np
import pytest
import soundfile

from add4rsc.audio.crop import Crop
from add4rsc.inference._base import AbstractClassifier, Stretch
from add4rsc.inference.occlusion import BAND_EDGES, N_SLICES, Occlusion, _parts, occlude

RATE = 8000


class ToneListener(AbstractClassifier):
    """Hears a wheeze where there is power at 900 Hz, which is in the fourth band."""

    name = "tones"
    classes = ("normal", "wheeze")
    sample_rate = RATE
    crop = Crop(duration=2.0)
    temperature = 1.0
    thresholds: dict[str, float] = {}  # noqa: RUF012
    notes: dict[str, str] = {}  # noqa: RUF012

    def logits(self, waveforms):
        wave = np.exp(-2j * np.pi * 900 * np.arange(waveforms.shape[1]) / RATE)
        power = np.abs(waveforms @ wave) / waveforms.shape[1]
        return np.stack([np.full(len(power), 1.0), 200 * power], axis=1).astype(np.float32)


@pytest.fixture
def recording(tmp_path):
    """4 s of faint noise; from 2.5 to 2.75 s a tone of 900 Hz."""
    time = np.arange(4 * RATE) / RATE
    sound = 0.001 * np.random.default_rng(0).standard_normal(len(time))
    sound += 0.5 * np.sin(2 * np.pi * 900 * time) * ((time >= 2.5) & (time < 2.75))
    soundfile.write(tmp_path / "tone.wav", sound, RATE)
    return tmp_path / "tone.wav"


def test_weight_lies_where_the_tone_is(recording):
    found = occlude(ToneListener(), recording, Stretch(2.0, 4.0))
    assert found.probability > 0.9
    assert found.weights.shape == (N_SLICES, len(BAND_EDGES))
    assert np.unravel_index(found.weights.argmax(), found.weights.shape) == (2, 3 if BAND_EDGES[4] > 900 else 4)
    others = found.weights.copy()
    others[2, 3] = 0
    assert found.weights[2, 3] > 0.5
    assert others.max() < 0.1 * found.weights[2, 3]


def test_parts_together_are_the_sound():
    sound = np.random.default_rng(1).standard_normal(5000).astype(np.float32)
    assert np.allclose(np.sum(_parts(sound, RATE), axis=0), sound, atol=1e-4)


def test_short_cycles_are_taken_too(recording):
    found = occlude(ToneListener(), recording, Stretch(2.6, 2.62))
    assert np.isfinite(found.weights).all()


def test_places_of_a_picture():
    weights = np.arange(48.0).reshape(8, 6)
    found = Occlusion(Stretch(1.0, 3.0), 0.9, weights)
    at = found.at(np.array([0.9, 1.0, 1.3, 2.99, 3.0]), np.array([100.0, 299.0, 300.0, 3000.0]))
    assert at.tolist() == [[0] * 4, [0, 1, 2, 5], [6, 7, 8, 11], [42, 43, 44, 47], [0] * 4]
