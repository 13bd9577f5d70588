"""A classifier in one ONNX file: the only part that runs a network without torch."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from jaxtyping import Float
from numpy import ndarray
from onnxruntime.capi import onnxruntime_pybind11_state as failures  # pyright: ignore[reportAttributeAccessIssue]
from pydantic import Field, ValidationError

from add4rsc.audio.crop import Crop
from add4rsc.errors import CheckpointError
from add4rsc.inference._base import AbstractClassifier, AbstractMelFilter, FilteredFrames, MelFrames
from add4rsc.terms import RESEARCH_USE_ONLY, Settings

FORMAT = "add4rsc/1"
"""Says that a file's metadata are these; the number rises when their meaning changes."""
INPUT = "waveform"
LOGITS, LOG_MEL, FILTERED = "logits", "log_mel", "filtered"
"""Outputs: the last two, which networks with an ADD layer have, are natural logarithms of mel energies."""
BATCH_SIZE = 16
"""Cycles in one pass: more are not faster, and need more memory."""
ERRORS_ONLY = 3
"""onnxruntime's level of logging: it warns of processors and devices that are none of the user's business."""
NOT_A_MODEL = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NotImplemented,
    failures.RuntimeException,
)


class ModelDescription(Settings):
    """What an exported network says of itself, kept as the ONNX file's metadata."""

    name: str
    """The recipe's name."""
    classes: tuple[str, ...] = Field(min_length=2)
    """In the order of the logits, the normal one first."""
    sample_rate: int = Field(gt=0)
    """Of the waveforms that it takes, in hertz."""
    crop: Crop
    temperature: float = Field(default=1.0, gt=0)
    """What its logits are divided by before the softmax."""
    thresholds: dict[str, float] = Field(default_factory=dict)
    """Per class, the probability that it must reach to be decided."""
    notes: dict[str, str] = Field(default_factory=dict)
    """Provenance: data, split, commit, scores."""
    mel_frames: MelFrames | None = None
    """Where the frames of its outputs `log_mel` and `filtered` lie; None where it has no such outputs."""

    def to_metadata(self) -> dict[str, str]:
        """The description as text under text, every value of its own that is not text as JSON."""
        values = {
            key: value if isinstance(value, str) else json.dumps(value) for key, value in self.model_dump().items()
        }
        return {"format": FORMAT, "notice": RESEARCH_USE_ONLY} | values

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "ModelDescription":
        """The description that `to_metadata` wrote.

        Raises:
            ValueError: if it is missing, or of another format.
        """
        if metadata.get("format") != FORMAT:
            raise ValueError(f"its format is {metadata.get('format') or 'not named'}, not {FORMAT}")
        texts = {key: metadata[key] for key in cls.model_fields if key in metadata}
        return cls.model_validate({key: text if key == "name" else json.loads(text) for key, text in texts.items()})


class OnnxClassifier(AbstractClassifier):
    """An exported network, run by onnxruntime. One object may be used by several threads at once.

    Every cycle gives the same logits alone and among others, to the last bit.

    Args:
        path: a file that `add4rsc export` wrote.
        n_threads: processor threads that one call uses; 0 for all.

    Raises:
        CheckpointError: if the file is missing, damaged, or not written by `add4rsc export`.
    """

    def __init__(self, path: Path | str, n_threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = n_threads
        options.log_severity_level = ERRORS_ONLY
        if not Path(path).is_file():
            raise CheckpointError(f"{path}: there is no such model. Write one with `add4rsc export RUN -o {path}`.")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except NOT_A_MODEL as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"{path}: is no ONNX model that can be run ({reason}). Export it again.") from error
        try:
            metadata = self._session.get_modelmeta().custom_metadata_map
            self.description = ModelDescription.from_metadata(metadata)
        except (ValueError, ValidationError) as error:
            raise CheckpointError(
                f"{path}: does not describe itself ({str(error).splitlines()[0]}). "
                "Use a file that this version's `add4rsc export` wrote."
            ) from error
        frames = self.description.mel_frames
        self.mel_filter: AbstractMelFilter | None = None if frames is None else OnnxMelFilter(self._session, frames)

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.description.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of the logits, the normal one first."""
        return self.description.classes

    @property
    def sample_rate(self) -> int:
        """Of the waveforms that `logits` takes, in hertz."""
        return self.description.sample_rate

    @property
    def crop(self) -> Crop:
        """How a stretch of a recording becomes a waveform of fixed length."""
        return self.description.crop

    @property
    def temperature(self) -> float:
        """What logits are divided by before the softmax."""
        return self.description.temperature

    @property
    def thresholds(self) -> dict[str, float]:
        """Per class, the probability that it must reach to be decided."""
        return dict(self.description.thresholds)

    @property
    def notes(self) -> dict[str, str]:
        """Provenance, as text."""
        return dict(self.description.notes)

    def logits(self, waveforms: Float[ndarray, "cycle sample"]) -> Float[ndarray, "cycle class"]:
        """Logits of cropped waveforms: float32 in [-1, 1], `crop.n_samples(sample_rate)` samples each.

        Raises:
            ValueError: if they have another number of samples.
        """
        expected = self.crop.n_samples(self.sample_rate)
        if waveforms.shape[1] != expected:
            raise ValueError(f"a cropped waveform has {waveforms.shape[1]} samples instead of {expected}")
        if len(waveforms) == 0:
            return np.zeros((0, len(self.classes)), dtype=np.float32)
        (logits,) = _run(self._session, [LOGITS], waveforms)
        return logits


class OnnxMelFilter(AbstractMelFilter):
    """The first stage of an exported network's ADD layer."""

    def __init__(self, session: onnxruntime.InferenceSession, frames: MelFrames) -> None:
        self._session, self._frames = session, frames

    @property
    def frames(self) -> MelFrames:
        """Where its frames lie."""
        return self._frames

    def apply(self, waveforms: Float[ndarray, "cycle sample"]) -> FilteredFrames:
        """Frames of cropped waveforms before and after the filter."""
        log_mel, filtered = _run(self._session, [LOG_MEL, FILTERED], waveforms)
        return FilteredFrames(log_mel, filtered)


def _run(
    session: onnxruntime.InferenceSession, outputs: list[str], waveforms: Float[ndarray, "cycle sample"]
) -> list[ndarray]:
    """Some outputs for all waveforms, a batch at a time."""
    starts = range(0, len(waveforms), BATCH_SIZE)
    batches = [np.ascontiguousarray(waveforms[at : at + BATCH_SIZE], dtype=np.float32) for at in starts]
    found = [session.run(outputs, {INPUT: batch}) for batch in batches]
    return [np.concatenate([np.asarray(rows[index]) for rows in found]) for index in range(len(outputs))]
