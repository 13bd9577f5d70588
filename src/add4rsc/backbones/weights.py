"""Pretrained weights: bring a downloaded file into the weights folder, and from there into a network.

Nothing is downloaded here. A file that the user fetched is checked, its tensors are renamed to ours, and the result is
kept as safetensors.
"""

import difflib
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save

from add4rsc.backbones import backbones
from add4rsc.backbones._base import AbstractBackbone, State
from add4rsc.backbones._sources import WEIGHTS, WeightSource
from add4rsc.backbones._states import (
    OWN,
    SOURCE_HEAD,
    KeyReport,
    compare_keys,
    content_sha256,
    convert,
    file_sha256,
    read_metadata,
    read_state,
)
from add4rsc.errors import CheckpointError, WrongUsageError
from add4rsc.storage import write_atomically

__all__ = [
    "WEIGHTS",
    "ImportReport",
    "KeyReport",
    "WeightCheck",
    "WeightSource",
    "extract_backbone",
    "file_sha256",
    "import_weights",
    "load_weights",
    "read_state",
    "require_known",
    "verify_weights",
    "weights_file",
    "weights_folder",
]

PACKAGED = Path(__file__).parents[1] / "models"
"""Where weights are that come with the package."""

N_LISTED = 5
"""Tensor names that a message shows."""


@dataclass(frozen=True)
class ImportReport:
    """What `import_weights` did."""

    name: str
    path: Path
    """The file that was written."""
    sha256: str
    """Of the file that was read."""
    is_verified: bool
    """Whether that is the published file, as far as its hash is known."""
    keys: KeyReport


@dataclass(frozen=True)
class WeightCheck:
    """State of one file in the weights folder; a good one has no `problem`."""

    path: Path
    name: str
    problem: str = ""
    remedy: str = ""


def weights_folder() -> Path:
    """Where imported weights are kept: `weights` in $ADD4RSC_HOME, or in ~/.cache/add4rsc."""
    home = os.environ.get("ADD4RSC_HOME")
    return (Path(home) if home else Path.home() / ".cache" / "add4rsc") / "weights"


def weights_file(name: str) -> Path:
    """Where the weights of that name are: in the package, or where an import keeps them."""
    packaged = WEIGHTS[name].packaged if name in WEIGHTS else ""
    return PACKAGED / packaged if packaged else weights_folder() / f"{name.replace('/', '-')}.safetensors"


def import_weights(file: Path, name: str | None = None) -> ImportReport:
    """Check a downloaded checkpoint, rename its tensors to ours and keep it in the weights folder.

    Args:
        file: a published checkpoint: safetensors, or one of torch.save that holds nothing but tensors.
        name: which of `WEIGHTS` it is; None finds the backbone whose tensors it holds.

    Raises:
        CheckpointError: if the file is damaged, has another SHA-256 than the published one, or does not hold all
            tensors of a backbone.
        WrongUsageError: if there is no such name.
    """
    require_known(name)
    state, sha256 = read_state(file), file_sha256(file)
    backbone, form, converted = _recognise(file, state, [WEIGHTS[name].backbone] if name else backbones.names())
    name = name or _name_of(file, backbone, form, sha256)
    source = WEIGHTS[name]
    if source.sha256 and form == source.form and not source.describes(sha256):
        raise CheckpointError(
            f"{file}: SHA-256 is {sha256}, but {name} has {source.sha256}. Download it again from {source.url}; "
            "if it is a network of your own, give its path where the weights are asked for."
        )
    report = _fit(backbones.get(backbone), converted)
    _require_all(f"{file} as {name}", report, allowed=())
    path = weights_file(name)
    metadata = {"name": name, "origin_sha256": sha256, "content_sha256": content_sha256(converted)}
    plain = {key: tensor.contiguous() for key, tensor in converted.items()}
    write_atomically(path, lambda file: file.write(save(plain, metadata)))
    return ImportReport(name, path, sha256, source.describes(sha256), report)


def extract_backbone(network: Path, file: Path, *, halved: bool = False) -> None:
    """Keep of a trained network nothing but its backbone, as weights that other recipes start from.

    Args:
        network: a run's `model.safetensors`.
        file: what to write.
        halved: in half precision.

    Raises:
        CheckpointError: if it is damaged, or holds no backbone.
    """
    state = read_state(network)
    own = {name: tensor.contiguous() for name, tensor in state.items() if name.startswith(OWN)}
    if not own:
        raise CheckpointError(f"{network} holds no backbone. Give the model.safetensors of a run.")
    kept = {name: tensor.half() if halved and tensor.is_floating_point() else tensor for name, tensor in own.items()}
    write_atomically(file, lambda stream: stream.write(save(kept)))


def load_weights(backbone: AbstractBackbone, weights: str | Path, *, allowed: Collection[str] = ()) -> KeyReport:
    """Fill a backbone with pretrained weights.

    Tensors whose shape follows the backbone's options, such as a table of positions, are resized. To continue a run of
    one's own, use `load_state_dict` instead.

    Args:
        backbone: the network, changed in place.
        weights: a name of `WEIGHTS` that was imported, or the path of a file in any form that the backbone knows.
        allowed: names of tensors that may be missing or of another shape; those keep their values.

    Raises:
        CheckpointError: if the weights were not imported, are damaged, or do not fit.
        WrongUsageError: if there is neither such a name nor such a file.
    """
    path = _locate(weights)
    state = read_state(path)
    found = convert(type(backbone), state)
    state = _resize(backbone, found[1] if found else state)
    report = compare_keys(backbone.state_dict(), state)
    _require_all(f"{weights} in {type(backbone).__name__}", report, allowed)
    backbone.load_state_dict({name: state[name] for name in report.matched}, strict=False)
    return report


