"""A classifier that is small enough to be worked out by hand, and sounds to put in."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper

from add4rsc.audio.crop import Crop
from add4rsc.inference._base import AbstractClassifier
from add4rsc.inference.onnx_model import ModelDescription

CLASSES = ("normal", "crackle", "wheeze", "both")
SAMPLE_RATE, DURATION = 4000, 2.0


class HandClassifier(AbstractClassifier):
    """Logits from mean size, largest size and roughness of the waveform; equal to the ONNX file of `hand_model`."""

    def __init__(self, crop: Crop | None = None, thresholds: dict[str, float] | None = None) -> None:
        self._crop, self._thresholds = crop or Crop(duration=DURATION), thresholds or {}
        self.batches: list[int] = []

    name = "by-hand"
    classes = CLASSES
    sample_rate = SAMPLE_RATE
    temperature = 2.0
    notes = {"origin": "worked out by hand"}  # noqa: RUF012

    @property
    def crop(self) -> Crop:
        return self._crop

    @property
    def thresholds(self) -> dict[str, float]:
        return self._thresholds

    def logits(self, waveforms):
        self.batches.append(len(waveforms))
        size, largest = np.abs(waveforms).mean(axis=1), waveforms.max(axis=1)
        roughness = np.abs(np.diff(waveforms, axis=1)).mean(axis=1)
        return np.stack([0.2 + 0 * size, 20 * size, 4 * largest, 20 * roughness], axis=1).astype(np.float32)


@pytest.fixture
def hand() -> type[HandClassifier]:
    return HandClassifier


@pytest.fixture
def breath() -> Callable[..., np.ndarray]:
    return make_breath


@pytest.fixture
def classifier() -> HandClassifier:
    return HandClassifier()


@pytest.fixture(scope="session")
def hand_model(tmp_path_factory) -> Path:
    """The same as an ONNX file, for processes of their own."""
    last = round(SAMPLE_RATE * DURATION)
    constants = {
        "axis": np.array([1]), "zero": np.array([0]), "one": np.array([1]), "last": np.array([last]),
        "before": np.array([last - 1]), "scale": np.array([[0, 20, 4, 20]], np.float32),
        "base": np.array([[0.2, 0, 0, 0]], np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Abs", ["waveform"], ["absolute"]),
        helper.make_node("ReduceMean", ["absolute", "axis"], ["size"]),
        helper.make_node("ReduceMax", ["waveform", "axis"], ["largest"]),
        helper.make_node("Slice", ["waveform", "one", "last", "axis"], ["later"]),
        helper.make_node("Slice", ["waveform", "zero", "before", "axis"], ["earlier"]),
        helper.make_node("Sub", ["later", "earlier"], ["step"]),
        helper.make_node("Abs", ["step"], ["steps"]),
        helper.make_node("ReduceMean", ["steps", "axis"], ["roughness"]),
        helper.make_node("Concat", ["size", "size", "largest", "roughness"], ["parts"], axis=1),
        helper.make_node("Mul", ["parts", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "base"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "by-hand",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["cycle", last])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["cycle", 4])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    described = ModelDescription(
        name="by-hand", classes=CLASSES, sample_rate=SAMPLE_RATE, crop=Crop(duration=DURATION), temperature=2.0
    )
    helper.set_model_props(model, described.to_metadata())
    path = tmp_path_factory.mktemp("model") / "hand.onnx"
    onnx.save(model, path)
    return path


def make_breath(duration: float = 6.0, sample_rate: int = 4000, seed: int = 0) -> np.ndarray:
    """Noise below 1 kHz that swells and fades every 3 s."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(duration * sample_rate)) / sample_rate
    spectrum = np.fft.rfft(generator.standard_normal(len(time)))
    frequencies = np.fft.rfftfreq(len(time), 1 / sample_rate)
    spectrum /= 1 + (frequencies / 200) ** 2
    noise = np.fft.irfft(spectrum, len(time))
    swell = 0.05 + np.clip(np.sin(2 * np.pi * time / 3), 0, None)
    return (0.1 * noise / noise.std() * swell).astype(np.float32)


@pytest.fixture
def write(tmp_path) -> Callable[..., Path]:
    """Write a sound file below the test's folder."""

    def write_sound(name: str, waveform: np.ndarray | None = None, sample_rate: int = 4000, **how: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, make_breath() if waveform is None else waveform, sample_rate, **how)
        return path

    return write_sound
