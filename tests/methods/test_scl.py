"""Supervised contrastive learning against its formula in loops, and what reaches the trunk."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn

from add4rsc.audio.frontend import FrontEnd
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.engine.optimise import build_optimiser, set_learning_rate
from add4rsc.methods._base import Batch, TrainingCycles
from add4rsc.methods.scl import SupervisedContrastiveLearning, alike_codes, known_of, scale_frames
from add4rsc.recipe import Optimiser

Options = SupervisedContrastiveLearning.Options


class Mean(AbstractBackbone):
    """The mean of the frames, scaled by one weight a band."""

    def __init__(self, n_mels: int) -> None:
        super().__init__()
        self.n_features = n_mels
        self.gain = nn.Parameter(torch.ones(n_mels))

    @staticmethod
    def front_end() -> FrontEnd:
        return FrontEnd()

    def forward(self, log_mel: Tensor) -> Tensor:
        return log_mel.mean(dim=1) * self.gain


def build(**options) -> SupervisedContrastiveLearning:
    torch.manual_seed(0)
    return SupervisedContrastiveLearning.create(Mean(6), 6, 4, Options(**options))


@pytest.fixture
def batch(generator) -> Batch:
    return Batch(
        torch.randn(5, 7, 6, generator=generator),
        torch.tensor([0, 1, 1, 0, 2]),
        second=torch.randn(5, 7, 6, generator=generator),
        groups={"sex": torch.tensor([0, 0, 1, 0, -1]), "age_group": torch.tensor([1, 1, 1, 1, 1])},
    )


def expected_contrast(vectors: list[list[list[float]]], is_alike, temperature: float) -> list[float]:
    """L_i by METHODS A7, the mean of a cycle's two views; `vectors` by cycle and view."""
    items = [(cycle, view) for cycle in range(len(vectors)) for view in (0, 1)]

    def unit(item):
        vector = vectors[item[0]][item[1]]
        length = math.sqrt(sum(value**2 for value in vector))
        return [value / length for value in vector]

    def likeness(one, other):
        return math.exp(sum(a * b for a, b in zip(unit(one), unit(other), strict=True)) / temperature)

    losses = [0.0] * len(vectors)
    for i in items:
        others = [a for a in items if a != i]
        positives = [p for p in others if p[0] == i[0] or is_alike(i[0], p[0])]
        total = sum(likeness(i, a) for a in others)
        losses[i[0]] -= sum(math.log(likeness(i, p) / total) for p in positives) / len(positives) / 2
    return losses


@pytest.mark.parametrize("name", ["class", "sex", "age_group+sex"])
def test_contrast_is_the_formula(name, batch, generator):
    method = build(contrast={name: 0.3}, temperature=0.5)
    labels, sex = batch.labels.tolist(), batch.groups["sex"].tolist()

    def is_alike(one, other):
        known = sex[one] >= 0 and sex[one] == sex[other]
        return labels[one] == labels[other] if name == "class" else known

    terms = method.losses(batch, generator)
    views = [method.projectors[name](method.backbone(view)) for view in (batch.log_mel, batch.second)]
    vectors = torch.stack(views, dim=1).tolist()
    expected = [0.3 * value for value in expected_contrast(vectors, is_alike, 0.5)]
    assert terms[f"contrast_{name}"].tolist() == pytest.approx(expected, rel=1e-4)


def test_contrasts_add_up_with_their_weights(batch, generator):
    both = build(contrast={"class": 0.25, "sex": 2.0}).losses(batch, generator)
    assert set(both) == {"classification", "contrast_class", "contrast_sex"}
    unweighted = build(contrast={"class": 1.0, "sex": 1.0}).losses(batch, generator)
    assert torch.allclose(both["contrast_class"], 0.25 * unweighted["contrast_class"])
    assert torch.allclose(both["contrast_sex"], 2 * unweighted["contrast_sex"])


def test_the_probe_is_the_mean_over_both_views_and_weighed_by_class(batch, generator):
    method = build()
    labels = np.repeat([0, 1, 2], [6, 3, 1])
    method.prepare(TrainingCycles(torch.from_numpy(labels), {}, lambda _: torch.empty(0)), generator)
    weights = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert method.class_weights.tolist() == pytest.approx([*weights, 0.0])
    assert method.class_weights[labels].mean() == pytest.approx(1)
    term = method.losses(batch, generator)["classification"]
    for index, label in enumerate(batch.labels.tolist()):
        losses = [
            -method.head(method.backbone(view[index : index + 1])).log_softmax(dim=1)[0, label].item()
            for view in (batch.log_mel, batch.second)
        ]
        assert term[index].item() == pytest.approx(weights[label] * sum(losses) / 2, rel=1e-4)


@pytest.mark.parametrize("is_hybrid", [False, True])
def test_only_the_hybrid_lets_cross_entropy_reach_the_trunk(is_hybrid, batch, generator):
    method = build(is_hybrid=is_hybrid)
    method.losses(batch, generator)["classification"].sum().backward()
    assert method.head.weight.grad.any()
    assert (method.backbone.gain.grad is not None) == is_hybrid
    method.losses(batch, generator)["contrast_class"].sum().backward()
    assert method.backbone.gain.grad.any()


def test_the_probe_has_a_rate_of_its_own():
    optimiser = build_optimiser(build(probe_rate=1000.0), Optimiser(name="adam", learning_rate=1e-4))
    set_learning_rate(optimiser, 5e-5)
    rates = {id(weight): group["lr"] for group in optimiser.param_groups for weight in group["params"]}
    assert sorted(set(rates.values())) == pytest.approx([5e-5, 5e-2])
    assert sum(rate > 1e-2 for rate in rates.values()) == 2


def test_frames_are_scaled_cycle_by_cycle_or_all_together(generator):
    log_mel = torch.randn(3, 4, 6, generator=generator)
    alone, together = scale_frames(log_mel, "cycle"), scale_frames(log_mel, "batch")
    for index in range(3):
        values = log_mel[index].numpy()
        expected = (values - values.min()) / (values.max() - values.min())
        np.testing.assert_allclose(alone[index], expected, atol=1e-6)
    values = log_mel.numpy()
    np.testing.assert_allclose(together, (values - values.min()) / (values.max() - values.min()), atol=1e-6)
    assert torch.equal(scale_frames(log_mel, "none"), log_mel)
    assert scale_frames(torch.ones(1, 4, 5), "cycle").isfinite().all()
    method, plain = build(scaling="cycle", mean=0.4, deviation=0.2), build()
    assert torch.allclose(method(log_mel), plain((alone - 0.4) / 0.2), atol=1e-6)


def test_unknown_groups_are_like_no_other_cycle(batch):
    codes = alike_codes(known_of("age_group+sex", batch)).tolist()
    assert codes[0] == codes[1] == codes[3]
    assert len(set(codes)) == 3
    assert len(set(alike_codes(known_of("patient", batch)).tolist())) == 5
    assert alike_codes(known_of("class", batch)).tolist() == batch.labels.tolist()


@pytest.mark.parametrize("contrast", [{"colour": 1.0}, {"class+colour": 1.0}, {"class": 0.0}, {}])
def test_contrasts_have_known_names_and_weights(contrast):
    with pytest.raises(ValidationError):
        Options(contrast=contrast)


def test_works_on_any_backbone_without_a_second_view(generator):
    method = SupervisedContrastiveLearning.create(backbones.get("small_cnn")(), 64, 4, Options())
    losses = method.losses(Batch(torch.randn(3, 32, 64, generator=generator), torch.tensor([0, 1, 1])), generator)
    assert all(term.isfinite().all() for term in losses.values())
