import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional
from transformers import ASTConfig, ASTForAudioClassification, ASTModel

from add4rsc.backbones.ast import (
    AudioSpectrogramTransformer,
    convert_hugging_face,
    convert_original,
    fit_published_positions,
    resize_kernel,
    resize_positions,
)
from add4rsc.backbones.weights import load_weights
from add4rsc.errors import CheckpointError, RecipeError

SMALL = {"dim": 24, "n_layers": 2, "n_heads": 3}


@pytest.fixture(scope="module")
def published():
    config = ASTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96, layer_norm_eps=1e-6
    )
    config.max_length, config.num_mel_bins = 256, 128
    torch.manual_seed(0)
    model = ASTForAudioClassification(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1)
    return model


def small_ast(**options) -> AudioSpectrogramTransformer:
    return AudioSpectrogramTransformer(**(SMALL | {"n_frames": 256} | options)).eval()


def test_equals_the_released_network_on_its_own_weights(golden):
    tensors = load_file(golden / "ast_tiny.safetensors")
    backbone = AudioSpectrogramTransformer(
        dim=64, n_layers=2, n_heads=4, stride=(16, 16), n_mels=256, n_frames=1024
    ).eval()
    state = convert_original({f"module.{key[3:]}": value for key, value in tensors.items() if key.startswith("sd.")})
    backbone.load_state_dict(state)
    log_mel = torch.randn(1, 1, 1024, 256, generator=torch.Generator().manual_seed(1))[0]
    head = tensors["x_seed1_head"]
    assert torch.equal(log_mel[0, : head.shape[0]], head)
    tokens = []
    for block in backbone.blocks:
        block.register_forward_hook(lambda module, inputs, output: tokens.append(output[:, :8]))
    with torch.no_grad():
        features = backbone(log_mel)
    torch.testing.assert_close(features, tensors["feat"], atol=2e-6, rtol=0)
    for layer in range(2):
        torch.testing.assert_close(tokens[layer], tensors[f"block{layer}_tokens_first8"], atol=2e-6, rtol=0)


def test_equals_the_released_network_in_double_precision_and_behind_its_head(golden):
    tensors = load_file(golden / "ast_tiny.safetensors")
    state = {key[3:]: value for key, value in tensors.items() if key.startswith("sd.")}
    size = {"dim": 64, "n_layers": 2, "n_heads": 4, "stride": (16, 16), "n_mels": 256, "n_frames": 1024}
    backbone = AudioSpectrogramTransformer(**size).eval()
    backbone.load_state_dict(convert_original(state))
    head = nn.Sequential(nn.LayerNorm(64), nn.Linear(64, 4))
    head.load_state_dict({key.removeprefix("mlp_head."): state[key] for key in state if key.startswith("mlp_head.")})
    log_mel = torch.randn(1, 1, 1024, 256, generator=torch.Generator().manual_seed(1))[0]
    with torch.no_grad():
        torch.testing.assert_close(head(backbone(log_mel)), tensors["logits"], atol=1e-5, rtol=1e-5)
        features = backbone.double()(log_mel.double())
    torch.testing.assert_close(features, tensors["feat_fp64"], atol=1e-12, rtol=0)


@pytest.mark.parametrize(("names", "convert"), [("keys", convert_original), ("hf5_keys", convert_hugging_face)])
def test_every_tensor_of_the_full_size_has_its_place(golden, names, convert):
    """Names and shapes of the released network for 256 x 1024, and of the same in transformers 5."""
    listed = json.loads((golden / "ast_keys.json").read_text())
    with torch.device("meta"):
        state = {key: torch.empty(shape) for key, shape in listed[names].items()}
        ours = AudioSpectrogramTransformer(stride=(16, 16), n_mels=256, n_frames=1024).state_dict()
    converted = convert(state)
    assert {key: value.shape for key, value in converted.items()} == {key: value.shape for key, value in ours.items()}
    if names == "keys":
        heads = listed["unused_head_params"] if any("head_dist" in key for key in state) else 0
        classifier = sum(value.numel() for key, value in state.items() if "mlp_head" in key)
        assert sum(value.numel() for value in ours.values()) == listed["n_params"] - heads - classifier


def test_equals_transformers_on_names_in_memory(published, generator):
    backbone = small_ast()
    state = convert_hugging_face(published.state_dict())
    backbone.load_state_dict(state)
    check_equal(backbone, published.audio_spectrogram_transformer, generator)


