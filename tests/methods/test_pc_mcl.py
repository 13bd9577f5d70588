"""Joined cycles, three bits and the second task, spelled out."""

import math

import pytest
import torch

from add4rsc.backbones import backbones
from add4rsc.methods._base import Batch
from add4rsc.methods.pc_mcl import (
    PatientConsistentMultiCycleLearning,
    class_patterns,
    draw_pairs,
    shorten,
)

BITS = {0: (1, 0, 0), 1: (0, 1, 0), 2: (0, 0, 1), 3: (0, 1, 1)}


def build(**options) -> PatientConsistentMultiCycleLearning:
    torch.manual_seed(0)
    settings = PatientConsistentMultiCycleLearning.Options(**options)
    return PatientConsistentMultiCycleLearning.create(backbones.get("small_cnn")(), 64, 4, settings).eval()


def entropy(logit: float, target: int) -> float:
    probability = 1 / (1 + math.exp(-logit))
    return -math.log(probability if target else 1 - probability)


def test_probability_of_a_class_is_that_of_its_pattern_among_the_four(generator) -> None:
    method = build()
    log_mel = torch.randn(3, 48, 64, generator=generator)
    with torch.no_grad():
        bits = method.head(method.backbone(log_mel)).double()
        found = method(log_mel).softmax(dim=1)
    for row, logits in zip(found.tolist(), bits.tolist(), strict=True):
        likelihoods = [math.exp(-sum(map(entropy, logits, BITS[label]))) for label in range(4)]
        assert row == pytest.approx([each / sum(likelihoods) for each in likelihoods], rel=1e-4)


def test_other_tasks_have_a_bit_a_class() -> None:
    assert class_patterns(4).tolist() == [list(map(float, BITS[label])) for label in range(4)]
    assert torch.equal(class_patterns(7), torch.eye(7))


@pytest.mark.parametrize("n_frames", [6, 7])
def test_two_cycles_become_as_long_as_one(n_frames) -> None:
    first, second = (torch.arange(n_frames, dtype=torch.float) + 100 * number for number in range(2))
    joined = torch.cat([first, second])[None, :, None].expand(1, -1, 2)
    n_first = math.ceil(n_frames / 2)
    halves = shorten(joined, "halves")[0, :, 1].tolist()
    assert halves == [*first.tolist()[:n_first], *second.tolist()[: n_frames - n_first]]
    whole = [*first.tolist(), *second.tolist()]
    means = [(one + other) / 2 for one, other in zip(whole[::2], whole[1::2], strict=True)]
    assert shorten(joined, "pooled")[0, :, 0].tolist() == means


def test_followers_are_of_the_same_patient_as_often_as_asked(generator) -> None:
    patients = torch.tensor([0, 0, 0, 1, 1, 2, -1, -1])
    n_same, n_joined = 0, 0
    for _ in range(300):
        drawn = draw_pairs(patients, 0.3, 0.75, generator)
        assert not (drawn.partners == torch.arange(8)).any()
        n_same += int((patients[drawn.partners] == patients)[:5].sum())
        n_joined += int(drawn.joined.sum())
    # of five cycles with kin: three quarters by wish, and by chance 2 of 7 others (thrice) or 1 of 7 (twice)
    expected = 0.75 + 0.25 * (3 * 2 / 7 + 2 * 1 / 7) / 5
    assert n_same / 1500 == pytest.approx(expected, abs=0.04)
    assert n_joined / 2400 == pytest.approx(0.3, abs=0.04)
    alone = draw_pairs(torch.tensor([4]), 1.0, 1.0, generator)
    assert (alone.partners.tolist(), alone.joined.tolist()) == ([0], [False])


def test_losses_are_those_of_loops(generator) -> None:
    method = build(joined_share=0.6, same_patient=0.2)
    labels, patients = [0, 1, 2, 3, 0, 1], [0, 0, 1, 1, -1, 0]
    log_mel = torch.randn(6, 32, 64, generator=generator)
    groups = {"patient": torch.tensor(patients)}
    losses = method.losses(Batch(log_mel, torch.tensor(labels), groups=groups), torch.Generator().manual_seed(8))
    drawn = draw_pairs(groups["patient"], 0.6, 0.5, torch.Generator().manual_seed(8))
    assert 0 < int(drawn.joined.sum()) < 6
    for i, (partner, joined) in enumerate(zip(drawn.partners.tolist(), drawn.joined.tolist(), strict=True)):
        heard = torch.cat([log_mel[i, :16], log_mel[partner, :16]]) if joined else log_mel[i]
        with torch.no_grad():
            features = method.backbone(heard[None])
            bits, patient = method.head(features)[0].tolist(), method.patient_head(features).item()
        own, other = BITS[labels[i]], BITS[labels[partner]]
        target = list(map(max, own, other)) if joined else own
        expected = sum(map(entropy, bits, target)) / 3
        assert losses["classification"][i].item() == pytest.approx(expected, rel=1e-4)
        counts = joined and patients[i] >= 0 and patients[partner] >= 0
        second = 0.2 * entropy(patient, patients[i] == patients[partner]) if counts else 0.0
        assert losses["same_patient"][i].item() == pytest.approx(second, rel=1e-4)
