import pytest
import torch
from torch import nn

from add4rsc.add.feed_forward import SwiGLU

TOLERANCES = [(torch.float32, "fp32", 1e-6), (torch.float64, "fp64", 1e-12)]


def check_case(module: nn.Module, case: dict[str, torch.Tensor], tag: str, tolerance: float, names: dict[str, str]):
    dtype = torch.float32 if tag == "fp32" else torch.float64
    module.load_state_dict({name: case[f"sd.{key}"] for key, name in names.items()})
    x = case["x"].to(dtype).requires_grad_()
    output = module.to(dtype)(x)
    output.backward(case["cot"].to(dtype))
    torch.testing.assert_close(output, case[f"out_{tag}"], atol=tolerance, rtol=1e-6)
    torch.testing.assert_close(x.grad, case[f"grad_x_{tag}"], atol=tolerance, rtol=1e-6)
    for key, name in names.items():
        expected = case[f"grad_{tag}.{key}"]
        atol = tolerance * max(1.0, expected.abs().max().item())
        torch.testing.assert_close(module.get_parameter(name).grad, expected, atol=atol, rtol=1e-5)


@pytest.mark.parametrize(("dtype", "tag", "tolerance"), TOLERANCES)
def test_swiglu_equals_the_released_code(golden_case, dtype, tag, tolerance):
    layers = {"WG": "gate", "W1": "value", "W2": "output"}
    names = {f"{key}.{part}": f"{name}.{part}" for key, name in layers.items() for part in ("weight", "bias")}
    check_case(SwiGLU(64), golden_case("swiglu_d64"), tag, tolerance, names)


@pytest.mark.parametrize(("dtype", "tag", "tolerance"), TOLERANCES)
def test_the_root_mean_square_norm_of_torch_is_the_released_one(golden_case, dtype, tag, tolerance):
    check_case(nn.RMSNorm(64, eps=1e-5), golden_case("rmsnorm_d64"), tag, tolerance, {"scale": "weight"})
