"""Reading tensors from files, and comparing them with a network's."""

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from add4rsc.backbones._base import AbstractBackbone, AbstractSourceBackbone, State
from add4rsc.errors import CheckpointError

TORCH_MAGIC = (b"PK", b"\x80")
"""First bytes of what torch.save writes: a ZIP archive, or in old files a pickle."""

SOURCE_HEAD = "source_head."
"""With which the names of a classifier's tensors begin in a network that keeps it."""

WRAPPERS = ("state_dict", "model")
"""Under which training scripts nest the tensors."""


@dataclass(frozen=True)
class KeyReport:
    """How the tensors of a file fit a network."""

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    """Of the network, but not in the file."""
    extra: tuple[str, ...]
    """In the file, but not of the network."""
    mis_shaped: tuple[str, ...]


OWN = "backbone."
"""What the names of a backbone's tensors begin with in a network of `add4rsc.methods`."""


def compare_keys(network: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> KeyReport:
    """Match names and shapes; a classifier that the network does not keep is left out in silence."""
    common = [name for name in network if name in state]
    return KeyReport(
        matched=tuple(name for name in common if network[name].shape == state[name].shape),
        missing=tuple(name for name in network if name not in state),
        extra=tuple(name for name in state if name not in network and not name.startswith(SOURCE_HEAD)),
        mis_shaped=tuple(name for name in common if network[name].shape != state[name].shape),
    )


def convert(backbone: type[AbstractBackbone], state: State) -> tuple[str, State] | None:
    """The form that the tensors have among the backbone's, and the tensors under our names; None if they have none.

    A network that was trained here has the backbone's own names behind `backbone.`.
    """
    for form, converter in backbone.forms.items():
        converted = converter(state)
        if converted is not None:
            return form, converted | _source_head(backbone, form, state)
    own = {name.removeprefix(OWN): tensor for name, tensor in state.items() if name.startswith(OWN)}
    return ("trained here", own) if own else None


def _source_head(backbone: type[AbstractBackbone], form: str, state: State) -> State:
    """The classifier of a published checkpoint under our name, where the backbone could keep it."""
    if not issubclass(backbone, AbstractSourceBackbone):
        return {}
    published = f"{backbone.source_heads[form]}."
    return {name.replace(published, SOURCE_HEAD): state[name] for name in state if name.startswith(published)}


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_sha256(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors: names, types, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_state(path: Path) -> State:
    """Read the tensors of a safetensors file, or of a file of torch.save that holds nothing but tensors.

    Raises:
        CheckpointError: if the file is missing, damaged, holds no tensors, or would have to run code to be read.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: does not exist. Check the name.")
    with path.open("rb") as file:
        start = file.read(2)
    state = _read_torch(path) if start.startswith(TORCH_MAGIC) else _read_safetensors(path)
    if not state:
        raise CheckpointError(f"{path}: holds no tensors by name. Expected a state dict; save `model.state_dict()`.")
    return state


def read_metadata(path: Path) -> dict[str, str]:
    """The text that a safetensors file carries beside its tensors.

    Raises:
        CheckpointError: if it is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _read_safetensors(path: Path) -> State:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _read_torch(path: Path) -> State:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: holds more than tensors, so that reading it would run code from the file "
            f"({_first_line(error)}). If you trust its origin, load it where it was made and save "
            "`model.state_dict()` with safetensors."
        ) from error
    except Exception as error:  # a damaged pickle can fail in any way
        raise _damaged(path, error) from error
    for wrapper in WRAPPERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict):
        return {}
    return {name: tensor for name, tensor in loaded.items() if isinstance(tensor, Tensor)}


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{path}: is neither a safetensors file nor one of torch.save, or is damaged ({_first_line(error)}). "
        "Download or copy it again."
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
