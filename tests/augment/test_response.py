"""Other stethoscopes, on mel energies."""

import numpy as np
import pytest
import torch
from scipy import signal

from add4rsc.audio.frontend import FrontEnd, LogMelFilterBank, band_centres
from add4rsc.augment import response
from add4rsc.augment.response import ResponseAugmentation, change_response, draw_response

FRONT_END = FrontEnd(
    sample_rate=8000, n_mels=40, n_fft=256, f_min=0.0, framing="centred", log_offset=1e-5, mean=-4.5, scale=5.0
)
LIVELY = ResponseAugmentation(probability=1.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(seed: int = 1) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(24_000).astype(np.float32)


def log_mel(waveform: np.ndarray) -> torch.Tensor:
    return LogMelFilterBank(FRONT_END)(torch.from_numpy(waveform[None]))[0]


def test_gain_on_energies_is_that_of_a_filtered_waveform(monkeypatch):
    sections = signal.butter(4, 1000, fs=8000, output="sos")
    filtered = signal.sosfilt(sections, noise()).astype(np.float32)
    _, transfer = signal.sosfreqz(sections, band_centres(FRONT_END).numpy(), fs=8000)
    gain = torch.from_numpy(20 * np.log10(np.abs(transfer))).float()
    monkeypatch.setattr(response, "draw_response", lambda *_: gain)
    changed = change_response(log_mel(noise()), LIVELY, FRONT_END, generator())
    loud = gain > -40
    difference = (changed - log_mel(filtered)).mean(dim=0)[loud] * FRONT_END.scale * 10 / np.log(10)
    assert difference.abs().max() < 1.5


def test_cutoffs_lie_between_their_bounds_and_what_is_below_keeps_its_level():
    settings = ResponseAugmentation(probability=1.0, lowest_cutoff=500, highest_cutoff=2000, colour_db=0.0)
    centres = band_centres(FRONT_END)
    cutoffs = []
    for seed in range(200):
        gain = draw_response(settings, FRONT_END, generator(seed))
        assert (gain[centres < 500] == 0).all()
        assert (gain[centres > 2000] < 0).all()
        cutoffs.append(float(centres[gain < 0][0]))
    assert np.median(cutoffs) == pytest.approx(1000, rel=0.15)


def test_colour_has_the_spread_that_was_asked_for():
    settings = ResponseAugmentation(probability=1.0, lowest_cutoff=8000, colour_db=3.0)
    gains = torch.stack([draw_response(settings, FRONT_END, generator(seed)) for seed in range(300)])
    assert gains[:, 0].std() == pytest.approx(3.0, rel=0.15)
    assert gains.mean(dim=0).abs().max() < 0.7


def test_off_by_default_and_the_same_draw_gives_the_same_response():
    cycle = log_mel(noise())
    before = cycle.clone()
    assert change_response(cycle, ResponseAugmentation(), FRONT_END, generator()) is cycle
    first = change_response(cycle, LIVELY, FRONT_END, generator(2))
    assert torch.equal(first, change_response(cycle, LIVELY, FRONT_END, generator(2)))
    assert not torch.equal(first, change_response(cycle, LIVELY, FRONT_END, generator(3)))
    assert torch.equal(cycle, before)
    assert bool(torch.isfinite(first).all())
