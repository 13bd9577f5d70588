"""Non-local blocks against two loops over all places, and the network against its published size."""

import math

import pytest
import torch

from add4rsc.backbones.resnet_nl import NonLocalBlock, ResNetNL
from add4rsc.errors import RecipeError


def embedded(convolution, image, row, column) -> list[float]:
    weights = convolution.weight[:, :, 0, 0].tolist()
    values = image[:, row, column].tolist()
    return [sum(a * b for a, b in zip(line, values, strict=True)) for line in weights]


def non_local_by_loops(block, image, as_released):
    """z_i = x_i + W y_i, y_i = sum_j f_ij g(x_j) / C; C is the sum over j, or as released over i and j."""
    places = [(row, column) for row in range(image.shape[1]) for column in range(image.shape[2])]
    similarities = {}
    for i in places:
        theta = embedded(block.theta, image, *i)
        for j in places:
            phi = embedded(block.phi, image, *j)
            similarities[i, j] = math.exp(sum(a * b for a, b in zip(theta, phi, strict=True)))
    result = image.clone()
    for i in places:
        total = sum(similarities.values()) if as_released else sum(similarities[i, j] for j in places)
        gathered = torch.zeros(block.g.out_channels)
        for j in places:
            gathered += similarities[i, j] / total * torch.tensor(embedded(block.g, image, *j))
        row, column = i[::-1] if as_released else i
        result[:, row, column] += block.output.weight[:, :, 0, 0] @ gathered
    return result


@pytest.mark.parametrize(("as_released", "size"), [(False, (3, 4)), (True, (3, 3))])
def test_non_local_block_equals_two_loops(as_released, size, generator):
    torch.manual_seed(0)
    block = NonLocalBlock(6, zero_start=False, as_released=as_released)
    images = 2 * torch.randn(2, 6, *size, generator=generator)
    with torch.no_grad():
        expected = torch.stack([non_local_by_loops(block, image, as_released) for image in images])
        assert (expected - images).abs().max() > 0.05
        torch.testing.assert_close(block(images), expected, atol=1e-5, rtol=1e-5)


def test_block_begins_as_the_identity_and_leaves_it(generator):
    block = NonLocalBlock(6, zero_start=True, as_released=False)
    image = torch.randn(2, 6, 3, 4, generator=generator)
    assert torch.equal(block(image), image)
    optimiser = torch.optim.SGD(block.parameters(), lr=0.5)
    for _ in range(2):
        optimiser.zero_grad()
        (block(image) ** 2).sum().backward()
        optimiser.step()
    assert all(weight.grad.any() for weight in block.parameters())
    assert not torch.allclose(block(image), image)


def test_size_is_that_of_the_published_code():
    """Nine blocks of two 3x3 convolutions, two shortcuts, four non-local blocks of four 1x1 convolutions."""
    convolutions = 9 * 2 * 64 * 64 * 9 + 2 * 64 * 64 + 4 * 4 * 64 * 32 + 64 * 9
    normalisations, bias = 2 * 64 * (9 * 2 + 1), 64
    with torch.device("meta"):
        backbone = ResNetNL()
    assert sum(value.numel() for value in backbone.parameters()) == convolutions + normalisations + bias


def test_non_local_blocks_stand_behind_their_places_and_see_the_whole_picture(generator):
    """Without them a corner of the picture does not reach the features of the opposite one."""
    shared = {"width": 8, "picture": (64, 64), "n_blocks": 3, "dropout": 0.0, "zero_start": False}
    log_mel = torch.randn(1, 64, 64, generator=generator)
    changed = log_mel.clone()
    changed[:, :4, :4] += 5
    reached = []
    for places in ((), (3,)):
        torch.manual_seed(1)
        backbone = ResNetNL(places=places, **shared).eval()
        for block in backbone.blocks:
            block.norm1, block.norm2 = torch.nn.Identity(), torch.nn.Identity()
        pictures: list[torch.Tensor] = []
        backbone.norm = torch.nn.Identity()
        backbone.norm.register_forward_hook(lambda _module, _inputs, image, kept=pictures: kept.append(image))
        with torch.no_grad():
            backbone(log_mel)
            backbone(changed)
        reached.append((pictures[0] - pictures[1])[..., -4:, -4:].abs().max().item())
    assert reached[0] == 0
    assert reached[1] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"places": (3, 12)}, "behind residual block 12: they are numbered 1 to 9"),
        ({"as_released": True, "picture": (128, 64)}, "128 x 64 cannot be turned"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(RecipeError, match=message):
        ResNetNL(**options)
