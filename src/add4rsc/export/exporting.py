"""A trained run -> a checked ONNX file: waveforms in, logits out, with all that is needed to use it inside."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from add4rsc.datasets.opening import open_dataset
from add4rsc.datasets.synthetic import synthesise
from add4rsc.engine.calibrate import Calibration, CalibrationRule, calibrate_run
from add4rsc.engine.ensemble import load_ensemble
from add4rsc.engine.loading import TrainedRun, load_run
from add4rsc.engine.shifting import shift_run
from add4rsc.engine.subsets import own_split
from add4rsc.engine.testing import predict_test_subset
from add4rsc.errors import CheckpointError
from add4rsc.export.description import describe
from add4rsc.export.graph import DenoisingNetwork, WaveformNetwork, to_onnx, with_description
from add4rsc.export.quantisation import quantise
from add4rsc.export.sample import logits_of, read_cycles, spread
from add4rsc.inference.onnx_model import FILTERED, LOG_MEL, LOGITS, ModelDescription, OnnxClassifier
from add4rsc.inference.torch_filter import filter_view
from add4rsc.metrics.evaluation import evaluate
from add4rsc.metrics.icbhi import IcbhiScore, icbhi_score
from add4rsc.storage import write_atomically
from add4rsc.terms import RespiratoryCycle

TOLERANCE = 1e-4
"""Largest difference of a logit that an exported network may show, as a share of the cycle's largest one or of 1.

Torch's own float32 logits of SPRSound cycles differ by up to 8e-5 from float64's, where the largest logit is 8.
"""
N_CHECKED = 64
N_TO_QUANTISE = 128
"""Cycles from which the ranges of the activations are taken."""
BATCH_SIZE = 32

ScorePair = tuple[IcbhiScore, IcbhiScore]


@dataclass(frozen=True)
class ExportSettings:
    """What to write, and on which data it is checked, calibrated and quantised."""

    data_folder: Path | None = None
    """The corpus of the run; without it the check is on made sounds, and nothing is calibrated or scored."""
    calibration: CalibrationRule = CalibrationRule.TEMPERATURE
    int8: bool = False
    ensemble: bool = False
    """The folder is of several seeds, which become one network."""
    n_shifts: int = 1
    """Starts from which the network hears every cycle (`engine.shifting`)."""

    @property
    def makes_network(self) -> bool:
        """Whether the network is another than that whose scores are in the folder: with a corpus, it is tested."""
        return self.ensemble or self.n_shifts > 1


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how far it is from the run."""

    path: Path
    n_bytes: int
    largest_difference: float
    """Between a logit of the run and of the float32 network, as in `TOLERANCE`."""
    n_checked: int
    on_real_cycles: bool
    description: ModelDescription
    calibration: Calibration | None
    int8_scores: ScorePair | None
    """Of the run's test cycles, in float32 and in int8; None where they were not measured."""


@dataclass(frozen=True)
class _Material:
    """Cycles for the three uses that an export has for them."""

    checked: Sequence[RespiratoryCycle]
    to_quantise: Sequence[RespiratoryCycle]
    scored: Sequence[RespiratoryCycle] = ()
    labels: tuple[int, ...] = ()


def export_run(folder: Path, path: Path, settings: ExportSettings) -> ExportReport:
    """Write the network of a run to `path`, after checking that it gives the run's own logits.

    Raises:
        RunFolderError, DatasetNotFoundError, SplitError, AudioError, AnnotationError: as their messages say.
        CheckpointError: if the exported network gives other logits.
        MissingExtraError: if the packages that write ONNX are not installed.
    """
    loaded, data = load_ensemble(folder) if settings.ensemble else load_run(folder), settings.data_folder
    run = shift_run(loaded, settings.n_shifts)
    is_calibrated = data is not None and settings.calibration is not CalibrationRule.NONE
    calibration = calibrate_run(run, data, settings.calibration) if data is not None and is_calibrated else None
    tested = evaluate(predict_test_subset(run, data)) if settings.makes_network and data is not None else None
    network, description = WaveformNetwork(run, calibration).eval(), describe(run, calibration, tested)
    model = _to_onnx(run, network, description.crop.n_samples(description.sample_rate))
    with tempfile.TemporaryDirectory() as scratch:
        material = _material(run, data, Path(scratch))
        exact = _open(Path(scratch) / "float32.onnx", model, description)
        difference = check_parity(exact, network, _waveforms(material.checked, description))
        scores = None
        if settings.int8:
            model = quantise(model, _waveforms(material.to_quantise, description))
            scores = _compare(exact, _open(Path(scratch) / "int8.onnx", model, description), material)
            description = _with_int8_notes(description, scores)
    content = with_description(model, description)
    write_atomically(path, lambda file: file.write(content))
    return ExportReport(
        path, len(content), difference, len(material.checked), data is not None, description, calibration, scores
    )


