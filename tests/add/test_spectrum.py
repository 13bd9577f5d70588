import numpy as np
import pytest
import torch

from add4rsc.add.spectrum import Spectrum, mel_signal, mel_spectrum, time_signal, time_spectrum

LENGTHS = (1, 2, 37, 64)


@pytest.fixture(params=["fused", "exported"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "exported":
        monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    return request.param


@pytest.mark.parametrize("n_frames", LENGTHS)
def test_time_spectrum_is_that_of_numpy(path, n_frames, generator):
    x = torch.randn(2, n_frames, 5, generator=generator, dtype=torch.float64)
    spectrum = time_spectrum(x)
    expected = np.fft.rfft(x.numpy(), axis=1, norm="ortho")
    np.testing.assert_allclose(spectrum.real, expected.real, atol=1e-12)
    np.testing.assert_allclose(spectrum.imaginary, expected.imag, atol=1e-12)


@pytest.mark.parametrize("n_frames", LENGTHS)
def test_mel_spectrum_makes_it_two_dimensional(path, n_frames, generator):
    x = torch.randn(2, n_frames, 5, generator=generator, dtype=torch.float64)
    spectrum = mel_spectrum(time_spectrum(x))
    expected = np.fft.rfft2(x.numpy(), axes=(2, 1), norm="ortho")
    np.testing.assert_allclose(torch.complex(*spectrum), expected, atol=1e-12)


@pytest.mark.parametrize("n_frames", LENGTHS)
def test_signals_come_back_from_altered_spectra(path, n_frames, generator):
    shape = (2, n_frames // 2 + 1, 5)
    real, imaginary = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    spectrum, like = Spectrum(real, imaginary), torch.empty(2, n_frames, 5, dtype=torch.float64)
    along_time = np.fft.irfft(torch.complex(real, imaginary).numpy(), n=n_frames, axis=1, norm="ortho")
    np.testing.assert_allclose(time_signal(spectrum, like), along_time, atol=1e-12)
    in_plane = np.fft.irfft2(torch.complex(real, imaginary).numpy(), s=(5, n_frames), axes=(2, 1), norm="ortho")
    np.testing.assert_allclose(time_signal(mel_signal(spectrum), like), in_plane, atol=1e-12)


def test_magnitude_of_silence_has_a_finite_gradient():
    x = torch.zeros(1, 8, 2, requires_grad=True)
    time_spectrum(x).magnitude().log1p().sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_half_precision_is_widened(path):
    x = torch.ones(1, 6, 2, dtype=torch.bfloat16)
    assert time_spectrum(x).real.dtype == torch.float32
    assert time_signal(time_spectrum(x), x).dtype == torch.bfloat16
