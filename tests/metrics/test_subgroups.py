"""Groups of cycles: their members, their scores, and which are too small."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from add4rsc.metrics.icbhi import icbhi_score
from add4rsc.metrics.subgroups import subgroup_scores
from add4rsc.predictions import Predictions

Make = Callable[..., Predictions]


def with_columns(table: Predictions, **columns: object) -> Predictions:
    return Predictions(table.table.assign(**columns), table.classes)


def test_every_cycle_is_in_one_group_of_every_column(made: Make) -> None:
    table = made()
    generator = np.random.default_rng(0)
    n_cycles = len(table.table)
    table = with_columns(
        table,
        stethoscope=generator.choice(["Meditron", "Litt3200"], n_cycles),
        chest_location=generator.choice(["Al", "Ar", "Tc"], n_cycles),
        sex=generator.choice(["F", "M", ""], n_cycles),
        diagnosis=generator.choice(["COPD", "Healthy"], n_cycles),
        age=generator.choice(["0.5", "3", "70", ""], n_cycles),
    )
    groups = subgroup_scores(table)
    assert list(groups) == ["stethoscope", "chest_location", "age_group", "sex", "diagnosis", "cycle_length"]
    for column, found in groups.items():
        assert sum(group["n_cycles"] for group in found.values()) == n_cycles
        for name, group in found.items():
            assert group["n_normal"] + group["n_abnormal"] == group["n_cycles"]
            if column in table.table:
                value = "" if name == "unknown" else name
                rows = (table.table[column] == value).to_numpy()
                assert group["n_patients"] == len(set(table.patients[rows]))
                expected = icbhi_score(table.labels[rows], table.decisions[rows])
                assert (group["specificity"], group["sensitivity"]) == (expected.specificity, expected.sensitivity)
                low, high = group["intervals"]["specificity"]
                assert low <= group["specificity"] <= high


def test_ages_fall_into_their_groups(made: Make) -> None:
    ages = {"0": "under 2 years", "1.9": "under 2 years", "2": "2 to 5 years", "12.5": "6 to 12 years"}
    ages |= {"13": "13 to 18 years", "18.9": "13 to 18 years", "19": "19 to 64 years", "64": "19 to 64 years"}
    ages |= {"65": "65 years and over", "93": "65 years and over", "": "unknown"}
    for age, group in ages.items():
        found = subgroup_scores(with_columns(made(n_patients=2), age=age))["age_group"]
        assert list(found) == [group]
    # as read from a file, where an empty column makes the others numbers
    found = subgroup_scores(with_columns(made(n_patients=2), age=np.nan))["age_group"]
    assert list(found) == ["unknown"]


@pytest.mark.parametrize(
    ("length", "group"),
    [(0.99, "under 1 s"), (1.0, "1 to 2 s"), (2.9999, "2 to 3 s"), (3.0, "3 to 5 s"), (5.0, "5 s and over")],
)
def test_lengths_fall_into_their_groups(made: Make, length: float, group: str) -> None:
    table = made(n_patients=2)
    start = table.table["start"] + 0.1  # so that the difference is not exact
    table = with_columns(table, start=start, end=start + length)
    assert list(subgroup_scores(table)["cycle_length"]) == [group]


@pytest.mark.parametrize(
    ("n_patients", "n_cycles", "too_small"), [(2, 5, False), (3, 3, True), (1, 50, True), (10, 1, False)]
)
def test_small_groups_are_marked(made: Make, n_patients: int, n_cycles: int, too_small: bool) -> None:
    table = with_columns(made(n_patients=n_patients, n_cycles=n_cycles), sex="F")
    assert subgroup_scores(table)["sex"]["F"]["too_small"] == too_small


def test_missing_columns_are_left_out_and_missing_values_are_unknown(made: Make) -> None:
    table = made()
    assert list(subgroup_scores(table)) == ["cycle_length"]
    sex = pd.Series(["F", None] * (len(table.table) // 2))
    assert list(subgroup_scores(with_columns(table, sex=sex))["sex"]) == ["F", "unknown"]


def test_rows_of_poor_quality_are_in_no_group(made: Make) -> None:
    table = made(classes=("normal", "adventitious", "poor_quality"))
    found = subgroup_scores(with_columns(table, sex="F"))["sex"]["F"]
    assert found["n_cycles"] == (table.labels != 2).sum()
