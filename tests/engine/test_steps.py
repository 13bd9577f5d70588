"""The table of training steps."""

import pandas as pd
import pytest
import torch
from torch import nn

from add4rsc.engine.steps import StepLog, describe_gradient


def network() -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    for weight in module.parameters():
        weight.data = torch.randn(weight.shape, generator=generator)
    return module


def test_norm_is_that_of_all_gradients_in_one_row():
    module = network()
    (5 * module(torch.ones(4, 3)).sum()).backward()
    flat = torch.cat([weight.grad.flatten() for weight in module.parameters() if weight.grad is not None])
    described = describe_gradient(module, scale=5.0)
    assert described["gradient_norm"] == pytest.approx(float(flat.square().sum().sqrt()) / 5)
    assert described["without_gradient"] == 0


def test_missing_and_dead_gradients_are_counted():
    module = network()
    assert describe_gradient(module)["without_gradient"] == 4
    module[0](torch.zeros(1, 3)).sum().backward()
    assert describe_gradient(module)["without_gradient"] == 3, "weights of a zero input, and the second layer"


def test_a_value_that_is_no_number_shows():
    module = network()
    (module(torch.ones(1, 3)) * float("inf")).sum().backward()
    assert not torch.isfinite(torch.tensor(describe_gradient(module)["gradient_norm"]))


def test_rows_after_the_checkpoint_are_dropped(tmp_path):
    log = StepLog(tmp_path / "steps.csv", 0)
    for epoch in (1, 2):
        log.add(epoch, 1, {"loss": 0.5 / epoch})
    log.save()
    again = StepLog(tmp_path / "steps.csv", 1)
    again.add(2, 1, {"loss": 0.125})
    again.save()
    table = pd.read_csv(tmp_path / "steps.csv")
    assert table.to_dict("list") == {"epoch": [1, 2], "step": [1, 1], "loss": [0.5, 0.125]}
