"""Adapters against the formula, written out with matrices."""

import math

import pytest
import torch
from torch import Tensor, nn

from add4rsc.backbones import backbones
from add4rsc.backbones._adapters import AdaptedPart, BottleneckAdapter, freeze_and_adapt
from add4rsc.backbones._base import AbstractBackbone

EVERYTHING = ("attention", "feed-forward", "convolution")


def randomise(module: nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3)


def tiny(name: str) -> AbstractBackbone:
    kind = backbones.get(name)
    torch.manual_seed(0)
    return kind(**kind.tiny).eval()


def adapted(name: str, *, placement="parallel", roles=EVERYTHING, bottleneck: int = 3) -> nn.Module:
    return freeze_and_adapt(tiny(name), bottleneck, scale=1.0, placement=placement, roles=roles).eval()


def gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.special.erf(x / math.sqrt(2)))


def branch(x: Tensor, adapter: BottleneckAdapter) -> Tensor:
    """Over the last axis."""
    down, up = (layer.weight.flatten(1) for layer in (adapter.down, adapter.up))
    return adapter.scale * (gelu(x @ down.T + adapter.down.bias) @ up.T + adapter.up.bias)


@pytest.mark.parametrize("placement", ["parallel", "after"])
def test_transformer_block_with_adapters_is_the_formula(placement, generator):
    backbone, plain = adapted("ast", placement=placement), tiny("ast")
    block, reference = backbone.blocks[1], plain.blocks[1]
    for part in (block.attn, block.mlp):
        randomise(part.adapter)
        part.adapter.scale = 0.7
    x = torch.randn(2, 5, 32, generator=generator)

    def part_and_branch(inputs: Tensor, part: nn.Module, adapter: BottleneckAdapter) -> Tensor:
        output = part(inputs)
        return output + branch(inputs if placement == "parallel" else output, adapter)

    with torch.no_grad():
        expected = x + part_and_branch(reference.norm1(x), reference.attn, block.attn.adapter)
        expected = expected + part_and_branch(reference.norm2(expected), reference.mlp, block.mlp.adapter)
        torch.testing.assert_close(block(x), expected)


def test_convolution_has_a_branch_of_its_output_at_every_place(generator):
    backbone, plain = adapted("mn04"), tiny("mn04")
    part = backbone.features[2]
    randomise(part.adapter)
    image = torch.randn(2, 8, 12, 10, generator=generator)
    with torch.no_grad():
        output = plain.features[2](image)
        expected = output + branch(output.permute(0, 2, 3, 1), part.adapter).permute(0, 3, 1, 2)
        torch.testing.assert_close(part(image), expected)


@pytest.mark.parametrize("name", ["ast", "mn04", "small_cnn", "resnet18"])
def test_begins_as_the_pretrained_network(name, generator):
    plain = tiny(name)
    log_mel = torch.randn(2, 100, plain.front_end().n_mels, generator=generator)
    with torch.no_grad():
        assert torch.equal(adapted(name)(log_mel), plain(log_mel))


@pytest.mark.parametrize(
    ("name", "roles", "n_adapters"),
    [
        ("ast", EVERYTHING, 4),
        ("ast", ("attention",), 2),
        ("ast", ("feed-forward", "convolution"), 2),
        ("mn04", EVERYTHING, 15),
        ("small_cnn", EVERYTHING, 4),
        ("resnet18", EVERYTHING, 1),
    ],
)
def test_adapters_alone_learn(name, roles, n_adapters):
    backbone = adapted(name, roles=roles)
    found = [module for module in backbone.modules() if isinstance(module, AdaptedPart)]
    assert len(found) == n_adapters
    learning = {key for key, value in backbone.named_parameters() if value.requires_grad}
    assert len(learning) == 4 * n_adapters
    assert all(".adapter." in f".{key}" for key in learning)


def test_without_parts_the_features_are_adapted(generator):
    backbone, plain = adapted("resnet18"), tiny("resnet18")
    randomise(backbone.adapter)
    log_mel = torch.randn(2, 60, 128, generator=generator)
    with torch.no_grad():
        features = plain(log_mel)
        torch.testing.assert_close(backbone(log_mel), features + branch(features, backbone.adapter))
