"""Mixup against hand computation."""

import numpy as np
import torch
from scipy.stats import beta, kstest

from add4rsc.augment.mixing import Mixup, draw_mixup, mix_cycles, mix_labels


def test_features_and_labels_of_three_cycles_by_hand():
    mixup = Mixup(torch.tensor([2, 1, 0]), 0.75)
    features = torch.tensor([[[0.0, 4.0]], [[8.0, -8.0]], [[4.0, 0.0]]])
    assert mix_cycles(features, mixup).tolist() == [[[1.0, 3.0]], [[8.0, -8.0]], [[3.0, 1.0]]]
    expected = [[0.75, 0, 0.25], [0, 1, 0], [0.25, 0, 0.75]]
    assert mix_labels(torch.tensor([0, 1, 2]), mixup, 3).tolist() == expected


def test_shares_follow_beta_and_partners_are_a_permutation(generator):
    draws = [draw_mixup(5, 0.5, generator) for _ in range(400)]
    assert all(sorted(draw.partners.tolist()) == list(range(5)) for draw in draws)
    shares = np.array([draw.own_share for draw in draws])
    assert kstest(shares, beta(0.5, 0.5).cdf).pvalue > 0.01
    assert kstest(shares, beta(2, 2).cdf).pvalue < 0.01
    assert len({tuple(draw.partners.tolist()) for draw in draws}) > 50


def test_same_generator_draws_the_same():
    one, two = (draw_mixup(6, 1.0, torch.Generator().manual_seed(3)) for _ in range(2))
    assert one.own_share == two.own_share
    assert one.partners.equal(two.partners)


def test_nothing_changes_for_a_share_of_one(generator):
    values = torch.randn(3, 4, generator=generator)
    assert mix_cycles(values, Mixup(torch.tensor([1, 2, 0]), 1.0)).equal(values)
    assert mix_cycles(values, Mixup(torch.tensor([1, 2, 0]), 0.0)).equal(values.roll(-1, 0))
