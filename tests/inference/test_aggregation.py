import pandas as pd
import pytest

from add4rsc.inference.aggregation import patient_rows, recording_row
from add4rsc.inference.result import CycleResult, RecordingResult

CLASSES = ("normal", "wheeze")


def recording(patient: str, *probabilities: float) -> RecordingResult:
    cycles = [
        CycleResult(float(i), i + 1.0, "wheeze" if p > 0.5 else "normal", (1 - p, p))
        for i, p in enumerate(probabilities)
    ]
    return RecordingResult(f"{patient}.wav", 9.0, 4000, patient, "windows", "m", CLASSES, ("dc",), tuple(cycles))


def recording_with_gap(patient: str, *probabilities: float) -> RecordingResult:
    made = recording(patient, *probabilities)
    silent = CycleResult(8.0, 9.0, "abstain", (), ("silence",))
    return RecordingResult(**{**vars(made), "cycles": (*made.cycles, silent)})


def test_a_recording_is_the_mean_of_its_judged_cycles():
    row = recording_row(recording_with_gap("a", 0.9, 0.6, 0.3))
    assert (row["n_cycles"], row["n_judged"], row["n_abstained"]) == (4, 3, 1)
    assert (row["n_normal"], row["n_wheeze"]) == (1, 2)
    assert row["p_wheeze"] == pytest.approx(0.6)
    assert (row["decision"], row["heard"], row["abstain"]) == ("wheeze", "wheeze-like sound", False)
    assert row["highest_p_abnormal"] == pytest.approx(0.9)
    assert row["quality"] == "dc"


def test_nothing_judged_is_nothing_said():
    row = recording_row(recording_with_gap("a"))
    assert (row["decision"], row["abstain"], row["p_wheeze"], row["heard"]) == ("abstain", True, None, "not judged")


def test_patients_pool_the_cycles_of_their_recordings():
    recordings = [recording("b", 0.2), recording("a", 0.9, 0.8), recording("", 0.9), recording("a", 0.1)]
    table = pd.DataFrame(patient_rows(recordings)).set_index("patient")
    assert table.index.tolist() == ["a", "b"]
    assert table.loc["a", "p_wheeze"] == pytest.approx((0.9 + 0.8 + 0.1) / 3)
    assert table["n_recordings"].tolist() == [2, 1]
    assert table["duration"].tolist() == [18.0, 9.0]
