"""Everything that `add4rsc evaluate` says of a table of predictions, as one dictionary of plain values."""

import hashlib
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from add4rsc.metrics.icbhi import binary_score, class_scores, confusion_matrix, icbhi_score
from add4rsc.metrics.intervals import score_intervals
from add4rsc.metrics.sprsound import judged, sprsound_score
from add4rsc.predictions import Predictions

OFFICIAL_TESTS = {
    "icbhi2017/official": (2756, ""),
    "sprsound2022/inter": (1429, ""),
    "sprsound2022/intra": (1004, ""),
}
"""Split -> number of test cycles and digest of their recordings, times and annotations."""


def evaluate(predictions: Predictions, seed: int = 0) -> dict[str, Any]:
    """Score a table of predictions.

    Returns the keys of the command contract: counts, confusion matrix (rows are labels), the ICBHI scores exact and
    binary, the SPRSound score, per-class recall, precision and F1, 95 % intervals from a bootstrap over patients, and
    the groups of `stethoscope` if the table has them. NaN becomes None.
    """
    labels, decisions, classes = predictions.labels, predictions.decisions, predictions.classes
    confusion = confusion_matrix(labels, decisions, len(classes))
    counted = judged(labels, classes)
    labels, decisions, patients = labels[counted], decisions[counted], predictions.patients[counted]
    exact, binary = icbhi_score(labels, decisions), binary_score(labels, decisions)
    intervals = score_intervals(labels, decisions, patients, np.random.default_rng(seed))
    result = {
        "n_cycles": len(predictions.table),
        "n_patients": int(predictions.table["patient"].nunique()),
        "classes": list(classes),
        "confusion_matrix": confusion.tolist(),
        **asdict(exact),
        "sensitivity_binary": binary.sensitivity,
        "score_binary": binary.score,
        "sprsound": asdict(sprsound_score(labels, decisions)),
        "per_class": {name: asdict(score) for name, score in zip(classes, class_scores(confusion), strict=True)},
        "intervals": {name: [interval.low, interval.high] for name, interval in intervals.items()},
        "per_stethoscope": _by_group(predictions, "stethoscope"),
        "split": predictions.constant("split"),
        "selection": predictions.constant("selection"),
        "is_official": is_official(predictions),
        "floor_all_normal": 0.5,
    }
    return _without_nan(result)


def is_official(predictions: Predictions) -> bool:
    """Whether the rows are one complete official test subset: its recordings, times and annotated classes."""
    split = predictions.constant("split")
    n_cycles, digest = OFFICIAL_TESTS.get(split, (-1, ""))
    return len(predictions.table) == n_cycles and test_digest(predictions.table) == digest


def test_digest(table: pd.DataFrame) -> str:
    """Hash of which cycles a table holds: recording, start and end in milliseconds."""
    times = (table[["start", "end"]].to_numpy(dtype=float) * 1000).round().astype(int)
    rows = sorted(f"{name}\t{start}\t{end}" for name, (start, end) in zip(table["recording"], times, strict=True))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


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


def _without_nan(value: Any) -> Any:
    """The same, with every NaN replaced by None, which JSON can hold."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
