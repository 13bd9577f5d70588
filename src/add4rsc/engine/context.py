"""Cycles judged together with the other cycles of their recording.

What is heard once in a recording is often heard again, and a network that is shown one cycle at a time does not know
that. Only the times of the cycles and a network's probabilities are looked at, of all cycles of a recording at once: by
a judge, or by moving every cycle some way towards the mean of its recording. The judge may be told what another network
says of the recording as a whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from add4rsc.engine.folder import VALIDATION
from add4rsc.engine.judge import fit_judge, judged_probabilities, log_odds
from add4rsc.errors import SplitError, WrongUsageError
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
    classes_beside: tuple[str, ...] = ()
    """Those by which it is told of whole recordings, if it is."""

    @classmethod
    def fit(
        cls, *of_validation: Predictions, beside: Sequence[Predictions] = (), weighed: bool = False
    ) -> "ContextJudge":
        """Fit on what a network says of its validation patients, one cycle at a time.

        Args:
            of_validation: of several networks that held back different patients, what each says of its own.
            beside: what networks that were trained on recordings say of whole ones that they held back. Fitted is then
                on cycles of recordings that are among these. They may be of other folds.
            weighed: see `fit_judge`.

        Raises:
            WrongUsageError: if the tables are of different classes, or `beside` is not of whole recordings.
            SplitError: if the validation cycles are of one class, or none is normal, or none is in a recording that a
                table beside is of.
            MissingExtraError: if scikit-learn is not installed.
        """
        classes = of_validation[0].classes
        for each in of_validation:
            _check_classes(each, classes)
        values = np.concatenate([values_in_context(each) for each in of_validation])
        labels = np.concatenate([each.labels for each in of_validation])
        patients = np.concatenate([each.patients for each in of_validation])
        if beside:
            told = np.concatenate([_told_of_recordings(each, beside) for each in of_validation])
            is_told = ~np.isnan(told).any(axis=1)
            if not is_told.any():
                raise SplitError(
                    "No cycle of a validation patient is in a recording that the network of recordings held back too. "
                    "Give further folds of either with --fit-on."
                )
            values, labels, patients = np.hstack([values, told])[is_told], labels[is_told], patients[is_told]
        judge = fit_judge(values, labels, patients.tolist(), weighed=weighed)
        return cls(judge, classes, beside[0].classes if beside else ())

    def judge(self, predictions: Predictions, beside: Predictions | None = None) -> Predictions:
        """The same cycles, all of their recordings, with what is decided of them together.

        Args:
            predictions: of the cycles, one at a time.
            beside: of their recordings, if the judge was fitted on such too.

        Raises:
            WrongUsageError: if a table is of other classes, or not of all the recordings.
        """
        _check_classes(predictions, self.classes)
        values = values_in_context(predictions)
        if (() if beside is None else beside.classes) != self.classes_beside:
            raise WrongUsageError("A judge is told of recordings by networks of the classes that it was fitted on.")
        if beside is not None:
            told = _told_of_recordings(predictions, [beside])
            if np.isnan(told).any():
                raise WrongUsageError("The table beside lacks recordings of the cycles. Predict both on one test.")
            values = np.hstack([values, told])
        return predictions.answered(judged_probabilities(self.regression, values, len(self.classes)))


def _check_classes(predictions: Predictions, classes: tuple[str, ...]) -> None:
    if predictions.classes != classes:
        raise WrongUsageError("Cycles are judged in context by the classes that the network was trained on alone.")


def _told_of_recordings(predictions: Predictions, beside: Sequence[Predictions]) -> Float[ndarray, "cycle class"]:
    """Of every cycle the log odds of its recording in the first table that has it; NaN where none has.

    Raises:
        WrongUsageError: if a table has several rows of a recording, or the tables are of different classes.
    """
    recordings = [each.table["recording"].to_numpy(dtype=str) for each in beside]
    if any(len(set(each)) < len(each) for each in recordings) or len({each.classes for each in beside}) > 1:
        raise WrongUsageError(
            "A judge of cycles is told of their recordings by networks that were trained on recordings, of one task. "
            "Name such runs, trained with task=task-2-2."
        )
    told = pd.DataFrame(np.concatenate([log_odds(each.probabilities) for each in beside]), np.concatenate(recordings))
    told = told[~told.index.duplicated()]
    return told.reindex(predictions.table["recording"].to_numpy(dtype=str)).to_numpy()


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
