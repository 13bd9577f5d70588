"""Eight-bit weights and activations for an exported network."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from add4rsc.inference.onnx_model import INPUT

OPERATORS = ["Conv", "Gemm"]
"""What is quantised: the layers of the network. The front-end's matrix products need all 24 bits."""
N_EXACT = 3
"""Convolutions at the beginning that stay in float32, as those of single channels do.

Their channels differ by orders of magnitude, which eight bits do not hold: with them a `fine_tuning/mn04` run lost 0.08
of its score on SPRSound's validation patients, without them nothing.
"""


class WaveformReader(CalibrationDataReader):
    """Hands onnxruntime one waveform after the other."""

    def __init__(self, waveforms: Float[ndarray, "cycle sample"]) -> None:
        self._inputs: Iterator[dict[str, ndarray]] = iter([{INPUT: waveform[None]} for waveform in waveforms])

    def get_next(self) -> dict[str, ndarray]:
        """The next input; an empty one, which ends the reading, after the last."""
        return next(self._inputs, {})


def quantise(model: bytes, waveforms: Float[ndarray, "cycle sample"]) -> bytes:
    """Quantise the convolutions and linear layers of an ONNX file to eight bits.

    Args:
        model: content of the file; as `to_onnx` gives it.
        waveforms: cropped cycles from which the ranges of the activations are taken.
    """
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        before.write_bytes(model)
        root = logging.getLogger()
        root.addFilter(_is_no_advice)
        quantize_static(
            str(before),
            str(after),
            WaveformReader(np.ascontiguousarray(waveforms, dtype=np.float32)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=OPERATORS,
            nodes_to_exclude=_exact_nodes(model),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        root.removeFilter(_is_no_advice)
        return after.read_bytes()


def _exact_nodes(model: bytes) -> list[str]:
    """Names of the convolutions that stay in float32."""
    import onnx

    nodes = [node for node in onnx.load_model_from_string(model).graph.node if node.op_type == "Conv"]
    of_channels = [node for node in nodes if any(each.name == "group" and each.i > 1 for each in node.attribute)]
    return [node.name for node in (*nodes[:N_EXACT], *of_channels)]


def _is_no_advice(record: logging.LogRecord) -> bool:
    return "pre-processing before quantization" not in record.getMessage()
