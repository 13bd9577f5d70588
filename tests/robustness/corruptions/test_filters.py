"""What a stethoscope, another response and clipping do to tones and cycles."""

import numpy as np
import pytest

from add4rsc.robustness.corruptions._base import CycleSound
from add4rsc.robustness.corruptions.clipping import Clipping
from add4rsc.robustness.corruptions.response import KNOTS, OtherResponse
from add4rsc.robustness.corruptions.stethoscope import LowPassStethoscope

RATE = 32_000
TIME = np.arange(RATE) / RATE
INSIDE = slice(RATE // 10, -RATE // 10)


def tone(frequency: float) -> CycleSound:
    return CycleSound("r@0", np.sin(2 * np.pi * frequency * TIME).astype(np.float32), np.zeros((0, 0), np.float32))


def gain_db(before, after):
    return 20 * np.log10(after[INSIDE].std() / before[INSIDE].std())


@pytest.mark.parametrize(
    ("frequency", "lowest", "highest"), [(100, -0.01, 0.01), (1000, -3.1, -2.9), (2000, -40, -34), (4000, -90, -60)]
)
def test_low_pass_is_a_butterworth(frequency, lowest, highest):
    cycle = tone(frequency)
    heard = LowPassStethoscope(RATE).corrupt(cycle, 1000.0, "", np.random.default_rng(0))
    assert lowest < gain_db(cycle.waveform, heard) < highest


def test_low_pass_moves_nothing_in_time():
    cycle = tone(300)
    heard = LowPassStethoscope(RATE).corrupt(cycle, 1000.0, "", np.random.default_rng(0))
    np.testing.assert_allclose(heard[INSIDE], cycle.waveform[INSIDE], atol=1e-3)


def test_response_has_the_drawn_gains_and_keeps_the_loudness():
    level, seed = 12.0, 4
    drawn = np.random.default_rng(seed).uniform(-level, level, len(KNOTS))
    both = CycleSound("r@0", tone(500).waveform + tone(2000).waveform, np.zeros((0, 0), np.float32))
    changed = OtherResponse(RATE).corrupt(both, level, "", np.random.default_rng(seed))
    assert changed.std() == pytest.approx(both.waveform.std(), rel=1e-4)
    amplitude = np.abs(np.fft.rfft(changed * np.hanning(RATE)))
    found = 20 * np.log10(amplitude[2000] / amplitude[500])
    assert found == pytest.approx(drawn[5] - drawn[3], abs=0.05)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5])
def test_clipping_cuts_that_share(breath, share):
    cycle = breath()
    heard = Clipping(8000).corrupt(cycle, share, "", np.random.default_rng(0))
    changed = heard != cycle.waveform
    assert changed.mean() == pytest.approx(share, abs=2e-3)
    centre = cycle.waveform.mean()
    assert np.ptp(np.abs(heard[changed] - centre)) < 1e-6
    assert (np.abs(cycle.waveform - centre)[changed].min() >= np.abs(heard - centre).max() - 1e-6).all()
