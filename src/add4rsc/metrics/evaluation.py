"""Everything that `add4rsc evaluate` says of a table of predictions, as one dictionary of plain values."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from add4rsc.metrics.calibration import brier_score, expected_calibration_error, reliability_bins
from add4rsc.metrics.classification import balanced_accuracy, macro_f1, matthews_correlation
from add4rsc.metrics.icbhi import binary_score, class_scores, confusion_matrix, icbhi_score
from add4rsc.metrics.intervals import Interval, bootstrap_scores, official_score_interval, wilson_interval
from add4rsc.metrics.official import official_test
from add4rsc.metrics.ranking import area_under_roc, average_precision
from add4rsc.metrics.runs import describe_selection
from add4rsc.metrics.sprsound import four_class_average, judged, one_vs_rest_score, sprsound_score
from add4rsc.metrics.subgroups import subgroup_scores
from add4rsc.predictions import Predictions


def evaluate(predictions: Predictions, seed: int = 0) -> dict[str, Any]:
    """Score a table of predictions.

    Returns the keys of the command contract: counts, confusion matrix (rows are labels), the ICBHI scores exact and
    binary, the SPRSound score, per-class recall, precision and F1, 95 % intervals from a bootstrap over patients, and
    the groups of `stethoscope` if the table has them. Beyond the contract: the look-alikes of the SPRSound score, BCa
    and Wilson intervals, class means, ranking and calibration, and subgroups. The scores and their intervals leave rows
    of poor quality out; the confusion matrix and what comes from it and from the probabilities do not. NaN becomes
    None, and `classes_without_cycles` names the classes that it comes from.
    """
    confusion = confusion_matrix(predictions.labels, predictions.decisions, len(predictions.classes))
    official = official_test(predictions)
    result = {
        "n_cycles": len(predictions.table),
        "n_patients": int(predictions.table["patient"].nunique()),
        "classes": list(predictions.classes),
        "confusion_matrix": confusion.tolist(),
        **_scores(predictions, seed),
        "sprsound_look_alikes": _look_alikes(predictions, confusion),
        "per_class": _per_class(predictions, confusion),
        "macro_f1": macro_f1(confusion),
        "balanced_accuracy": balanced_accuracy(confusion),
        "matthews_correlation": matthews_correlation(confusion),
        "classes_without_cycles": [
            name for name, row in zip(predictions.classes, confusion, strict=True) if not row.any()
        ],
        **_calibration(predictions),
        "per_stethoscope": _by_group(predictions, "stethoscope"),
        "subgroups": subgroup_scores(predictions, seed),
        "split": predictions.constant("split"),
        "selection": predictions.constant("selection"),
        "selection_description": describe_selection(predictions.constant("selection")),
        "is_official": official is not None,
        "official_test": official and official.split,
        "floor_all_normal": 0.5,
    }
    return without_nan(result)


def _scores(predictions: Predictions, seed: int) -> dict[str, Any]:
    """The ICBHI and SPRSound scores and their intervals, without rows of poor quality."""
    counted = judged(predictions.labels, predictions.classes)
    labels, decisions = predictions.labels[counted], predictions.decisions[counted]
    binary = binary_score(labels, decisions)
    patients = predictions.patients[counted]
    intervals = bootstrap_scores(labels, decisions, patients, np.random.default_rng(seed))
    official = official_score_interval(labels, decisions, patients, np.random.default_rng(seed))
    return {
        **asdict(icbhi_score(labels, decisions)),
        "sensitivity_binary": binary.sensitivity,
        "score_binary": binary.score,
        "sprsound": asdict(sprsound_score(labels, decisions)) | {"interval": _pair(official)},
        "intervals": {name: _pair(each.percentile) for name, each in intervals.items()},
        "intervals_bca": {name: _pair(each.bca) for name, each in intervals.items()},
        "intervals_wilson": _wilson(labels, decisions),
        "n_poor_quality": int((~counted).sum()),
    }


def _look_alikes(predictions: Predictions, confusion: Int[ndarray, "class class"]) -> dict[str, Any]:
    """What papers print as the SPRSound score and is not (SPRSOUND 2): A4, and M, which counts poor quality too."""
    counted = judged(predictions.labels, predictions.classes)
    labels, decisions = predictions.labels[counted], predictions.decisions[counted]
    return {
        "A4": four_class_average(labels, decisions, predictions.classes),
        "M": asdict(one_vs_rest_score(confusion)),
    }


def _per_class(predictions: Predictions, confusion: Int[ndarray, "class class"]) -> dict[str, dict[str, Any]]:
    """Recall (with its Wilson interval), precision, F1, and the areas under the ROC and precision-recall curves."""
    labels, probabilities = predictions.labels, predictions.probabilities
    table = {}
    for index, (name, score) in enumerate(zip(predictions.classes, class_scores(confusion), strict=True)):
        is_member, of_class = labels == index, probabilities[:, index]
        table[name] = asdict(score) | {
            "recall_wilson": _pair(wilson_interval(int(confusion[index, index]), score.support)),
            "auroc": area_under_roc(is_member, of_class),
            "auprc": average_precision(is_member, of_class),
        }
    return table


def _wilson(labels: Int[ndarray, " cycle"], decisions: Int[ndarray, " cycle"]) -> dict[str, list[float]]:
    """Intervals of the single proportions as if cycles were independent, which they are not."""
    normal = labels == 0
    proportions = {
        "specificity": (decisions == 0)[normal],
        "sensitivity": (decisions == labels)[~normal],
        "sensitivity_binary": (decisions != 0)[~normal],
    }
    return {name: _pair(wilson_interval(int(hits.sum()), len(hits))) for name, hits in proportions.items()}


def _calibration(predictions: Predictions) -> dict[str, Any]:
    labels, probabilities = predictions.labels, predictions.probabilities
    bins = reliability_bins(labels, predictions.decisions, probabilities)
    return {
        "brier": brier_score(labels, probabilities),
        "expected_calibration_error": expected_calibration_error(bins),
        "reliability": [asdict(each) for each in bins],
    }


def _pair(interval: Interval) -> list[float]:
    return [interval.low, interval.high]


def _by_group(predictions: Predictions, column: str) -> dict[str, dict[str, Any]]:
    """Counts and scores of each value of a column; empty where the table lacks it."""
    if column not in predictions.table:
        return {}
    labels, decisions, groups = predictions.labels, predictions.decisions, predictions.table[column].astype(str)
    table = {}
    for group in sorted(groups.unique()):
        rows = (groups == group).to_numpy()
        binary = binary_score(labels[rows], decisions[rows])
        table[group] = {
            "n_cycles": int(rows.sum()),
            "n_patients": int(predictions.table["patient"][rows].nunique()),
            **asdict(icbhi_score(labels[rows], decisions[rows])),
            "score_binary": binary.score,
        }
    return table


def without_nan(value: Any) -> Any:
    """The same, with every NaN replaced by None, which JSON can hold."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
