"""Stochastic normalisation as a method."""

import torch

from add4rsc.backbones import backbones
from add4rsc.methods._base import Batch
from add4rsc.methods.stochastic_normalisation import StochasticNormalisationFineTuning


def test_channels_are_those_of_the_steps_generator(generator):
    kind = StochasticNormalisationFineTuning
    method = kind.create(backbones.get("small_cnn")(), 64, 4, kind.Options()).train()
    batch = Batch(torch.randn(4, 60, 64, generator=generator), torch.arange(4))
    state = {name: value.clone() for name, value in method.state_dict().items()}
    values = []
    for seed in (1, 1, 2):
        method.load_state_dict(state)
        values.append(method.losses(batch, torch.Generator().manual_seed(seed))["classification"])
    assert torch.equal(values[0], values[1])
    assert not torch.allclose(values[0], values[2])
