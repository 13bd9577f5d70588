"""Co-tuning against sums that are written out, and against an optimiser that knows nothing of scikit-learn."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from add4rsc.backbones import backbones
from add4rsc.backbones.mobilenet import MobileNet
from add4rsc.backbones.resnet import ResNet18
from add4rsc.errors import RecipeError
from add4rsc.methods._base import Batch, TrainingCycles
from add4rsc.methods.co_tuning import CoTuning, direct_relationship, draw_held_out, inverted_relationship

SOURCE = np.array([[0.7, 0.2, 0.1], [0.5, 0.5, 0.0], [0.1, 0.1, 0.8]])


def test_direct_estimate_worked_by_hand():
    found = direct_relationship(SOURCE, np.array([0, 0, 2]), 3)
    np.testing.assert_allclose(found, [[0.6, 0.35, 0.05], [1.3 / 3, 0.8 / 3, 0.9 / 3], [0.1, 0.1, 0.8]])


def made_source(n_classes: int, n_source: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that depend on the class, with noise."""
    generator = np.random.default_rng(0)
    labels = np.arange(90) % n_classes
    logits = generator.normal(size=(n_classes, n_source))[labels] + generator.normal(size=(90, n_source))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), labels


def by_hand(source: np.ndarray, labels: np.ndarray, held_out: np.ndarray, strength: float) -> np.ndarray:
    """Bayes' rule with loops; the map by a general optimiser, its temperature by looking at many."""
    n_classes, n_source = int(labels.max()) + 1, source.shape[1]

    def log_loss(weights: np.ndarray, rows: np.ndarray, temperature: float) -> float:
        total = 0.0
        for x, y in zip(source[rows], labels[rows], strict=True):
            z = weights @ x / temperature
            total += math.log(sum(math.exp(each) for each in z)) - z[y]
        return total

    def objective(flat: np.ndarray) -> float:
        return log_loss(flat.reshape(n_classes, n_source), ~held_out, 1.0) + 0.5 / strength * float(flat @ flat)

    weights = minimize(objective, np.zeros(n_classes * n_source), tol=1e-9).x.reshape(n_classes, n_source)
    temperatures = np.exp(np.linspace(-3, 3, 1201))
    temperature = min(temperatures, key=lambda each: log_loss(weights, held_out, each))
    joint = np.zeros((n_classes, n_source))
    for s in range(n_source):
        powers = [math.exp(weights[t, s] / temperature) for t in range(n_classes)]
        for t in range(n_classes):
            joint[t, s] = powers[t] / sum(powers) * sum(row[s] for row in source) / len(source)
    return np.array([[joint[t, s] / sum(joint[t]) for s in range(n_source)] for t in range(n_classes)])


def test_inverted_estimate_is_bayes_rule_on_a_calibrated_map():
    source, labels = made_source(3)
    held_out = np.arange(90) % 4 == 1
    found = inverted_relationship(source, labels, 3, held_out, 10.0)
    np.testing.assert_allclose(found, by_hand(source, labels, held_out, 10.0), atol=2e-3)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert np.abs(found - source.mean(axis=0)).max() > 0.05


def test_inverted_estimate_of_two_classes():
    """scikit-learn has one row w for two classes; two rows of w / 2 and -w / 2 have half its L2 term."""
    source, labels = made_source(2)
    held_out = np.arange(90) % 4 == 1
    found = inverted_relationship(source, labels, 2, held_out, 10.0)
    np.testing.assert_allclose(found, by_hand(source, labels, held_out, 5.0), atol=2e-3)


def test_class_that_cannot_be_fitted_has_the_prior():
    source, labels = made_source(3)
    held_out = (np.arange(90) % 4 == 1) | (labels == 1)
    found = inverted_relationship(source, labels, 4, held_out, 10.0)
    for missing in (1, 3):
        np.testing.assert_allclose(found[missing], source.mean(axis=0))
    assert np.abs(found[0] - found[2]).max() > 0.05
    alone = inverted_relationship(source, labels, 3, labels != 2, 10.0)
    np.testing.assert_allclose(alone, np.tile(source.mean(axis=0), (3, 1)))


