import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel

from add4rsc.backbones.resnet import ResNet18, ResNet34, ResNet50, convert_hugging_face, convert_torchvision
from add4rsc.backbones.weights import load_weights

KINDS = [
    (ResNet18, "basic", [8, 16, 32, 64]),
    (ResNet34, "basic", [8, 16, 32, 64]),
    (ResNet50, "bottleneck", [32, 64, 128, 256]),
]
PUBLISHED_SIZES = [(ResNet18, 11_689_512, 122), (ResNet34, 21_797_672, 218), (ResNet50, 25_557_032, 320)]


def published(kind, layer_type: str, sizes: list[int], n_channels: int, seed: int = 0) -> ResNetModel:
    config = ResNetConfig(
        num_channels=n_channels,
        embedding_size=8,
        hidden_sizes=sizes,
        depths=list(kind.n_blocks),
        layer_type=layer_type,
    )
    model = ResNetModel(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1, generator=generator)
                module.running_var.uniform_(0.5, 2, generator=generator)
                module.weight.uniform_(0.2, 0.6, generator=generator)
                module.bias.normal_(std=0.1, generator=generator)
    return model


def features(model: ResNetModel, image: Tensor) -> Tensor:
    with torch.no_grad():
        return model(image).pooler_output.flatten(1)


@pytest.mark.parametrize(("kind", "layer_type", "sizes"), KINDS)
def test_equals_transformers(kind, layer_type, sizes, generator):
    reference = published(kind, layer_type, sizes, n_channels=1)
    backbone = kind(width=8).eval()
    backbone.load_state_dict(convert_hugging_face(reference.state_dict()))
    log_mel = torch.randn(2, 150, 96, generator=generator)
    expected = features(reference, log_mel[:, None])
    assert expected.std() > 0.01
    with torch.no_grad():
        torch.testing.assert_close(backbone(log_mel), expected, atol=1e-5, rtol=1e-5)


def test_colour_kernels_are_summed_for_one_channel_and_kept_for_three(generator, tmp_path):
    reference = published(*KINDS[0], n_channels=3)
    names_of_hub = {f"resnet.{key}": value for key, value in reference.state_dict().items()}
    save_file(names_of_hub | {"classifier.1.weight": torch.zeros(5, 64)}, tmp_path / "hub.safetensors")
    grey, colour = ResNet18(width=8).eval(), ResNet18(width=8, n_channels=3).eval()
    for backbone in (grey, colour):
        load_weights(backbone, tmp_path / "hub.safetensors")
    log_mel, picture = (
        torch.randn(2, 100, 64, generator=generator),
        torch.randn(2, 3, 100, 64, generator=generator),
    )
    with torch.no_grad():
        expected = features(reference, log_mel[:, None].expand(-1, 3, -1, -1))
        torch.testing.assert_close(grey(log_mel), expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(colour(picture), features(reference, picture), atol=1e-5, rtol=1e-5)


def test_kernels_for_one_channel_give_the_same_on_a_grey_picture(generator, tmp_path):
    grey, colour = ResNet18(width=8).eval(), ResNet18(width=8, n_channels=3).eval()
    save_file(grey.state_dict(), tmp_path / "one.safetensors")
    load_weights(colour, tmp_path / "one.safetensors")
    log_mel = torch.randn(2, 100, 64, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(colour(log_mel[:, None].expand(-1, 3, -1, -1)), grey(log_mel), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("kind", "n_parameters", "n_tensors"), PUBLISHED_SIZES)
def test_is_as_large_as_torchvisions(kind, n_parameters, n_tensors):
    with torch.device("meta"):
        backbone = kind()
    classifier, colours = 1000 * (backbone.n_features + 1), 2 * 64 * 7 * 7
    assert sum(value.numel() for value in backbone.parameters()) == n_parameters - classifier - colours
    assert len(backbone.state_dict()) == n_tensors - 2


def test_torchvision_file_loads_without_its_classifier_and_counters(tmp_path):
    backbone = ResNet50(width=8)
    state = {key: value for key, value in backbone.state_dict().items() if "num_batches" not in key}
    state["conv1.weight"] = torch.randn(8, 3, 7, 7)
    state |= {"fc.weight": torch.zeros(1000, 256), "fc.bias": torch.zeros(1000)}
    save_file(state, tmp_path / "torchvision.safetensors")
    load_weights(backbone, tmp_path / "torchvision.safetensors")
    torch.testing.assert_close(backbone.conv1.weight[:, 0], state["conv1.weight"].sum(dim=1))
    assert convert_torchvision({"blocks.0.norm1.weight": torch.zeros(1)}) is None
