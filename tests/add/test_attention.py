import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from add4rsc.add.attention import DifferentialAttention, initial_lambda
from add4rsc.errors import RecipeError

RELEASED_NAMES = {
    "W_q.weight": "to_query.weight",
    "W_k.weight": "to_key.weight",
    "W_v.weight": "to_value.weight",
    "W_o.weight": "to_output.weight",
    "rms_scale": "head_norm.weight",
}


@pytest.mark.parametrize(("dtype", "tag", "tolerance"), [(torch.float32, "fp32", 2e-6), (torch.float64, "fp64", 1e-12)])
def test_equals_the_released_code(golden_case, dtype, tag, tolerance):
    case = golden_case("mhda_d64_h4_n128")
    attention = DifferentialAttention(64, n_heads=4, depth=6).to(dtype)
    state = {name: case[f"sd.{key}"] for key, name in RELEASED_NAMES.items()}
    for side, name in (("q", "lambda_query"), ("k", "lambda_key")):
        state[name] = torch.stack([case[f"sd.lambda_{side}1"], case[f"sd.lambda_{side}2"]])
    attention.load_state_dict(state)
    x = case["x"].to(dtype).requires_grad_()
    output = attention(x)
    output.backward(case["cot"].to(dtype))
    torch.testing.assert_close(output, case[f"out_{tag}"], atol=tolerance, rtol=1e-6)
    torch.testing.assert_close(x.grad, case[f"grad_x_{tag}"], atol=5 * tolerance, rtol=1e-6)
    ours = {name: parameter.grad for name, parameter in attention.named_parameters() if parameter.grad is not None}
    gradients = {key: ours[name] for key, name in RELEASED_NAMES.items()}
    gradients |= dict(zip(("lambda_q1", "lambda_q2"), ours["lambda_query"], strict=True))
    gradients |= dict(zip(("lambda_k1", "lambda_k2"), ours["lambda_key"], strict=True))
    for key, gradient in gradients.items():
        expected = case[f"grad_{tag}.{key}"]
        atol = 5 * tolerance * max(1.0, expected.abs().max().item())
        torch.testing.assert_close(gradient, expected, atol=atol, rtol=1e-6)


@pytest.mark.parametrize(("dim", "n_heads", "n_frames"), [(96, 4, 37), (30, 4, 11), (8, 8, 5)])
def test_forward_is_held_to_the_maps(dim, n_heads, n_frames, generator):
    attention = DifferentialAttention(dim, n_heads, depth=2).double()
    x = torch.randn(2, n_frames, dim, generator=generator, dtype=torch.float64)
    maps = attention.attention_maps(x)
    assert maps.shape == (2, 2, n_heads, n_frames, n_frames)
    assert torch.allclose(maps.sum(dim=-1), torch.ones(()).double())
    width = 2 * (dim // n_heads)
    heads = []
    for head in range(n_heads):
        query, key = attention.lambda_query[:, head], attention.lambda_key[:, head]
        weight = torch.exp(query[0] @ key[0]) - torch.exp(query[1] @ key[1]) + initial_lambda(2)
        value = attention.to_value(x)[..., head * width : (head + 1) * width]
        mixed = (maps[:, 0, head] - weight * maps[:, 1, head]) @ value
        normed = mixed / (mixed.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()
        heads.append((1 - initial_lambda(2)) * normed)
    torch.testing.assert_close(attention(x), attention.to_output(torch.cat(heads, dim=-1)))


def test_a_kernel_that_stores_no_map_is_enough(generator):
    attention = DifferentialAttention(96, n_heads=4)
    x = torch.randn(1, 37, 96, generator=generator)
    expected = attention(x)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # raises if the fused kernel does not take these shapes
        torch.testing.assert_close(attention(x), expected)


def test_initial_lambda():
    assert initial_lambda(0) == pytest.approx(0.2)
    assert DifferentialAttention(16, 2, depth=6).lambda_start == pytest.approx(0.7008206670670482)


def test_more_heads_than_columns_is_an_error():
    with pytest.raises(RecipeError, match="Set n_heads to at most 4"):
        DifferentialAttention(4, n_heads=8)
