"""Pairs of cycles, against the counts and the probabilities of RespireNet's code (METHODS A2)."""

from collections import Counter

import numpy as np
import pytest

from add4rsc.augment.joining import CYCLE_RULES, draw_joined, joining_rules
from add4rsc.terms import CYCLE_CLASSES

COUNTS = (400, 210, 100, 60)
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(4), COUNTS))
SHARES = {
    0: {(0, 0): 1.0},
    1: {(1, 1): 0.6, (1, 0): 0.2, (0, 1): 0.2},
    2: {(2, 2): 0.6, (2, 0): 0.2, (0, 2): 0.2},
    3: {(3, 3): 0.5, (1, 2): 0.2, (2, 1): 0.1, (3, 0): 0.1, (0, 3): 0.1},
}


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0, 1.5, 4.0])
def test_every_class_is_filled_up_to_the_multiple(scale: float) -> None:
    joined = draw_joined(LABELS, scale, CYCLE_RULES, np.random.default_rng(1))
    found = Counter(pair.label for pair in joined)
    assert found == {label: n for label in range(4) if (n := max(0, int(scale * 400 - COUNTS[label])))}


def test_pairs_are_of_the_stated_classes_as_often_as_stated() -> None:
    joined = draw_joined(LABELS, 10.0, CYCLE_RULES, np.random.default_rng(2))
    for label, shares in SHARES.items():
        kinds = Counter((int(LABELS[pair.first]), int(LABELS[pair.second])) for pair in joined if pair.label == label)
        assert kinds.keys() == shares.keys()
        for kind, share in shares.items():
            assert kinds[kind] / kinds.total() == pytest.approx(share, abs=4 * np.sqrt(0.25 / kinds.total()))
    assert len({pair.first for pair in joined}) > 0.99 * len(LABELS)


def test_one_generator_gives_one_list() -> None:
    first, same, other = (draw_joined(LABELS, 1.0, CYCLE_RULES, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first == same != other


def test_what_needs_a_missing_class_is_left_out() -> None:
    labels = np.array([0] * 50 + [1] * 3 + [2] * 4)
    joined = draw_joined(labels, 1.0, CYCLE_RULES, np.random.default_rng(0))
    both = Counter((int(labels[pair.first]), int(labels[pair.second])) for pair in joined if pair.label == 3)
    assert both.total() == 50
    assert set(both) == {(1, 2), (2, 1)}
    assert both[1, 2] > both[2, 1]
    alone = draw_joined(np.zeros(5, dtype=int), 2.0, CYCLE_RULES, np.random.default_rng(0))
    assert Counter(pair.label for pair in alone) == {0: 5}


def test_other_tasks_join_within_a_class() -> None:
    assert joining_rules(CYCLE_CLASSES) is CYCLE_RULES
    labels = np.array([0, 0, 0, 0, 1, 2])
    joined = draw_joined(labels, 2.0, joining_rules(("normal", "chronic", "non-chronic")), np.random.default_rng(0))
    assert Counter(pair.label for pair in joined) == {0: 4, 1: 7, 2: 7}
    assert all(labels[pair.first] == labels[pair.second] == pair.label for pair in joined)
