import pytest
import torch

from add4rsc.add.layer import AddLayer, AddSettings
from add4rsc.add.presets import DEPARTURES, PRESETS, build, convert_state
from add4rsc.errors import CheckpointError, UnknownNameError, WrongUsageError

RELEASES = [("released-2025-08", "", "aff"), ("released-2025-02", "_old", "fft_filter")]


@pytest.fixture
def released_state(golden_case) -> dict[str, torch.Tensor]:
    return golden_case("add_layer_state")


def named_as(state: dict[str, torch.Tensor], filter_name: str) -> dict[str, torch.Tensor]:
    return {key.replace("aff.", f"{filter_name}."): tensor for key, tensor in state.items()}


def loaded(state: dict[str, torch.Tensor], preset: str, filter_name: str) -> AddLayer:
    layer = build(preset)
    layer.load_state_dict(convert_state(named_as(state, filter_name), preset))
    return layer


@pytest.mark.parametrize(("dtype", "tag", "tolerance"), [(torch.float32, "fp32", 3e-6), (torch.float64, "fp64", 1e-11)])
@pytest.mark.parametrize(("preset", "era", "filter_name"), RELEASES)
def test_layers_equal_the_released_code(golden_case, released_state, preset, era, filter_name, dtype, tag, tolerance):
    case = golden_case("add_layer_n64")
    layer = loaded(released_state, preset, filter_name).to(dtype)
    x = case["x"].to(dtype).requires_grad_()
    features, bias_logits = layer(x)
    ((features * case["cot_z"]).sum() + (bias_logits * case["cot_s"]).sum()).backward()
    torch.testing.assert_close(features, case[f"z{era}_{tag}"], atol=tolerance, rtol=1e-6)
    torch.testing.assert_close(bias_logits, case[f"s{era}_{tag}"], atol=tolerance, rtol=1e-6)
    torch.testing.assert_close(x.grad, case[f"grad_x{era}_{tag}"], atol=2 * tolerance, rtol=1e-6)


@pytest.mark.parametrize(("preset", "era", "filter_name"), RELEASES)
def test_gradients_equal_those_of_the_released_code(golden_case, released_state, preset, era, filter_name):
    case = golden_case("add_layer_n64")
    layer = loaded(released_state, preset, filter_name).double()
    features, bias_logits = layer(case["x"].double())
    ((features * case["cot_z"]).sum() + (bias_logits * case["cot_s"]).sum()).backward()
    markers = {key: torch.full_like(value, 0) for key, value in named_as(released_state, filter_name).items()}
    ours = {name: parameter.grad for name, parameter in layer.named_parameters() if parameter.grad is not None}
    n_compared = 0
    for key, marker in markers.items():  # which of our gradients belongs to a key, read off from convert_state itself
        marked = convert_state(markers | {key: torch.ones_like(marker)}, preset)
        name, mask = next((name, tensor) for name, tensor in marked.items() if tensor.any())
        gradient = ours[name][mask.bool()].reshape(marker.shape)
        norm = case[f"gradnorm{era}_fp64.{key}"]
        torch.testing.assert_close(gradient.norm(), norm, atol=0, rtol=1e-9)
        if f"grad{era}_fp64.{key}" in case:
            torch.testing.assert_close(gradient, case[f"grad{era}_fp64.{key}"], atol=1e-10, rtol=1e-8)
            n_compared += 1
    assert n_compared >= 14


@pytest.mark.parametrize(("preset", "era", "filter_name"), RELEASES)
def test_released_layers_have_as_many_parameters(preset, era, filter_name):
    assert sum(parameter.numel() for parameter in build(preset).parameters()) == 955_204


@pytest.mark.parametrize(("preset", "era", "filter_name"), RELEASES)
def test_our_initialisation_is_the_released_one(released_state, preset, era, filter_name):
    ours = build(preset).state_dict()
    for name, released in convert_state(named_as(released_state, filter_name), preset).items():
        assert ours[name].shape == released.shape
        if released.numel() > 500:  # uniform: the largest tells the bound
            assert ours[name].abs().max().item() == pytest.approx(released.abs().max().item(), rel=0.03)


def test_conversion_takes_the_prefix_of_parallel_training_off(released_state):
    prefixed = {f"module.{key}": tensor for key, tensor in released_state.items()}
    assert convert_state(prefixed, "released-2025-08").keys() == build("released-2025-08").state_dict().keys()


def test_conversion_lists_missing_and_unknown_keys(released_state):
    with pytest.raises(CheckpointError, match=r"missing keys \['fft_filter.b1'.*unknown keys \['aff.b1'"):
        convert_state(released_state, "released-2025-02")
    released_state.pop("ff.W1.bias")
    with pytest.raises(CheckpointError, match=r"missing keys \['ff.W1.bias'\], unknown keys \['head'\]"):
        convert_state(released_state | {"head": torch.zeros(1)}, "released-2025-08")


@pytest.mark.parametrize("preset", ["paper", "fixed"])
def test_nothing_was_released_in_the_other_forms(preset):
    with pytest.raises(WrongUsageError, match="released-2025-02 or released-2025-08"):
        convert_state({}, preset)


def test_unknown_presets_are_errors():
    with pytest.raises(UnknownNameError, match="Did you mean 'released-2025-08'"):
        build("released-2025-8")
    with pytest.raises(UnknownNameError, match="papr"):
        convert_state({}, "papr")


def test_every_departure_of_the_fixed_form_is_named():
    paper, fixed = PRESETS["paper"].model_dump(), PRESETS["fixed"].model_dump()
    assert {key for key in paper if paper[key] != fixed[key]} == DEPARTURES.keys()
    assert all(len(reason) > 40 for reason in DEPARTURES.values())


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_valid_and_survive_a_file(preset):
    assert AddSettings.model_validate_json(PRESETS[preset].model_dump_json()) == PRESETS[preset]
