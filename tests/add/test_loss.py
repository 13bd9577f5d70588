import math

import pytest
import torch
from torch.nn import functional

from add4rsc.add.loss import BiasDenoisingLoss


@pytest.mark.parametrize("case_number", [0, 1, 2])
@pytest.mark.parametrize(("dtype", "suffix", "tolerance"), [(torch.float32, "", 1e-6), (torch.float64, "_fp64", 1e-12)])
def test_released_form_equals_the_released_code(golden_case, case_number, dtype, suffix, tolerance):
    case = golden_case("label_smoothing")
    bias_logits = case[f"logits{case_number}"].to(dtype).requires_grad_()
    loss = BiasDenoisingLoss("released", ignore_index=5)(bias_logits, case[f"target{case_number}"])
    loss.backward()
    torch.testing.assert_close(loss, case[f"loss{case_number}{suffix}"][0], atol=tolerance, rtol=1e-6)
    torch.testing.assert_close(bias_logits.grad, case[f"grad{case_number}{suffix}"], atol=tolerance, rtol=1e-6)


@pytest.mark.parametrize(("n_classes", "epsilon"), [(2, 0.2), (4, 0.2), (7, 0.05), (4, 0.0)])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_paper_form_is_torchs_label_smoothing(n_classes, epsilon, reduction, generator):
    bias_logits = torch.randn(6, n_classes, generator=generator)
    labels = torch.tensor([0, 1, 1, -100, 0, 1])
    loss = BiasDenoisingLoss("paper", epsilon, reduction=reduction)(bias_logits, labels)
    expected = functional.cross_entropy(bias_logits, labels, label_smoothing=epsilon, reduction=reduction)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("n_classes", [2, 4, 7])
def test_released_form_is_a_divergence(n_classes, generator):
    loss = BiasDenoisingLoss("released", reduction="none")
    bias_logits, labels = torch.randn(3, n_classes, generator=generator), torch.tensor([0, 1, 1])
    target = torch.full((3, n_classes), 0.2 / (n_classes - 1))
    target[torch.arange(3), labels] = 0.8
    expected = functional.kl_div(bias_logits.log_softmax(-1), target, reduction="none").sum(-1)
    torch.testing.assert_close(loss(bias_logits, labels), expected)
    assert torch.allclose(loss(target.log(), labels), torch.zeros(3), atol=1e-6)


def test_targets_are_those_of_paper_and_code():
    labels = torch.tensor([2])
    assert BiasDenoisingLoss("paper").smoothed(labels, 4)[0].tolist() == pytest.approx([0.05, 0.05, 0.85, 0.05])
    assert BiasDenoisingLoss("released").smoothed(labels, 4)[0].tolist() == pytest.approx(
        [0.2 / 3, 0.2 / 3, 0.8, 0.2 / 3]
    )


def test_a_released_loss_without_smoothing_is_the_cross_entropy():
    loss = BiasDenoisingLoss("released", epsilon=0.0)(torch.zeros(2, 4), torch.tensor([0, 3]))
    assert loss.item() == pytest.approx(math.log(4))


def test_a_batch_of_ignored_cycles_has_no_loss():
    bias_logits = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = BiasDenoisingLoss()(bias_logits, torch.tensor([-100, -100]))
    loss.backward()
    assert loss.item() == 0
    assert bias_logits.grad is not None
    assert not bias_logits.grad.any()


@pytest.mark.parametrize("smoothing", ["paper", "released"])
def test_a_mean_counts_only_the_cycles_that_it_sums(smoothing, generator):
    bias_logits, labels = torch.randn(3, 4, generator=generator), torch.tensor([-100, 2, -100])
    terms = BiasDenoisingLoss(smoothing, reduction="none")(bias_logits, labels)
    assert terms[[0, 2]].tolist() == [0, 0]
    torch.testing.assert_close(BiasDenoisingLoss(smoothing)(bias_logits, labels), terms[1])
