import pytest
import torch
from torch import nn

from add4rsc.engine.checkpoint import TrainingState, load_state, load_tensors, save_state, save_tensors
from add4rsc.engine.optimise import build_average
from add4rsc.errors import CheckpointError
from add4rsc.recipe import Averaging


def fresh(seed: int, width: int = 3, kind: str = "ema", optimiser: type = torch.optim.AdamW) -> TrainingState:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))
    average = build_average(network, Averaging(kind=kind, decay=0.5))
    return TrainingState(network, optimiser(network.parameters(), lr=0.1), average, [])


def take_a_step(state: TrainingState, generator: torch.Generator) -> None:
    state.module(torch.randn(5, 2, generator=generator)).square().sum().backward()
    state.optimiser.step()
    state.optimiser.zero_grad()
    if state.average is not None:
        state.average.update_parameters(state.module)


@pytest.mark.parametrize("kind", ["ema", "none"])
@pytest.mark.parametrize("optimiser", [torch.optim.AdamW, torch.optim.SGD])
def test_a_loaded_state_goes_on_as_the_saved_one(tmp_path, kind, optimiser):
    state, other = fresh(0, kind=kind, optimiser=optimiser), fresh(1, kind=kind, optimiser=optimiser)
    generator = torch.Generator().manual_seed(0)
    take_a_step(state, generator)
    state.history.append({"epoch": 1.0, "loss": 0.1 + 0.2, "score": float("nan")})
    save_state(tmp_path / "state", state, {"scale": 65536.0})
    assert load_state(tmp_path / "state", other) == {"scale": 65536.0}
    assert str(other.history) == str(state.history)
    for seed in (1, 2):
        for each in (state, other):
            take_a_step(each, torch.Generator().manual_seed(seed))
    for one, two in ((state.module, other.module), (state.evaluated, other.evaluated)):
        assert all(value.equal(two.state_dict()[name]) for name, value in one.state_dict().items())
    assert (state.evaluated is state.module) is (kind == "none")


def test_state_of_another_network_is_refused(tmp_path):
    save_state(tmp_path / "state", fresh(0), {})
    with pytest.raises(CheckpointError, match=r"does not fit this recipe .* --overwrite"):
        load_state(tmp_path / "state", fresh(0, width=4))


def test_tensors_come_back_with_their_metadata(tmp_path):
    tensors = {"a": torch.arange(6).reshape(2, 3).T, "b": torch.tensor(1.5, dtype=torch.float64)}
    save_tensors(tmp_path / "file", tensors, {"key": "value"})
    loaded, metadata = load_tensors(tmp_path / "file")
    assert metadata == {"key": "value"}
    assert all(loaded[name].equal(value) and loaded[name].dtype == value.dtype for name, value in tensors.items())


@pytest.mark.parametrize("content", [None, b"", b"no tensors at all", b"\xff" * 100])
def test_file_that_holds_none_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(CheckpointError, match="file: cannot be read"):
        load_tensors(tmp_path / "file")


def test_other_tensors_than_a_state_are_refused(tmp_path):
    save_tensors(tmp_path / "file", {"a": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match="file: "):
        load_state(tmp_path / "file", fresh(0))
