"""Joined cycles: two training cycles end to end stand for one of a rare class.

Gairola et al. 2021 (RespireNet, arXiv:2011.00196), `concat_aug_scale` of their code and of those that grew out of it
(METHODS A2): class c gets int(scale n_normal - n_c) new cycles.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from numpy import ndarray
from numpy.random import Generator

from add4rsc.terms import CYCLE_CLASSES

Rule = tuple[tuple[int, int, float], ...]
"""Class of the first cycle, class of the second, probability."""

NORMAL, CRACKLE, WHEEZE, BOTH = range(4)
CYCLE_RULES: tuple[Rule, ...] = (
    ((NORMAL, NORMAL, 1.0),),
    ((CRACKLE, CRACKLE, 0.6), (CRACKLE, NORMAL, 0.2), (NORMAL, CRACKLE, 0.2)),
    ((WHEEZE, WHEEZE, 0.6), (WHEEZE, NORMAL, 0.2), (NORMAL, WHEEZE, 0.2)),
    ((BOTH, BOTH, 0.5), (CRACKLE, WHEEZE, 0.2), (WHEEZE, CRACKLE, 0.1), (BOTH, NORMAL, 0.1), (NORMAL, BOTH, 0.1)),
)
"""What a joined cycle of each of the four classes of a respiratory cycle is made of."""


class JoinedCycle(NamedTuple):
    """Indices of the two training cycles, in the order in which they sound, and the label of both together."""

    first: int
    second: int
    label: int


def joining_rules(classes: Sequence[str]) -> tuple[Rule, ...]:
    """RespireNet's rules for the four classes of a cycle; two of the same class for any other task."""
    if tuple(classes) == CYCLE_CLASSES:
        return CYCLE_RULES
    return tuple(((label, label, 1.0),) for label in range(len(classes)))


def draw_joined(
    labels: Int[ndarray, " cycle"], scale: float, rules: Sequence[Rule], generator: Generator
) -> list[JoinedCycle]:
    """Draw the pairs; of a rule, what needs a class without any training cycle is left out.

    Args:
        labels: of the training cycles; class 0 is the normal one.
        scale: every class is filled up to this multiple of the normal cycles.
        rules: one for each class.
        generator: of all draws.
    """
    members = [np.flatnonzero(labels == label) for label in range(len(rules))]
    joined = []
    for label, rule in enumerate(rules):
        possible = [part for part in rule if len(members[part[0]]) and len(members[part[1]])]
        if not possible:
            continue
        shares = np.array([share for *_, share in possible])
        for _ in range(int(scale * len(members[0]) - len(members[label]))):
            first, second, _ = possible[generator.choice(len(possible), p=shares / shares.sum())]
            indices = int(generator.choice(members[first])), int(generator.choice(members[second]))
            joined.append(JoinedCycle(*indices, label))
    return joined
