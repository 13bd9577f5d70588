import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from add4rsc.audio.crop import Crop
from add4rsc.errors import CheckpointError
from add4rsc.inference.onnx_model import ModelDescription, OnnxClassifier

DESCRIPTION = ModelDescription(
    name="made",
    classes=("normal", "crackle"),
    sample_rate=100,
    crop=Crop(duration=0.5, padding="zero", windows="majority"),
    temperature=1.5,
    thresholds={"crackle": 0.25},
    notes={"dataset": "nöne"},
)


@pytest.fixture
def model_path(tmp_path):
    """A model whose logits are the sum of a waveform and its negative."""
    nodes = [
        helper.make_node("ReduceSum", ["waveform", "axis"], ["sum"], keepdims=1),
        helper.make_node("Neg", ["sum"], ["negative"]),
        helper.make_node("Concat", ["sum", "negative"], ["logits"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", 50])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, DESCRIPTION.to_metadata())
    path = tmp_path / "model with ümlaut.onnx"
    onnx.save(model, path)
    return path


def test_description_survives_the_file(model_path):
    classifier = OnnxClassifier(model_path)
    assert classifier.description == DESCRIPTION
    assert (classifier.name, classifier.classes, classifier.sample_rate) == ("made", ("normal", "crackle"), 100)
    assert (classifier.crop, classifier.duration) == (DESCRIPTION.crop, 0.5)
    assert (classifier.temperature, classifier.thresholds) == (1.5, {"crackle": 0.25})
    assert classifier.notes == {"dataset": "nöne"}


@pytest.mark.parametrize("n_cycles", [0, 1, 15, 16, 17, 50])
def test_logits_of_any_number_of_cycles(model_path, n_cycles):
    waveforms = np.random.default_rng(0).standard_normal((n_cycles, 50)).astype(np.float32)
    total = waveforms.sum(axis=1)
    np.testing.assert_allclose(OnnxClassifier(model_path).logits(waveforms), np.stack([total, -total], 1), atol=1e-5)


def test_wrong_length_is_refused(model_path):
    with pytest.raises(ValueError, match="49 samples instead of 50"):
        OnnxClassifier(model_path).logits(np.zeros((1, 49), np.float32))


def test_many_threads_at_once(model_path):
    classifier = OnnxClassifier(model_path, n_threads=1)
    waveforms = [np.full((3, 50), number, np.float32) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(classifier.logits, waveforms))
    assert [rows[0, 0] for rows in found] == [50.0 * number for number in range(40)]


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such model"), (b"", "no ONNX model"), (b"RIFF....WAVE", "no ONNX model")]
)
def test_what_is_no_model(tmp_path, content, message):
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        OnnxClassifier(path)


@pytest.mark.parametrize("change", [{"format": "other/1"}, {"classes": "[]"}, {"temperature": "zero"}, {"classes": ""}])
def test_model_that_does_not_describe_itself(model_path, change):
    model = onnx.load(model_path)
    helper.set_model_props(model, DESCRIPTION.to_metadata() | change)
    onnx.save(model, model_path)
    with pytest.raises(CheckpointError, match="does not describe itself"):
        OnnxClassifier(model_path)


def test_needs_no_torch(model_path):
    program = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'onnx', 'sklearn', 'matplotlib', 'lightning_fabric'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import numpy as np\n"
        "from add4rsc.inference.onnx_model import OnnxClassifier\n"
        "print(OnnxClassifier(sys.argv[1]).logits(np.ones((1, 50), np.float32)).tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, model_path], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.strip() == "[[50.0, -50.0]]", done.stderr
