import math
import random

import pytest

from add4rsc.protocol.selection import Selection, select_epoch

SCORES = [0.4, math.nan, 0.7, 0.7, 0.6]


@pytest.mark.parametrize(("rule", "epoch"), [("last", 4), ("validation", 2), ("test", 2)])
def test_rules_choose(rule, epoch):
    assert select_epoch(SCORES, Selection(rule)) == epoch


def test_an_undefined_score_is_never_better():
    assert select_epoch([math.nan, 0.0], Selection.VALIDATION) == 1
    assert select_epoch([0.0, math.nan], Selection.VALIDATION) == 0


def test_choice_of_the_past_is_kept_until_something_is_better():
    chosen = [select_epoch(SCORES[: n + 1], Selection.VALIDATION) for n in range(5)]
    assert chosen == [0, 0, 2, 2, 2]


@pytest.mark.parametrize("seed", range(30))
def test_epochs_of_low_sensitivity_are_passed_over_as_in_the_released_code(seed):
    """METHODS 1.3: the greatest score among the epochs with Se > 5 %; ours differs only where there is none."""
    draws = random.Random(seed)
    scores = [draws.choice([0.4, 0.5, 0.6, 0.7]) for _ in range(8)]
    sensitivities = [draws.choice([0.0, 0.05, 0.0500001, 0.3, math.nan]) for _ in range(8)]
    best, kept = 0.0, None
    for epoch, (score, sensitivity) in enumerate(zip(scores, sensitivities, strict=True)):
        if score > best and sensitivity * 100 > 5:
            best, kept = score, epoch
    found = select_epoch(scores, Selection.TEST, sensitivities, 0.05)
    assert found == (scores.index(max(scores)) if kept is None else kept)
    assert select_epoch(scores, Selection.TEST, sensitivities) == scores.index(max(scores))
    assert select_epoch(scores, Selection.LAST, sensitivities, 0.05) == 7


def test_no_sensitive_epoch_leaves_the_best_of_all():
    assert select_epoch([0.4, 0.5, 0.45], Selection.TEST, [0.0, 0.01, 0.05], 0.05) == 1


def test_every_rule_says_what_it_looked_at():
    assert len({rule.description for rule in Selection}) == len(Selection)
    assert "test set" in Selection.TEST.description
