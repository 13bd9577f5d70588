"""Diffusion against closed forms: Gaussians, whose best denoiser is known, and sums in loops."""

import math

import pytest
import torch
from torch import Tensor

from add4rsc.methods._base import TrainingCycles
from add4rsc.methods._diffusion import (
    DiffusionTraining,
    FrameDiffusion,
    ResidualBlock,
    noise_schedule,
    sample_cycles,
    step_embedding,
    train_diffusion,
)


def built(n_mels: int = 3, n_classes: int = 2, n_steps: int = 100) -> FrameDiffusion:
    torch.manual_seed(0)
    return FrameDiffusion(n_mels, n_classes, 8, 3, n_steps)


def alpha_bars(n_steps: int) -> list[float]:
    found, product = [1.0], 1.0
    for t in range(n_steps):
        low, high = 1e-4 * 1000 / n_steps, 0.02 * 1000 / n_steps
        product *= 1 - (low + (high - low) * t / (n_steps - 1))
        found.append(product)
    return found


def test_schedule_is_the_product_of_linear_betas():
    assert noise_schedule(100).tolist() == pytest.approx(alpha_bars(100), rel=1e-5)
    assert noise_schedule(100)[-1] < 1e-4
    assert noise_schedule(5).min() > 0


def test_noised_frames_have_the_closed_form_moments(generator):
    diffusion, left = built(), alpha_bars(100)[30]
    clean = torch.full((4000, 5, 3), 2.0)
    found = diffusion.noised(clean, torch.full((4000,), 30), torch.randn(clean.shape, generator=generator))
    assert found.mean().item() == pytest.approx(2 * math.sqrt(left), abs=0.02)
    assert found.std().item() == pytest.approx(math.sqrt(1 - left), abs=0.02)


def test_noised_frames_are_where_noise_one_step_after_another_leads(generator):
    """x_t = sqrt(1 - beta_t) x_(t-1) + sqrt(beta_t) e_t, t times."""
    bars = alpha_bars(100)
    frames = torch.full((20_000,), 1.5)
    for t in range(1, 21):
        beta = 1 - bars[t] / bars[t - 1]
        frames = math.sqrt(1 - beta) * frames + math.sqrt(beta) * torch.randn(len(frames), generator=generator)
    at_once = built(1).noised(torch.full((20_000, 1, 1), 1.5), torch.full((20_000,), 20), torch.zeros(20_000, 1, 1))
    assert frames.mean().item() == pytest.approx(at_once.mean().item(), abs=0.02)
    assert frames.var().item() == pytest.approx(1 - bars[20], abs=0.02)


class Exact(FrameDiffusion):
    """Of one band and one frame that are Gaussian: the expectation of the noise is known."""

    centre, spread = 0.8, 0.5

    def forward(self, noised: Tensor, steps: Tensor, labels: Tensor) -> Tensor:
        left = self.left[steps][:, None, None]
        total = left * self.spread**2 + 1 - left
        return (1 - left).sqrt() * (noised - left.sqrt() * self.centre) / total


@pytest.mark.parametrize("n_sampling_steps", [None, 100, 25])
def test_exact_noise_leads_back_to_the_gaussian(n_sampling_steps, generator):
    exact = Exact(1, 1, 4, 1, 200)
    found = exact.sample(torch.zeros(4000, dtype=torch.long), 1, generator, n_sampling_steps)
    assert found.mean().item() == pytest.approx(0.8, abs=0.03)
    assert found.std().item() == pytest.approx(0.5, abs=0.03 if n_sampling_steps != 25 else 0.06)


def test_ancestral_sampling_has_the_variance_of_ddpm(generator):
    """With few steps it is not that of the data; Ho et al. 2020, Eq. 7, worked out for the exact denoiser."""
    exact, bars = Exact(1, 1, 4, 1, 10), noise_schedule(10).double().tolist()
    mean, variance = 0.0, 1.0
    for t in range(10, 0, -1):
        alpha, beta = bars[t] / bars[t - 1], 1 - bars[t] / bars[t - 1]
        total = bars[t] * 0.25 + 1 - bars[t]
        of_clean, of_noised = (
            math.sqrt(bars[t - 1]) * beta / (1 - bars[t]),
            math.sqrt(alpha) * (1 - bars[t - 1]) / (1 - bars[t]),
        )
        slope = math.sqrt(bars[t]) * 0.25 / total  # E[x_0 | x_t] = m + slope (x_t - sqrt(alpha-bar) m)
        factor = of_clean * slope + of_noised
        mean = factor * mean + of_clean * 0.8 * (1 - slope * math.sqrt(bars[t]))
        variance = factor**2 * variance + beta * (1 - bars[t - 1]) / (1 - bars[t])
    found = exact.sample(torch.zeros(20_000, dtype=torch.long), 1, generator)
    assert found.mean().item() == pytest.approx(mean, abs=0.02)
    assert found.var().item() == pytest.approx(variance, rel=0.05)
    assert abs(variance - 0.25) > 0.02


