"""LungAdapter: what learns, how much of it, and what stays."""

import pytest
import torch
from torch import nn

from add4rsc.backbones import backbones
from add4rsc.engine.model import build_method
from add4rsc.engine.optimise import build_optimiser
from add4rsc.methods import recipes
from add4rsc.methods._base import Batch
from add4rsc.methods.lung_adapter import LungAdapter
from add4rsc.recipe import change_recipe


def share_that_learns(network: nn.Module) -> float:
    sizes = [(value.numel(), value.requires_grad) for value in network.parameters()]
    return sum(size for size, learns in sizes if learns) / sum(size for size, _ in sizes)


def test_as_many_parameters_learn_as_published():
    recipe = recipes.get("lung_adapter/ast")()
    with torch.device("meta"):
        network = build_method(recipe, 4, pretrained=False)
    n_learning = sum(value.numel() for value in network.parameters() if value.requires_grad)
    head = 2 * 768 + 768 * 4 + 4
    assert n_learning == 12 * 2 * (768 * 67 + 67 + 67 * 768 + 768) + head
    assert share_that_learns(network) == pytest.approx(0.0283, abs=2e-4)


@pytest.mark.parametrize("name", ["ast", "mn04", "small_cnn", "resnet18"])
def test_frozen_parts_do_not_change_in_training(name, generator):
    """Neither their weights nor the statistics of their batch normalisation; and nothing is dropped out."""
    kind = backbones.get(name)
    network = LungAdapter.create(kind(**kind.tiny), 64, 4, LungAdapter.Options(bottleneck=4)).train()
    learning = {key for key, value in network.named_parameters() if value.requires_grad}
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.05, weight_decay=0.1)
    batch = Batch(3 + torch.randn(8, 96, kind.front_end().n_mels, generator=generator), torch.arange(8) % 4)
    for _ in range(3):
        optimiser.zero_grad()
        network.losses(batch, generator)["classification"].mean().backward()
        optimiser.step()
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == learning
    with torch.no_grad():
        assert torch.equal(network.train()(batch.log_mel), network.eval()(batch.log_mel))


def test_optimiser_is_given_what_learns():
    recipe = change_recipe(recipes.get("lung_adapter/mn04-small")(), {"weights": None})
    network = build_method(recipe, 4)
    optimiser = build_optimiser(network, recipe.optimiser)
    given = {id(weight) for group in optimiser.param_groups for weight in group["params"]}
    assert given == {id(value) for value in network.parameters() if value.requires_grad}
    assert 0 < share_that_learns(network) < 0.1
