import numpy as np
import pytest
import soundfile

from add4rsc.audio.crop import BandPass, Crop, crop_cycle, fade_recording
from add4rsc.audio.io import read_waveform
from add4rsc.errors import AnnotationError
from add4rsc.robustness.sounds import NoiseBand, read_test_cycles
from add4rsc.terms import Recording, RespiratoryCycle

RATE = 8000
CROPS = [
    Crop(duration=1.0),
    Crop(duration=3.0, repeat_fade=0.0625),
    Crop(duration=2.0, padding="zero", recording_fade=0.0625),
    Crop(duration=2.0, recording_fade=0.5, band_pass=BandPass(order=4)),
]


@pytest.fixture
def cycles(tmp_path):
    draw = np.random.default_rng(0)
    made = []
    for name in ("b", "a"):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, 0.3 * draw.standard_normal(round(6.5 * 4000)), 4000)
        recording = Recording(name, path, "p")
        made += [
            RespiratoryCycle(recording, start, end, "normal") for start, end in ((3.9, 6.5), (0.0, 1.7), (1.7, 3.9))
        ]
    return made


@pytest.mark.parametrize("crop", CROPS)
def test_unchanged_cycles_are_what_training_hears(cycles, crop):
    for cycle, read in zip(cycles, read_test_cycles(cycles, RATE, crop), strict=True):
        recording = fade_recording(read_waveform(cycle.recording.path, RATE), RATE, crop)
        expected = crop_cycle(recording, RATE, cycle.start, cycle.end, crop)
        (found,) = read.windows(read.sound.waveform, RATE, crop)
        assert read.sound.cycle_id == cycle.cycle_id
        np.testing.assert_allclose(found, expected, atol=1e-3 if crop.band_pass else 1e-6)


def test_the_sound_before_cropping_is_the_same_for_every_crop(cycles):
    first, *others = (read_test_cycles(cycles, RATE, crop) for crop in CROPS)
    for other in others:
        for left, right in zip(first, other, strict=True):
            np.testing.assert_array_equal(left.sound.waveform, right.sound.waveform)
            np.testing.assert_array_equal(left.sound.quiet, right.sound.quiet)


def test_noise_passes_the_band_pass_too(cycles):
    crop = CROPS[-1]
    read = read_test_cycles(cycles, RATE, crop)[2]
    time = np.arange(len(read.sound.waveform)) / RATE
    inaudible = np.sin(2 * np.pi * 3500 * time).astype(np.float32)
    changed, plain = (read.windows(read.sound.waveform + more, RATE, crop)[0] for more in (inaudible, 0 * inaudible))
    change = changed - plain
    assert np.abs(change[RATE // 2 : RATE]).max() < 1e-3


def test_the_band_is_that_of_the_recorder(cycles):
    assert read_test_cycles(cycles, RATE, CROPS[0], NoiseBand.RECORDING)[0].sound.band == 2000
    assert read_test_cycles(cycles, RATE, CROPS[0])[0].sound.band == float("inf")


def test_a_cycle_outside_its_recording_is_told(cycles):
    outside = RespiratoryCycle(cycles[0].recording, 9.0, 9.5, "normal")
    with pytest.raises(AnnotationError, match="Correct its annotation"):
        read_test_cycles([outside], RATE, CROPS[0])