def gaussian_cycles(generator: torch.Generator, n_cycles: int = 3000) -> tuple[Tensor, Tensor, Tensor]:
    """Cycles of 8 frames: a mean of their own and white frames around it, either with correlated bands."""
    between = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.3, 0.0], [0.2, -0.5, 0.4]])
    within = torch.tensor([[0.3, 0.0, 0.0], [-0.2, 0.2, 0.0], [0.0, 0.1, 0.1]])
    cycles = torch.randn(n_cycles, 1, 3, generator=generator) @ between.T
    return cycles + torch.randn(n_cycles, 8, 3, generator=generator) @ within.T + 4, between, within


def test_untrained_network_is_the_best_denoiser_of_gaussian_cycles(generator):
    cycles, between, within = gaussian_cycles(generator, 10_000)
    diffusion = built()
    torch.nn.init.zeros_(diffusion.leave[2].bias)
    diffusion.observe([(cycles, torch.zeros(len(cycles), dtype=torch.long))])
    whole = torch.kron(torch.ones(8, 8), between @ between.T) + torch.kron(torch.eye(8), within @ within.T)
    scale = diffusion.deviation.repeat(8)
    whole = (whole / scale[:, None] / scale).double()
    clean = ((cycles[:50] - diffusion.mean[0]) / diffusion.deviation).double()
    for step in (3, 40, 80):
        left = alpha_bars(100)[step]
        noised = math.sqrt(left) * clean + math.sqrt(1 - left) * torch.randn(50, 8, 3, generator=generator).double()
        seen = left * whole + (1 - left) * torch.eye(24)
        expected = math.sqrt(1 - left) * torch.linalg.solve(seen, noised.flatten(1).T).T.unflatten(1, (8, 3))
        found = diffusion(noised.float(), torch.full((50,), step), torch.zeros(50, dtype=torch.long))
        torch.testing.assert_close(found.double(), expected, atol=0.06, rtol=0.0)


def test_untrained_network_generates_gaussian_cycles(generator):
    cycles, _, _ = gaussian_cycles(generator)
    diffusion = built()
    diffusion.observe([(part, torch.zeros(len(part), dtype=torch.long)) for part in cycles.split(700)])
    torch.nn.init.zeros_(diffusion.leave[2].bias)
    found = diffusion.sample(torch.zeros(1500, dtype=torch.long), 8, generator, 50)
    torch.testing.assert_close(found.mean((0, 1)), cycles.mean((0, 1)), atol=0.1, rtol=0.0)
    torch.testing.assert_close(found.mean(1).T.cov(), cycles.mean(1).T.cov(), atol=0.1, rtol=0.0)
    around = [(each - each.mean(1, keepdim=True)).flatten(0, 1).T.cov() for each in (found, cycles)]
    torch.testing.assert_close(*around, atol=0.03, rtol=0.0)


def test_statistics_are_those_of_all_chunks(generator):
    cycles, labels = torch.randn(7, 5, 3, generator=generator) * 2 + 1, torch.tensor([0, 2, 0, 2, 2, 0, 2])
    diffusion = built(n_classes=3)
    diffusion.observe([(cycles[:4], labels[:4]), (cycles[4:], labels[4:])])
    of_class = [cycles[labels == 0].mean((0, 1)), cycles.mean((0, 1)), cycles[labels == 2].mean((0, 1))]
    torch.testing.assert_close(diffusion.mean, torch.stack(of_class))
    residual = cycles - torch.stack(of_class)[labels][:, None]
    torch.testing.assert_close(diffusion.deviation, residual.square().mean((0, 1)).sqrt())
    torch.testing.assert_close(diffusion.lowest, cycles.flatten(0, 1).min(dim=0).values)
    torch.testing.assert_close(diffusion.highest, cycles.flatten(0, 1).max(dim=0).values)
    assert (diffusion.sample(labels, 5, generator, 3) <= diffusion.highest + 1e-4).all()


