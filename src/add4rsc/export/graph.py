"""Front-end and network as one ONNX graph."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from add4rsc.audio.frontend import LogMelFilterBank
from add4rsc.engine.calibrate import Calibration
from add4rsc.engine.loading import TrainedRun
from add4rsc.errors import CheckpointError, MissingExtraError
from add4rsc.export.operators import REPLACEMENTS
from add4rsc.inference.onnx_model import INPUT, LOGITS, ModelDescription
from add4rsc.inference.torch_filter import FilterView

OPSET = 20
LARGEST_TABLE = 2**22
"""Elements of a table up to which it is compared with others."""


class WaveformNetwork(nn.Module):
    """Front-end, network, and the calibration's factor and offset of every class."""

    scale: Tensor
    offset: Tensor

    def __init__(self, run: TrainedRun, calibration: Calibration | None) -> None:
        super().__init__()
        self.front_end = LogMelFilterBank(run.front_end)
        self.network = run.network
        n_classes = len(run.classes)
        self.register_buffer("scale", torch.tensor(calibration.scale) if calibration else torch.ones(n_classes))
        self.register_buffer("offset", torch.tensor(calibration.offset) if calibration else torch.zeros(n_classes))

    def forward(self, waveform: Float[Tensor, "batch sample"]) -> Float[Tensor, "batch class"]:
        """Logits of cropped waveforms."""
        return self.classify(self.front_end(waveform))

    def classify(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of log-mel frames."""
        return self.network(log_mel) * self.scale + self.offset


class DenoisingNetwork(nn.Module):
    """The same for a network with an ADD layer, with its frames before and after the first filter as further outputs.

    They lie on the way to the logits, and are taken from there: the filter is in the graph once.
    """

    def __init__(self, network: WaveformNetwork, view: FilterView) -> None:
        super().__init__()
        self.network, self.view = network, view

    def forward(
        self, waveform: Float[Tensor, "batch sample"]
    ) -> tuple[Float[Tensor, "batch class"], Float[Tensor, "batch time mel"], Float[Tensor, "batch time mel"]]:
        """Logits, and natural logarithms of mel energies before and after the filter."""
        log_mel = self.network.front_end(waveform)
        outputs: list[Tensor] = []

        def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            outputs.append(output)

        hook = self.view.filter.register_forward_hook(keep)  # pyright: ignore[reportArgumentType]
        logits = self.network.classify(log_mel)
        hook.remove()
        return logits, *self.view.compare(log_mel, outputs[0])


def to_onnx(network: nn.Module, n_samples: int, outputs: Sequence[str] = (LOGITS,)) -> bytes:
    """The network as the content of an ONNX file, for any number of waveforms of `n_samples`.

    Torch's notes on every node are left out: they hold the paths of the machine.

    Raises:
        MissingExtraError: if the packages that write ONNX are not installed.
        CheckpointError: if torch cannot write this network.
    """
    with _quiet_exporter(), torch.no_grad():
        batch = ({0: torch.export.Dim("batch")},)
        program = torch.export.export(network, (torch.zeros(2, n_samples),), dynamic_shapes=batch)
        try:
            written = torch.onnx.export(
                program.run_decompositions(REPLACEMENTS),
                (),
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=list(outputs),
                opset_version=OPSET,
            )
        except ImportError as error:
            raise MissingExtraError("Writing an ONNX file", "export") from error
    if written is None:
        raise CheckpointError("torch wrote no ONNX graph of this network. Report it with the run's recipe.json.")
    _share_tables(written.model)
    model = written.model_proto
    for node in model.graph.node:
        node.ClearField("metadata_props")
    model.graph.ClearField("value_info")
    return model.SerializeToString()


def _share_tables(model: Any) -> None:
    """Keep one of equal tables: the filters of all members of an ensemble have the same ones for their transforms."""
    from onnx_ir.passes.common import DeduplicateInitializersPass

    DeduplicateInitializersPass(size_limit=LARGEST_TABLE)(model)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence what torch 2.13's exporter says of its own code and of packages that are not needed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "(?s).*LeafSpec.*", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def with_description(model: bytes, description: ModelDescription) -> bytes:
    """The content of an ONNX file with the description in it."""
    import onnx

    proto = onnx.load_model_from_string(model)
    onnx.helper.set_model_props(proto, description.to_metadata())
    proto.producer_name, proto.producer_version = "add4rsc", ""
    return proto.SerializeToString()
