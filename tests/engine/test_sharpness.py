"""Sharpness-aware minimisation: where it looks for the gradient, and that nothing else of a step changes."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from add4rsc.engine.optimise import build_optimiser, sharpest_nearby
from add4rsc.recipe import Optimiser

HESSIAN = np.array([[3.0, 1.0, 0.0], [1.0, 2.0, -0.5], [0.0, -0.5, 1.0]])
RADIUS, RATE = 0.3, 0.1


class Quadratic(nn.Module):
    """w^T H w / 2, of weights in two tensors, with a statistic that every pass moves."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
        self.second = nn.Parameter(torch.tensor([0.5], dtype=torch.float64))
        self.unused = nn.Parameter(torch.ones(2, dtype=torch.float64))
        self.register_buffer("n_passes", torch.tensor(0))

    def forward(self) -> torch.Tensor:
        self.n_passes += 1
        weights = torch.cat([self.first, self.second])
        return weights @ torch.from_numpy(HESSIAN) @ weights / 2

    def weights(self) -> np.ndarray:
        return torch.cat([self.first, self.second]).detach().numpy().copy()


def test_steps_on_a_quadratic_are_the_closed_form() -> None:
    network = Quadratic()
    optimiser = build_optimiser(network, Optimiser(name="sgd", learning_rate=RATE, momentum=0.0))
    expected = network.weights()
    for number in range(1, 4):
        network().backward()
        before = network.weights()
        with sharpest_nearby(network, RADIUS):
            assert network.first.grad is None
            gradient = HESSIAN @ expected
            np.testing.assert_allclose(network.weights(), expected + RADIUS * gradient / np.linalg.norm(gradient))
            network().backward()
        np.testing.assert_array_equal(network.weights(), before)
        optimiser.step()
        optimiser.zero_grad()
        expected = expected - RATE * HESSIAN @ (expected + RADIUS * gradient / np.linalg.norm(gradient))
        np.testing.assert_allclose(network.weights(), expected, rtol=1e-6)
        assert int(network.n_passes) == number


@pytest.mark.parametrize("gradient", [0.0, float("inf"), float("nan")])
def test_weights_stay_where_no_direction_is_known(gradient: float) -> None:
    layer = nn.Linear(2, 1)
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.full_like(layer.weight, gradient)
    with sharpest_nearby(layer, 0.1):
        assert torch.equal(layer.weight, before)
    assert torch.equal(layer.weight, before)


def test_a_tiny_radius_changes_nothing_and_a_larger_one_does(run, small_recipe, tmp_path) -> None:
    """So dropout draws the same in both passes, and statistics of batch normalisation are those of one."""
    losses = {}
    for radius in (None, 1e-7, 0.5):
        folder = tmp_path / str(radius)
        run(small_recipe(epochs=2, optimiser__sharpness_radius=radius), folder)
        losses[radius] = pd.read_csv(folder / "history.csv")[["loss", "validation_loss"]].to_numpy()
    np.testing.assert_allclose(losses[1e-7], losses[None], rtol=1e-3)
    assert np.abs(losses[0.5] - losses[None]).max() > 1e-2
