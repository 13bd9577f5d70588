"""Stethoscope-guided contrast against loops over two views, and the sign of what the backbone learns."""

import math

import pytest
import torch

from add4rsc.backbones import backbones
from add4rsc.methods import recipes
from add4rsc.methods._base import Batch
from add4rsc.methods.sg_scl import StethoscopeGuidedContrast

CODES = [0, 0, 1, -1, 1]


def build(**options) -> StethoscopeGuidedContrast:
    torch.manual_seed(0)
    backbone = backbones.get("small_cnn")()
    return StethoscopeGuidedContrast.create(backbone, 64, 4, StethoscopeGuidedContrast.Options(**options)).eval()


@pytest.fixture
def batch(generator) -> Batch:
    log_mel, second = torch.randn(2, 5, 48, 64, generator=generator)
    groups = {"stethoscope": torch.tensor(CODES)}
    return Batch(log_mel, torch.tensor([0, 1, 2, 3, 0]), second=second, groups=groups, progress=0.1)


def in_loops(views: torch.Tensor, temperature: float) -> list[torch.Tensor]:
    """What each cycle has: the mean over its two views."""
    directions = [view / view.norm() for view in views]
    codes = CODES * 2
    values = []
    for i in range(10):
        others = [j for j in range(10) if j != i and codes[j] >= 0]
        alike = [j for j in others if codes[j] == codes[i]]
        if codes[i] < 0:
            values.append(torch.tensor(0.0))
            continue
        total = sum(torch.exp(directions[i] @ directions[j] / temperature) for j in others)
        terms = [directions[i] @ directions[j] / temperature - torch.log(total) for j in alike]
        values.append(-sum(terms) / len(alike))
    return [(values[i] + values[i + 5]) / 2 for i in range(5)]


def test_contrast_is_the_formula(batch) -> None:
    method = build(temperature=0.3, contrast=2.0)
    found = method.losses(batch, torch.Generator())["contrast"]
    with torch.no_grad():
        views = method.projector(method.backbone(torch.cat([batch.log_mel, batch.second])))
    expected = torch.stack(in_loops(views, 0.3))
    torch.testing.assert_close(found.detach(), 2 * expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("second_learns", [False, True])
@pytest.mark.parametrize("reversal", [False, True])
def test_backbone_learns_from_the_first_view_with_the_sign_of_the_form(batch, reversal, second_learns) -> None:
    method = build(reversal=reversal, second_view_learns=second_learns, temperature=0.3)
    method.losses(batch, torch.Generator())["contrast"].sum().backward()
    found = {name: weight.grad.clone() for name, weight in method.named_parameters() if weight.grad is not None}
    method.zero_grad()
    first, second = (method.projector(method.backbone(view)) for view in (batch.log_mel, batch.second))
    views = torch.cat([first, second if second_learns else second.detach()])
    sum(in_loops(views, 0.3)).backward()
    factor = -math.tanh(0.5) if reversal else 1.0
    for name, weight in method.named_parameters():
        if name.startswith(("backbone", "projector")):
            expected = weight.grad * (factor if name.startswith("backbone") else 1.0)
            torch.testing.assert_close(found[name], expected, rtol=1e-3, atol=1e-5)


def test_a_cycle_alone_has_no_contrast(batch) -> None:
    method = build().train()
    alone = Batch(batch.log_mel[:1], batch.labels[:1], groups={"stethoscope": torch.tensor([1])})
    assert method.losses(alone, torch.Generator())["contrast"].tolist() == [0.0]


def test_recipes_have_two_views_and_differ_in_the_reversal() -> None:
    mended, released = (recipes.get(f"sg_scl/{name}")() for name in ("ast", "ast-as-released"))
    assert mended.views == released.views == 2
    read = StethoscopeGuidedContrast.Options.model_validate
    assert (read(mended.options).reversal, read(released.options).reversal) == (True, False)
