"""RepAugment against loops over cycles and generated features."""

import math

import pytest
import torch

from add4rsc.backbones import backbones
from add4rsc.methods._base import Batch
from add4rsc.methods.rep_augment import (
    Generation,
    RepAugment,
    draw_generation,
    draw_mask,
    generate,
    to_sources,
)

LABELS = torch.tensor([0, 0, 1, 0, 3, 1, 0, 0])


def build(**options) -> RepAugment:
    torch.manual_seed(0)
    network = RepAugment.create(backbones.get("small_cnn")(), 64, 4, RepAugment.Options(**options))
    return network.eval()


def cross_entropy(logits: list[float], label: int) -> float:
    return math.log(sum(math.exp(each) for each in logits)) - logits[label]


def test_mask_blanks_the_share_of_every_cycle(generator):
    mask = draw_mask(500, 40, 0.1, generator)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert (mask == 0).sum(dim=1).tolist() == [4] * 500
    assert (mask == 0).float().mean(dim=0).numpy() == pytest.approx([0.1] * 40, abs=0.06)
    assert draw_mask(3, 40, 0.0, generator).all()


def test_generation_balances_the_classes_of_the_batch(generator):
    generation = draw_generation(LABELS, 1.0, 1.0, generator)
    made = LABELS[generation.firsts]
    assert torch.equal(made, LABELS[generation.seconds])
    total = torch.bincount(torch.cat([LABELS, made]))
    assert total.tolist() == [5, 5, 0, 5]
    firsts = generation.firsts.tolist()
    assert abs(firsts.count(2) - firsts.count(5)) <= 1
    assert all(0 <= share <= 1 for share in generation.shares.tolist())
    assert len(draw_generation(LABELS, 0.5, 1.0, generator).firsts) == 2 + 2
    assert len(draw_generation(torch.arange(4), 1.0, 1.0, generator).firsts) == 0


def test_generated_features_are_mixtures(generator):
    features = torch.randn(8, 3, generator=generator)
    generation = Generation(torch.tensor([2, 4]), torch.tensor([5, 4]), torch.tensor([0.25, 0.9]))
    made = generate(features, generation, 0.0, generator)
    expected = [[0.25 * a + 0.75 * b for a, b in zip(features[2].tolist(), features[5].tolist(), strict=True)]]
    torch.testing.assert_close(made, torch.tensor([*expected, features[4].tolist()]))


def test_noise_has_its_share_of_the_spread(generator):
    features = torch.randn(50, 2, generator=generator) * torch.tensor([1.0, 10.0])
    same = torch.zeros(4000, dtype=torch.int64)
    made = generate(features, Generation(same, same, torch.ones(4000)), 0.2, generator)
    spread = (made - features[0]).std(dim=0) / features.std(dim=0, correction=0)
    assert spread.tolist() == pytest.approx([0.2, 0.2], rel=0.05)


def test_loss_goes_back_to_where_the_features_came_from():
    generation = Generation(torch.tensor([2, 5, 4]), torch.tensor([5, 5, 4]), torch.tensor([0.25, 0.5, 0.9]))
    back = to_sources(torch.tensor([8.0, 2.0, 1.0]), generation, 8)
    assert back.tolist() == pytest.approx([0, 0, 2.0, 0, 1.0, 6.0 + 1.0 + 1.0, 0, 0])


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_losses_are_the_mean_over_real_and_generated_features(noise):
    """Everything once more, with loops; drawn from the same stream."""
    network = build(mask_ratio=0.2, noise=noise)
    log_mel = torch.randn(8, 60, 64, generator=torch.Generator().manual_seed(3))
    losses = network.losses(Batch(log_mel, LABELS), torch.Generator().manual_seed(5))

    generator = torch.Generator().manual_seed(5)
    features = network.backbone(log_mel).detach()
    mask = draw_mask(8, features.shape[1], 0.2, generator)
    generation = draw_generation(LABELS, 1.0, 1.0, generator)
    draws = torch.randn(len(generation.firsts), features.shape[1], generator=generator)
    spread = features.std(dim=0, correction=0)
    n_all = 8 + len(generation.firsts)
    weight, bias = network.head[1].weight.detach(), network.head[1].bias.detach()
    for index in range(8):
        logits = [float((features[index] * mask[index]) @ row) for row in weight]
        logits = [a + float(b) for a, b in zip(logits, bias, strict=True)]
        expected = 8 / n_all * cross_entropy(logits, int(LABELS[index]))
        assert losses["classification"][index].item() == pytest.approx(expected, rel=1e-4)
    from_source = [0.0] * 8
    for first, second, share, draw in zip(*(each.tolist() for each in generation), draws, strict=True):
        made = share * features[first] + (1 - share) * features[second] + noise * spread * draw
        value = cross_entropy((weight @ made + bias).tolist(), int(LABELS[first]))
        from_source[first] += share * value
        from_source[second] += (1 - share) * value
    assert losses["generated"].tolist() == pytest.approx([8 / n_all * value for value in from_source], rel=1e-4)


def test_switched_off_it_is_plain_cross_entropy():
    network = build(mask_ratio=0.0, balance=0.0)
    log_mel = torch.randn(8, 60, 64, generator=torch.Generator().manual_seed(3))
    losses = network.losses(Batch(log_mel, LABELS), torch.Generator().manual_seed(5))
    expected = torch.nn.functional.cross_entropy(network(log_mel), LABELS, reduction="none")
    torch.testing.assert_close(losses["classification"], expected)
    assert not losses["generated"].any()


def test_generated_features_send_gradients_to_the_backbone():
    network = build(mask_ratio=0.0, noise=0.0)
    log_mel = torch.randn(8, 60, 64, generator=torch.Generator().manual_seed(3), requires_grad=True)
    network.losses(Batch(log_mel, LABELS), torch.Generator().manual_seed(5))["generated"].sum().backward()
    reached = log_mel.grad.flatten(1).any(dim=1)
    assert reached[[2, 4, 5]].all()
    assert not reached[LABELS == 0].any()
