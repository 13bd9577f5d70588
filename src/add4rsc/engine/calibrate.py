"""Probabilities that mean what they say: what is fitted on the validation patients of a run."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import isotonic_regression, minimize, minimize_scalar
from scipy.special import log_softmax, softmax

from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.ensemble import check_held_back
from add4rsc.engine.features import cache_folder, prepare_features
from add4rsc.engine.loading import TrainedRun
from add4rsc.engine.subsets import own_split
from add4rsc.engine.windows import split_cycles
from add4rsc.errors import SplitError
from add4rsc.metrics.calibration import expected_calibration_error, reliability_bins

TEMPERATURES = (0.05, 20.0)
RIDGE = 1e-2
"""Pull of vector scaling towards leaving the logits as they are, per class: validation patients are few."""
RIGHT_SHARE = 0.5
"""A class is decided from the probability on from which such decisions were right at least this often."""
HIGHEST_THRESHOLD = 0.9
BATCH_SIZE = 64


class CalibrationRule(StrEnum):
    """How logits are corrected before the softmax."""

    NONE = "none"
    TEMPERATURE = "temperature"
    VECTOR = "vector"


@dataclass(frozen=True)
class Calibration:
    """Calibrated probabilities are softmax((scale * logits + offset) / temperature)."""

    rule: CalibrationRule
    temperature: float
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    thresholds: dict[str, float]
    """Per class, the probability that it must reach to be decided."""
    log_loss: tuple[float, float]
    """Mean negative log-likelihood of the validation labels, before and after."""
    calibration_error: tuple[float, float]
    """Expected calibration error of the validation patients, before and after."""
    n_cycles: int


def calibrate_run(
    run: TrainedRun, data_folder: Path, rule: CalibrationRule = CalibrationRule.TEMPERATURE
) -> Calibration:
    """Fit a calibration on the validation patients of a run, who chose its epoch but taught it nothing.

    Raises:
        SplitError: if the run kept no validation patients.
        DatasetNotFoundError, AudioError, AnnotationError: as their messages say.
    """
    logits, labels = validation_logits(run, data_folder)
    return fit_calibration(logits, labels, run.classes, rule)


def validation_logits(
    run: TrainedRun, data_folder: Path
) -> tuple[Float[ndarray, "cycle class"], Int[ndarray, " cycle"]]:
    """Logits and labels of the cycles of a run's validation patients.

    Raises:
        SplitError: if there are none.
        DatasetNotFoundError, AudioError, AnnotationError: as their messages say.
    """
    recipe = run.recipe
    check_held_back(run)
    split = own_split(recipe, open_dataset(data_folder, recipe.dataset))
    cycles = split.validation
    if not cycles:
        raise SplitError(
            f"{run.folder} kept no validation patients to calibrate on. "
            "Export with --calibration none, or train with --set validation_share=0.2."
        )
    cycles, _ = split_cycles(cycles, recipe.crop)  # each window is calibrated by itself, before they vote
    store = prepare_features(cycles, recipe.crop, run.front_end, cache_folder())
    rows = []
    with torch.inference_mode():
        for first in range(0, len(store), BATCH_SIZE):
            members = range(first, min(first + BATCH_SIZE, len(store)))
            rows.append(run.network(torch.from_numpy(np.stack([store.features(index) for index in members]))))
    labels = np.array([split.task.label(cycle.annotation) for cycle in cycles], dtype=np.int64)
    return torch.cat(rows).double().numpy(), labels


def fit_calibration(
    logits: Float[ndarray, "cycle class"],
    labels: Int[ndarray, " cycle"],
    classes: tuple[str, ...],
    rule: CalibrationRule,
) -> Calibration:
    """Fit the correction that a rule allows, then the thresholds."""
    n_classes = len(classes)
    temperature, scale, offset = 1.0, np.ones(n_classes), np.zeros(n_classes)
    if rule is CalibrationRule.TEMPERATURE:
        temperature = fit_temperature(logits, labels)
    elif rule is CalibrationRule.VECTOR:
        scale, offset = fit_vector_scaling(logits, labels)
    before, after = softmax(logits, axis=1), softmax((scale * logits + offset) / temperature, axis=1)
    return Calibration(
        rule,
        temperature,
        tuple(map(float, scale)),
        tuple(map(float, offset)),
        fit_thresholds(after, labels, classes) if rule is not CalibrationRule.NONE else {},
        (_log_loss(np.log(before), labels), _log_loss(np.log(after), labels)),
        (_calibration_error(before, labels), _calibration_error(after, labels)),
        len(labels),
    )


def fit_temperature(logits: Float[ndarray, "cycle class"], labels: Int[ndarray, " cycle"]) -> float:
    """The temperature under which the labels are most likely; Guo et al. 2017 (arXiv:1706.04599), Section 4.2."""
    found = minimize_scalar(
        lambda log_temperature: _log_loss(log_softmax(logits / np.exp(log_temperature), axis=1), labels),
        bounds=tuple(np.log(TEMPERATURES)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))


def fit_vector_scaling(
    logits: Float[ndarray, "cycle class"], labels: Int[ndarray, " cycle"]
) -> tuple[Float[ndarray, " class"], Float[ndarray, " class"]]:
    """A factor and an offset for every class; Guo et al. 2017, Section 4.2, with a ridge towards 1 and 0."""
    n_classes = logits.shape[1]
    unchanged = np.concatenate([np.ones(n_classes), np.zeros(n_classes)])

    def loss(parameters: Float[ndarray, " parameter"]) -> float:
        scale, offset = np.split(parameters, 2)
        pull = RIDGE * float(((parameters - unchanged) ** 2).mean())
        return _log_loss(log_softmax(scale * logits + offset, axis=1), labels) + pull

    scale, offset = np.split(minimize(loss, unchanged, method="L-BFGS-B").x, 2)
    return scale, offset


def fit_thresholds(
    probabilities: Float[ndarray, "cycle class"], labels: Int[ndarray, " cycle"], classes: tuple[str, ...]
) -> dict[str, float]:
    """For every class, the least probability from which decisions for it were right at least half of the time.

    How often decisions of one probability are right is estimated by isotonic regression. A class that never was gets
    `HIGHEST_THRESHOLD`; one that always was, or that was never decided, gets none.
    """
    decisions = probabilities.argmax(axis=1)
    thresholds = {}
    for index, name in enumerate(classes):
        sure = probabilities[decisions == index, index]
        order = np.argsort(sure, kind="stable")
        if not len(order):
            continue
        share_right = isotonic_regression((labels[decisions == index] == index)[order].astype(float)).x
        enough = share_right >= RIGHT_SHARE
        if not enough.all():
            lowest = sure[order][enough].min(initial=HIGHEST_THRESHOLD)
            thresholds[name] = round(float(lowest), 4)
    return thresholds


def _log_loss(log_probabilities: Float[ndarray, "cycle class"], labels: Int[ndarray, " cycle"]) -> float:
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())


def _calibration_error(probabilities: Float[ndarray, "cycle class"], labels: Int[ndarray, " cycle"]) -> float:
    return expected_calibration_error(reliability_bins(labels, probabilities.argmax(axis=1), probabilities))
