import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from add4rsc.add.frequency_filter import (
    FixedFrequencyFilter,
    GainFilter,
    PaperFrequencyFilter,
    ReleasedFrequencyFilter,
)
from add4rsc.add.layer import resize_log_mel
from add4rsc.audio.frontend import FrontEnd, LogMelFilterBank
from add4rsc.audio.io import read_waveform

FORMS = (PaperFrequencyFilter, ReleasedFrequencyFilter, FixedFrequencyFilter, GainFilter)

RELEASED_NAMES = {"w1": "hidden_weight", "b1": "hidden_bias", "w2": "output_weight", "b2": "output_bias"}


def noisy_breath(n_frames: int, dim: int, generator: torch.Generator) -> torch.Tensor:
    """Two cycles like standardised log-mel frames: a slow swell over a level, and a little noise."""
    swell = torch.sin(torch.linspace(0, 9, n_frames))[None, :, None] * torch.linspace(0.1, 0.4, dim)
    return swell - 0.4 + 0.1 * torch.randn(2, n_frames, dim, generator=generator)


def zero_gradient_share(module: nn.Module, x: torch.Tensor, generator: torch.Generator) -> float:
    output = module(x)
    weights = torch.randn(output.shape, generator=generator)
    gradients = torch.cat([g.flatten() for g in torch.autograd.grad(output, list(module.parameters()), weights)])
    return (gradients == 0).double().mean().item()


@pytest.mark.parametrize(("dtype", "tag", "tolerance"), [(torch.float32, "fp32", 2e-6), (torch.float64, "fp64", 1e-12)])
def test_released_form_equals_the_released_code(golden_case, dtype, tag, tolerance):
    case = golden_case("afno_d64_n128")
    released = ReleasedFrequencyFilter(64).to(dtype)
    released.load_state_dict({name: case[f"sd.{key}"] for key, name in RELEASED_NAMES.items()})
    x = case["x"].to(dtype).requires_grad_()
    output = released(x)
    output.backward(case["cot"].to(dtype))
    torch.testing.assert_close(output, case[f"out_{tag}"], atol=tolerance, rtol=1e-6)
    torch.testing.assert_close(x.grad, case[f"grad_x_{tag}"], atol=5 * tolerance, rtol=1e-6)
    for key, name in RELEASED_NAMES.items():
        expected = case[f"grad_{tag}.{key}"]
        atol = 5 * tolerance * max(1.0, expected.abs().max().item())
        torch.testing.assert_close(released.get_parameter(name).grad, expected, atol=atol, rtol=1e-6)


