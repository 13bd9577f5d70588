"""Attention pooling against its formula, place by place."""

import math

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR

from add4rsc.backbones import backbones
from add4rsc.backbones.cnn8 import Cnn8
from add4rsc.engine.optimise import learning_rate_share
from add4rsc.methods import recipes
from add4rsc.methods._base import Batch
from add4rsc.methods.attention_pooling import AttentionHead, AttentionPooling, cut_stretches


def test_head_is_the_weighted_mean_of_the_votes(generator):
    torch.manual_seed(0)
    head = AttentionHead(n_features=3, n_classes=2, floor=0.1)
    torch.nn.init.normal_(head.attention.weight, std=2)
    torch.nn.init.normal_(head.attention.bias)
    torch.nn.init.normal_(head.classification.bias)
    features = torch.randn(2, 3, 2, 4, generator=generator)
    logits = head(features)

    def line(layer, cycle, row, column, label):
        weight, bias = layer.weight[label, :, 0, 0].tolist(), layer.bias[label].item()
        return sum(w * f for w, f in zip(weight, features[cycle, :, row, column].tolist(), strict=True)) + bias

    places = [(row, column) for row in range(2) for column in range(4)]
    for cycle in range(2):
        for label in range(2):
            shares, votes = [], []
            for place in places:
                opening = 1 / (1 + math.exp(-line(head.attention, cycle, *place, label)))
                shares.append(min(0.1 + opening, 0.9))
                scores = [math.exp(line(head.classification, cycle, *place, each)) for each in range(2)]
                votes.append(math.log(scores[label] / sum(scores)))
            expected = sum(share * vote for share, vote in zip(shares, votes, strict=True)) / sum(shares)
            assert logits[cycle, label].item() == pytest.approx(expected, rel=1e-4)
    assert torch.allclose(head.weights(features).sum(dim=2), torch.ones(2, 2))


def test_all_places_count_the_same_at_first(generator):
    head = AttentionHead(n_features=3, n_classes=2, floor=0.1)
    features = torch.randn(2, 3, 2, 4, generator=generator)
    assert torch.allclose(head.weights(features), torch.tensor(1 / 8))
    votes = head.classification(features).log_softmax(dim=1).mean(dim=(2, 3))
    assert torch.allclose(head(features), votes, atol=1e-6)


@pytest.mark.parametrize(("n_frames", "half"), [(60, 12), (61, 12), (100, 20), (7, 1)])
def test_stretches_overlap_by_half(n_frames, half):
    log_mel = torch.arange(2 * n_frames * 3, dtype=torch.float).view(2, n_frames, 3)
    stretches = cut_stretches(log_mel)
    assert stretches.shape == (2, 4, 2 * half, 3)
    for index in range(4):
        assert torch.equal(stretches[:, index], log_mel[:, index * half : (index + 2) * half])


def test_places_come_from_the_backbone_where_it_has_a_map(generator):
    log_mel = torch.randn(2, 64, 64, generator=generator)
    method = AttentionPooling.create(Cnn8(width=4, n_mels=64), 64, 4, AttentionPooling.Options()).eval()
    assert torch.equal(method.feature_map(log_mel), method.backbone.feature_map(log_mel))
    other = AttentionPooling.create(backbones.get("small_cnn")(), 64, 4, AttentionPooling.Options()).eval()
    features = other.feature_map(log_mel)
    assert features.shape == (2, 128, 4, 1)
    torch.testing.assert_close(features[1, :, 2, 0], other.backbone(cut_stretches(log_mel)[1:, 2])[0])


def test_loss_is_the_negative_log_likelihood_of_normalised_votes(generator):
    method = AttentionPooling.create(Cnn8(width=4, n_mels=32), 32, 4, AttentionPooling.Options()).eval()
    log_mel = torch.randn(3, 32, 32, generator=generator)
    labels = torch.tensor([0, 3, 1])
    loss = method.losses(Batch(log_mel, labels), generator)["classification"]
    probabilities = method(log_mel).softmax(dim=1).tolist()
    assert loss.tolist() == pytest.approx([-math.log(probabilities[i][y]) for i, y in enumerate(labels.tolist())])


def test_published_rate_falls_as_the_code_says():
    recipe = recipes.get("attention_pooling/cnn8")()
    optimiser = SGD([torch.nn.Parameter(torch.zeros(1))], lr=recipe.optimiser.learning_rate)
    schedule = StepLR(optimiser, step_size=200, gamma=0.9)
    for step in range(1000):
        share = learning_rate_share(recipe.schedule, step, recipe.epochs, steps_per_epoch=173)
        assert recipe.optimiser.learning_rate * share == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
