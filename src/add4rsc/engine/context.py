"""Cycles judged together with the other cycles of their recording.

What is heard once in a recording is often heard again, and a network that is shown one cycle at a time does not know
that. Only the times of the cycles and a network's probabilities are looked at, of all cycles of a recording at once: by
a judge, or by moving every cycle some way towards the mean of its recording.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from add4rsc.engine.folder import VALIDATION
from add4rsc.engine.judge import fit_judge, judged_probabilities, log_odds
from add4rsc.errors import WrongUsageError
from add4rsc.metrics.calibration import mean_log_likelihood
from add4rsc.metrics.smoothing import smooth_recordings
from add4rsc.predictions import Predictions, read_predictions

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

SMOOTHING = "smoothing"
"""Name in tables of predictions of how far cycles were moved towards the mean of their recording."""
CANDIDATES = np.linspace(0.0, 1.0, 21)


@dataclass(frozen=True)
class ContextJudge:
    """Decides on cycles by what a network said of them and of the other cycles of their recordings."""

    regression: "Pipeline"
    classes: tuple[str, ...]

    @classmethod
    def fit(cls, *of_validation: Predictions, weighed: bool = False) -> "ContextJudge":
        """Fit on what a network says of its validation patients, one cycle at a time.

        Args:
            of_validation: of several networks that held back different patients, what each says of its own.
            weighed: see `fit_judge`.

        Raises:
            WrongUsageError: if the tables are of different classes.
            SplitError: if the validation cycles are of one class, none is normal, or their patients are too few.
            MissingExtraError: if scikit-learn is not installed.
        """
        classes = of_validation[0].classes
        for each in of_validation:
            _check_classes(each, classes)
        values = np.concatenate([values_in_context(each) for each in of_validation])
        labels = np.concatenate([each.labels for each in of_validation])
        patients = np.concatenate([each.patients for each in of_validation])
        return cls(fit_judge(values, labels, patients.tolist(), weighed=weighed), classes)

    def judge(self, predictions: Predictions) -> Predictions:
        """The same cycles, all of their recordings, with what is decided of them together.

        Raises:
            WrongUsageError: if the table is of other classes.
        """
        _check_classes(predictions, self.classes)
        values = values_in_context(predictions)
        return predictions.answered(judged_probabilities(self.regression, values, len(self.classes)))


def _check_classes(predictions: Predictions, classes: tuple[str, ...]) -> None:
    if predictions.classes != classes:
        raise WrongUsageError("Cycles are judged in context by the classes that the network was trained on alone.")


def read_validation(run: Path) -> Predictions:
    """What a run says of its validation patients.

    Raises:
        WrongUsageError: if it has none.
        PredictionsError: if the table is damaged.
    """
    if not (run / VALIDATION).is_file():
        raise WrongUsageError(
            f"{run} has no validation patients to fit a judge on. Train with selection=validation, or name one seed of "
            "a run that has several."
        )
    return read_predictions(run / VALIDATION)


def values_in_context(predictions: Predictions) -> Float[ndarray, "cycle value"]:
    """Of every cycle: its log odds, the mean of the others' in its recording, how many there are, how long it lasts.

    A cycle that is alone in its recording stands for the others itself. Counts and seconds are logarithms.
    """
    own = log_odds(predictions.probabilities)
    groups = pd.DataFrame(own).groupby(predictions.table["recording"].to_numpy(dtype=str))
    counts = groups.transform("size").to_numpy()[:, None]
    others = (groups.transform("sum").to_numpy() - own) / np.maximum(counts - 1, 1)
    seconds = (predictions.table["end"] - predictions.table["start"]).to_numpy(dtype=np.float64)[:, None]
    return np.hstack([own, np.where(counts > 1, others, own), np.log(counts), np.log(seconds.clip(0.01))])


def best_smoothing(*of_validation: Predictions) -> float:
    """How far to move cycles towards the mean of their recording: what makes the labels of these cycles most likely.

    Args:
        of_validation: what one or several networks say of their validation patients, one cycle at a time.
    """
    labels = np.concatenate([each.labels for each in of_validation])

    def log_likelihood(smoothing: float) -> float:
        return mean_log_likelihood(labels, np.concatenate([smoothed(each, smoothing) for each in of_validation]))

    return float(max(CANDIDATES, key=log_likelihood))


def smoothed(predictions: Predictions, smoothing: float) -> Float[ndarray, "cycle class"]:
    """Probabilities of a table's cycles, moved towards the mean of their recording (`metrics.smoothing`)."""
    return smooth_recordings(predictions.probabilities, predictions.table["recording"].tolist(), smoothing)
