"""LungRN+NL's loss against its formula, spelled out."""

import math

import pytest
import torch

from add4rsc.audio.frontend import FrontEnd
from add4rsc.augment.mixing import draw_mixup
from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractBackbone
from add4rsc.methods._base import Batch
from add4rsc.methods.lungrn_nl import LungRnNl, to_unit_range

LABELS = [0, 2, 1, 3, 0]


class Means(AbstractBackbone):
    """A backbone whose features can be computed by hand: the means of four bands."""

    n_features = 4
    front_end = staticmethod(FrontEnd)

    def forward(self, log_mel):
        return log_mel.mean(dim=1)[:, :4]


def built(**options) -> LungRnNl:
    torch.manual_seed(0)
    return LungRnNl(Means(), 4, LungRnNl.Options(**options)).eval()


def cycles() -> torch.Tensor:
    return 3 * torch.randn(len(LABELS), 7, 4, generator=torch.Generator().manual_seed(1)) - 2


def logits_by_hand(method: LungRnNl, picture: list[list[float]]) -> list[float]:
    means = [sum(frame[band] for frame in picture) / len(picture) for band in range(4)]
    linear = method.head[0]
    rows = zip(linear.weight.tolist(), linear.bias.tolist(), strict=True)
    return [bias + sum(w * mean for w, mean in zip(weights, means, strict=True)) for weights, bias in rows]


def unit_by_hand(cycle: list[list[float]]) -> list[list[float]]:
    values = [value for frame in cycle for value in frame]
    low, high = min(values), max(values)
    return [[(value - low) / (high - low) for value in frame] for frame in cycle]


def softmax_loss(logits: list[float], label: int) -> float:
    return math.log(sum(math.exp(value) for value in logits)) - logits[label]


def sigmoid_loss(logits: list[float], shares: list[float]) -> float:
    chances = [1 / (1 + math.exp(-value)) for value in logits]
    pairs = zip(chances, shares, strict=True)
    return -sum(y * math.log(p) + (1 - y) * math.log(1 - p) for p, y in pairs) / len(shares)


def mixture_by_hand(method: LungRnNl, seed: int):
    """Of every cycle: its label, its partner's, its share, its own logits and those of its mixture."""
    pictures = [unit_by_hand(cycle) for cycle in cycles().tolist()]
    mixup = draw_mixup(len(LABELS), method.options.mix_alpha, torch.Generator().manual_seed(seed))
    share = mixup.own_share
    for index, partner in enumerate(mixup.partners.tolist()):
        mixed = [
            [share * a + (1 - share) * b for a, b in zip(one, other, strict=True)]
            for one, other in zip(pictures[index], pictures[partner], strict=True)
        ]
        own, both = logits_by_hand(method, pictures[index]), logits_by_hand(method, mixed)
        yield LABELS[index], LABELS[partner], share, own, both


@pytest.mark.parametrize("seed", [0, 1])
def test_softmax_loss_is_that_of_both_labels_by_their_shares(seed):
    method = built()
    losses = method.losses(Batch(cycles(), torch.tensor(LABELS)), torch.Generator().manual_seed(seed))
    for index, (label, other, share, own, mixed) in enumerate(mixture_by_hand(method, seed)):
        expected = share * softmax_loss(mixed, label) + (1 - share) * softmax_loss(mixed, other)
        assert losses["mixup"][index].item() == pytest.approx(expected / 2, rel=1e-4)
        assert losses["classification"][index].item() == pytest.approx(softmax_loss(own, label) / 2, rel=1e-4)


def test_sigmoid_loss_of_mixtures_alone():
    method = built(loss="sigmoid", with_clean=False)
    losses = method.losses(Batch(cycles(), torch.tensor(LABELS)), torch.Generator().manual_seed(2))
    assert set(losses) == {"classification"}
    for index, (label, other, share, _, mixed) in enumerate(mixture_by_hand(method, 2)):
        shares = [share * (each == label) + (1 - share) * (each == other) for each in range(4)]
        assert losses["classification"][index].item() == pytest.approx(sigmoid_loss(mixed, shares), rel=1e-4)


def test_pictures_lie_between_0_and_1_whatever_the_level():
    log_mel = cycles()
    pictures = to_unit_range(log_mel)
    assert pictures.amin(dim=(1, 2)).tolist() == [0.0] * 5
    assert pictures.amax(dim=(1, 2)).tolist() == [1.0] * 5
    torch.testing.assert_close(to_unit_range(5 * log_mel + 3), pictures)
    assert to_unit_range(torch.full((1, 3, 4), -7.0)).tolist() == torch.zeros(1, 3, 4).tolist()


def test_dropout_of_logits_happens_in_training_alone():
    method = built(logit_dropout=0.5)
    with torch.no_grad():
        assert method(cycles()).count_nonzero() == 20
        torch.manual_seed(0)
        assert method.train()(cycles()).count_nonzero() < 20


def test_works_around_its_own_network():
    torch.manual_seed(0)
    kind = backbones.get("resnet_nl")
    method = LungRnNl.create(kind(**kind.tiny), 64, 4, LungRnNl.Options())
    losses = method.losses(Batch(torch.randn(3, 40, 64), torch.tensor([0, 1, 2])), torch.Generator().manual_seed(0))
    assert all(term.shape == (3,) and term.isfinite().all() for term in losses.values())
