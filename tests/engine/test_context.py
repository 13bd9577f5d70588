"""Cycles judged together with the others of their recording."""

import numpy as np
import pandas as pd
import pytest

from add4rsc.engine.context import ContextJudge, best_smoothing, read_validation, values_in_context
from add4rsc.engine.judge import log_odds
from add4rsc.errors import WrongUsageError
from add4rsc.predictions import Predictions

CLASSES = ("normal", "crackle")


def table(recordings, abnormal, labels=None, seconds=1.0):
    """Predictions of cycles, one after another; each recording is of a patient of its own."""
    abnormal = np.asarray(abnormal, dtype=float)
    starts = np.arange(len(abnormal)) * seconds
    names = np.array(CLASSES)
    columns = {
        "cycle_id": [str(index) for index in range(len(abnormal))],
        "recording": recordings,
        "patient": recordings,
        "start": starts,
        "end": starts + seconds,
        "label": names[np.zeros(len(abnormal), dtype=int) if labels is None else np.asarray(labels)],
        "decision": names[(abnormal > 0.5).astype(int)],
        "p_normal": 1 - abnormal,
        "p_crackle": abnormal,
    }
    return Predictions(pd.DataFrame(columns), CLASSES)


def test_the_others_are_those_of_the_same_recording():
    found = values_in_context(table(["a", "b", "a", "a"], [0.2, 0.9, 0.4, 0.8], seconds=2.0))
    own = log_odds(np.array([0.2, 0.9, 0.4, 0.8]))
    np.testing.assert_allclose(found[:, 1], own)
    np.testing.assert_allclose(found[0, 3], (own[2] + own[3]) / 2)
    np.testing.assert_allclose(found[1, 2:4], found[1, :2])  # alone: it stands for the others
    np.testing.assert_allclose(np.exp(found[:, 4:]), [[3, 2], [1, 2], [3, 2], [3, 2]])


def test_the_order_of_cycles_does_not_matter():
    whole = table(["a", "b", "a", "b", "a"], [0.2, 0.9, 0.4, 0.8, 0.6])
    turned = Predictions(whole.table.iloc[::-1].reset_index(drop=True), CLASSES)
    np.testing.assert_allclose(values_in_context(turned), values_in_context(whole)[::-1])


def recordings_of_one_kind(seed, n=60):
    """Recordings of 5 cycles that are all normal or all crackles, heard with much doubt."""
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n) % 2, 5)
    abnormal = 1 / (1 + np.exp(-(draw.standard_normal(5 * n) * 2 + 2 * labels - 1)))
    return table(np.repeat([f"r{index}" for index in range(n)], 5), abnormal, labels)


def test_what_the_others_say_helps_where_recordings_are_of_one_kind():
    judge = ContextJudge.fit(recordings_of_one_kind(1), recordings_of_one_kind(2))
    alone = recordings_of_one_kind(3)
    judged = judge.judge(alone)
    right, before = ((each.decisions == each.labels).mean() for each in (judged, alone))
    assert before < 0.75
    assert right > before + 0.1
    np.testing.assert_allclose(judged.probabilities.sum(axis=1), 1)
    assert (judged.decisions == judged.probabilities.argmax(axis=1)).all()


def test_other_classes_and_missing_validation_are_told(tmp_path):
    found = recordings_of_one_kind(1)
    other = Predictions(found.table.rename(columns={"p_crackle": "p_wheeze"}), ("normal", "wheeze"))
    with pytest.raises(WrongUsageError, match="classes"):
        ContextJudge.fit(found, other)
    with pytest.raises(WrongUsageError, match="classes"):
        ContextJudge.fit(found).judge(other)
    with pytest.raises(WrongUsageError, match="no validation patients"):
        read_validation(tmp_path)


def test_how_far_to_smooth_is_found_on_held_back_patients():
    assert best_smoothing(recordings_of_one_kind(1), recordings_of_one_kind(2)) > 0.5
    draw = np.random.default_rng(0)
    labels = draw.integers(2, size=300)
    mixed = table(np.repeat([f"r{index}" for index in range(60)], 5), np.where(labels, 0.7, 0.3), labels)
    assert best_smoothing(mixed) < 0.3