@pytest.mark.parametrize(("dim", "n_blocks", "n_frames"), [(12, 3, 37), (8, 1, 10), (10, 4, 9)])
def test_released_form_is_a_complex_network_block_by_block(dim, n_blocks, n_frames, generator):
    released = ReleasedFrequencyFilter(dim, threshold=0.05, n_blocks=n_blocks).double()
    for parameter in released.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    x = torch.randn(2, n_frames, dim, generator=generator, dtype=torch.float64)
    block_dim = -(-dim // n_blocks)
    spectrum = functional.pad(torch.fft.rfft(x, dim=1, norm="ortho"), (0, n_blocks * block_dim - dim))
    expected = torch.zeros_like(spectrum)
    first, first_bias, second, second_bias = (
        torch.complex(*released.get_parameter(name)) for name in RELEASED_NAMES.values()
    )
    for block in range(n_blocks):
        columns = slice(block * block_dim, (block + 1) * block_dim)
        hidden = spectrum[..., columns] @ first[block] + first_bias[block]
        hidden = torch.complex(hidden.real.relu(), hidden.imag.relu())
        output = hidden @ second[block] + second_bias[block]
        shrunk = [part.sign() * (part.abs() - 0.05).clamp_min(0) for part in (output.real, output.imag)]
        expected[..., columns] = torch.complex(*shrunk)
    expected = expected[..., :dim]
    torch.testing.assert_close(released(x), x + torch.fft.irfft(expected, n=n_frames, dim=1, norm="ortho"))
    gain = (spectrum[..., :dim] + expected).abs() / spectrum[..., :dim].abs()
    torch.testing.assert_close(released.mask(x), gain)


@pytest.mark.parametrize("n_frames", [37, 64])
def test_paper_form_is_a_shrunk_mask_on_the_plane(n_frames, generator):
    paper = PaperFrequencyFilter(6, threshold=0.1).double()
    x = torch.randn(2, n_frames, 6, generator=generator, dtype=torch.float64)
    spectrum = torch.fft.rfft2(x, dim=(2, 1), norm="ortho")
    first, second = paper.mask_hidden, paper.mask_output
    hidden = torch.cat([spectrum.real, spectrum.imag], dim=-1) @ first.weight.T + first.bias
    parts = hidden.relu() @ second.weight.T + second.bias
    shrunk = parts.sign() * (parts.abs() - 0.1).clamp_min(0)
    mask = torch.complex(shrunk[..., :6], shrunk[..., 6:])
    expected = torch.fft.irfft2(mask * spectrum, s=(6, n_frames), dim=(2, 1), norm="ortho")
    torch.testing.assert_close(paper(x), expected)
    torch.testing.assert_close(paper.mask(x), mask.abs(), atol=2e-6, rtol=0)  # floored at 1e-6


@pytest.mark.parametrize("n_frames", [1, 37, 64])
def test_fixed_form_multiplies_the_spectrum_by_its_mask(n_frames, generator):
    fixed = FixedFrequencyFilter(6).double()
    nn.init.normal_(fixed.mask_output.weight, generator=generator)
    x = torch.randn(2, n_frames, 6, generator=generator, dtype=torch.float64)
    spectrum = torch.fft.rfft(x, dim=1, norm="ortho")
    gain = fixed.mask_output(fixed.mask_hidden(spectrum.abs().log1p()).relu())
    mask = gain.sign() * (gain.abs() - 0.02).clamp_min(0)
    torch.testing.assert_close(fixed.mask(x), mask, atol=2e-6, rtol=0)
    expected = torch.fft.irfft(mask * spectrum, n=n_frames, dim=1, norm="ortho")
    torch.testing.assert_close(fixed(x), expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("n_frames", [37, 64])
def test_a_mask_of_one_is_the_identity(n_frames, generator):
    x = torch.randn(2, n_frames, 6, generator=generator, dtype=torch.float64)
    fixed, paper = FixedFrequencyFilter(6).double(), PaperFrequencyFilter(6).double()
    for module in (fixed, paper):
        nn.init.zeros_(module.mask_output.weight)
        nn.init.constant_(module.mask_output.bias[:6], 1.02)
    nn.init.zeros_(paper.mask_output.bias[6:])
    for module in (fixed, paper):
        torch.testing.assert_close(module.mask(x), torch.ones(2, n_frames // 2 + 1, 6, dtype=torch.float64))
        torch.testing.assert_close(module(x), x)


def test_an_infinite_threshold_leaves_the_released_form_the_identity(generator):
    x = torch.randn(2, 33, 16, generator=generator)
    assert torch.allclose(ReleasedFrequencyFilter(16, threshold=1e9)(x), x)


def test_the_fixed_form_starts_as_a_pass_through(generator):
    torch.manual_seed(0)
    x = noisy_breath(400, 128, generator)
    error = (FixedFrequencyFilter(128)(x) - x).square().mean().sqrt() / x.square().mean().sqrt()
    assert 0 < error < 0.01


def test_released_filter_starts_in_the_dead_zone_and_the_fixed_one_does_not(generator):
    torch.manual_seed(0)
    x = noisy_breath(798, 256, generator)
    released, fixed = ReleasedFrequencyFilter(256), FixedFrequencyFilter(256)
    blocked = ((released.mask(x) - 1).abs() < 1e-6).double().mean()
    assert blocked > 0.99  # spectral cells that the branch leaves alone, hence without a gradient
    assert ((fixed.mask(x) - 1).abs() < 1e-6).double().mean() < 0.01
    assert zero_gradient_share(released, x, generator) > 0.03
    assert zero_gradient_share(fixed, x, generator) == 0


@pytest.mark.data
def test_so_it_is_on_a_real_recording(shared_data, generator):
    torch.manual_seed(0)
    path = shared_data / "icbhi2017_native" / "102_1b1_Ar_sc_Meditron.wav"
    waveform = torch.from_numpy(read_waveform(path, 16_000, 2.0, 10.0))
    x = resize_log_mel(LogMelFilterBank(FrontEnd())(waveform[None]), 1024, 256)
    released, fixed = ReleasedFrequencyFilter(256), FixedFrequencyFilter(256)
    assert ((released.mask(x) - 1).abs() < 1e-6).double().mean() > 0.98
    assert zero_gradient_share(released, x, generator) > 0.1
    assert zero_gradient_share(fixed, x, generator) == 0
    assert (fixed(x) - x).square().mean().sqrt() < 0.01 * x.square().mean().sqrt()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_filters_any_length_and_width(form, generator):
    for n_frames, dim in ((1, 8), (2, 3), (37, 96), (128, 40)):
        module = form(dim)
        x = torch.randn(2, n_frames, dim, generator=generator)
        assert module(x).shape == x.shape
        assert module.mask(x).shape == (2, n_frames if form is GainFilter else n_frames // 2 + 1, dim)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_stands_lower_precision(form, generator):
    torch.manual_seed(0)
    module, x = form(16), torch.randn(2, 20, 16, generator=generator)
    expected = module(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = module(x)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, expected, atol=0.03, rtol=0.03)
    low = module.bfloat16()(x.bfloat16())
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), expected, atol=0.06, rtol=0.06)


@pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning")
@pytest.mark.parametrize("form", FORMS)
def test_every_form_exports(form, onnx_session, generator):
    torch.manual_seed(0)
    module = form(16)
    module.threshold = 0.001  # of those that shrink
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    run = onnx_session(module, torch.randn(2, 24, 16, generator=generator))
    for n_frames in (50, 129):
        x = torch.randn(3, n_frames, 16, generator=generator)
        torch.testing.assert_close(run(x)[0], module(x), atol=1e-4, rtol=1e-4)


def test_gain_multiplies_energies_and_amplifies_nothing(generator):
    module, x = GainFilter(12, deepest=2.0).double(), torch.randn(3, 50, 12, generator=generator, dtype=torch.float64)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    gain = module.mask(x)
    torch.testing.assert_close(module(x).exp(), gain * x.exp(), rtol=1e-12, atol=0)
    assert gain.min() > math.exp(-2.0)
    assert gain.max() < 1
    assert gain.max() - gain.min() > 0.5


def test_gain_starts_as_nearly_a_pass_through(generator):
    x = noisy_breath(200, 76, generator)
    assert (GainFilter(76)(x) - x).abs().max() < 0.06


def test_gain_learns_to_take_off_a_noise_that_it_has_not_heard(generator):
    """Of breaths in steady noise of any colour, the half that other noise has put over them comes off again."""
    torch.manual_seed(0)

    def cycles(n_cycles: int) -> tuple[torch.Tensor, torch.Tensor]:
        clean = torch.cat([noisy_breath(60, 12, generator) for _ in range(n_cycles // 2)])
        clean = clean * torch.linspace(2, 4, n_cycles)[:, None, None]
        colour = 0.6 * torch.randn(n_cycles, 1, 12, generator=generator) - 0.5
        return torch.logaddexp(clean, colour), clean

    module = GainFilter(12, deepest=3.0)
    optimiser = torch.optim.Adam(module.parameters(), lr=3e-3)
    for _ in range(150):
        noisy, clean = cycles(16)
        optimiser.zero_grad()
        (module(noisy) - clean).abs().mean().backward()
        optimiser.step()
    noisy, clean = cycles(64)
    assert (module(noisy) - clean).abs().mean() < 0.5 * (noisy - clean).abs().mean()
