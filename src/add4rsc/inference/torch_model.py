"""A run folder as a classifier; the only part of inference that needs torch."""

from pathlib import Path

from jaxtyping import Float
from numpy import ndarray

from add4rsc.audio.crop import Crop
from add4rsc.errors import MissingExtraError
from add4rsc.inference._base import AbstractClassifier, AbstractMelFilter

BATCH_SIZE = 16
"""Cycles in one pass."""


class TorchClassifier(AbstractClassifier):
    """The network that a training run chose, on the CPU.

    A run folder carries no calibration: `add4rsc export --data-folder` fits one and puts it in the ONNX file.

    Args:
        folder: of a run; of several seeds or folds, one of theirs.

    Raises:
        RunFolderError, CheckpointError: if there is no network in it, or a damaged one.
        MissingExtraError: if torch is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from add4rsc.audio.frontend import LogMelFilterBank
            from add4rsc.engine.loading import load_run
            from add4rsc.inference.torch_filter import open_mel_filter
        except ImportError as error:
            raise MissingExtraError(f"The run folder {folder}", "train") from error
        self._run = load_run(folder)
        self._filter_bank = LogMelFilterBank(self._run.front_end)
        self.mel_filter: AbstractMelFilter | None = open_mel_filter(self._run)

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self._run.recipe.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of the logits, the normal one first."""
        return self._run.classes

    @property
    def sample_rate(self) -> int:
        """Of the waveforms that `logits` takes, in hertz."""
        return self._run.front_end.sample_rate

    @property
    def crop(self) -> Crop:
        """How a stretch of a recording becomes a waveform of fixed length."""
        return self._run.recipe.crop

    @property
    def temperature(self) -> float:
        """Nothing was fitted."""
        return 1.0

    @property
    def thresholds(self) -> dict[str, float]:
        """Nothing was fitted."""
        return {}

    @property
    def notes(self) -> dict[str, str]:
        """Where the network comes from."""
        recipe = self._run.recipe
        known = {
            "recipe": recipe.name,
            "dataset": recipe.dataset,
            "split": recipe.split,
            "task": recipe.task,
            "calibration": "none: probabilities are as the network learnt them",
        }
        return {key: value for key, value in known.items() if value}

    def logits(self, waveforms: Float[ndarray, "cycle sample"]) -> Float[ndarray, "cycle class"]:
        """Logits of cropped waveforms: float32 in [-1, 1], `crop.n_samples(sample_rate)` samples each."""
        import torch

        with torch.inference_mode():
            rows = [
                self._run.network(self._filter_bank(batch)) for batch in torch.from_numpy(waveforms).split(BATCH_SIZE)
            ]
            return torch.cat(rows).numpy()