def verify_weights() -> list[WeightCheck]:
    """Read every file of the weights folder again and compare it with what was imported."""
    return [_verify(path) for path in sorted(weights_folder().glob("*.safetensors"))]


def _verify(path: Path) -> WeightCheck:
    name = path.stem
    try:
        metadata = read_metadata(path)
        name = metadata.get("name", name)
        content = content_sha256(read_state(path))
    except CheckpointError as error:
        return WeightCheck(path, name, str(error), "Run: add4rsc weights import FILE")
    expected = metadata.get("content_sha256", "")
    if name not in WEIGHTS or not expected:
        return WeightCheck(path, name, "was not written by an import", "Move it away, and pass its path instead")
    if content != expected:
        remedy = f"Get {WEIGHTS[name].url} again and run: add4rsc weights import FILE"
        return WeightCheck(path, name, f"its tensors have SHA-256 {content}, imported were {expected}", remedy)
    return WeightCheck(path, name)


def require_known(name: str | None) -> None:
    """Let a name of `WEIGHTS` pass that can be imported, and None.

    Raises:
        WrongUsageError: for any other name, with the nearest one.
    """
    if name is not None and name not in WEIGHTS:
        raise WrongUsageError(_unknown(name))
    if name is not None and WEIGHTS[name].packaged:
        raise WrongUsageError(f"{name} comes with the package: there is nothing to fetch or to import.")


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, WEIGHTS, n=1, cutoff=0.4)
    hint = f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(sorted(WEIGHTS))}."
    return f"There are no pretrained weights '{name}', and no such file. {hint} See `add4rsc weights list`."


def _locate(weights: str | Path) -> Path:
    name = str(weights)
    if name not in WEIGHTS:
        path = Path(weights)
        if not path.is_file():
            raise WrongUsageError(_unknown(name))
        return path
    path, source = weights_file(name), WEIGHTS[name]
    if not path.is_file():
        raise CheckpointError(
            f"{name}: not in {weights_folder()}. Get {source.url} ({source.size}, {source.licence}), "
            "then run: add4rsc weights import FILE"
        )
    return path


def _recognise(file: Path, state: State, names: Sequence[str]) -> tuple[str, str, State]:
    """Among the named backbones the one that the tensors fit best, their form, and they under our names.

    Raises:
        CheckpointError: if they are of none.
    """
    fits = []
    for name in names:
        found = convert(backbones.get(name), state)
        if found is not None:
            report = _fit(backbones.get(name), found[1])
            n_wrong = len(report.missing) + len(report.extra) + len(report.mis_shaped)
            fits.append((n_wrong - len(report.matched), name, *found))
    if not fits:
        raise CheckpointError(
            f"{file}: its tensors ({_listed(sorted(state))}) are not those of {' or '.join(names)}. "
            "See `add4rsc weights list` for the files that are known."
        )
    _, name, form, converted = min(fits, key=lambda fit: fit[0])
    return name, form, converted


def _name_of(file: Path, backbone: str, form: str, sha256: str) -> str:
    """The entry of `WEIGHTS` that a file is: by its hash, else by its form, else any of the backbone.

    Raises:
        CheckpointError: if no weights are published for the backbone.
    """
    names = [name for name, source in WEIGHTS.items() if source.backbone == backbone and not source.packaged]
    if not names:
        raise CheckpointError(
            f"{file}: no weights of {backbone} are published. Give its path where they are asked for."
        )
    return max(names, key=lambda name: (WEIGHTS[name].describes(sha256), WEIGHTS[name].form == form))


def _fit(backbone: type[AbstractBackbone], state: State) -> KeyReport:
    """Compare tensors with the backbone as its default options make it; those that can be resized fit in any shape."""
    with torch.device("meta"):
        network = backbone()
    shapes = network.state_dict() | {name: state[name] for name in network.resizers if name in state}
    return compare_keys(shapes, state)


def _resize(backbone: AbstractBackbone, state: State) -> State:
    return state | {name: resize(state[name]) for name, resize in backbone.resizers.items() if name in state}


def _require_all(what: str, report: KeyReport, allowed: Collection[str]) -> None:
    missing = [name for name in report.missing if name not in allowed]
    mis_shaped = [name for name in report.mis_shaped if name not in allowed]
    problems = [f"{len(missing)} tensors are missing ({_listed(missing)})"] if missing else []
    problems += [f"{len(mis_shaped)} have another shape ({_listed(mis_shaped)})"] if mis_shaped else []
    if missing and not mis_shaped and all(name.startswith(SOURCE_HEAD) for name in missing):
        raise CheckpointError(
            f"{what}: the classifier is missing. Weights that an older version imported lack it: "
            "run add4rsc weights import FILE once more."
        )
    if problems:
        raise CheckpointError(
            f"{what}: {' and '.join(problems)}; {len(report.matched)} fit. Check that the file is of this backbone and "
            "that the backbone's options are those it was trained with."
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:N_LISTED]) + (" ..." if len(names) > N_LISTED else "")
