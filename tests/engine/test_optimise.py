import json
import math
from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import nn

from add4rsc.engine.optimise import build_average, build_optimiser, half_step, learning_rate_share, set_learning_rate
from add4rsc.methods._base import AbstractPacedMethod
from add4rsc.recipe import Averaging, Optimiser, Schedule


def test_rate_per_epoch_is_that_of_the_released_code(golden):
    expected = json.loads((golden / "lr.json").read_text())["cosine_50"]
    schedule = Schedule(per_epoch=True, final_share=1e-3)
    for steps_per_epoch in (1, 7):
        for epoch, learning_rate in enumerate(expected):
            first, last = epoch * steps_per_epoch, (epoch + 1) * steps_per_epoch - 1
            for step in (first, last):
                assert 5e-5 * learning_rate_share(schedule, step, 50, steps_per_epoch) == pytest.approx(
                    learning_rate, abs=1e-12
                )


def test_rate_rises_in_a_line_then_falls_in_half_a_wave():
    schedule = Schedule(warmup_epochs=0.5, final_share=0.1)
    rates = [learning_rate_share(schedule, step, n_epochs=4, steps_per_epoch=10) for step in range(40)]
    assert rates[:5] == pytest.approx([n / 6 for n in (1, 2, 3, 4, 5)])
    assert rates[5] == 1
    assert rates[22:23] == pytest.approx([0.1 + 0.9 * (1 + math.cos(math.pi * 17 / 35)) / 2])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert 0.1 < rates[-1] < 0.11


def test_warm_up_is_that_of_the_released_code(golden):
    """From a tenth of the rate to where the cosine stands after ten epochs."""
    expected = json.loads((golden / "lr.json").read_text())["warm"]
    schedule = Schedule(per_epoch=True, warmup_epochs=10, initial_share=0.1)
    for case in expected:
        step = (case["epoch"] - 1) * case["total"] + case["batch"]
        share = learning_rate_share(schedule, step, 50, case["total"])
        assert 5e-5 * share == pytest.approx(case["lr"], rel=1e-12)


def test_a_rise_to_a_schedule_in_steps_ends_at_the_full_rate():
    schedule = Schedule(shape="step", decay_epochs=(5,), warmup_epochs=2, initial_share=0.1)
    rates = [learning_rate_share(schedule, step, n_epochs=8, steps_per_epoch=2) for step in range(6)]
    assert rates == pytest.approx([0.1, 0.325, 0.55, 0.775, 1, 1])


def test_constant_rate_stays():
    schedule = Schedule(shape="constant", warmup_epochs=1)
    rates = [learning_rate_share(schedule, step, n_epochs=3, steps_per_epoch=2) for step in range(6)]
    assert rates == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1])


def golden_network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Linear(144, 3))


def test_half_step_is_the_released_moving_average(golden):
    stored = load_file(golden / "ema.safetensors")
    network = golden_network()
    for step in range(3):
        state = {
            part: {
                key.removeprefix(f"s{step}.{part}."): value
                for key, value in stored.items()
                if key.startswith(f"s{step}.{part}.")
            }
            for part in ("old", "raw", "ema")
        }
        assert len(state["ema"]) == 9
        network.load_state_dict(state["old"])
        move_back = half_step(network, Averaging(kind="half-step", decay=0.5))
        network.load_state_dict(state["raw"])
        move_back()
        for key, value in network.state_dict().items():
            torch.testing.assert_close(value, state["ema"][key], atol=1e-7, rtol=0, msg=f"{step} {key}")


@pytest.mark.parametrize("kind", ["none", "ema"])
def test_other_averages_leave_the_step_alone(kind):
    network = nn.Linear(2, 2)
    move_back = half_step(network, Averaging(kind=kind, decay=0.5))
    with torch.no_grad():
        network.weight.fill_(3.0)
    move_back()
    assert (network.weight == 3).all()


