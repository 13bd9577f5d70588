"""CNN-8 against a plain computation from its description: METHODS A6 and the layers of the released code."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from add4rsc.audio.frontend import LogMelFilterBank
from add4rsc.backbones.cnn8 import Cnn8


def normalised(x: Tensor, state: dict[str, Tensor], name: str, axis: int) -> Tensor:
    shape = [1] * x.ndim
    shape[axis] = -1
    mean, variance, weight, bias = (
        state[f"{name}.{part}"].view(shape) for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def expected_map(log_mel: Tensor, state: dict[str, Tensor], dilations: tuple[int, ...]) -> Tensor:
    frames = log_mel.numpy()
    first = np.diff(frames, axis=1, append=frames[:, -1:])
    second = np.diff(first, axis=1, append=first[:, -1:])
    x = normalised(torch.from_numpy(np.stack([frames, first, second], axis=1)), state, "bn0", axis=3)
    for block, dilation in enumerate(dilations):
        for layer in ("1", "2"):
            kernel = state[f"blocks.{block}.conv{layer}.weight"]
            reach = dilation * (kernel.shape[-1] - 1) // 2
            padded = functional.pad(x, (reach, reach, reach, reach))
            x = functional.conv2d(padded, kernel, dilation=dilation)
            x = normalised(x, state, f"blocks.{block}.bn{layer}", axis=1).clamp_min(0)
        x = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
        x = torch.stack([x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]).amax(dim=0)
    return x


@pytest.mark.parametrize(
    ("options", "dilations"), [({}, (1, 1, 1, 1)), ({"kernel": 5, "is_dilated": True}, (1, 2, 4, 8))]
)
def test_is_what_the_description_computes(options, dilations, generator):
    torch.manual_seed(0)
    backbone = Cnn8(width=4, n_mels=40, **options)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    log_mel = torch.randn(2, 53, 40, generator=generator)
    with torch.no_grad():
        computed, features = backbone.eval().feature_map(log_mel), backbone(log_mel)
        expected = expected_map(log_mel, backbone.state_dict(), dilations)
    assert computed.shape == (2, 32, 3, 2)
    torch.testing.assert_close(computed, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(features, expected.flatten(2).max(dim=2).values, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("side", [3, 5])
def test_has_the_weights_of_its_layers(side):
    with torch.device("meta"):
        backbone = Cnn8(kernel=side, is_dilated=side == 5)
    channels = (3, 64, 128, 256, 512)
    expected = 2 * 128  # the normalisation of the input
    for n_in, n_out in itertools.pairwise(channels):
        expected += side**2 * (n_in + n_out) * n_out + 4 * n_out
    assert sum(weight.numel() for weight in backbone.parameters()) == expected


def test_four_seconds_are_126_frames_without_what_lies_outside_the_pass_band():
    front_end = Cnn8.front_end()
    time = torch.arange(16_000) / 4_000
    inside, outside = (
        LogMelFilterBank(front_end)(torch.sin(2 * torch.pi * frequency * time)[None])[0] for frequency in (500.0, 40.0)
    )
    assert inside.shape == (126, 128)
    difference = (inside.max() - outside.max()) * front_end.scale * 10 / torch.log(torch.tensor(10.0))
    assert difference > 20  # decibels


def test_dropout_works_in_training_only(generator):
    backbone = Cnn8(width=4, n_mels=32, dropout=0.5)
    log_mel = torch.randn(2, 32, 32, generator=generator)
    assert not torch.equal(backbone(log_mel), backbone(log_mel))
    assert torch.equal(backbone.eval()(log_mel), backbone(log_mel))
