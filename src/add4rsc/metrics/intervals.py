"""Intervals that keep a patient's cycles together.

Conventions: the bootstrap draws patients, not cycles, because the cycles of one patient are alike.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

N_RESAMPLES = 10_000


@dataclass(frozen=True)
class Interval:
    """A 95 % percentile interval."""

    low: float
    high: float


def score_intervals(
    labels: Int[ndarray, " cycle"],
    decisions: Int[ndarray, " cycle"],
    patients: ndarray,
    generator: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> dict[str, Interval]:
    """Intervals of specificity, sensitivity (exact and binary) and their scores from a bootstrap over patients.

    Resamples without any normal, or without any abnormal, cycle are left out. All NaN with fewer than two patients.
    """
    counts = _patient_counts(labels, decisions, patients)
    if len(counts) < 2:
        return dict.fromkeys(SCORES, Interval(float("nan"), float("nan")))
    draws = generator.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=n_resamples)
    totals = (draws @ counts).T
    normal, normal_hits, abnormal, exact_hits, binary_hits = totals[:, (totals[0] > 0) & (totals[2] > 0)]
    specificity, sensitivity, binary = normal_hits / normal, exact_hits / abnormal, binary_hits / abnormal
    samples = (specificity, sensitivity, (specificity + sensitivity) / 2, binary, (specificity + binary) / 2)
    return {name: _percentiles(values) for name, values in zip(SCORES, samples, strict=True)}


SCORES = ("specificity", "sensitivity", "score", "sensitivity_binary", "score_binary")


def _patient_counts(
    labels: Int[ndarray, " cycle"], decisions: Int[ndarray, " cycle"], patients: ndarray
) -> Int[ndarray, "patient 5"]:
    """Per patient: normal cycles, of them right; abnormal cycles, of them exactly right, of them called abnormal."""
    normal, abnormal = labels == 0, labels != 0
    right = labels == decisions
    columns = np.stack([normal, normal & right, abnormal, abnormal & right, abnormal & (decisions != 0)], axis=1)
    _, owner = np.unique(patients, return_inverse=True)
    counts = np.zeros((owner.max() + 1 if len(owner) else 0, columns.shape[1]), dtype=np.int64)
    np.add.at(counts, owner, columns.astype(np.int64))
    return counts


def _percentiles(values: Float[ndarray, " resample"]) -> Interval:
    if not len(values):
        return Interval(float("nan"), float("nan"))
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))
