"""Stochastic normalisation against the formula, channel by channel."""

import pytest
import torch
from torch import Tensor, nn

from add4rsc.backbones import backbones
from add4rsc.backbones._stochastic_norm import StochasticNormalisation, drawing_from, normalise_stochastically
from add4rsc.engine.normalisation import SharedBatchNorm2d, share_batch_norm

N_CHANNELS, SHARE, MOMENTUM, EPS = 12, 0.4, 0.2, 1e-3


@pytest.fixture
def layer(generator) -> nn.BatchNorm2d:
    """With statistics and weights that a pretraining might have left."""
    layer = nn.BatchNorm2d(N_CHANNELS, eps=EPS, momentum=MOMENTUM)
    with torch.no_grad():
        for values in (layer.weight, layer.running_var):
            values.uniform_(0.5, 2.0, generator=generator)
        for values in (layer.bias, layer.running_mean):
            values.normal_(generator=generator)
    return layer


def images(generator: torch.Generator) -> Tensor:
    return 1 + 3 * torch.randn(4, N_CHANNELS, 5, 6, generator=generator)


def by_hand(channel: Tensor, drawn: bool, moving: tuple[Tensor, Tensor], affine: tuple[Tensor, Tensor]) -> Tensor:
    """One channel: s = 1 has the moving statistics, s = 0 those of the batch, with the gradient through them."""
    mean = channel.sum() / channel.numel()
    variance = ((channel - mean) ** 2).sum() / channel.numel()
    if drawn:
        mean, variance = moving
    return (channel - mean) / (variance + EPS) ** 0.5 * affine[0] + affine[1]


def test_every_channel_is_the_formula_gradient_included(layer, generator):
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    ours = StochasticNormalisation(layer, SHARE).train()
    given = images(generator).requires_grad_()
    cotangent = torch.randn(given.shape, generator=generator)
    with drawing_from(ours, torch.Generator().manual_seed(5)):
        output = ours(given)
    gradients = torch.autograd.grad((output * cotangent).sum(), [given, layer.weight, layer.bias])
    drawn = (torch.rand(N_CHANNELS, generator=torch.Generator().manual_seed(5)) < SHARE).tolist()
    assert 0 < sum(drawn) < N_CHANNELS
    theirs = given.detach().double().requires_grad_()
    weight, bias = (before[name].double().requires_grad_() for name in ("weight", "bias"))
    total = torch.zeros((), dtype=torch.float64)
    for index in range(N_CHANNELS):
        channel = theirs[:, index]
        with torch.no_grad():  # the statistics move first
            mean = (1 - MOMENTUM) * before["running_mean"][index] + MOMENTUM * channel.mean()
            variance = (1 - MOMENTUM) * before["running_var"][index] + MOMENTUM * channel.var(correction=1)
        assert layer.running_mean[index].item() == pytest.approx(mean.item(), rel=1e-5)
        assert layer.running_var[index].item() == pytest.approx(variance.item(), rel=1e-5)
        expected = by_hand(channel, drawn[index], (mean, variance), (weight[index], bias[index]))
        torch.testing.assert_close(output[:, index].double(), expected, atol=1e-5, rtol=1e-5)
        total = total + (expected * cotangent[:, index]).sum()
    for found, expected in zip(gradients, torch.autograd.grad(total, [theirs, weight, bias]), strict=True):
        torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=1e-4)


def test_evaluation_is_that_of_the_replaced_layer(layer, generator):
    plain = nn.BatchNorm2d(N_CHANNELS, eps=EPS).eval()
    plain.load_state_dict(layer.state_dict())
    given = images(generator)
    ours = StochasticNormalisation(layer, SHARE).eval()
    assert torch.equal(ours(given), plain(given))


def test_ends_of_the_share_are_torchs_training_and_evaluation(layer, generator):
    given, state = images(generator), {name: value.clone() for name, value in layer.state_dict().items()}
    outputs = []
    for share in (0.0, 1.0):
        layer.load_state_dict(state)
        outputs.append(StochasticNormalisation(layer, share).train()(given))
    layer.load_state_dict(state)
    torch.testing.assert_close(outputs[0], layer.train()(given))
    torch.testing.assert_close(outputs[1], layer.eval()(given))


def test_two_passes_before_a_gradient(layer, generator):
    """Two views of a step move the statistics twice."""
    ours = StochasticNormalisation(layer, 0.5).train()
    first, second = images(generator).requires_grad_(), images(generator)
    (ours(first).sum() + ours(second).sum()).backward()
    assert first.grad is not None


def test_share_of_channels_and_independence_of_layers(layer):
    generator = torch.Generator().manual_seed(1)
    ours = StochasticNormalisation(layer, 0.3)
    with drawing_from(ours, generator):
        draws = torch.stack([ours._draw_channels(N_CHANNELS) for _ in range(400)])
    assert draws.double().mean().item() == pytest.approx(0.3, abs=0.03)
    assert len(draws.unique(dim=0)) > 200


def test_every_layer_of_a_network_is_replaced_with_its_state(generator):
    backbone = backbones.get("resnet18")(width=8).train()
    layers = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    log_mel = torch.randn(2, 80, 64, generator=generator)
    backbone(log_mel)
    with torch.no_grad():
        expected = backbone.eval()(log_mel)
        normalise_stochastically(backbone, 0.5)
        normalise_stochastically(backbone, 0.5)
        assert torch.equal(backbone.eval()(log_mel), expected)
    kept = [module.batch_norm for module in backbone.modules() if isinstance(module, StochasticNormalisation)]
    assert [id(each) for each in kept] == [id(each) for each in layers]
    assert len(kept) == 20
    outputs = []
    for seed in (0, 0, 1):
        with drawing_from(backbone, torch.Generator().manual_seed(seed)), torch.no_grad():
            outputs.append(backbone.train()(log_mel))
    assert not torch.allclose(outputs[0], outputs[2])
    assert all(layer.generator is None for layer in backbone.modules() if isinstance(layer, StochasticNormalisation))


def test_without_a_generator_draws_are_torchs_own(layer, generator):
    ours, given = StochasticNormalisation(layer, 0.5).train(), images(generator)
    outputs = []
    for seed in (3, 3, 4):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            outputs.append(ours(given))
    changed = [(outputs[0] - other).abs().amax(dim=(0, 2, 3)) for other in outputs[1:]]
    assert not torch.equal(changed[0] > 0.1, changed[1] > 0.1)


def test_processes_share_what_is_inside(layer):
    network = nn.Sequential(StochasticNormalisation(layer, 0.5))
    share_batch_norm(network)
    assert type(network[0].batch_norm) is SharedBatchNorm2d