def test_equals_transformers_on_names_in_its_files(published, generator, tmp_path):
    published.save_pretrained(tmp_path)
    names = load_file(tmp_path / "model.safetensors").keys()
    assert any("encoder.layer.0.attention.attention.query" in name for name in names)
    backbone = small_ast()
    report = load_weights(backbone, tmp_path / "model.safetensors")
    assert set(report.matched) == set(backbone.state_dict())
    assert not report.extra
    check_equal(backbone, published.audio_spectrogram_transformer, generator)


def check_equal(backbone: AudioSpectrogramTransformer, reference: ASTModel, generator: torch.Generator) -> None:
    log_mel = torch.randn(2, 256, 128, generator=generator)
    with torch.no_grad():
        expected = reference(log_mel).pooler_output
        torch.testing.assert_close(backbone(log_mel), expected, atol=1e-5, rtol=1e-5)


def test_converters_leave_our_names_and_refuse_others():
    state = small_ast().state_dict()
    assert convert_original(state).keys() == state.keys()
    assert convert_hugging_face(state) is None
    assert convert_original({"conv1.weight": torch.zeros(1)}) is None
    assert convert_hugging_face({"conv1.weight": torch.zeros(1)}) is None


def table(image: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return torch.cat([tokens, image.flatten(1).T[None]], dim=1)


def test_resizing_keeps_mel_and_time_apart():
    row, column = torch.meshgrid(torch.arange(12.0), torch.arange(101.0), indexing="ij")
    tokens = torch.tensor([[[7.0, 8.0], [9.0, 10.0]]])
    resized = fit_published_positions(table(torch.stack([row, column]), tokens), (12, 50), "interpolated")
    assert torch.equal(resized[:, :2], tokens)
    mel, time = resized[0, 2:].T.unflatten(1, (12, 50))
    torch.testing.assert_close(mel, torch.arange(12.0)[:, None].expand(12, 50), atol=1e-5, rtol=0)
    centres = (torch.arange(50) + 0.5) * 101 / 50 - 0.5
    torch.testing.assert_close(time, centres.expand(12, 50), atol=1e-4, rtol=0)


def test_cut_keeps_the_middle_of_an_axis_that_shrinks(generator):
    image = torch.randn(3, 12, 101, generator=generator)
    tokens = torch.randn(1, 2, 3, generator=generator)
    cut = fit_published_positions(table(image, tokens), (12, 79), "cut")
    assert torch.equal(cut, table(image[:, :, 50 - 39 : 50 + 40], tokens))  # 50 - int(79 / 2), 79 columns


def test_transposed_scrambles_as_patch_mix_does(generator):
    """Patch-Mix names 798 mels and 128 frames, so that 79 x 12 positions meet 12 x 79 patches in flattened order."""
    image = torch.randn(3, 12, 101, generator=generator)
    tokens = torch.randn(1, 2, 3, generator=generator)
    expected = functional.interpolate(image[None, :, :, 44:56], size=(79, 12), mode="bilinear")[0]
    scrambled = fit_published_positions(table(image, tokens), (12, 79), "transposed")
    torch.testing.assert_close(scrambled, table(expected, tokens))


def test_transposed_table_is_scrambled_even_where_its_length_fits(tmp_path):
    pretrained = small_ast(n_frames=1024)
    torch.save({f"module.v.{key}": value for key, value in pretrained.state_dict().items()}, tmp_path / "ast.pth")
    plain, scrambled = small_ast(n_frames=1024), small_ast(n_frames=1024, position_table="transposed")
    load_weights(plain, tmp_path / "ast.pth")
    load_weights(scrambled, tmp_path / "ast.pth")
    assert torch.equal(plain.pos_embed, pretrained.pos_embed)
    assert not torch.allclose(scrambled.pos_embed, pretrained.pos_embed)
    assert torch.equal(scrambled.norm.weight, pretrained.norm.weight)


@pytest.mark.parametrize("position_table", ["interpolated", "cut", "transposed"])
def test_other_lengths_use_a_resized_table(position_table):
    backbone = small_ast(position_table=position_table)
    resized = backbone.positions((12, 79))
    source, target = ((25, 12), (79, 12)) if position_table == "transposed" else ((12, 25), (12, 79))
    assert torch.equal(resized, resize_positions(backbone.pos_embed, source, target))
    assert backbone.positions((12, 25)) is backbone.pos_embed


def test_another_grid_loads(tmp_path, generator):
    """AudioSet's table, made for a stride of 10 and 128 mels, in the network that ADD4RSC builds."""
    torch.save(small_ast(n_frames=1024).state_dict(), tmp_path / "ast.pth")
    backbone = small_ast(n_mels=256, n_frames=1024, stride=(16, 16))
    report = load_weights(backbone, tmp_path / "ast.pth")
    assert "pos_embed" in report.matched
    assert backbone.pos_embed.shape == (1, 2 + 16 * 64, 24)
    assert backbone(torch.randn(1, 1024, 256, generator=generator)).isfinite().all()


def test_a_table_of_no_known_grid_is_refused():
    with pytest.raises(CheckpointError, match="1213 positions is of no known grid"):
        fit_published_positions(torch.zeros(1, 1215, 4), (12, 101), "interpolated")


@pytest.mark.parametrize("patch_size", [(16, 16), (32, 8), (64, 4), (128, 2), (256, 1), (8, 8)])
def test_resized_kernels_answer_flat_and_sloping_spectrograms_as_before(patch_size, generator):
    kernel = torch.randn(5, 1, 16, 16, generator=generator)
    resized = resize_kernel(kernel, patch_size)
    assert resized.shape == (5, 1, *patch_size)
    torch.testing.assert_close(resized.sum(dim=(1, 2, 3)), kernel.sum(dim=(1, 2, 3)), atol=1e-4, rtol=1e-4)
    smooth = torch.cos(torch.linspace(0, 3, 16))[:, None] * torch.cos(torch.linspace(0, 2, 16))[None]
    smooth = resize_kernel(smooth[None, None], patch_size)[0, 0] * patch_size[0] * patch_size[1] / 256
    rows, columns = ((torch.arange(n) + 0.5) / n * 16 - 0.5 for n in patch_size)
    expected = torch.cos(rows * 3 / 15)[:, None] * torch.cos(columns * 2 / 15)[None]
    torch.testing.assert_close(smooth, expected, atol=0.12, rtol=0)


def test_recut_copy_keeps_the_blocks_and_resizes_what_it_must(generator):
    backbone = small_ast(n_mels=64, n_frames=128, stride=(16, 16))
    copy = backbone.with_patch((32, 8))
    assert copy.grid == (2, 16)
    state, other = backbone.state_dict(), copy.state_dict()
    changed = {name for name in state if state[name].shape != other[name].shape or not state[name].equal(other[name])}
    assert changed == {"pos_embed", "patch_embed.proj.weight"}
    assert torch.equal(other["pos_embed"], resize_positions(state["pos_embed"], (4, 8), (2, 16)))
    assert torch.equal(other["patch_embed.proj.weight"], resize_kernel(state["patch_embed.proj.weight"], (32, 8)))
    assert copy(torch.randn(2, 128, 64, generator=generator)).isfinite().all()
    same = backbone.with_patch((16, 16)).state_dict()
    assert all(torch.equal(same[name], state[name]) for name in state)


def test_recut_copy_without_resizing_starts_what_does_not_fit_at_random():
    backbone = small_ast(n_mels=64, n_frames=128, stride=(16, 16))
    torch.manual_seed(1)
    copy = backbone.with_patch((32, 8), resizes=False)
    assert copy.pos_embed.shape == backbone.pos_embed.shape  # as many patches, but in another grid
    assert not torch.allclose(copy.pos_embed, backbone.pos_embed, atol=1e-3)
    resized = resize_kernel(backbone.patch_embed.proj.weight, (32, 8))
    assert not torch.allclose(copy.patch_embed.proj.weight, resized, atol=1e-3)
    assert torch.equal(copy.patch_embed.proj.bias, backbone.patch_embed.proj.bias)
    assert torch.equal(copy.blocks[1].attn.qkv.weight, backbone.blocks[1].attn.qkv.weight)
    same = backbone.with_patch((16, 16), resizes=False)
    assert torch.equal(same.pos_embed, backbone.pos_embed)
    assert torch.equal(same.patch_embed.proj.weight, backbone.patch_embed.proj.weight)


def test_weights_of_strides_of_16_load_into_other_patches(tmp_path):
    pretrained = small_ast(n_frames=1024, stride=(16, 16))
    torch.save({f"module.v.{key}": value for key, value in pretrained.state_dict().items()}, tmp_path / "ast.pth")
    backbone = small_ast(n_mels=256, n_frames=1024, patch_size=(64, 4), stride=(64, 4))
    report = load_weights(backbone, tmp_path / "ast.pth")
    assert set(report.matched) == set(backbone.state_dict())
    assert torch.equal(backbone.pos_embed, resize_positions(pretrained.pos_embed, (8, 64), (4, 256)))
    assert torch.equal(backbone.patch_embed.proj.weight, resize_kernel(pretrained.patch_embed.proj.weight, (64, 4)))


def test_patches_larger_than_the_spectrogram_are_refused():
    with pytest.raises(RecipeError, match=r"Patches of 256 bands and 1 frames do not fit into 128 bands"):
        small_ast(n_mels=128).with_patch((256, 1))