def _to_onnx(run: TrainedRun, network: WaveformNetwork, n_samples: int) -> bytes:
    """The content of the ONNX file; with an ADD layer's frames where there is one."""
    view = filter_view(run.network, run.front_end)
    if view is None:
        return to_onnx(network, n_samples)
    return to_onnx(DenoisingNetwork(network, view).eval(), n_samples, (LOGITS, LOG_MEL, FILTERED))


def check_parity(
    exported: OnnxClassifier, network: WaveformNetwork, waveforms: Float[ndarray, "cycle sample"]
) -> float:
    """Largest difference between the logits of the exported network and of the run's own, as in `TOLERANCE`.

    Raises:
        CheckpointError: if it is too large.
    """
    with torch.inference_mode():
        expected = torch.cat([network(batch) for batch in torch.from_numpy(waveforms).split(BATCH_SIZE)]).numpy()
    scale = np.maximum(1, np.abs(expected).max(axis=1, keepdims=True))
    difference = float((np.abs(exported.logits(waveforms) - expected) / scale).max())
    if not difference <= TOLERANCE:
        raise CheckpointError(
            f"The exported network's logits differ by up to {difference:.1e} from the run's, more than "
            f"{TOLERANCE:.0e} allows. Nothing was written. Report it with the run's recipe.json."
        )
    return difference


def _material(run: TrainedRun, data_folder: Path | None, scratch: Path) -> _Material:
    """Test cycles to check and score, training cycles to quantise; all made ones where there is no corpus.

    Raises:
        DatasetNotFoundError, SplitError, AnnotationError: as their messages say.
    """
    if data_folder is None:
        made = open_dataset(synthesise(scratch / "made", 12)).cycles()
        return _Material(spread(made, N_CHECKED), spread(made, N_TO_QUANTISE))
    split = own_split(run.recipe, open_dataset(data_folder, run.recipe.dataset))
    task = split.task
    labels = tuple(task.classes.index(task.class_of[cycle.annotation]) for cycle in split.test)
    return _Material(spread(split.test, N_CHECKED), spread(split.train, N_TO_QUANTISE), split.test, labels)


def _waveforms(cycles: Sequence[RespiratoryCycle], description: ModelDescription) -> Float[ndarray, "cycle sample"]:
    return np.stack(list(read_cycles(cycles, description.sample_rate, description.crop)))


def _open(path: Path, model: bytes, description: ModelDescription) -> OnnxClassifier:
    path.write_bytes(with_description(model, description))
    return OnnxClassifier(path)


def _compare(exact: OnnxClassifier, small: OnnxClassifier, material: _Material) -> ScorePair | None:
    """Scores of the test cycles by both; None where there are none."""
    if not material.scored:
        return None
    labels = np.array(material.labels)
    before, after = (icbhi_score(labels, logits_of(each, material.scored).argmax(axis=1)) for each in (exact, small))
    return before, after


def _with_int8_notes(description: ModelDescription, scores: ScorePair | None) -> ModelDescription:
    told = "score not measured"
    if scores is not None:
        told = f"test score {scores[0].score:.4f} in float32, {scores[1].score:.4f} in int8"
    return description.model_copy(update={"notes": description.notes | {"quantisation": f"int8; {told}"}})