def test_embedding_in_loops():
    found = step_embedding(torch.tensor([1, 7]))
    for row, t in enumerate((1, 7)):
        angles = [t * 10 ** (i * 4 / 63) for i in range(64)]
        expected = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
        assert found[row].tolist() == pytest.approx(expected, abs=1e-2)  # angles up to 70,000 in single precision


@pytest.mark.parametrize("dilation", [1, 4])
def test_block_sees_three_frames_on_both_sides(dilation, generator):
    block = ResidualBlock(4, dilation)
    frames = torch.randn(1, 4, 21, generator=generator, requires_grad=True)
    onward, skipped = block(frames, torch.randn(1, 4), torch.randn(1, 4))
    skipped[0, :, 10].sum().backward()
    assert frames.grad is not None
    assert frames.grad.abs().sum((0, 1)).nonzero().flatten().tolist() == [10 - dilation, 10, 10 + dilation]
    assert onward.shape == skipped.shape == frames.shape


def test_loss_is_the_error_of_the_noise(generator):
    diffusion = built()
    cycles, labels = torch.randn(6, 5, 3, generator=generator), torch.tensor([0, 1] * 3)
    diffusion.mean.copy_(torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.5, -1.0]]))
    diffusion.deviation.copy_(torch.tensor([0.5, 1.0, 2.0]))
    found = diffusion.loss(cycles, labels, torch.Generator().manual_seed(5))
    draws = torch.Generator().manual_seed(5)
    steps, noise = torch.randint(1, 101, (6,), generator=draws), torch.randn(6, 5, 3, generator=draws)
    errors = []
    for i in range(6):
        clean = (cycles[i] - diffusion.mean[labels[i]]) / diffusion.deviation
        left = alpha_bars(100)[int(steps[i])]
        noised = math.sqrt(left) * clean + math.sqrt(1 - left) * noise[i]
        errors.append((diffusion(noised[None], steps[i : i + 1], labels[i : i + 1])[0] - noise[i]).square().mean())
    torch.testing.assert_close(found, torch.stack(errors).mean())


def made_cycles(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Class 0 rises and class 1 falls, about the same mean: what no statistics of bands can tell."""
    labels = torch.arange(40) % 2
    slope = torch.linspace(-1, 1, 12)[None, :, None] * (1 - 2 * labels)[:, None, None]
    return 5 + slope + 0.1 * torch.randn(40, 12, 2, generator=generator), labels


def test_classes_are_learnt(generator):
    cycles, labels = made_cycles(generator)
    torch.manual_seed(0)
    diffusion = FrameDiffusion(2, 2, 24, 4, 50).requires_grad_(False)
    training = TrainingCycles(labels, {}, lambda chosen: cycles[list(chosen)])
    state = torch.random.get_rng_state()
    train_diffusion(diffusion, training, DiffusionTraining(100, 16, 5e-3), torch.Generator().manual_seed(1))
    found = sample_cycles(diffusion, labels, 12, 10, torch.Generator().manual_seed(2)).float()
    assert torch.equal(state, torch.random.get_rng_state())
    assert not any(weight.requires_grad for weight in diffusion.parameters())
    means = [cycles[labels == label].mean(0) for label in (0, 1)]
    distances = torch.stack([(found - mean).square().mean((1, 2)) for mean in means], dim=1)
    assert (distances.argmin(1) == labels).float().mean() > 0.9


def test_any_length_and_the_draws_decide(generator):
    diffusion = built()
    with torch.no_grad():
        diffusion.leave[2].weight.normal_(generator=generator)
    labels = torch.tensor([0, 1, 1])
    one, two, other = (diffusion.sample(labels, 9, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.allclose(one, other)
    assert diffusion.sample(labels, 1, generator, 4).shape == (3, 1, 3)


def test_cycles_are_the_same_under_mixed_precision(generator):
    diffusion, labels = FrameDiffusion(4, 2, 8, 1, 10), torch.tensor([0, 1, 1])
    with torch.autocast("cpu", torch.bfloat16):
        mixed = sample_cycles(diffusion, labels, 5, 3, torch.Generator().manual_seed(1))
    assert mixed.dtype == torch.half
    assert torch.equal(mixed, sample_cycles(diffusion, labels, 5, 3, torch.Generator().manual_seed(1)))
