"""Where patients lie, against loops in numpy."""

import numpy as np
import pytest
import torch

from add4rsc.backbones import backbones
from add4rsc.methods._base import Batch
from add4rsc.methods.pafa import PatientAwareFeatureAlignment, align_patients


def in_loops(features: np.ndarray, patients: list[int]) -> tuple[float, float]:
    centres = {}
    for name in sorted({each for each in patients if each >= 0}):
        centres[name] = np.mean([feature for feature, each in zip(features, patients, strict=True) if each == name], 0)
    within = sum(
        np.sum((feature - centres[each]) ** 2) for feature, each in zip(features, patients, strict=True) if each >= 0
    )
    names = list(centres)
    between = sum(
        np.linalg.norm(centres[one] - centres[other]) ** 2
        for number, one in enumerate(names)
        for other in names[number + 1 :]
    )
    middle = np.mean([centres[name] for name in names], axis=0)
    alignment = np.mean([np.sum((centres[name] - middle) ** 2) for name in names])
    return within / (between + 1e-6), alignment


@pytest.mark.parametrize("patients", [[4, 9], [0, 0, 1, 1, 1], [5, -1, 5, 2, 8, 2, -1, 8], [3, 3, 3, 3, 0]])
def test_losses_are_those_of_loops(patients, generator) -> None:
    features = torch.randn(len(patients), 6, generator=generator)
    found = align_patients(features, torch.tensor(patients))
    expected = in_loops(features.double().numpy(), patients)
    assert [found.cohesion.item(), found.alignment.item()] == pytest.approx(expected, rel=1e-4)


def test_neither_loss_sees_where_all_of_them_lie(generator) -> None:
    features, patients = torch.randn(6, 3, generator=generator), torch.tensor([0, 0, 1, 1, 2, 2])
    one, other = align_patients(features, patients), align_patients(features + 5, patients)
    torch.testing.assert_close(torch.stack(one), torch.stack(other), rtol=1e-4, atol=1e-5)
    nearer = align_patients(0.5 * features, patients)
    assert nearer.cohesion.item() == pytest.approx(one.cohesion.item(), rel=1e-4)
    assert nearer.alignment.item() == pytest.approx(0.25 * one.alignment.item(), rel=1e-4)


@pytest.mark.parametrize("patients", [[], [1, 1, 1], [-1, -1, -1], [-1, 2, -1]])
def test_one_patient_has_nothing_to_be_compared_with(patients, generator) -> None:
    features = torch.randn(len(patients), 6, generator=generator, requires_grad=True)
    found = align_patients(features, torch.tensor(patients, dtype=torch.long))
    (found.cohesion + found.alignment).backward()
    assert (found.cohesion.item(), found.alignment.item()) == (0.0, 0.0)
    assert not features.grad.any()


def test_terms_of_a_batch_have_the_weights_of_the_options(generator) -> None:
    torch.manual_seed(0)
    options = PatientAwareFeatureAlignment.Options(cohesion=3.0, alignment=0.5)
    method = PatientAwareFeatureAlignment.create(backbones.get("small_cnn")(), 64, 4, options).eval()
    patients = [0, 1, 0, 1]
    batch = Batch(
        torch.randn(4, 48, 64, generator=generator), torch.arange(4), groups={"patient": torch.tensor(patients)}
    )
    losses = method.losses(batch, generator)
    with torch.no_grad():
        projected = method.projector(method.backbone(batch.log_mel)).double().numpy()
    cohesion, alignment = in_loops(projected, patients)
    assert losses["cohesion"].tolist() == pytest.approx([3 * cohesion] * 4, rel=1e-4)
    assert losses["alignment"].tolist() == pytest.approx([0.5 * alignment] * 4, rel=1e-4)
