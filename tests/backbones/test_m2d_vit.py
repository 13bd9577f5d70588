"""The transformer of Masked Modeling Duo, against torch's own layers and explicit loops."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from add4rsc.audio.frontend import LogMelFilterBank
from add4rsc.backbones import backbones
from add4rsc.backbones._transformer import sine_positions
from add4rsc.backbones.m2d_vit import convert_released
from add4rsc.backbones.weights import load_weights
from add4rsc.errors import CheckpointError, RecipeError

DIM, N_MELS, N_FRAMES = 16, 32, 24


@pytest.fixture
def network():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        small = backbones.get("m2d_vit")(dim=DIM, n_layers=2, n_heads=2, n_mels=N_MELS, n_frames=N_FRAMES)
    return small.eval()


def torch_layer(block: nn.Module) -> nn.Module:
    """torch's own transformer layer with a block's weights."""
    layer = nn.TransformerEncoderLayer(
        DIM, 2, 4 * DIM, dropout=0.0, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    )
    layer.load_state_dict(
        {
            "self_attn.in_proj_weight": block.attn.qkv.weight,
            "self_attn.in_proj_bias": block.attn.qkv.bias,
            "self_attn.out_proj.weight": block.attn.proj.weight,
            "self_attn.out_proj.bias": block.attn.proj.bias,
            "linear1.weight": block.mlp.fc1.weight,
            "linear1.bias": block.mlp.fc1.bias,
            "linear2.weight": block.mlp.fc2.weight,
            "linear2.bias": block.mlp.fc2.bias,
            "norm1.weight": block.norm1.weight,
            "norm1.bias": block.norm1.bias,
            "norm2.weight": block.norm2.weight,
            "norm2.bias": block.norm2.bias,
        }
    )
    return layer.eval()


def expected_features(network, log_mel: torch.Tensor) -> torch.Tensor:
    """Chunk by chunk, patch by patch; features of the bands side by side, and their mean over all moments."""
    columns = []
    n_rows = N_MELS // 16
    for start in range(0, log_mel.shape[0], N_FRAMES):
        chunk = log_mel[start : start + N_FRAMES]
        chunk = torch.cat([chunk, torch.zeros(-len(chunk) % 4, N_MELS)])
        n_columns = len(chunk) // 4
        tokens = [network.cls_token[0, 0] + network.pos_embed[0, 0]]
        for row in range(n_rows):
            for column in range(n_columns):
                patch = chunk[4 * column : 4 * column + 4, 16 * row : 16 * row + 16].T
                embedded = (network.patch_embed.proj.weight[:, 0] * patch).sum(dim=(1, 2))
                place = 1 + row * (N_FRAMES // 4) + column
                tokens.append(embedded + network.patch_embed.proj.bias + network.pos_embed[0, place])
        encoded = torch.stack(tokens)[None]
        for block in network.blocks:
            encoded = torch_layer(block)(encoded)
        encoded = network.norm(encoded)[0, 1:]
        columns += [
            torch.cat([encoded[row * n_columns + column] for row in range(n_rows)]) for column in range(n_columns)
        ]
    return torch.stack(columns).mean(dim=0)


@pytest.mark.parametrize("n_frames", [24, 48, 50, 13])
def test_features_are_those_of_chunks_in_turn(network, generator, n_frames):
    log_mel = torch.randn(2, n_frames, N_MELS, generator=generator)
    with torch.no_grad():
        features = network(log_mel)
        expected = torch.stack([expected_features(network, each) for each in log_mel])
    assert features.shape == (2, network.n_features) == (2, 2 * DIM)
    assert torch.allclose(features, expected, atol=1e-5)


def test_patches_one_by_one_are_what_the_whole_makes_of_them(network, generator):
    log_mel = torch.randn(3, 48, N_MELS, generator=generator)
    with torch.no_grad():
        assert torch.allclose(network.encode(network.patch_embed(log_mel)), network(log_mel), atol=1e-6)


def test_positions_follow_the_formula():
    table = sine_positions(8, (2, 3))[0]
    assert table.shape == (7, 8)
    assert not table[0].any()
    for row in range(2):
        for column in range(3):
            expected = []
            for place in (column, row):
                angles = [place / 10_000 ** (index / 2) for index in range(2)]
                expected += [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
            assert table[1 + row * 3 + column].tolist() == pytest.approx(expected, abs=1e-6)


def test_a_released_checkpoint_loads_without_its_predictor(network, tmp_path):
    state = {name: torch.randn_like(tensor) for name, tensor in network.state_dict().items()}
    state["pos_embed"] = network.pos_embed.clone()
    rest = {
        "mask_token": torch.zeros(1),
        "decoder_blocks.0.norm1.weight": torch.zeros(3),
        "target_blocks.0.x": torch.ones(2),
    }
    save_file(state | rest, tmp_path / "released.safetensors")
    load_weights(network, tmp_path / "released.safetensors")
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    prefixed = {f"module.ar.runtime.backbone.{name}": tensor for name, tensor in state.items()}
    assert set(convert_released(prefixed) or {}) == set(state)


def test_positions_of_another_length_are_computed_anew(network, tmp_path):
    longer = backbones.get("m2d_vit")(dim=DIM, n_layers=2, n_heads=2, n_mels=N_MELS, n_frames=80)
    save_file({name: tensor.clone() for name, tensor in longer.state_dict().items()}, tmp_path / "longer.safetensors")
    load_weights(network, tmp_path / "longer.safetensors")
    assert torch.equal(network.pos_embed, sine_positions(DIM, network.grid))


def test_another_width_is_refused(network, tmp_path):
    wider = backbones.get("m2d_vit")(dim=2 * DIM, n_layers=2, n_heads=2, n_mels=N_MELS, n_frames=N_FRAMES)
    save_file({name: tensor.clone() for name, tensor in wider.state_dict().items()}, tmp_path / "wider.safetensors")
    with pytest.raises(CheckpointError, match="32 wide"):
        load_weights(network, tmp_path / "wider.safetensors")


def test_a_chunk_of_no_whole_patches_is_refused():
    with pytest.raises(RecipeError, match="no whole number of patches"):
        backbones.get("m2d_vit")(n_frames=30, patch_size=(16, 4))


def test_front_end_is_slaneys_as_librosa_and_transformers_have_it(generator):
    waveform = torch.randn(16_000, generator=generator) * 0.1
    front_end = backbones.get("m2d_vit").front_end()
    ours = LogMelFilterBank(front_end)(waveform[None])[0] * front_end.scale + front_end.mean
    filters = mel_filter_bank(201, 80, 50.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")
    energies = spectrogram(
        waveform.numpy(),
        window_function(400, periodic=False),
        frame_length=400,
        hop_length=160,
        power=2.0,
        mel_filters=filters,
    )
    expected = torch.from_numpy(np.log(energies + np.finfo(np.float32).eps).T).float()
    assert torch.allclose(ours, expected, atol=2e-3)


def test_places_are_those_of_one_chunk(network, generator):
    patches = network.patch_embed(torch.randn(1, 48, N_MELS, generator=generator))
    with pytest.raises(RecipeError, match="within a chunk of 24 frames"):
        network.encode_places(patches, torch.tensor([[0]]))
