"""The loss of spliced cycles against one cycle after another."""

import math

import pytest
import torch

from add4rsc.audio.frontend import FrontEnd
from add4rsc.augment.splicing import draw_splices, splice_cycles
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.methods._base import Batch
from add4rsc.methods.splice import Splice

LABELS = torch.tensor([0, 3, 0, 1, 2])
PATIENTS = torch.tensor([1, 1, 2, 2, -1])


class Means(AbstractBackbone):
    """A backbone without a word of its neighbours: the means of the bands."""

    n_features = 6
    front_end = staticmethod(FrontEnd)

    def forward(self, log_mel):
        return log_mel.mean(dim=1)


def built(**options) -> Splice:
    torch.manual_seed(0)
    return Splice(Means(), 4, Splice.Options(**options))


def batch(**changes) -> Batch:
    log_mel = torch.randn(5, 30, 6, generator=torch.Generator().manual_seed(1))
    return Batch(**({"log_mel": log_mel, "labels": LABELS, "groups": {"patient": PATIENTS}} | changes))


def entropy(method: Splice, cycle: torch.Tensor, label: int) -> float:
    logits = method(cycle[None])[0].tolist()
    return math.log(sum(math.exp(value) for value in logits)) - logits[label]


def test_loss_is_that_of_cycles_and_of_what_was_spliced_from_them():
    method, given = built(weight=0.5, fade=2), batch()
    losses = method.losses(given, torch.Generator().manual_seed(7))
    splices = draw_splices(LABELS, PATIENTS, 30, 0.5, torch.Generator().manual_seed(7))
    spliced = splice_cycles(given.log_mel, splices, 2, match_level=True)
    expected = [0.0] * 5
    for donor, cycle in zip(splices.donors.tolist(), spliced, strict=True):
        expected[donor] = 0.5 * entropy(method, cycle, int(LABELS[donor]))
    assert splices.donors.tolist() == [1, 3, 4]
    assert losses["splice"].tolist() == pytest.approx(expected, rel=1e-4)
    own = [entropy(method, given.log_mel[index], int(LABELS[index])) for index in range(5)]
    assert losses["classification"].tolist() == pytest.approx(own, rel=1e-4)


@pytest.mark.parametrize(
    "changes", [{"labels": torch.zeros(5).long()}, {"groups": {"patient": torch.full((5,), 3)}}], ids=["normal", "one"]
)
def test_there_may_be_nothing_to_splice(changes):
    losses = built().losses(batch(**changes), torch.Generator().manual_seed(0))
    assert losses["splice"].tolist() == [0.0] * 5
    assert losses["splice"].requires_grad
    assert losses["classification"].min() > 0


def test_patients_need_not_be_known():
    losses = built().losses(batch(groups={}), torch.Generator().manual_seed(0))
    assert (losses["splice"] > 0).tolist() == (LABELS > 0).tolist()
