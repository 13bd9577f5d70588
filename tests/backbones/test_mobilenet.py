from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from add4rsc.audio.frontend import LogMelFilterBank
from add4rsc.audio.io import read_waveform
from add4rsc.backbones.mobilenet import MobileNet, convert_efficientat
from add4rsc.backbones.weights import load_weights, read_state

TAGS = {
    "clock_tick": {406, 407, 408, 409, 410},  # AudioSet: mechanisms, ratchet, clock, tick, tick-tock
    "helicopter": {300, 335, 339},  # vehicle, aircraft, helicopter
    "person_sneeze": {49},  # sneeze
    "rain": {289, 290, 291},  # rain, raindrop, rain on surface
    "sea_waves": {292, 294, 295, 301},  # stream, ocean, waves, boat
}


@pytest.fixture(scope="module")
def checkpoint(shared_weights) -> Path:
    return shared_weights / "mn04_as_mAP_432.pt"


@pytest.fixture(scope="module")
def tagger(checkpoint) -> nn.Module:
    backbone, tag_layer = MobileNet(), nn.Linear(512, 527)
    load_weights(backbone, checkpoint)
    state = read_state(checkpoint)
    tag_layer.load_state_dict({key: state[f"classifier.5.{key}"] for key in ("weight", "bias")})
    return nn.Sequential(LogMelFilterBank(backbone.front_end()), backbone, tag_layer, nn.Sigmoid()).eval()


@pytest.mark.data
def test_holds_every_tensor_of_the_published_network(checkpoint):
    backbone = MobileNet()
    report = load_weights(backbone, checkpoint)
    assert set(report.matched) == set(backbone.state_dict())
    assert report.extra == report.missing == report.mis_shaped == ()
    n_parameters = sum(value.numel() for value in backbone.parameters())
    assert n_parameters + 513 * 527 == 983_599  # published for the network with its tags


@pytest.mark.data
def test_hears_what_is_in_real_recordings(tagger, shared_data):
    right, top_tags = Counter(), {}
    for folder in sorted((shared_data / "noise" / "esc10").iterdir()):
        probabilities = torch.cat([tag(tagger, file) for file in sorted(folder.iterdir())])
        right[folder.name] = sum(int(tag) in TAGS[folder.name] for tag in probabilities.argmax(dim=1))
        top_tags[folder.name] = int(probabilities.mean(dim=0).argmax())
        assert right[folder.name] >= 8  # of 12
    assert right.total() >= 45  # of 60
    assert len(set(top_tags.values())) == len(TAGS)


def tag(tagger: nn.Module, file: Path) -> Tensor:
    with torch.no_grad():
        return tagger(torch.as_tensor(read_waveform(file, 32_000))[None])


def test_converter_drops_the_tags_and_knows_its_own_kind():
    state = MobileNet(width=0.1).state_dict()
    tags = {"classifier.5.weight": torch.zeros(527, 128), "classifier.5.bias": torch.zeros(527)}
    assert convert_efficientat(state | tags).keys() == state.keys()
    assert convert_efficientat({"conv1.weight": torch.zeros(1)}) is None


def test_width_1_is_mobilenet_v3_large():
    with torch.device("meta"):
        state = MobileNet(width=1.0).state_dict()
    n_parameters = {key: value.numel() for key, value in state.items() if "running" not in key and "num_b" not in key}
    published = 5_483_032  # torchvision's mobilenet_v3_large
    head = 1280 * 1000 + 1000  # its 1000 classes
    colours = 2 * 16 * 9  # two more input channels
    assert sum(n_parameters.values()) == published - head - colours


@pytest.mark.parametrize("training", [True, False])
def test_dropout_works_in_training_only(training, generator):
    backbone = MobileNet(width=0.1, dropout=0.5).train(training)
    features = backbone(torch.randn(16, 64, 128, generator=generator))
    assert ((features == 0).float().mean() > 0.3) == training