def test_moving_average_follows_weights_and_buffers():
    network = nn.BatchNorm1d(1)
    average = build_average(network, Averaging(kind="ema", decay=0.75))
    expected = None
    for value in (1.0, 2.0, 4.0):
        with torch.no_grad():
            network.weight.fill_(value)
            network.running_mean.fill_(10 * value)
        average.update_parameters(network)
        expected = value if expected is None else 0.75 * expected + 0.25 * value
        assert average.module.weight.item() == pytest.approx(expected)
        assert average.module.running_mean.item() == pytest.approx(10 * expected)
    assert build_average(network, Averaging(kind="half-step")) is None


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)]
)
def test_biases_and_normalisation_do_not_decay(name, kind):
    network = golden_network()
    network[0].weight.requires_grad_(False)
    optimiser = build_optimiser(network, Optimiser(name=name, learning_rate=0.1, weight_decay=0.5))
    assert type(optimiser) is kind
    decayed, free = optimiser.param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.5, 0.0)
    assert [id(weight) for weight in decayed["params"]] == [id(network[3].weight)]
    assert {id(weight) for weight in free["params"]} == {
        id(weight) for weight in (network[0].bias, network[1].weight, network[1].bias, network[3].bias)
    }
    set_learning_rate(optimiser, 0.01)
    assert [group["lr"] for group in optimiser.param_groups] == [0.01, 0.01]


def test_adam_has_the_released_defaults(golden):
    defaults = SimpleNamespace(**json.loads((golden / "lr.json").read_text())["adamw_defaults"])
    optimiser = build_optimiser(golden_network(), Optimiser(learning_rate=defaults.lr, weight_decay=1e-6))
    group = optimiser.param_groups[0]
    assert [group["lr"], list(group["betas"]), group["eps"]] == [defaults.lr, defaults.betas, defaults.eps]
    assert group["weight_decay"] == defaults.weight_decay
    assert group["amsgrad"] is defaults.amsgrad


class Paced(AbstractPacedMethod):
    """Two layers, of which one learns faster."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.trunk_head = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)

    @classmethod
    def create(cls, backbone, n_mels, n_classes, options):
        return cls()

    def forward(self, log_mel):
        return self.trunk_head(self.trunk(log_mel))

    def losses(self, batch, generator):
        return {"classification": self(batch.log_mel).sum(dim=1)}

    def learning_rate_factors(self):
        return {"trunk": 0.5, "trunk_head": 10.0}


def test_parts_learn_at_rates_of_their_own():
    module = Paced()
    optimiser = build_optimiser(module, Optimiser(name="sgd", learning_rate=0.1, momentum=0.0))
    set_learning_rate(optimiser, 0.2)
    rate_of = {id(weight): group["lr"] for group in optimiser.param_groups for weight in group["params"]}
    assert [rate_of[id(weight)] for weight in module.trunk.parameters()] == [pytest.approx(0.1)] * 2
    assert [rate_of[id(weight)] for weight in module.trunk_head.parameters()] == [pytest.approx(2.0)] * 2


def test_exponential_rate_is_that_of_torch():
    schedule = Schedule(shape="exponential", decay_factor=0.9, decay_steps=7)
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    theirs = torch.optim.lr_scheduler.StepLR(optimiser, step_size=7, gamma=0.9)
    for step in range(60):
        share = learning_rate_share(schedule, step, n_epochs=20, steps_per_epoch=3)
        assert 0.5 * share == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9)
        optimiser.step()
        theirs.step()
    with pytest.raises(ValidationError, match="needs decay_steps"):
        Schedule(shape="exponential")


def test_wave_swings_as_that_of_torch():
    """Ours is a step ahead: epoch e = 1..E has cos(pi e / E)."""
    schedule = Schedule(per_epoch=True, final_share=0.01, wave_epochs=4)
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=4, eta_min=0.01)
    shares = []
    for epoch in range(20):
        optimiser.step()
        theirs.step()
        shares.append(learning_rate_share(schedule, 5 * epoch + 2, n_epochs=20, steps_per_epoch=5))
        assert shares[-1] == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-6)
    assert (min(shares), max(shares)) == pytest.approx((0.01, 1.0))
