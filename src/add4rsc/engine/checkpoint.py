"""The state of a run between two epochs, in one safetensors file that is replaced in one piece."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from add4rsc.errors import CheckpointError
from add4rsc.storage import write_atomically

History = list[dict[str, float]]


@dataclass
class TrainingState:
    """Everything that a resumed run needs: the rest follows from seed and epoch."""

    module: nn.Module
    optimiser: torch.optim.Optimizer
    average: AveragedModel | None
    history: History
    """One row an epoch."""

    @property
    def evaluated(self) -> nn.Module:
        """The network that counts: the moving average where there is one."""
        return self.module if self.average is None else self.average.module


def save_state(path: Path, state: TrainingState, scaler: dict[str, Any]) -> None:
    """Write a checkpoint in one piece.

    Raises:
        StorageError: if the disk is full; the previous checkpoint is then still good.
    """
    optimiser = state.optimiser.state_dict()
    tensors = {f"module.{name}": value for name, value in state.module.state_dict().items()}
    if state.average is not None:
        tensors |= {f"average.{name}": value for name, value in state.average.state_dict().items()}
    for index, slots in optimiser["state"].items():
        tensors |= {f"optimiser.{index}.{slot}": torch.as_tensor(value) for slot, value in slots.items()}
    metadata = {"history": state.history, "groups": optimiser["param_groups"], "scaler": scaler}
    save_tensors(path, tensors, {"progress": json.dumps(metadata)})


def load_state(path: Path, state: TrainingState) -> dict[str, Any]:
    """Fill a fresh state from a checkpoint; returns the state of the gradient scaler.

    Raises:
        CheckpointError: if the file is damaged or of another network.
    """
    tensors, metadata = load_tensors(path)
    if "progress" not in metadata:
        raise CheckpointError(f"{path}: is no checkpoint of a run. Start again with --overwrite.")
    progress = json.loads(metadata["progress"])
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in _under("optimiser.", tensors).items():
        index, slot = name.split(".", 1)
        slots.setdefault(int(index), {})[slot] = value
    try:
        state.module.load_state_dict(_under("module.", tensors))
        if state.average is not None:
            state.average.load_state_dict(_under("average.", tensors))
        state.optimiser.load_state_dict({"state": slots, "param_groups": progress["groups"]})
    except (RuntimeError, ValueError) as error:
        last = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{path}: does not fit this recipe ({last}). Start again with --overwrite.") from error
    state.history[:] = progress["history"]
    return progress["scaler"]


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write named tensors in one piece."""
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(path, lambda file: file.write(save(plain, metadata)))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read named tensors and the file's metadata.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}). Train again, or take it from a backup.") from error


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
