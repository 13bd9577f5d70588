import statistics

import pytest

from add4rsc.engine.summary import SAME_FOR_ALL, SCORES, summarise_seeds


def result(value: float | None) -> dict:
    facts = dict.fromkeys(SAME_FOR_ALL, "same") | {"n_cycles": 5, "is_official": False}
    official = {"score": value, "interval": [0.0, 1.0]}
    nested = {"sprsound": official, "sprsound_look_alikes": {"A4": value, "M": official}}
    return {**dict.fromkeys(SCORES, value), **facts, **nested, "confusion_matrix": []}


def test_mean_and_deviation_of_every_score():
    summary = summarise_seeds({3: result(0.4), 1: result(0.7), 2: result(0.5)})
    assert summary["seeds"] == [3, 1, 2]
    for name in SCORES:
        assert summary[name]["values"] == [0.4, 0.7, 0.5]
        assert summary[name]["mean"] == pytest.approx(statistics.mean([0.4, 0.7, 0.5]))
        assert summary[name]["sd"] == pytest.approx(statistics.stdev([0.4, 0.7, 0.5]))
    assert (summary["n_cycles"], summary["is_official"]) == (5, False)
    assert "confusion_matrix" not in summary
    assert summary["sprsound"] == {"score": summary["score"]}
    assert summary["sprsound_look_alikes"] == {"A4": summary["score"], "M": {"score": summary["score"]}}


def test_what_is_not_defined_is_none():
    assert summarise_seeds({1: result(0.4)})["score"] == {"mean": 0.4, "sd": None, "values": [0.4]}
    assert summarise_seeds({1: result(0.4), 2: result(None)})["score"]["mean"] is None
