"""Scores of groups of cycles: by stethoscope, place, patient and length.

Conventions: tables of predictions in, plain values out. Every share stands beside its counts and interval, and a group
that is too small to mean anything is marked.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from add4rsc.metrics.icbhi import binary_score, icbhi_score
from add4rsc.metrics.intervals import score_intervals
from add4rsc.metrics.sprsound import judged
from add4rsc.predictions import Predictions

FEWEST_CYCLES, FEWEST_OF_A_KIND, FEWEST_PATIENTS = 10, 3, 2
"""Fewer cycles, fewer normal or fewer abnormal ones, or fewer patients make a group too small."""
N_RESAMPLES = 2000
UNKNOWN = "unknown"
AGE_GROUPS = (
    (2.0, "under 2 years"),
    (6.0, "2 to 5 years"),
    (13.0, "6 to 12 years"),
    (19.0, "13 to 18 years"),
    (65.0, "19 to 64 years"),
    (np.inf, "65 years and over"),
)
"""Upper bound (not included) and name; a patient of 19 or more is an adult, as in the ICBHI 2017 literature."""
LENGTHS = ((1.0, "under 1 s"), (2.0, "1 to 2 s"), (3.0, "2 to 3 s"), (5.0, "3 to 5 s"), (np.inf, "5 s and over"))


def subgroup_scores(predictions: Predictions, seed: int = 0) -> dict[str, dict[str, dict[str, Any]]]:
    """Scores by group of every column that can be grouped: `stethoscope`, `chest_location`, `age_group` ...

    Rows of poor quality are left out, as in the scores of the whole. A column that the table lacks is left out; a row
    without a value is in the group `unknown`.
    """
    counted = judged(predictions.labels, predictions.classes)
    kept = Predictions(predictions.table[counted].reset_index(drop=True), predictions.classes)
    generator = np.random.default_rng(seed)
    found = {name: group(kept.table) for name, group in GROUPS.items()}
    return {name: _scores(kept, groups, generator) for name, groups in found.items() if groups is not None}


def _scores(predictions: Predictions, groups: pd.Series, generator: np.random.Generator) -> dict[str, dict[str, Any]]:
    named = {str(name): (groups == name).to_numpy() for name in groups.unique()}
    order = [name for _, name in (*AGE_GROUPS, *LENGTHS)]
    names = sorted(named, key=lambda name: (order.index(name) if name in order else -1, name))
    return {name: _describe(predictions, named[name], generator) for name in names}


def _describe(predictions: Predictions, rows: np.ndarray, generator: np.random.Generator) -> dict[str, Any]:
    labels, decisions, patients = (
        each[rows] for each in (predictions.labels, predictions.decisions, predictions.patients)
    )
    n_patients, n_normal = len(np.unique(patients)), int((labels == 0).sum())
    n_rarer = min(n_normal, len(labels) - n_normal)
    binary = binary_score(labels, decisions)
    intervals = score_intervals(labels, decisions, patients, generator, N_RESAMPLES)
    return {
        "n_cycles": len(labels),
        "n_normal": n_normal,
        "n_abnormal": len(labels) - n_normal,
        "n_patients": n_patients,
        "too_small": len(labels) < FEWEST_CYCLES or n_rarer < FEWEST_OF_A_KIND or n_patients < FEWEST_PATIENTS,
        **asdict(icbhi_score(labels, decisions)),
        "sensitivity_binary": binary.sensitivity,
        "score_binary": binary.score,
        "intervals": {name: [each.low, each.high] for name, each in intervals.items()},
    }


def _column(name: str) -> Callable[[pd.DataFrame], pd.Series | None]:
    def read(table: pd.DataFrame) -> pd.Series | None:
        return table[name].fillna("").astype(str).replace("", UNKNOWN) if name in table else None

    return read


def _age_groups(table: pd.DataFrame) -> pd.Series | None:
    return _binned(pd.to_numeric(table["age"], errors="coerce"), AGE_GROUPS) if "age" in table else None


def _lengths(table: pd.DataFrame) -> pd.Series:
    # to the microsecond, so that 1 s computed as 0.9999999 is not "under 1 s"
    return _binned((table["end"] - table["start"]).round(6), LENGTHS)


def _binned(values: pd.Series, bounds: tuple[tuple[float, str], ...]) -> pd.Series:
    uppers, names = [upper for upper, _ in bounds], [*(name for _, name in bounds), UNKNOWN]
    index = np.searchsorted(uppers, values.to_numpy(dtype=float), side="right")
    return pd.Series(np.array(names)[np.where(values.isna(), len(bounds), index)], index=values.index)


GROUPS: dict[str, Callable[[pd.DataFrame], pd.Series | None]] = {
    "stethoscope": _column("stethoscope"),
    "chest_location": _column("chest_location"),
    "age_group": _age_groups,
    "sex": _column("sex"),
    "diagnosis": _column("diagnosis"),
    "cycle_length": _lengths,
}
