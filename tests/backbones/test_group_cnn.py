"""The network of a group of frames: its published size, and its circular last layer against a rolled sum."""

from typing import Any

import torch
from torch.nn import functional

from add4rsc.backbones.group_cnn import GroupCnn


def make(**options) -> Any:
    return GroupCnn(**options)


def test_shapes_are_those_of_the_released_network(generator):
    """84 bands and 20 frames of three channels leave 256 maps of 10 x 2 (METHODS A19)."""
    network = make()
    with torch.no_grad():
        found = network.layers(torch.randn(2, 3, 84, 20, generator=generator))
    assert found.shape == (2, 256, 10, 2)
    assert network.project.weight.shape == (1024, 256 * 10 * 2)
    assert network.front_end().n_bands == 252
    shapes = [(each[0].in_channels, each[0].out_channels, each[0].kernel_size[0]) for each in network.layers]
    assert shapes == [(3, 16, 1), (16, 32, 3), (32, 64, 1), (64, 128, 3), (128, 256, 3)]


def test_bands_side_by_side_become_channels(generator):
    network = make(width=4, n_features=8).eval()
    log_mel = torch.randn(3, 20, 252, generator=generator)
    image = torch.stack([log_mel[..., 84 * part : 84 * (part + 1)].mT for part in range(3)], dim=1)
    with torch.no_grad():
        expected = network.norm(network.project(network.layers(image).flatten(1))).relu()
        torch.testing.assert_close(network(log_mel), expected, rtol=1e-4, atol=1e-5)


def test_last_layer_sees_the_map_as_a_ring(generator):
    """Its border is what lies at the other side, in bands and in time."""
    convolution = make(width=2, n_features=8).layers[4][0]
    image = torch.randn(1, 16, 20, 4, generator=generator)
    ring = torch.cat([image[:, :, -1:], image, image[:, :, :1]], dim=2)
    ring = torch.cat([ring[..., -1:], ring, ring[..., :1]], dim=3)
    with torch.no_grad():
        expected = functional.conv2d(ring, convolution.weight, convolution.bias, stride=2)
        torch.testing.assert_close(convolution(image), expected, rtol=1e-4, atol=1e-5)
