"""Golden cases, and the output of an exported module."""

from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn


@pytest.fixture
def golden_case(golden: Path) -> Callable[[str], dict[str, Tensor]]:
    return lambda name: load_file(golden / f"{name}.safetensors")


@pytest.fixture
def onnx_session(tmp_path: Path) -> Callable[[nn.Module, Tensor], Callable[[Tensor], list[Tensor]]]:
    """Export with one input, batch and time left open; the outcome runs with any other."""

    def export(module: nn.Module, example: Tensor) -> Callable[[Tensor], list[Tensor]]:
        path = tmp_path / "module.onnx"
        free = ({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC},)
        torch.onnx.export(module.eval(), (example,), path, dynamo=True, dynamic_shapes=free, verbose=False)
        session = onnxruntime.InferenceSession(path)
        name = session.get_inputs()[0].name
        return lambda x: [torch.from_numpy(output) for output in session.run(None, {name: x.numpy()})]

    return export
