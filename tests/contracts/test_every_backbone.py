import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from add4rsc.audio.frontend import LogMelFilterBank
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractBackbone

every_backbone = pytest.mark.parametrize("name", backbones.names())
SLOW_EXPORTS = {"resnet34", "resnet50", "panns_cnn10", "panns_cnn14"}  # of the same operators as their sisters


def tiny_backbone(name: str, seed: int = 0) -> AbstractBackbone:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        kind = backbones.get(name)
        backbone = kind(**kind.tiny)
        settle(backbone)
        return backbone


def settle(backbone: AbstractBackbone) -> None:
    """Give batch normalisation the statistics of noise, without which signals fade in evaluation."""
    normalisations = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [module.momentum for module in normalisations]
    for module in normalisations:
        module.momentum = 1.0
    with torch.no_grad():
        backbone(torch.randn(4, 100, backbone.front_end().n_bands))
    for module, momentum in zip(normalisations, momenta, strict=True):
        module.momentum = momentum


def cycles(backbone: AbstractBackbone, generator: torch.Generator, n_frames: int = 200, n_cycles: int = 3) -> Tensor:
    return torch.randn(n_cycles, n_frames, backbone.front_end().n_bands, generator=generator)


@every_backbone
@pytest.mark.parametrize("n_frames", [100, 256, 301])
def test_gives_one_finite_vector_a_cycle_whatever_its_length(name, n_frames, generator):
    backbone = tiny_backbone(name)
    features = backbone(cycles(backbone, generator, n_frames))
    assert features.shape == (3, backbone.n_features)
    assert features.isfinite().all()


@every_backbone
def test_every_parameter_learns(name, generator):
    backbone = tiny_backbone(name).train()
    features = backbone(cycles(backbone, generator, n_cycles=8))
    (features * torch.randn(features.shape, generator=generator)).sum().backward()
    idle = [key for key, value in backbone.named_parameters() if value.grad is None or not value.grad.any()]
    assert not idle


@every_backbone
def test_a_cycle_does_not_see_its_neighbours_in_evaluation(name, generator):
    backbone = tiny_backbone(name).eval()
    log_mel = cycles(backbone, generator)
    with torch.no_grad():
        features, reversed_features, alone = backbone(log_mel), backbone(log_mel.flip(0)), backbone(log_mel[1:2])
    torch.testing.assert_close(features, reversed_features.flip(0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(features[1:2], alone, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(features[0], features[1])


@every_backbone
def test_state_makes_an_equal_network(name, generator):
    backbone, other = tiny_backbone(name).eval(), tiny_backbone(name, seed=1).eval()
    log_mel = cycles(backbone, generator)
    with torch.no_grad():
        assert not torch.equal(backbone(log_mel), other(log_mel))
        other.load_state_dict(backbone.state_dict())
        assert torch.equal(backbone(log_mel), other(log_mel))


@every_backbone
def test_takes_what_its_front_end_gives(name, generator):
    backbone = tiny_backbone(name).eval()
    front_end = LogMelFilterBank(backbone.front_end())
    waveform = 0.01 * torch.randn(1, 2 * backbone.front_end().sample_rate, generator=generator)
    assert backbone(front_end(waveform)).isfinite().all()


@every_backbone
def test_default_options_are_the_published_network(name):
    with torch.device("meta"):
        backbone = backbones.get(name)()
    assert sum(value.numel() for value in backbone.parameters()) > 40_000
    assert backbone.n_features >= 64


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW_EXPORTS)) for name in backbones.names()]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_exports_to_onnx_with_equal_output(name, generator, tmp_path):
    backbone = tiny_backbone(name).eval()
    log_mel = cycles(backbone, generator)
    path = tmp_path / "backbone.onnx"
    batch = torch.export.Dim("batch", min=1, max=64)
    torch.onnx.export(backbone, (log_mel,), path, dynamo=True, dynamic_shapes=({0: batch},), verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for n_cycles in (3, 1, 5):
        log_mel = cycles(backbone, generator, n_cycles=n_cycles)
        exported = session.run(None, {session.get_inputs()[0].name: log_mel.numpy()})[0]
        with torch.no_grad():
            np.testing.assert_allclose(exported, backbone(log_mel).numpy(), atol=1e-4, rtol=1e-4)
