"""Adaptive differential denoising for respiratory sound classification. Research use only, not a medical device."""

import os
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from add4rsc.inference.model import Model

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime would otherwise write and send; we do neither

__version__ = version("add4rsc")


def load(model: "Path | str | None" = None) -> "Model":
    """Open a model, to classify recordings with.

    Args:
        model: an ONNX file, or the folder of a training run; None for the one that the package carries.

    Raises:
        CheckpointError: if there is no such model, or it is damaged.
    """
    from add4rsc.inference.model import Model
    from add4rsc.inference.opening import open_classifier

    return Model(open_classifier(model))
