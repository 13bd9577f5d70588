"""Bands: against scipy's filters, transformers' filter bank, and sums over windowed waves."""

import math

import numpy as np
import pytest
import torch
from scipy import signal
from torch import Tensor
from transformers.audio_utils import mel_filter_bank

from add4rsc.audio.bands import (
    ERB_RATE,
    HTK,
    LINEAR,
    SLANEY,
    Scale,
    butterworth_response,
    gammatone_responses,
    slaney_triangles,
    triangles_in_hertz,
)
from add4rsc.audio.constant_q import QUALITY, ConstantQ, constant_q_centres, sum_along_frames


def bins(sample_rate: int, n_fft: int) -> Tensor:
    return torch.arange(n_fft // 2 + 1) * sample_rate / n_fft


@pytest.mark.parametrize("scale", [HTK, SLANEY, ERB_RATE, LINEAR])
def test_scales_rise_and_are_undone(scale: Scale) -> None:
    frequencies = [20.0, 500.0, 999.9, 1000.1, 3000.0, 11_025.0]
    places = [scale.of_hertz(each) for each in frequencies]
    assert places == sorted(places)
    assert [scale.to_hertz(each) for each in places] == pytest.approx(frequencies)


@pytest.mark.parametrize(("norm", "make"), [("slaney", slaney_triangles), (None, triangles_in_hertz)])
def test_slaney_bands_equal_those_of_transformers(norm: str | None, make) -> None:
    expected = mel_filter_bank(513, 84, 32.7, 6000.0, 22_050, norm=norm, mel_scale="slaney").T
    found = make(SLANEY.edges(32.7, 6000.0, 84), bins(22_050, 1024)).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * expected.max())


def test_linear_bands_as_narrow_as_bins_are_the_bins() -> None:
    frequencies = bins(4000, 256)
    found = triangles_in_hertz(LINEAR.edges(0.0, 2000.0, 127), frequencies)
    torch.testing.assert_close(found, torch.eye(129)[1:-1], rtol=0, atol=1e-4)


def test_gammatone_bands_are_the_power_of_the_impulse_response() -> None:
    """t^3 exp(-2 pi b t) cos(2 pi c t), transformed by brute force; its image at -c is 80 dB down at these centres."""
    sample_rate, centres = 16_000, torch.tensor([300.0, 1000.0, 2500.0])
    time = np.arange(sample_rate) / sample_rate
    found = gammatone_responses(centres, bins(sample_rate, sample_rate)).numpy()
    for row, centre in zip(found, centres.tolist(), strict=True):
        bandwidth = 1.019 * (24.7 + centre / 9.265)
        impulse = time**3 * np.exp(-2 * np.pi * bandwidth * time) * np.cos(2 * np.pi * centre * time)
        power = np.abs(np.fft.rfft(impulse)) ** 2
        near = np.abs(np.arange(len(row)) - centre) < 3 * bandwidth
        np.testing.assert_allclose(row[near], (power / power.max())[near], atol=2e-3)


def test_gammatone_centres_are_evenly_spaced_in_bandwidths() -> None:
    centres = ERB_RATE.edges(50.0, 3000.0, 40)[1:-1].double()
    between = (centres[1:] + centres[:-1]) / 2
    steps = centres.diff() / (24.7 * (4.37e-3 * between + 1))
    assert (steps / steps.mean() - 1).abs().max() < 2e-3


@pytest.mark.parametrize(("order", "band"), [(5, (100.0, 1800.0)), (3, (50.0, 900.0))])
def test_band_pass_has_the_response_of_scipys_filter(order: int, band: tuple[float, float]) -> None:
    sections = signal.butter(order, band, btype="bandpass", fs=4000, output="sos")
    frequencies = bins(4000, 256)
    _, response = signal.sosfreqz(sections, frequencies.numpy().astype(np.float64), fs=4000)
    found = butterworth_response(frequencies, band, order, 4000).numpy()
    np.testing.assert_allclose(found, np.abs(response) ** 2, atol=1e-6)


def test_sums_along_frames_are_those_of_a_loop(generator: torch.Generator) -> None:
    products = torch.randn(2, 3, 5, 12, generator=generator)
    found = sum_along_frames(products)
    assert found.shape == (2, 3, 8)
    for frame in range(8):
        expected = sum(products[:, :, part, frame + part] for part in range(5))
        torch.testing.assert_close(found[..., frame], expected)


@pytest.mark.parametrize("n_samples", [5000, 8191])
def test_constant_q_equals_sums_over_windowed_waves(n_samples: int, generator: torch.Generator) -> None:
    """Frame by frame and band by band in float64; bands of two and a half octaves, noise and a tone."""
    sample_rate, shift, centres = 8000, 128, constant_q_centres(60.0, 30)
    time = torch.arange(n_samples) / sample_rate
    waveform = torch.randn(n_samples, generator=generator) + (2 * math.pi * 120 * time).sin()
    found = ConstantQ(centres, torch.full((30,), 2.0), sample_rate, shift)(waveform[None])[0]
    assert found.shape == (1 + n_samples // shift, 30)
    sound = waveform.double().numpy()
    for band, centre in enumerate(60.0 * 2 ** (np.arange(30) / 12)):
        half = QUALITY * sample_rate / centre / 2
        offset = np.arange(-math.ceil(half) + 1, math.ceil(half))
        offset = offset[np.abs(offset) < half]
        window = np.cos(np.pi * offset / (2 * half)) ** 2
        wave = 2.0 * window / window.sum() * np.exp(-2j * np.pi * centre * offset / sample_rate)
        for frame in range(len(found)):
            place = frame * shift + offset
            inside = (place >= 0) & (place < n_samples)
            expected = abs((sound[place[inside]] * wave[inside]).sum()) ** 2
            assert found[frame, band].item() == pytest.approx(expected, rel=2e-3, abs=1e-6)


def test_constant_q_of_a_tone_is_its_amplitude_and_falls_off_by_semitones() -> None:
    sample_rate, centres = 8000, constant_q_centres(60.0, 48)
    tone = (2 * math.pi * centres[20].item() * torch.arange(16_000) / sample_rate).sin()
    energies = ConstantQ(centres, torch.ones(48), sample_rate, 100)(tone[None])[0, 80]
    assert energies[20].item() == pytest.approx(0.25, rel=1e-3)
    assert energies.argmax() == 20
    assert energies[18] < 0.02 * energies[20]
    assert energies[23] < 1e-3 * energies[20]
