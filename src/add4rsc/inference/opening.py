"""A model's name or path -> the classifier."""

import hashlib
from pathlib import Path

from add4rsc.errors import CheckpointError
from add4rsc.inference._base import AbstractClassifier

DEFAULT_MODEL = Path(__file__).parents[1] / "models" / "default.onnx"
"""The one that the package carries."""


def open_classifier(model: Path | str | None = None) -> AbstractClassifier:
    """Open an ONNX file, a run folder, or the package's own model.

    Raises:
        CheckpointError: if there is no such model, or it is damaged.
        RunFolderError: if the folder holds no trained network.
        MissingExtraError: if the model needs a package that is not installed.
    """
    path = DEFAULT_MODEL if model is None else Path(model)
    if path.is_dir():
        from add4rsc.inference.torch_model import TorchClassifier

        return TorchClassifier(path)
    if not path.is_file():
        remedy = "Pass --model with an ONNX file or a run folder." if model is None else "Check the name."
        raise CheckpointError(f"{path}: there is no such model. {remedy}")
    from add4rsc.inference.onnx_model import OnnxClassifier

    return OnnxClassifier(path)


def fingerprint(model: Path | str | None = None) -> str:
    """SHA-256 of a model's weights: a batch goes on with the same ones only.

    Raises:
        CheckpointError: if there is no such model.
    """
    path = DEFAULT_MODEL if model is None else Path(model)
    weights = path / "model.safetensors" if path.is_dir() else path
    try:
        with weights.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{weights}: cannot be read ({error.strerror}). Check the name.") from error
