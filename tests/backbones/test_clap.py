"""CLAP against transformers' own whole model: features of raw sound and of text, and published checkpoints."""

import sys

import numpy as np
import pytest
import torch
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

from add4rsc.audio.frontend import FrontEnd, LogMelFilterBank
from add4rsc.backbones.clap import SILENCE, Clap, TextTower
from add4rsc.backbones.weights import load_weights
from add4rsc.errors import MissingExtraError, RecipeError

AUDIO = {
    "patch_embeds_hidden_size": 16,
    "hidden_size": 32,
    "depths": [1, 2],
    "num_attention_heads": [2, 4],
    "patch_size": 16,
    "patch_stride": [16, 16],
    "window_size": 4,
}


@pytest.fixture(scope="module")
def published() -> ClapModel:
    """The whole model at the size of `Clap.tiny`."""
    text = {name: value for name, value in Clap.tiny["text_options"].items() if name != "projection_dim"}
    torch.manual_seed(0)
    model = ClapModel(ClapConfig(text_config=text, audio_config=AUDIO, projection_dim=32)).eval()
    norm = model.audio_model.audio_encoder.batch_norm
    norm.running_mean.normal_(-60.0, 10.0)
    norm.running_var.fill_(400.0)
    return model


@pytest.fixture(scope="module")
def backbone(published, tmp_path_factory) -> Clap:
    path = tmp_path_factory.mktemp("weights") / "pytorch_model.bin"
    torch.save(published.state_dict(), path)
    backbone = Clap(**{**Clap.tiny, "text": True}).eval()
    report = load_weights(backbone, path)
    assert report.missing == report.extra == ()
    return backbone


@pytest.fixture(scope="module")
def extractor() -> ClapFeatureExtractor:
    """As in the preprocessor's settings of laion/clap-htsat-unfused."""
    return ClapFeatureExtractor(frequency_min=50, frequency_max=14_000, truncation="rand_trunc", padding="repeatpad")


def sound(seconds: int) -> np.ndarray:
    """A loud low tone, faint noise that fades, and silence."""
    generator = np.random.default_rng(0)
    time = np.arange(seconds * 48_000) / 48_000
    wave = 0.4 * np.sin(2 * np.pi * 220 * time) * (time < 3) + 0.01 * generator.normal(size=time.size) * np.exp(-time)
    wave[-48_000:] = 0.0
    return wave.astype(np.float32)


def own_frames(wave: np.ndarray) -> torch.Tensor:
    return LogMelFilterBank(Clap.front_end())(torch.from_numpy(wave)[None])[0]


def test_frames_are_those_of_the_feature_extractor(extractor):
    wave = sound(10)
    expected = extractor(wave, sampling_rate=48_000)["input_features"][0][0]
    found = own_frames(wave).numpy()
    assert found.shape == expected.shape == (1001, 64)
    assert expected.min() == pytest.approx(-100.0)
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_default_front_end_is_stated_without_the_younger_settings():
    assert not {"log_floor", "window"} & FrontEnd().stated().keys()
    assert {"log_floor", "window"} <= Clap.front_end().stated().keys()


def test_sound_is_summarised_as_by_the_whole_model(published, backbone, extractor):
    wave = sound(10)
    inputs = extractor(wave, sampling_rate=48_000, return_tensors="pt")
    with torch.no_grad():
        expected = published.get_audio_features(input_features=inputs["input_features"].float()).pooler_output
        found = backbone(own_frames(wave)[None])
    assert found.shape == (1, backbone.n_features)
    torch.testing.assert_close(found / found.norm(), expected, atol=1e-3, rtol=1e-3)


def test_shorter_sound_goes_on_in_silence(published, backbone, extractor):
    wave = sound(8)
    expected = extractor(wave, sampling_rate=48_000)["input_features"][0][0]
    frames = own_frames(wave)
    padded = np.pad(frames.numpy(), ((0, 200), (0, 0)), constant_values=SILENCE)
    inner = np.r_[0:798, 804:1001]
    np.testing.assert_allclose(padded[inner], expected[inner], atol=0.02)
    with torch.no_grad():
        whole = published.audio_model(input_features=torch.from_numpy(padded)[None, None].float()).pooler_output
        torch.testing.assert_close(backbone(frames[None]), published.audio_projection(whole), atol=1e-5, rtol=1e-5)


def test_text_is_summarised_as_by_the_whole_model(published, backbone):
    tokens = torch.tensor([[0, 17, 5, 40, 2], [0, 9, 2, 1, 1]])
    with torch.no_grad():
        mask = torch.tensor([[1] * 5, [1, 1, 1, 0, 0]])
        expected = published.get_text_features(input_ids=tokens, attention_mask=mask).pooler_output
        found = backbone.text_tower(tokens)
        shorter = backbone.text_tower(tokens[1:, :3])
    torch.testing.assert_close(found / found.norm(dim=1, keepdim=True), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[1:], shorter, atol=1e-5, rtol=1e-5)


def test_audio_tower_alone_takes_the_same_checkpoint_with_or_without_what_is_computed(published, backbone, tmp_path):
    state = {name: value for name, value in published.state_dict().items() if "position_ind" not in name}
    torch.save(state, tmp_path / "model.bin")
    alone = Clap(**Clap.tiny).eval()
    load_weights(alone, tmp_path / "model.bin")
    log_mel = torch.randn(1, 100, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(alone(log_mel), backbone(log_mel))
    assert alone.text_tower is None


def test_converter_leaves_our_names_and_refuses_the_fused_form(published, backbone):
    convert = Clap.forms["transformers"]
    own = backbone.state_dict()
    assert convert(own).keys() == own.keys()
    assert convert(published.state_dict()).keys() == own.keys()
    assert convert({"audio_projection.x": torch.zeros(1), "a.fusion_model.b": torch.zeros(1)}) is None
    assert convert({"conv.weight": torch.zeros(1)}) is None


def test_default_is_the_published_size():
    with torch.device("meta"):
        towers = Clap(text=True)
    sizes = [sum(each.numel() for each in tower.parameters()) for tower in (towers.audio, towers.text_tower)]
    assert sizes == pytest.approx([28e6, 125e6], rel=0.03)
    assert towers.n_features == towers.text_tower.n_features == 512


@pytest.mark.parametrize("make", [Clap, TextTower])
def test_missing_transformers_is_told_with_the_extra(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"add4rsc\[hf\]"):
        make()


def test_too_long_sound_is_refused():
    with pytest.raises(RecipeError, match="1024 frames at most"):
        Clap(**Clap.tiny)(torch.zeros(1, 1025, 64))
