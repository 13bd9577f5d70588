"""Intervals that keep a patient's cycles together.

Conventions: the bootstrap draws patients, not cycles, because the cycles of one patient are alike. All intervals are of
95 %. Fractions; NaN where there is nothing to say.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import ndtr, ndtri

N_RESAMPLES = 10_000
COVERAGE = 0.95
SCORES = ("specificity", "sensitivity", "score", "sensitivity_binary", "score_binary")


@dataclass(frozen=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float


UNKNOWN = Interval(float("nan"), float("nan"))


@dataclass(frozen=True)
class BootstrapIntervals:
    """Intervals of one score from the same resamples: percentile, and bias-corrected and accelerated (BCa)."""

    percentile: Interval
    bca: Interval


def score_intervals(
    labels: Int[ndarray, " cycle"],
    decisions: Int[ndarray, " cycle"],
    patients: ndarray,
    generator: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> dict[str, Interval]:
    """Percentile intervals of specificity, sensitivity (exact and binary) and their scores; see `bootstrap_scores`."""
    found = bootstrap_scores(labels, decisions, patients, generator, n_resamples)
    return {name: intervals.percentile for name, intervals in found.items()}


def bootstrap_scores(
    labels: Int[ndarray, " cycle"],
    decisions: Int[ndarray, " cycle"],
    patients: ndarray,
    generator: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> dict[str, BootstrapIntervals]:
    """Intervals of specificity, sensitivity (exact and binary) and their scores from a bootstrap over patients.

    A resample without any normal, or any abnormal, cycle is left out of the scores that it leaves undefined. All NaN
    with fewer than two patients.
    BCa is as in Efron 1987 (doi:10.1080/01621459.1987.10478410), its acceleration from leaving out each patient.
    """
    counts = patient_counts(labels, decisions, patients)
    n_patients = len(counts)
    if n_patients < 2:
        return dict.fromkeys(SCORES, BootstrapIntervals(UNKNOWN, UNKNOWN))
    resampled = scores_of_counts(draw_patients(n_patients, generator, n_resamples) @ counts)
    observed = scores_of_counts(counts.sum(axis=0, keepdims=True))
    left_out = scores_of_counts(counts.sum(axis=0) - counts)
    return {
        name: _intervals(resampled[:, index], float(observed[0, index]), left_out[:, index])
        for index, name in enumerate(SCORES)
    }


def official_score_interval(
    labels: Int[ndarray, " item"],
    decisions: Int[ndarray, " item"],
    patients: ndarray,
    generator: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> Interval:
    """Percentile interval of SPRSound's official Score, the mean of AS and HS, from a bootstrap over patients.

    A resample without any normal, or any adventitious, item is left out. NaN with fewer than two patients.
    """
    counts = patient_counts(labels, decisions, patients)
    if len(counts) < 2:
        return UNKNOWN
    specificity, sensitivity = scores_of_counts(draw_patients(len(counts), generator, n_resamples) @ counts)[:, :2].T
    total = specificity + sensitivity
    harmonic = 2 * specificity * sensitivity / np.where(total == 0, 1.0, total)
    return percentile_interval((total / 2 + harmonic) / 2)


def draw_patients(
    n_patients: int, generator: np.random.Generator, n_resamples: int
) -> Int[ndarray, "resample patient"]:
    """How often each patient is in each resample."""
    return generator.multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=n_resamples)


def patient_counts(
    labels: Int[ndarray, " cycle"], decisions: Int[ndarray, " cycle"], patients: ndarray
) -> Int[ndarray, "patient 5"]:
    """Per patient: normal cycles, of them right; abnormal cycles, of them exactly right, of them called abnormal.

    Patients are in the order of their names.
    """
    normal, abnormal = labels == 0, labels != 0
    right = labels == decisions
    columns = np.stack([normal, normal & right, abnormal, abnormal & right, abnormal & (decisions != 0)], axis=1)
    _, owner = np.unique(patients, return_inverse=True)
    counts = np.zeros((owner.max() + 1 if len(owner) else 0, columns.shape[1]), dtype=np.int64)
    np.add.at(counts, owner, columns.astype(np.int64))
    return counts


def scores_of_counts(counts: Float[ndarray, "row 5"] | Int[ndarray, "row 5"]) -> Float[ndarray, "row 5"]:
    """The `SCORES` of each row of counts, in the columns of `patient_counts`; NaN where a class is empty."""
    normal, normal_hits, abnormal, exact_hits, binary_hits = counts.T.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        specificity, sensitivity, binary = normal_hits / normal, exact_hits / abnormal, binary_hits / abnormal
    columns = (specificity, sensitivity, (specificity + sensitivity) / 2, binary, (specificity + binary) / 2)
    return np.stack(columns, axis=1)


def percentile_interval(values: Float[ndarray, " resample"]) -> Interval:
    """The middle 95 % of resampled values; NaN ones are left out."""
    known = values[~np.isnan(values)]
    if not len(known):
        return UNKNOWN
    low, high = np.percentile(known, [2.5, 97.5])
    return Interval(float(low), float(high))


def wilson_interval(hits: int, total: int) -> Interval:
    """Interval of one proportion of independent trials (Wilson 1927); cycles of one patient are none, so it is narrow.

    >>> round(wilson_interval(5, 10).low, 4), round(wilson_interval(5, 10).high, 4)
    (0.2366, 0.7634)
    """
    if not total:
        return UNKNOWN
    z = float(ndtri((1 + COVERAGE) / 2))
    share = hits / total
    centre = share + z**2 / (2 * total)
    half = z * float(np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2)))
    low, high = ((centre + side * half) / (1 + z**2 / total) for side in (-1, 1))
    return Interval(max(0.0, low), min(1.0, high))


def _intervals(
    resampled: Float[ndarray, " resample"], observed: float, left_out: Float[ndarray, " patient"]
) -> BootstrapIntervals:
    return BootstrapIntervals(percentile_interval(resampled), bca_interval(resampled, observed, left_out))


def bca_interval(
    resampled: Float[ndarray, " resample"], observed: float, left_out: Float[ndarray, " patient"]
) -> Interval:
    """The percentile interval, corrected for bias and for a spread that depends on the value.

    Args:
        resampled: the statistic of every resample.
        observed: the statistic of the data.
        left_out: the statistic without each patient in turn; the interval is NaN if fewer than two are known.
    """
    known, jackknife = resampled[~np.isnan(resampled)], left_out[~np.isnan(left_out)]
    if not len(known) or len(jackknife) < 2 or np.isnan(observed):
        return UNKNOWN
    below = ((known < observed).mean() + (known <= observed).mean()) / 2
    if not 0 < below < 1:
        return percentile_interval(known)
    bias = ndtri(below)
    deviations = jackknife.mean() - jackknife
    spread = (deviations**2).sum() ** 1.5
    acceleration = (deviations**3).sum() / (6 * spread) if spread > 0 else 0.0
    z = bias + ndtri(np.array([(1 - COVERAGE) / 2, (1 + COVERAGE) / 2]))
    levels = ndtr(bias + z / (1 - acceleration * z))
    low, high = np.quantile(known, levels)
    return Interval(float(low), float(high))
