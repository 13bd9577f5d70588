import pytest
import torch
from pydantic import ValidationError
from torch import nn

from add4rsc.add.frequency_filter import AbstractFrequencyFilter
from add4rsc.add.layer import AddLayer, AddSettings, DifferentialDenoiseLayer, resize_log_mel
from add4rsc.add.presets import PRESETS, build
from add4rsc.errors import WrongUsageError


def gradient_receivers(layer: AddLayer, output: torch.Tensor) -> set[str]:
    layer.zero_grad(set_to_none=True)
    output.square().sum().backward()
    return {name for name, parameter in layer.named_parameters() if parameter.grad is not None}


def parts(layer: AddLayer) -> tuple[AbstractFrequencyFilter, DifferentialDenoiseLayer]:
    assert layer.filter is not None
    assert layer.denoise is not None
    return layer.filter, layer.denoise


@pytest.fixture
def x(generator) -> torch.Tensor:
    return torch.randn(2, 37, 96, generator=generator)


@pytest.mark.parametrize("preset", PRESETS)
def test_any_size(preset, x):
    features, bias_logits = build(preset, dim=96, n_heads=4, n_classes=2)(x)
    assert features.shape == (2, 37, 96)
    assert bias_logits.shape == (2, 2)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_batch_does_not_matter(preset, x):
    layer = build(preset, dim=96, n_heads=4).eval()
    both, second = layer(x), layer(x[1:])
    torch.testing.assert_close(both.features[1:], second.features)
    torch.testing.assert_close(both.bias_logits[1:], second.bias_logits)


@pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning")
@pytest.mark.parametrize("preset", ["paper", "fixed"])
def test_exports_with_time_left_open(preset, onnx_session, generator):
    torch.manual_seed(0)
    layer = build(preset, dim=16, n_heads=4)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    x = torch.randn(3, 51, 16, generator=generator)
    run = onnx_session(layer, torch.randn(2, 24, 16, generator=generator))
    for output, expected in zip(run(x), layer(x), strict=True):
        torch.testing.assert_close(output, expected, atol=1e-4, rtol=1e-4)


def test_the_fixed_layer_starts_as_a_pass_through_and_learns(x):
    torch.manual_seed(0)
    layer = build("fixed", dim=96, n_heads=4)
    error = (layer(x).features - x).square().mean().sqrt() / x.square().mean().sqrt()
    assert 0 < error < 0.02
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.01)
    for _ in range(3):  # inner weights wait for the output projections that start at 0
        optimiser.zero_grad()
        features, bias_logits = layer(x)
        (features.square().mean() + bias_logits.square().mean()).backward()
        optimiser.step()
    dead = [name for name, p in layer.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


def test_the_bias_loss_reaches_the_whole_layer_but_not_as_released(x):
    layer = build("fixed", dim=96, n_heads=4)
    assert gradient_receivers(layer, layer(x).bias_logits) == {name for name, _ in layer.named_parameters()}
    layer = build("released-2025-08", dim=96, n_heads=4)
    receivers = gradient_receivers(layer, layer(x).bias_logits)
    assert {name.split(".")[0] for name in receivers} == {"filter", "bias_head"}


def test_the_blocks_stand_in_the_order_of_the_paper(x):
    layer = build("paper", dim=96, n_heads=4)
    first_filter, denoise = parts(layer)
    assert layer.second_filter is not None
    expected = layer.filter_norm(first_filter(x))
    attended = expected + denoise.attention(denoise.attention_norm(expected))
    expected = attended + denoise.feed_forward(denoise.feed_forward_norm(attended))
    expected = layer.output_norm(layer.second_filter(layer.denoise_norm(expected)))
    torch.testing.assert_close(layer(x).features, expected)
    per_frame = layer.bias_head(expected)  # a convolution of width 1, then pooling
    torch.testing.assert_close(layer(x).bias_logits, per_frame.mean(dim=1))
    norms = (layer.filter_norm, layer.denoise_norm, layer.output_norm, denoise.attention_norm)
    assert {type(norm) for norm in norms} == {nn.LayerNorm}


def test_ablations_leave_parts_out(x):
    only_filter = AddLayer(PRESETS["paper"].model_copy(update={"use_attention": False, "second_filter": "none"}), 96, 4)
    assert only_filter.filter is not None
    torch.testing.assert_close(only_filter(x).features, nn.LayerNorm(96)(only_filter.filter(x)))
    settings = AddSettings(use_filter=False, zero_init=False, second_filter="shared", n_heads=4)
    only_attention = AddLayer(settings, 96, 4)
    assert only_attention.denoise is not None
    torch.testing.assert_close(only_attention(x).features, only_attention.denoise(x))
    assert not [name for name, _ in only_attention.named_parameters() if "filter" in name]
    neither = AddLayer(AddSettings(use_filter=False, use_attention=False), 96, 4)
    assert torch.equal(neither(x).features, x)


def test_attention_maps_are_those_of_the_filtered_frames(x):
    layer = build("fixed", dim=96, n_heads=4)
    first_filter, denoise = parts(layer)
    normed = denoise.attention_norm(first_filter(x))
    torch.testing.assert_close(layer.attention_maps(x), denoise.attention.attention_maps(normed))
    with pytest.raises(WrongUsageError, match="use_attention=true"):
        AddLayer(AddSettings(use_attention=False), 96, 4).attention_maps(x)


def test_loss_weights():
    assert AddSettings(loss_beta=None).loss_weights == (1.0, 1.0)
    assert AddSettings(loss_beta=0.3).loss_weights == pytest.approx((0.7, 0.3))
    loss = AddSettings(smoothing="released", epsilon=0.1).bias_denoising_loss("none")
    assert (loss.smoothing, loss.epsilon, loss.reduction) == ("released", 0.1, "none")


def test_settings_refuse_what_they_do_not_know():
    with pytest.raises(ValidationError, match="second_filters"):
        AddSettings.model_validate({"second_filters": "own"})
    with pytest.raises(ValidationError, match="own"):
        AddSettings.model_validate({"second_filter": "two"})


def test_resizing_interpolates_between_pixel_centres(generator):
    log_mel = torch.randn(1, 798, 128, generator=generator, dtype=torch.float64)
    resized = resize_log_mel(log_mel, 1024, 256)
    assert resized.shape == (1, 1024, 256)
    for frame, column in ((0, 0), (500, 77), (1023, 255), (313, 128)):
        time, mel = (frame + 0.5) * 798 / 1024 - 0.5, (column + 0.5) * 128 / 256 - 0.5
        expected = sum(
            max(0, 1 - abs(time - i)) * max(0, 1 - abs(mel - j)) * log_mel[0, min(max(i, 0), 797), min(max(j, 0), 127)]
            for i in (int(time // 1), int(time // 1) + 1)
            for j in (int(mel // 1), int(mel // 1) + 1)
        )
        torch.testing.assert_close(resized[0, frame, column], expected, atol=1e-6, rtol=1e-6)