def test_held_out_patients_are_whole():
    patients = torch.arange(200) // 8
    patients[::5] = -1
    held_out = draw_held_out(patients, 0.2, torch.Generator().manual_seed(0))
    known = patients >= 0
    shares = [held_out[patients == code].double().mean().item() for code in patients[known].unique()]
    assert set(shares) == {0.0, 1.0}
    assert held_out.double().mean().item() == pytest.approx(0.2, abs=0.05)
    assert 0 < held_out[~known].sum() < (~known).sum()
    assert not torch.equal(held_out, draw_held_out(patients, 0.2, torch.Generator().manual_seed(1)))


def method_on_small_cnn(**options) -> CoTuning:
    options = CoTuning.Options(n_source_classes=3, **options)
    return CoTuning.create(backbones.get("small_cnn")(), 64, 2, options)


def test_loss_worked_by_hand():
    """Heads without weights say what their biases say of every cycle."""
    method = method_on_small_cnn(source_weight=0.3)
    with torch.no_grad():
        for head, logits in ((method.head[1], [0.0, math.log(3)]), (method.source_head, [0.0, 0.0, math.log(2)])):
            head.weight.zero_()
            head.bias.copy_(torch.tensor(logits))
        method.relationship.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.25, 0.25, 0.5]]))
    losses = method.losses(Batch(torch.randn(2, 60, 64), torch.tensor([0, 1])), torch.Generator())
    assert losses["classification"].tolist() == pytest.approx([math.log(4), math.log(4 / 3)])
    expected = [math.log(4), 0.5 * math.log(4) + 0.5 * math.log(2)]  # softmax (1/4, 1/4, 1/2)
    assert losses["source"].tolist() == pytest.approx([0.3 * each for each in expected])


@pytest.mark.parametrize("relationship", ["direct", "inverted"])
def test_preparation_looks_at_every_cycle_once_as_pretrained(relationship, generator):
    method = method_on_small_cnn(relationship=relationship).train()
    with torch.no_grad():
        method.source_head.weight.mul_(20)
    log_mel, labels, seen = torch.randn(130, 40, 64, generator=generator), torch.arange(130) % 2, []

    def load(indices):
        seen.extend(indices)
        return log_mel[list(indices)]

    assert torch.allclose(method.relationship, torch.full((2, 3), 1 / 3))
    before = {name: value.clone() for name, value in method.state_dict().items()}
    groups = {"patient": torch.arange(130) // 3}
    method.prepare(TrainingCycles(labels, groups, load), torch.Generator().manual_seed(0))
    assert seen == list(range(130))
    assert method.training
    changed = [name for name, value in method.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["relationship"]
    with torch.no_grad():
        source = method.eval().source_head(method.backbone(log_mel)).softmax(dim=1).double().numpy()
    if relationship == "direct":
        expected = direct_relationship(source, labels.numpy(), 2)
    else:
        held_out = draw_held_out(groups["patient"], 0.2, torch.Generator().manual_seed(0)).numpy()
        expected = inverted_relationship(source, labels.numpy(), 2, held_out, 10.0)
    np.testing.assert_allclose(method.relationship.numpy(), expected, atol=1e-3)


def test_preparation_without_groups(generator):
    method = method_on_small_cnn(relationship="inverted")
    log_mel = torch.randn(20, 40, 64, generator=generator)
    cycles = TrainingCycles(torch.arange(20) % 2, {}, lambda indices: log_mel[list(indices)])
    method.prepare(cycles, torch.Generator().manual_seed(0))
    assert torch.allclose(method.relationship.sum(dim=1), torch.ones(2))


@pytest.mark.parametrize(("kind", "n_source"), [(MobileNet, 527), (ResNet18, 1000)])
def test_classifier_of_the_backbone_becomes_the_source_head(kind, n_source, generator):
    backbone = kind(**kind.tiny, source_head=True)
    head = backbone.source_head
    method = CoTuning.create(backbone, 128, 4, CoTuning.Options())
    assert method.source_head is head
    assert backbone.source_head is None
    assert method.relationship.shape == (4, n_source)
    assert sum(value.shape == (n_source, backbone.n_features) for value in method.state_dict().values()) == 1
    with pytest.raises(RecipeError, match=r"backbone_options.source_head=true"):
        CoTuning.create(kind(**kind.tiny), 128, 4, CoTuning.Options())
