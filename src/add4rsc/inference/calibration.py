"""From logits to probabilities that mean something, and from those to decisions, with what a model carries for it."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from add4rsc.inference.result import ABSTAIN, N_DIGITS

UNCALIBRATED_THRESHOLD = 0.5
"""Of every class of a model without fitted thresholds: more likely than all other classes together."""


def to_probabilities(logits: Float[ndarray, "cycle class"], temperature: float) -> Float[ndarray, "cycle class"]:
    """Softmax of the logits over the temperature (Guo et al. 2017, Eq. 9), rounded as it is written."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.round(powers / powers.sum(axis=1, keepdims=True), N_DIGITS)


def choose_thresholds(
    classes: tuple[str, ...], fitted: dict[str, float], wanted: float | None = None
) -> dict[str, float]:
    """The thresholds that decisions follow: one for all classes if it is wanted, else the fitted ones.

    Of fitted thresholds, a class that is missing needs none.

    >>> choose_thresholds(("normal", "wheeze"), {"wheeze": 0.6})
    {'normal': 0.0, 'wheeze': 0.6}
    """
    default = 0.0 if fitted else UNCALIBRATED_THRESHOLD
    return {name: fitted.get(name, default) if wanted is None else wanted for name in classes}


def decide(probabilities: Float[ndarray, " class"], thresholds: dict[str, float]) -> str:
    """The most probable class if it reaches its threshold, else `abstain`; `thresholds` has all classes in order.

    >>> decide(np.array([0.6, 0.4]), {"normal": 0.5, "wheeze": 0.5})
    'normal'
    >>> decide(np.array([0.6, 0.4]), {"normal": 0.7, "wheeze": 0.1})
    'abstain'
    """
    best = int(np.argmax(probabilities))
    name = list(thresholds)[best]
    return name if probabilities[best] >= thresholds[name] else ABSTAIN
