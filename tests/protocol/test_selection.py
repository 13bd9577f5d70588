import math

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


def test_every_rule_says_what_it_looked_at():
    assert len({rule.description for rule in Selection}) == len(Selection)
    assert "test set" in Selection.TEST.description
