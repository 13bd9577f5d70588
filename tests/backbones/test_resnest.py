"""ResNeSt against its formula in loops, and against the published sizes and names."""

import math
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from add4rsc.backbones.resnest import (
    ResNeSt50,
    SplitAttentionBottleneck,
    SplitAttentionConvolution,
    convert_resnest,
    pooled_shortcut,
)
from add4rsc.backbones.weights import WEIGHTS, _recognise

PUBLISHED_SIZES = [((3, 4, 6, 3), 27.5e6), ((1, 1, 1, 1), 10.6e6)]


def with_statistics(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """The module in evaluation, with statistics that are not those of the start."""
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(std=0.1, generator=generator)
                part.running_var.uniform_(0.5, 2, generator=generator)
                part.weight.uniform_(0.5, 1.5, generator=generator)
                part.bias.normal_(std=0.1, generator=generator)
    return module.eval()


def normalised(value: float, norm: nn.BatchNorm2d, channel: int) -> float:
    spread = math.sqrt(norm.running_var[channel].item() + norm.eps)
    return (value - norm.running_mean[channel].item()) / spread * norm.weight[channel].item() + norm.bias[
        channel
    ].item()


def convolved(image: Tensor, kernel: Tensor, row: int, column: int) -> float:
    """One value of a padded 3x3 convolution of `channel row column` with `channel 3 3`."""
    total = 0.0
    for channel in range(len(image)):
        for i in range(3):
            for j in range(3):
                y, x = row + i - 1, column + j - 1
                if 0 <= y < image.shape[1] and 0 <= x < image.shape[2]:
                    total += image[channel, y, x].item() * kernel[channel, i, j].item()
    return total


def dense(layer: nn.Conv2d, place: int, values: list[float]) -> float:
    """One output of a 1x1 convolution of one place."""
    bias, weights = layer.bias.tolist()[place], layer.weight[place, :, 0, 0].tolist()
    return bias + sum(weight * value for weight, value in zip(weights, values, strict=True))


def split_attention_by_loops(layer: SplitAttentionConvolution, image: Tensor, n_out: int) -> Tensor:
    """Of one cycle: every split, every channel, every place on its own."""
    n_in, rows, columns = image.shape
    splits = torch.zeros(2, n_out, rows, columns)
    for split, channel, row, column in product(range(2), range(n_out), range(rows), range(columns)):
        place, group = split * n_out + channel, image[split * n_in // 2 : (split + 1) * n_in // 2]
        value = convolved(group, layer.conv.weight[place], row, column)
        splits[split, channel, row, column] = max(0.0, normalised(value, layer.bn0, place))
    pooled = [sum(splits[s, c].sum().item() for s in range(2)) / (rows * columns) for c in range(n_out)]
    hidden = []
    for k in range(layer.fc1.out_channels):
        hidden.append(max(0.0, normalised(dense(layer.fc1, k, pooled), layer.bn1, k)))
    result = torch.zeros(n_out, rows, columns)
    for channel in range(n_out):
        logits = [dense(layer.fc2, place, hidden) for place in (channel, n_out + channel)]
        total = sum(math.exp(value) for value in logits)
        for split in range(2):
            result[channel] += math.exp(logits[split]) / total * splits[split, channel]
    return result


def test_split_attention_equals_loops(generator):
    torch.manual_seed(0)
    layer = with_statistics(SplitAttentionConvolution(4, 6), generator)
    images = torch.randn(2, 4, 3, 4, generator=generator)
    with torch.no_grad():
        expected = torch.stack([split_attention_by_loops(layer, image, 6) for image in images])
        torch.testing.assert_close(layer(images), expected, atol=1e-5, rtol=1e-5)


def test_shrinking_block_is_pooled_on_both_ways(generator):
    """A picture of ones stays one behind the mean, but at its edge, where the block's own mean counts the padding."""
    block = SplitAttentionBottleneck(4, 8, stride=2)
    assert torch.equal(block.avd_layer(torch.ones(1, 1, 4, 4))[0, 0], torch.tensor([[4, 6], [6, 9]]) / 9)
    shortcut = pooled_shortcut(4, 32, stride=2)
    assert torch.equal(shortcut[0](torch.arange(9.0).reshape(1, 1, 3, 3))[0, 0], torch.tensor([[2.0, 3.5], [6.5, 8.0]]))
    assert block(torch.randn(2, 4, 5, 7, generator=generator)).shape == (2, 32, 3, 4)
    assert len(pooled_shortcut(32, 32, stride=1)) == 0


@pytest.mark.parametrize(("n_blocks", "published"), PUBLISHED_SIZES)
def test_is_as_large_as_published(n_blocks, published):
    with torch.device("meta"):
        backbone = ResNeSt50(n_blocks=n_blocks)
    classifier, colours = 1000 * (backbone.n_features + 1), 2 * 32 * 3 * 3
    n_parameters = sum(value.numel() for value in backbone.parameters()) + classifier + colours
    assert n_parameters == pytest.approx(published, abs=0.05e6)


def published_names() -> set[str]:
    """Of the checkpoint's tensors, put together from its layout: stem, four stages of 3, 4, 6 and 3 blocks, `fc`."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = {f"conv1.{index}.weight" for index in (0, 3, 6)} | {"fc.weight", "fc.bias"}
    norms = {"conv1.1", "conv1.4", "bn1"}
    for stage, n_blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(n_blocks):
            prefix = f"layer{stage}.{block}"
            names |= {f"{prefix}.{part}.weight" for part in ("conv1", "conv2.conv", "conv2.fc1", "conv2.fc2", "conv3")}
            names |= {f"{prefix}.conv2.fc1.bias", f"{prefix}.conv2.fc2.bias"}
            norms |= {f"{prefix}.{part}" for part in ("bn1", "conv2.bn0", "conv2.bn1", "bn3")}
        names.add(f"layer{stage}.0.downsample.1.weight")
        norms.add(f"layer{stage}.0.downsample.2")
    return names | {f"{prefix}.{part}" for prefix in norms for part in norm}


def test_published_checkpoint_fits_without_its_classifier():
    backbone = ResNeSt50(width=8)
    state = backbone.state_dict() | {"fc.weight": torch.zeros(1000, 256), "fc.bias": torch.zeros(1000)}
    state["conv1.0.weight"] = torch.randn(4, 3, 3, 3)
    assert set(state) == published_names()
    backbone.load_state_dict(convert_resnest(state))
    torch.testing.assert_close(backbone.conv1[0].weight[:, 0], state["conv1.0.weight"].sum(dim=1))
    assert convert_resnest({"layer1.0.conv1.weight": torch.zeros(1)}) is None


def test_checkpoint_is_not_taken_for_that_of_a_plain_residual_network():
    with torch.device("meta"):
        published = ResNeSt50().state_dict()
    state = {name: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape) for name, tensor in published.items()}
    state["conv1.0.weight"] = torch.zeros(32, 3, 3, 3)
    name, form, _ = _recognise(Path("file.pth"), state, ["resnet50", "resnest50", "resnet18"])
    assert (name, form) == ("resnest50", WEIGHTS["resnest50/imagenet"].form)


def test_trains_on_a_single_cycle(generator):
    backbone = ResNeSt50(width=8, n_blocks=(1, 1, 1, 1)).train()
    assert backbone(torch.randn(1, 64, 64, generator=generator)).isfinite().all()
