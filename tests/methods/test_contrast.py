"""Supervised contrast against its formula in loops, and two processes against one with the same batch."""

import math
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from add4rsc.backbones import backbones
from add4rsc.methods import methods
from add4rsc.methods._base import Batch, read_options
from add4rsc.methods._contrast import gather_cycles, own_places, supervised_contrast

TEMPERATURE = 0.2


def in_loops(features: list[list[float]], groups: list[int], i: int) -> float:
    """Khosla et al. 2020, Eq. 2, among the items of known groups."""

    def likeness(j: int) -> float:
        inner = sum(a * b for a, b in zip(features[i], features[j], strict=True))
        return inner / (math.hypot(*features[i]) * math.hypot(*features[j])) / TEMPERATURE

    others = [j for j in range(len(groups)) if j != i and groups[j] >= 0]
    positives = [j for j in others if groups[j] == groups[i]]
    if groups[i] < 0 or not positives:
        return 0.0
    total = sum(math.exp(likeness(j)) for j in others)
    return -sum(math.log(math.exp(likeness(j)) / total) for j in positives) / len(positives)


@pytest.mark.parametrize("groups", [[0, 1, 0, 1, 1, 2], [3, 3, -1, 3, -1, 5], [-1, -1, 0, 1, 2, 3], [4] * 6])
def test_contrast_is_the_formula(groups, generator) -> None:
    features = torch.randn(6, 4, generator=generator, dtype=torch.float64).requires_grad_()
    values = supervised_contrast(features, torch.tensor(groups), TEMPERATURE)
    expected = [in_loops(features.tolist(), groups, i) for i in range(6)]
    torch.testing.assert_close(values.double(), torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=1e-6)
    values.sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()
    assert bool(features.grad.any()) == any(expected)


def test_half_precision_elsewhere_leaves_it_as_it_is(generator) -> None:
    features, groups = torch.randn(8, 16, generator=generator), torch.arange(8) // 2
    expected = supervised_contrast(features, groups, 0.06)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(supervised_contrast(features, groups, 0.06), expected, rtol=1e-6, atol=1e-6)


def test_one_process_has_all_cycles() -> None:
    cycles = torch.randn(3, 2, requires_grad=True)
    assert gather_cycles(cycles) is cycles
    assert own_places(3).tolist() == [0, 1, 2]


N_CYCLES = 5
"""So that the first of two processes has one more than the second."""

GATHERING = ("patch_mix_cl", "sg_scl", "pafa", "pc_mcl")


def made_batch() -> Batch:
    generator = torch.Generator().manual_seed(3)
    log_mel, second = torch.randn(2, N_CYCLES, 64, 64, generator=generator).double()
    groups = {"stethoscope": torch.tensor([0, 1, 0, 1, -1]), "patient": torch.tensor([7, 7, 2, 2, 7])}
    return Batch(log_mel, torch.tensor([0, 1, 2, 3, 1]), second=second, groups=groups, progress=0.4)


def build(name: str) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        kind = methods.get(name)
        return kind.create(backbones.get("small_cnn")(), 64, 4, read_options(kind, {})).train().double()


WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 3.0, 1.5], dtype=torch.float64)

WORKER = """
    import sys, torch, torch.distributed as dist
    from add4rsc.engine.normalisation import share_batch_norm
    from add4rsc.methods._contrast import gather_cycles, own_places

    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # what shared normalisation widens to
    rank, folder = int(sys.argv[1]), sys.argv[2]
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    half = torch.arange(rank, 5, 2, dtype=torch.bfloat16)
    assert gather_cycles(half).tolist() == [0, 1, 2, 3, 4], gather_cycles(half)
    assert gather_cycles(torch.tensor([7 + rank])).tolist() == [7, 8]
    found = {}
    for name, network, batch, weights in torch.load(f"{folder}/given.pt", weights_only=False):
        share_batch_norm(network)
        own = weights[rank::2]
        terms = network.losses(batch[rank], torch.Generator().manual_seed(11))
        loss = sum((term * own * 2 / weights.sum()).sum() for term in terms.values())
        loss.backward()
        for weight in network.parameters():
            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
            dist.all_reduce(weight.grad)
        gradients = {key: weight.grad / 2 for key, weight in network.named_parameters()}
        found[name] = {key: gather_cycles(term.detach()) for key, term in terms.items()}, gradients
    if rank == 0:
        torch.save(found, f"{folder}/found.pt")
    dist.destroy_process_group()
"""


def share(batch: Batch, rank: int) -> Batch:
    groups = {key: codes[rank::2] for key, codes in batch.groups.items()}
    second = None if batch.second is None else batch.second[rank::2]
    return Batch(batch.log_mel[rank::2], batch.labels[rank::2], second=second, groups=groups, progress=batch.progress)


@pytest.fixture(scope="module")
def of_two_processes(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Loss terms of the whole batch, and the gradient that the loop would step by, of every method that gathers."""
    folder: Path = tmp_path_factory.mktemp("two")
    (folder / "worker.py").write_text(textwrap.dedent(WORKER))
    given = [(name, build(name), [share(made_batch(), rank) for rank in range(2)], WEIGHTS) for name in GATHERING]
    torch.save(given, folder / "given.pt")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen([sys.executable, folder / "worker.py", str(rank), folder], env=environment)
        for rank in range(2)
    ]
    assert [process.wait(timeout=300) for process in started] == [0, 0]
    return torch.load(folder / "found.pt")


@contextmanager
def double_precision(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As the workers compute: where rounding turns a ReLU over, single precision differs between processors."""
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", GATHERING)
def test_two_processes_give_the_losses_and_the_gradient_of_one(name, of_two_processes, monkeypatch) -> None:
    network, batch = build(name), made_batch()
    with double_precision(monkeypatch):
        terms = network.losses(batch, torch.Generator().manual_seed(11))
        sum((term * WEIGHTS / WEIGHTS.sum()).sum() for term in terms.values()).backward()
    found, gradients = of_two_processes[name]
    assert found.keys() == terms.keys()
    for key, term in terms.items():
        assert term.detach().any(), key
        torch.testing.assert_close(found[key], term.detach(), rtol=1e-4, atol=1e-5)
    for key, weight in network.named_parameters():
        difference = (gradients[key] - weight.grad).norm().item()
        assert difference <= 1e-3 * weight.grad.norm().item() + 1e-3, key
