"""The network's input, 798 x 128 frames stretched to 1024 x 256, against a bilinear computation of its own."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from add4rsc.add.layer import resize_log_mel
from add4rsc.audio.frontend import FrontEnd
from add4rsc.backbones import backbones
from add4rsc.methods import recipes
from add4rsc.recipe import PATCH_MIX


def interpolation_matrix(n_in: int, n_out: int) -> np.ndarray:
    """Weights of bilinear stretching along one axis: pixel centres align, and the border pixel is repeated."""
    matrix = np.zeros((n_out, n_in))
    for row in range(n_out):
        place = (row + 0.5) * n_in / n_out - 0.5
        low = int(np.floor(place))
        share = place - low
        matrix[row, min(max(low, 0), n_in - 1)] += 1 - share
        matrix[row, min(max(low + 1, 0), n_in - 1)] += share
    return matrix


@pytest.mark.parametrize(("n_frames", "n_mels"), [(798, 128), (798, 64), (500, 100), (1200, 256), (1024, 256)])
def test_stretching_is_bilinear(n_frames: int, n_mels: int, generator: torch.Generator) -> None:
    frames = torch.randn(2, n_frames, n_mels, generator=generator)
    left, right = interpolation_matrix(n_frames, 1024), interpolation_matrix(n_mels, 256)
    expected = left @ frames.double().numpy() @ right.T
    # positions are reckoned in single precision, which moves a value by up to 1e-4 of the step between neighbours
    np.testing.assert_allclose(resize_log_mel(frames, 1024, 256).numpy(), expected, atol=5e-4)
    difference = resize_log_mel(frames, 1024, 256).numpy() - expected
    assert np.sqrt(np.mean(difference**2)) < 5e-5
    np.testing.assert_allclose(resize_log_mel(frames.double(), 1024, 256).numpy(), expected, rtol=0, atol=1e-12)


def test_released_size_is_bilinear_to_the_last_digit(generator: torch.Generator) -> None:
    frames = torch.randn(2, 798, 128, generator=generator)
    expected = interpolation_matrix(798, 1024) @ frames.double().numpy() @ interpolation_matrix(128, 256).T
    np.testing.assert_allclose(resize_log_mel(frames, 1024, 256).numpy(), expected, rtol=0, atol=2e-6)
    enlarged = functional.interpolate(frames[:, None], (1024, 256), mode="bilinear", antialias=True)[:, 0]
    torch.testing.assert_close(resize_log_mel(frames, 1024, 256), enlarged, rtol=0, atol=2e-6)  # torchvision's default


def test_recipes_feed_that_size() -> None:
    recipe = recipes.get("add4rsc/ast-released-2025-02")()
    assert recipe.options["input_size"] == [1024, 256]
    assert FrontEnd().n_frames(PATCH_MIX["crop"].n_samples(16_000)) == 798
    patches = (256 // 16) * (1024 // 16)
    network = backbones.get("ast")(**recipe.backbone_options, dim=8, n_layers=1, n_heads=1)
    assert network.pos_embed.shape[1] == patches + 2
