"""Attacks on networks whose least change is known in closed form."""

import pytest
import torch
from torch import Tensor, nn

from add4rsc.engine.attack import estimate_change, is_changed, least_change


def linear(n_classes: int, n_frames: int = 5, n_mels: int = 4) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(n_frames * n_mels, n_classes)).double()


def closed_form(network: nn.Sequential, log_mel: Tensor, labels: Tensor) -> list[float]:
    """min_j (z_y - z_j) / |w_y - w_j|_1."""
    weight, logits = network[1].weight.detach(), network(log_mel).detach()
    sizes = []
    for index, label in enumerate(labels.tolist()):
        sizes.append(
            min(
                ((logits[index, label] - logits[index, j]) / (weight[label] - weight[j]).abs().sum()).item()
                for j in range(len(weight))
                if j != label
            )
        )
    return sizes


@pytest.mark.parametrize("n_classes", [2, 4])
def test_least_change_of_a_linear_network_is_the_closed_form(n_classes, generator):
    network = linear(n_classes)
    log_mel = torch.randn(8, 5, 4, generator=generator).double()
    labels = network(log_mel).argmax(dim=1)
    expected = closed_form(network, log_mel, labels)
    _, estimates, rivals = estimate_change(network, log_mel, labels)
    assert estimates.tolist() == pytest.approx(expected, rel=1e-9)
    for start in (estimates, estimates / 50, estimates * 3):
        sizes = least_change(network, log_mel, labels, rivals, start).tolist()
        for size, least in zip(sizes, expected, strict=True):
            assert least * (1 - 1e-6) <= size <= least * 1.025


def test_estimates_of_wrong_decisions_are_negative(generator):
    network = linear(3)
    log_mel = torch.randn(6, 5, 4, generator=generator).double()
    logits, estimates, rivals = estimate_change(network, log_mel, (network(log_mel).argmax(dim=1) + 1) % 3)
    assert (estimates < 0).all()
    assert torch.equal(logits, network(log_mel))
    assert ((rivals >= 0) & (rivals < 3)).all()


def test_attack_stays_in_its_ball_and_takes_as_many_steps_as_it_needs():
    """A network that decides by the largest of all values: the ball must reach from -1 to 0."""

    class Largest(nn.Module):
        seen = 0.0

        def forward(self, log_mel: Tensor) -> Tensor:
            self.seen = max(self.seen, float((log_mel.detach() + 1).abs().max()))
            top = log_mel.flatten(1).amax(dim=1)
            return torch.stack([-top, top], dim=1)

    network, log_mel = Largest(), -torch.ones(2, 3, 3)
    labels, rivals = torch.tensor([0, 0]), torch.tensor([1, 1])
    flipped = is_changed(network, log_mel, labels, rivals, torch.tensor([0.9, 1.1]))
    assert flipped.tolist() == [False, True]
    assert network.seen == pytest.approx(1.1)


def test_a_network_that_never_changes_its_mind_has_no_least_change():
    class Deaf(nn.Module):
        def forward(self, log_mel: Tensor) -> Tensor:
            return torch.stack([log_mel.sum(dim=(1, 2)) * 0 + 1, log_mel.sum(dim=(1, 2)) * 0], dim=1)

    sizes = least_change(
        Deaf(), torch.zeros(2, 3, 3), torch.tensor([0, 0]), torch.tensor([1, 1]), torch.tensor([0.1, 1.0])
    )
    assert sizes.isinf().all()
