"""Domain adversarial training: who learns what from the stethoscopes."""

import pytest
import torch

from add4rsc.backbones import backbones
from add4rsc.methods import recipes
from add4rsc.methods._base import Batch
from add4rsc.methods.dat import DomainAdversarialTraining


def build(**options) -> DomainAdversarialTraining:
    torch.manual_seed(0)
    backbone = backbones.get("small_cnn")()
    return DomainAdversarialTraining.create(backbone, 64, 4, DomainAdversarialTraining.Options(**options)).eval()


def batch(generator: torch.Generator, progress: float, codes: list[int]) -> Batch:
    log_mel = torch.randn(4, 48, 64, generator=generator)
    return Batch(log_mel, torch.tensor([0, 1, 2, 3]), groups={"stethoscope": torch.tensor(codes)}, progress=progress)


def gradients(method: DomainAdversarialTraining, given: Batch) -> dict[str, torch.Tensor]:
    method.zero_grad()
    method.losses(given, torch.Generator())["domain"].sum().backward()
    return {name: weight.grad.clone() for name, weight in method.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize(("strength", "progress", "factor"), [("schedule", 0.1, 0.4621172), ("full", 0.0, 1.0)])
def test_backbone_climbs_where_the_stethoscopes_layer_descends(strength, progress, factor, generator) -> None:
    method, given = build(strength=strength, domain=0.7), batch(generator, progress, [0, 1, 2, -1])
    found = gradients(method, given)
    features = method.backbone(given.log_mel)
    logits = method.stethoscope_head(features).log_softmax(dim=1)
    method.zero_grad()
    (-0.7 * (logits[0, 0] + logits[1, 1] + logits[2, 2])).backward()
    for name, weight in method.named_parameters():
        if name.startswith("backbone"):
            torch.testing.assert_close(found[name], -factor * weight.grad, rtol=1e-4, atol=1e-6)
        elif name.startswith("stethoscope_head"):
            torch.testing.assert_close(found[name], weight.grad, rtol=1e-4, atol=1e-6)


def test_unknown_stethoscopes_take_no_part(generator) -> None:
    method = build()
    given = batch(generator, 0.5, [-1, 3, -1, -1])
    domain = method.losses(given, generator)["domain"]
    assert (domain == 0).tolist() == [True, False, True, True]
    without = Batch(given.log_mel, given.labels)
    assert not method.losses(without, generator)["domain"].any()


def test_recipes_differ_in_the_schedule() -> None:
    assert recipes.get("dat/ast")().options.get("strength") is None
    released = recipes.get("dat/ast-as-released")()
    assert released.options["strength"] == "full"
    assert released.averaging.kind == "half-step"
