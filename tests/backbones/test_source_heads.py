"""The classifier of the pretraining, from published files and imported ones."""

import pytest
import torch
from transformers import ResNetConfig, ResNetForImageClassification

from add4rsc.backbones.mobilenet import MobileNet
from add4rsc.backbones.resnet import ResNet18
from add4rsc.backbones.weights import WEIGHTS, import_weights, load_weights, read_state
from add4rsc.errors import CheckpointError


@pytest.fixture
def resnet_file(tmp_path, generator):
    """A file like torchvision's."""
    state = ResNet18().state_dict()
    state["conv1.weight"] = torch.randn(64, 3, 7, 7, generator=generator)
    state |= {"fc.weight": torch.randn(1000, 512, generator=generator), "fc.bias": torch.arange(1000.0)}
    torch.save(state, tmp_path / "resnet18.pth")
    return tmp_path / "resnet18.pth"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ADD4RSC_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(WEIGHTS["resnet18/imagenet"].__class__, "describes", lambda self, sha256: True)
    return tmp_path / "home"


def test_torchvisions_classifier_is_kept_in_the_imported_file(resnet_file, home):
    report = import_weights(resnet_file, "resnet18/imagenet")
    assert report.keys.extra == report.keys.missing == ()
    network, published = ResNet18(source_head=True), read_state(resnet_file)
    for weights in (resnet_file, "resnet18/imagenet"):
        torch.nn.init.zeros_(network.source_head.weight)
        assert load_weights(network, weights).extra == ()
        assert torch.equal(network.source_head.weight, published["fc.weight"])
        assert torch.equal(network.source_head.bias, published["fc.bias"])
    assert load_weights(ResNet18(), "resnet18/imagenet").extra == ()


def test_file_without_its_classifier_is_named_with_the_remedy(tmp_path):
    torch.save(ResNet18().state_dict(), tmp_path / "old.pth")
    with pytest.raises(CheckpointError, match=r"classifier is missing.*add4rsc weights import FILE"):
        load_weights(ResNet18(source_head=True), tmp_path / "old.pth")


def test_logits_are_those_of_transformers(tmp_path, generator):
    config = ResNetConfig(
        num_channels=1, embedding_size=64, hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic",
        num_labels=1000,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reference = ResNetForImageClassification(config).eval()
    torch.save(reference.state_dict(), tmp_path / "hub.bin")
    network = ResNet18(source_head=True).eval()
    load_weights(network, tmp_path / "hub.bin")
    log_mel = torch.randn(2, 100, 64, generator=generator)
    with torch.no_grad():
        expected = reference(log_mel[:, None]).logits
        torch.testing.assert_close(network.source_head(network(log_mel)), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.data
def test_mn04_keeps_its_tags(shared_weights):
    file = shared_weights / "mn04_as_mAP_432.pt"
    network, published = MobileNet(source_head=True), read_state(file)
    assert load_weights(network, file).extra == ()
    for name in ("weight", "bias"):
        assert torch.equal(getattr(network.source_head, name), published[f"classifier.5.{name}"])
    assert sum(value.numel() for value in network.parameters()) == 983_599  # published
