"""A reversed gradient against finite differences of the function behind it."""

import math

import pytest
import torch

from add4rsc.methods._reversal import reversal_strength, reverse_gradient


def behind(features: torch.Tensor) -> torch.Tensor:
    return (features.sin() * torch.arange(1, 5)).sum()


@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
def test_gradient_is_that_of_finite_differences_turned_round(strength, generator) -> None:
    features = torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    given = reverse_gradient(features, strength)
    assert torch.equal(given, features)
    behind(given).backward()
    step, slopes = 1e-6, torch.zeros_like(features)
    with torch.no_grad():
        for place in range(features.numel()):
            moved = torch.zeros(features.numel(), dtype=torch.float64)
            moved[place] = step
            moved = moved.view_as(features)
            slopes.view(-1)[place] = (behind(features + moved) - behind(features - moved)) / (2 * step)
    torch.testing.assert_close(features.grad, -strength * slopes, atol=1e-7, rtol=1e-6)


def test_strength_rises_as_a_hyperbolic_tangent_unless_it_is_full() -> None:
    for progress in (0.0, 0.05, 0.3, 0.99):
        assert reversal_strength("schedule", progress) == pytest.approx(math.tanh(5 * progress))
        assert reversal_strength("full", progress) == 1.0
