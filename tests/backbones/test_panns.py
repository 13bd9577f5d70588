"""PANNs against Table I of Kong et al. 2020 spelled out, and in the form of the published checkpoints."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from add4rsc.backbones import backbones
from add4rsc.backbones.panns import PannsCnn6, PannsCnn10, PannsCnn14, convert_panns
from add4rsc.backbones.weights import import_weights, load_weights
from add4rsc.errors import CheckpointError

NETWORKS = {"panns_cnn6": PannsCnn6, "panns_cnn10": PannsCnn10, "panns_cnn14": PannsCnn14}
PUBLISHED = {"panns_cnn6": 4_837_455, "panns_cnn10": 5_219_279, "panns_cnn14": 80_753_615}  # Table XII
FRONT_END = {
    "spectrogram_extractor.stft.conv_real.weight": torch.zeros(513, 1, 1024),
    "spectrogram_extractor.stft.conv_imag.weight": torch.zeros(513, 1, 1024),
    "logmel_extractor.melW": torch.zeros(513, 64),
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ADD4RSC_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("name", NETWORKS)
def test_has_as_many_weights_as_published(name):
    with torch.device("meta"):
        backbone = NETWORKS[name]()
    tags = (backbone.n_features + 1) * 527
    assert sum(weight.numel() for weight in backbone.parameters()) + tags == PUBLISHED[name]
    assert backbones.get(name) is NETWORKS[name]


def normalised(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    mean, variance, weight, bias = (
        state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def expected_features(log_mel: Tensor, state: dict[str, Tensor], layers: list[list[int]], n_pooled: int) -> Tensor:
    """Frames along the first axis of the image; `layers` are the sides of the kernels of each block."""
    if "bn0.weight" in state:
        log_mel = normalised(log_mel.mT[..., None], state, "bn0")[..., 0].mT
    x = log_mel[:, None]
    for block, sides in enumerate(layers, start=1):
        for layer, side in enumerate(sides, start=1):
            kernel = state[f"conv_block{block}.conv{layer}.weight"]
            assert kernel.shape[-2:] == (side, side)
            x = functional.conv2d(functional.pad(x, (side // 2,) * 4), kernel)
            x = normalised(x, state, f"conv_block{block}.bn{layer}").clamp_min(0)
        if block <= n_pooled:
            x = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
            x = (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4
    over_frequency = x.mean(dim=3)
    features = over_frequency.max(dim=2).values + over_frequency.mean(dim=2)
    if "fc1.weight" in state:
        features = (features @ state["fc1.weight"].T + state["fc1.bias"]).clamp_min(0)
    return features


ARCHITECTURE = {
    "panns_cnn6": ([[5]] * 4, 4),
    "panns_cnn10": ([[3, 3]] * 4, 4),
    "panns_cnn14": ([[3, 3]] * 6, 5),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("is_trunk", [False, True])
def test_is_what_the_table_says(name, is_trunk, generator):
    torch.manual_seed(1)
    ends = {"input_norm": False, "embedding": False} if is_trunk else {}
    backbone = NETWORKS[name](width=4, **ends).eval()
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.3, 1.0)
            nn.init.normal_(module.bias, std=0.5)
    log_mel = torch.randn(2, 101, 64, generator=generator)
    state = backbone.state_dict()
    with torch.no_grad():
        features = backbone(log_mel)
        torch.testing.assert_close(
            features, expected_features(log_mel, state, *ARCHITECTURE[name]), atol=1e-5, rtol=1e-4
        )
    assert features.std() > 1e-3
    assert ("bn0.weight" in state, "fc1.weight" in state) == (not is_trunk, not is_trunk)


def test_exchanged_axes_are_those_of_turned_frames(generator):
    torch.manual_seed(2)
    plain = PannsCnn6(width=4, input_norm=False).eval()
    turned = PannsCnn6(width=4, input_norm=False, exchanged_axes=True).eval()
    turned.load_state_dict(plain.state_dict())
    log_mel = torch.randn(2, 80, 64, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(turned(log_mel), plain(log_mel.mT))
        assert not torch.allclose(turned(log_mel), plain(log_mel))


def checkpoint(name: str, path, n_features: int) -> dict[str, Tensor]:
    """A file like the published ones."""
    torch.manual_seed(3)
    state = NETWORKS[name]().state_dict()
    tags = {"fc_audioset.weight": torch.zeros(527, n_features), "fc_audioset.bias": torch.zeros(527)}
    torch.save({"iteration": 600_000, "model": FRONT_END | state | tags}, path)
    return state


@pytest.mark.parametrize("name", ["panns_cnn6", "panns_cnn10"])
def test_a_published_file_is_recognised_and_fills_the_network(name, tmp_path):
    expected = checkpoint(name, tmp_path / "file.pth", 512)
    report = import_weights(tmp_path / "file.pth")
    assert report.name == f"{name}/audioset"
    assert report.keys.missing == report.keys.extra == report.keys.mis_shaped == ()
    backbone = NETWORKS[name]()
    load_weights(backbone, f"{name}/audioset")
    assert all(torch.equal(value, expected[key]) for key, value in backbone.state_dict().items())
    trunk = NETWORKS[name](input_norm=False, embedding=False)
    assert set(load_weights(trunk, f"{name}/audioset").matched) == set(trunk.state_dict())
    assert torch.equal(trunk.state_dict()["conv_block4.conv1.weight"], expected["conv_block4.conv1.weight"])


def test_another_size_does_not_fit(tmp_path):
    checkpoint("panns_cnn6", tmp_path / "file.pth", 512)
    with pytest.raises(CheckpointError, match="tensors are missing"):
        import_weights(tmp_path / "file.pth", "panns_cnn10/audioset")


def test_converter_knows_its_own_kind():
    assert convert_panns({"conv1.weight": torch.zeros(1)}) is None
    state = PannsCnn6(width=2).state_dict()
    assert convert_panns(state | FRONT_END).keys() == state.keys()


def test_front_end_is_in_decibels():
    front_end = PannsCnn6.front_end()
    assert (front_end.frame_length, front_end.frame_shift, front_end.n_mels) == (1024, 320, 64)
    assert front_end.scale == pytest.approx(0.2302585)
