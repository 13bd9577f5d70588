"""Bringing every waveform to one level, before the logarithm's offset swallows what is faint."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from add4rsc.audio.frontend import LEVEL_BAND, FrontEnd, LogMelFilterBank, band_centres, to_energies
from add4rsc.augment.noise import NoiseAugmentation, NoiseMixer
from add4rsc.augment.response import ResponseAugmentation
from add4rsc.augment.scene import Scene

AS_RECORDED = FrontEnd(
    sample_rate=8000, n_mels=40, n_fft=256, f_min=0.0, framing="centred", log_offset=1e-5, mean=-4.5, scale=5.0
)
LEVELLED = AS_RECORDED.model_copy(update={"level": 0.1})


def sound(gain: float = 1.0) -> torch.Tensor:
    """Two puffs of low noise, faint as breath is."""
    time = np.arange(16_000) / 8000
    draw = np.convolve(np.random.default_rng(3).standard_normal(16_000), np.ones(16) / 16, mode="same")
    return torch.from_numpy((gain * 0.003 * np.sin(np.pi * time) ** 2 * draw).astype(np.float32))[None]


def mean_level(log_mel: torch.Tensor) -> float:
    """What the front-end promises, found band by band."""
    centres = band_centres(LEVELLED)
    energies = to_energies(log_mel, LEVELLED) - LEVELLED.log_offset
    inside = [index for index, hertz in enumerate(centres) if LEVEL_BAND[0] <= hertz <= LEVEL_BAND[1]]
    return float(np.mean([energies[:, index].mean() for index in inside]))


def test_loudness_makes_no_difference_and_the_level_is_the_one_asked_for():
    quiet, loud = (LogMelFilterBank(LEVELLED)(sound(gain))[0] for gain in (1.0, 100.0))
    torch.testing.assert_close(quiet, loud, atol=1e-4, rtol=0)
    assert mean_level(quiet) == pytest.approx(0.1, rel=1e-3)


def test_what_the_offset_swallowed_is_seen():
    as_recorded, levelled = (LogMelFilterBank(each)(sound())[0] for each in (AS_RECORDED, LEVELLED))
    high = band_centres(LEVELLED) > 1000
    floor = float(LogMelFilterBank(AS_RECORDED)(torch.zeros(1, 8000))[0, 0, 0])
    swallowed, seen = (float((each[:, high] - floor).mean()) for each in (as_recorded, levelled))
    assert swallowed < 0.1  # half a neper above the offset alone
    assert seen > 5 * swallowed


def test_silence_stays_silence():
    silent = LogMelFilterBank(LEVELLED)(torch.zeros(1, 8000))
    torch.testing.assert_close(silent, LogMelFilterBank(AS_RECORDED)(torch.zeros(1, 8000)))


def test_a_cycle_among_noise_and_through_another_stethoscope_is_at_the_level_again():
    scene = Scene(
        NoiseMixer(NoiseAugmentation(probability=1.0, twin=True), LEVELLED), ResponseAugmentation(probability=1.0)
    )
    log_mel = LogMelFilterBank(LEVELLED)(sound())[0]
    for view in scene.hear(log_mel, lambda _kind: torch.Generator().manual_seed(1)):
        assert not torch.allclose(view, log_mel, atol=0.05)
        assert mean_level(view) == pytest.approx(0.1, rel=1e-3)


def test_features_on_disk_keep_their_names_where_there_is_no_level():
    assert "level" not in AS_RECORDED.stated()
    assert LEVELLED.stated()["level"] == 0.1
    with pytest.raises(ValidationError, match="greater than 0"):
        FrontEnd(level=0.0)
