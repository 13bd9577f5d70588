"""Patch-Mix contrastive learning against its formula, spelled out."""

import math

import pytest
import torch

from add4rsc.backbones import backbones
from add4rsc.methods._base import Batch
from add4rsc.methods.patch_mix_cl import (
    Mixture,
    PatchMixContrastiveLearning,
    _from_blocks,
    _to_blocks,
    draw_mixture,
    mix_patches,
    mixture_contrast,
)


def test_contrast_is_the_formula():
    generator = torch.Generator().manual_seed(0)
    queries, keys = torch.randn(3, 5, generator=generator), torch.randn(3, 5, generator=generator)
    partners, share = [2, 0, 1], 0.7
    values = mixture_contrast(queries, keys, Mixture(torch.tensor(partners), torch.tensor([0]), share), 0.06)
    for i in range(3):
        s = [
            sum(a * b for a, b in zip(queries[i].tolist(), key.tolist(), strict=True))
            / (math.dist(queries[i].tolist(), [0] * 5) * math.dist(key.tolist(), [0] * 5))
            / 0.06
            for key in keys
        ]
        total = math.log(sum(math.exp(each) for each in s))
        expected = -(share * (s[i] - total) + (1 - share) * (s[partners[i]] - total))
        assert values[i].item() == pytest.approx(expected, rel=1e-4)


def test_patches_of_the_partner_stand_where_the_mixture_says():
    patches = torch.arange(2 * 1 * 2 * 3, dtype=torch.float).reshape(2, 1, 2, 3)
    mixed = mix_patches(patches, Mixture(torch.tensor([1, 0]), torch.tensor([1, 5]), 4 / 6))
    assert mixed.flatten(1).tolist() == [[0, 7, 2, 3, 4, 11], [6, 1, 8, 9, 10, 5]]


def test_share_is_that_of_the_patches_left_and_uniform_for_alpha_one():
    generator = torch.Generator().manual_seed(1)
    shares = []
    for _ in range(400):
        mixture = draw_mixture(8, 50, 1.0, generator)
        assert mixture.own_share == pytest.approx(1 - len(set(mixture.replaced.tolist())) / 50)
        assert sorted(mixture.partners.tolist()) == list(range(8))
        shares.append(mixture.own_share)
    assert torch.tensor(shares).quantile(torch.tensor([0.25, 0.5, 0.75])).tolist() == pytest.approx(
        [0.25, 0.5, 0.75], abs=0.08
    )


@pytest.mark.parametrize("size", [(60, 64), (33, 40), (7, 10)])
def test_blocks_go_back_to_the_frames(size):
    log_mel = torch.randn(2, *size, generator=torch.Generator().manual_seed(2))
    blocks = _to_blocks(log_mel)
    assert torch.equal(_from_blocks(blocks, log_mel), log_mel)
    swapped = _from_blocks(blocks.flip(0), log_mel)
    assert torch.equal(swapped[:, :7, :10], log_mel.flip(0)[:, :7, :10])


@pytest.mark.parametrize(("name", "options"), [("ast", None), ("small_cnn", {})])
def test_mixture_of_a_batch_with_itself_has_its_own_features(name, options):
    kind = backbones.get(name)
    torch.manual_seed(3)
    backbone = kind(**(kind.tiny if options is None else options)).eval()
    method = PatchMixContrastiveLearning.create(backbone, 64, 4, PatchMixContrastiveLearning.Options()).eval()
    log_mel = torch.randn(1, 64, backbone.front_end().n_mels).repeat(4, 1, 1)
    mixed, _ = method._mixed_features(log_mel, 4, torch.Generator().manual_seed(4))
    assert torch.allclose(mixed, backbone(log_mel), atol=1e-5)


def test_keys_get_no_gradient_and_a_single_cycle_no_contrast():
    method = PatchMixContrastiveLearning.create(
        backbones.get("small_cnn")(), 64, 4, PatchMixContrastiveLearning.Options()
    )
    n_mels = method.backbone.front_end().n_mels
    log_mel = torch.randn(1, 60, n_mels)
    losses = method.losses(Batch(log_mel, torch.tensor([1])), torch.Generator().manual_seed(5))
    assert losses["contrast"].item() == pytest.approx(0.0, abs=1e-6)
    features = torch.randn(4, 6, requires_grad=True)
    queries = torch.randn(4, 6, requires_grad=True)
    mixture = draw_mixture(4, 10, 1.0, torch.Generator().manual_seed(6))
    mixture_contrast(queries, features.detach(), mixture, 0.06).sum().backward()
    assert features.grad is None
    assert queries.grad is not None
