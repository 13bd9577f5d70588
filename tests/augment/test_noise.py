"""Noise in training, as mel energies."""

import numpy as np
import pytest
import torch
from scipy import signal, stats

from add4rsc.audio.frontend import FrontEnd, LogMelFilterBank, band_centres, mel_filters
from add4rsc.augment.noise import (
    NoiseAugmentation,
    NoiseMixer,
    _bursts,
    _speckle,
    emphasis,
    make_noise,
    mix_energies,
    to_energies,
)

FRONT_END = FrontEnd(
    sample_rate=8000, n_mels=40, n_fft=256, f_min=0.0, framing="centred", log_offset=1e-5, mean=-4.5, scale=5.0
)
LIVELY = NoiseAugmentation(probability=1.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def white(seed: int, level: float = 0.1) -> torch.Tensor:
    return level * torch.randn(1, 24_000, generator=generator(seed))


def log_mel(waveform: torch.Tensor) -> torch.Tensor:
    return LogMelFilterBank(FRONT_END)(waveform)[0]


def test_mixture_of_energies_is_that_of_waveforms_on_average():
    cycle, noise = white(1), white(2)
    sections = signal.butter(2, (150, 1000), "bandpass", fs=8000, output="sos")
    lowpass = torch.from_numpy(signal.sosfilt(sections, cycle.numpy()).astype(np.float32))
    for snr_db in (10.0, 0.0, -5.0):
        gain = (lowpass.square().sum() / noise.square().sum() * 10 ** (-snr_db / 10)).sqrt()
        of_waveforms = to_energies(log_mel(lowpass + gain * noise), FRONT_END).mean(dim=0)
        mixed = mix_energies(log_mel(lowpass), to_energies(log_mel(noise), FRONT_END), snr_db, FRONT_END)
        of_energies = to_energies(mixed, FRONT_END).mean(dim=0)
        decibels = 10 * (of_energies[1:] / of_waveforms[1:]).log10()
        assert decibels.abs().max() < 2.0, snr_db
        assert decibels.mean().abs() < 0.3, snr_db


def test_emphasis_is_what_pre_emphasis_does_to_white_noise():
    plain = FRONT_END.model_copy(update={"pre_emphasis": 0.0})
    measured = to_energies(log_mel(white(3)), FRONT_END).mean(dim=0)
    unfiltered = to_energies(LogMelFilterBank(plain)(white(3))[0], plain).mean(dim=0)
    decibels = 10 * (measured / unfiltered / emphasis(FRONT_END)).log10()
    assert decibels[2:-1].abs().max() < 0.7


def test_centres_are_where_triangles_peak():
    filters = mel_filters(FRONT_END.model_copy(update={"n_fft": 8192}))
    peaks = filters.argmax(dim=1) * FRONT_END.sample_rate / 8192
    assert (peaks - band_centres(FRONT_END)).abs().max() <= 1.0


def test_below_keeps_the_bands_that_are_left():
    whole = FrontEnd(sample_rate=32_000, n_mels=128, n_fft=1024, f_min=0.0, f_max=16_000.0)
    low = whole.below(4000.0)
    assert low.n_mels < 128
    assert low.f_max is not None
    assert low.f_max <= 4000.0
    assert torch.allclose(mel_filters(low), mel_filters(whole)[: low.n_mels], atol=1e-6)
    assert whole.below(16_000.0).n_mels == 128


def test_energies_scatter_as_those_of_gaussian_noise():
    for n_bins in (1.0, 4.0, 16.0):
        drawn = _speckle(4000, torch.full((2,), n_bins), generator(4)).flatten().numpy()
        expected = stats.gamma(n_bins, scale=1 / n_bins)
        quantiles = np.linspace(0.1, 0.95, 12)
        assert np.abs(np.quantile(drawn, quantiles) - expected.ppf(quantiles)).max() < 0.06 * expected.ppf(0.95)


def test_noise_made_twice_differs_in_colour_and_course_and_is_finite():
    noises = [make_noise(300, FRONT_END, generator(seed)) for seed in range(60)]
    assert all(bool(torch.isfinite(noise).all()) and bool((noise > 0).all()) for noise in noises)
    tilts = torch.stack([(noise[:, -8:].mean() / noise[:, 4:12].mean()).log10() * 10 for noise in noises])
    assert tilts.min() < -15
    assert tilts.max() > 5
    swings = torch.stack([noise.sum(dim=1).log().std() for noise in noises])
    assert (swings < 0.3).any()
    assert (swings > 1.5).any()


def test_share_and_range_of_ratios_are_those_of_the_settings():
    settings = NoiseAugmentation(probability=0.4, lowest_snr_db=0.0, highest_snr_db=10.0)
    mixer = NoiseMixer(settings, FRONT_END)
    cycle = log_mel(white(5))
    flat = 1 / emphasis(FRONT_END)
    energy = float((to_energies(cycle, FRONT_END) * flat).sum())
    ratios, source = [], generator(6)
    for _ in range(300):
        mixed = mixer.mix(cycle, source)
        added = float((to_energies(mixed, FRONT_END) * flat).sum()) - energy
        if added > 1e-3 * energy:
            ratios.append(10 * np.log10(energy / added))
    assert len(ratios) == pytest.approx(120, abs=30)
    assert min(ratios) > -0.1
    assert max(ratios) < 10.1
    assert np.std(ratios) == pytest.approx(10 / 12**0.5, rel=0.2)


def test_recorded_clips_are_drawn_where_there_are_any():
    clip = torch.full((50, 40), -10.0)
    clip[:, 20] = 3.0
    settings = NoiseAugmentation(probability=1.0, lowest_snr_db=-20.0, highest_snr_db=-20.0, recorded_share=1.0)
    mixed = NoiseMixer(settings, FRONT_END, (clip,)).mix(log_mel(white(7)), generator(8))
    assert mixed.mean(dim=0).argmax() == 20


def test_same_draw_gives_the_same_noise_and_the_cycle_stays():
    cycle = log_mel(white(9))
    before = cycle.clone()
    mixer = NoiseMixer(LIVELY, FRONT_END)
    assert torch.equal(mixer.mix(cycle, generator(1)), mixer.mix(cycle, generator(1)))
    assert not torch.equal(mixer.mix(cycle, generator(1)), mixer.mix(cycle, generator(2)))
    assert torch.equal(cycle, before)


def test_bursts_may_all_begin_behind_the_end_of_a_short_cycle():
    """A clock of up to 1.5 s, and cycles of a quarter of a second: then there is the floor alone."""
    n_frames = round(0.25 / (FRONT_END.frame_shift_ms / 1000))
    courses = [_bursts(n_frames, FRONT_END, generator(seed)) for seed in range(50)]
    assert all(course.shape == (n_frames,) and course.isfinite().all() for course in courses)
    assert any(course.unique().numel() == 1 for course in courses)
    assert any(course.unique().numel() > 1 for course in courses)
