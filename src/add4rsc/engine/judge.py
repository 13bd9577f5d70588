"""A judge: a logistic regression that weighs what networks have said once more, of patients who were held back.

It hears nothing itself. It is fitted on log odds of patients that the networks have not learnt from, and decides of a
whole recording by its windows (`recordings`), or of a cycle by the others around it (`context`).
"""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from add4rsc.errors import MissingExtraError, SplitError
from add4rsc.metrics.calibration import mean_log_likelihood
from add4rsc.metrics.smoothing import LEAST_PROBABILITY
from add4rsc.metrics.sprsound import sprsound_score

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Candidates for the inverse strength of the regression's penalty."""
N_FOLDS = 5


def log_odds(probabilities: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    """Logarithms of p / (1 - p), of probabilities that are kept off 0 and 1."""
    inside = probabilities.clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.log(inside / (1 - inside))


def fit_judge(
    values: Float[ndarray, "item value"],
    labels: Int[ndarray, " item"],
    patients: Sequence[str],
    *,
    weighed: bool = False,
) -> "Pipeline":
    """A regression of the most likely classes, whose penalty a cross-validation over patients finds.

    Args:
        values: of recordings or cycles of held-back patients.
        labels: class indices; 0 is normal.
        patients: whose each item is.
        weighed: let normal items weigh as much as all others together, and the official score find the penalty: it is
            a mean of the normal items that are right and of the others that are, whatever their classes.

    Raises:
        MissingExtraError: if scikit-learn is not installed.
        SplitError: if all items are of one class, no item is normal, or all are of one class without some patients.
    """
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise MissingExtraError("Judging recordings, or cycles by the others around them,", "train") from error
    classes, share = np.unique(labels), (labels == 0).mean()
    if not 0 < share < 1:
        raise SplitError(
            "Of the validation patients all is of one class, or nothing is normal. Train with validation_seed=1."
        )
    others = dict.fromkeys(range(1, int(classes[-1]) + 1), 1 / (1 - share))  # the cross-validation counts without gaps
    weights = {0: 1 / share} | others if weighed else None
    folds = _divide(labels, patients)

    def candidate(strength: float) -> "Pipeline":
        regression = LogisticRegression(C=strength, class_weight=weights, max_iter=2000)
        return make_pipeline(StandardScaler(), regression)

    def quality(strength: float) -> float:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Number of classes in training fold")
            found = np.asarray(cross_val_predict(candidate(strength), values, labels, cv=folds, method="predict_proba"))
        if weighed:
            return sprsound_score(labels, classes[found.argmax(axis=1)]).score
        return mean_log_likelihood(np.searchsorted(classes, labels), found)

    return candidate(max(STRENGTHS, key=quality)).fit(values, labels)


def _divide(labels: Int[ndarray, " item"], patients: Sequence[str]) -> list[tuple[ndarray, ndarray]]:
    """Indices of the items to fit on and of those to judge, of folds that keep each patient together.

    Raises:
        SplitError: if there is no fold to fit on, or one without two classes.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    n_folds = min(N_FOLDS, len(set(patients)), int(np.bincount(labels).max()))
    folds = []
    if n_folds > 1:
        divider = StratifiedGroupKFold(n_folds, shuffle=True, random_state=0)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class")  # one of few patients is not in every fold
            folds = list(divider.split(labels, labels, patients))
    if not folds or any(len(np.unique(labels[rest])) == 1 for rest, _ in folds):
        raise SplitError(
            f"Too few validation patients to fit a judge on: {len(set(patients))}. Train with a larger "
            "validation_share or another validation_seed, or add other folds with --fit-on."
        )
    return folds


def judged_probabilities(
    judge: "Pipeline", values: Float[ndarray, "item value"], n_classes: int
) -> Float[ndarray, "item class"]:
    """Probabilities of all classes; those that the judge has not met have 0."""
    probabilities = np.zeros((len(values), n_classes))
    probabilities[:, judge.classes_] = judge.predict_proba(values)
    return probabilities
