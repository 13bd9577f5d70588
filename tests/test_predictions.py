import numpy as np
import pandas as pd
import pytest

from add4rsc.errors import PredictionsError
from add4rsc.predictions import Predictions, read_predictions

ROWS = [
    ["a@0", "a", "101", 0.0, 1.5, "normal", "normal", 0.7, 0.2, 0.1],
    ["a@1500", "a", "101", 1.5, 2.0, "wheeze", "normal", 0.5, 0.1, 0.4],
    ["b@0", "b", "007", 0.0, 1.0, "crackle", "crackle", 0.1, 0.8, 0.1],
]
HEADER = [
    *("cycle_id", "recording", "patient", "start", "end", "label", "decision"),
    *("p_normal", "p_crackle", "p_wheeze"),
]


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(ROWS, columns=HEADER)


@pytest.fixture
def read(tmp_path):
    def through_file(table: pd.DataFrame | str | bytes) -> Predictions:
        path = tmp_path / "predictions.csv"
        if isinstance(table, pd.DataFrame):
            table.to_csv(path, index=False)
        else:
            path.write_bytes(table.encode() if isinstance(table, str) else table)
        return read_predictions(path)

    return through_file


def test_table_becomes_arrays(read, table):
    predictions = read(table.assign(stethoscope="Meditron", fold=[1, 1, 2]))
    assert predictions.classes == ("normal", "crackle", "wheeze")
    assert predictions.labels.tolist() == [0, 2, 1]
    assert predictions.decisions.tolist() == [0, 0, 1]
    assert predictions.patients.tolist() == ["101", "101", "007"]
    np.testing.assert_array_equal(predictions.probabilities, [row[7:] for row in ROWS])
    assert predictions.constant("stethoscope") == "Meditron"
    assert predictions.constant("fold") == predictions.constant("split") == ""


def test_order_of_the_columns_is_free_and_the_normal_class_first(read, table):
    turned = read(table[["p_wheeze", *[name for name in HEADER if name != "p_wheeze"]]])
    assert turned.classes == ("normal", "wheeze", "crackle")
    assert turned.labels.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(turned.probabilities[1], [0.5, 0.4, 0.1])


def test_probabilities_rounded_by_others_are_accepted(read, table):
    table.loc[0, ["p_normal", "p_crackle", "p_wheeze"]] = [0.333, 0.333, 0.333]
    assert len(read(table).labels) == 3


def changed(table: pd.DataFrame, row: int, **values: object) -> pd.DataFrame:
    table = table.astype(object)
    for name, value in values.items():
        table.loc[row, name] = value
    return table


WRONG = {
    "missing column": (
        lambda t: t.drop(columns=["patient", "end"]),
        r"lacks the columns patient, end\. .*has cycle_id",
    ),
    "one class": (
        lambda t: t.drop(columns=["p_crackle", "p_wheeze"]),
        r"fewer than two probability columns.*Add one p_CLASS",
    ),
    "empty": (lambda t: t.iloc[:0], r"has no rows\. Write one row a cycle"),
    "duplicate": (lambda t: pd.concat([t, t.iloc[1:2]]), r"row 5 repeats cycle a@1500\. Keep one row"),
    "label": (lambda t: changed(t, 1, label="Wheeze"), r"row 3: label 'Wheeze' has no column p_Wheeze\. Rename"),
    "no label": (lambda t: changed(t, 1, label=None), r"row 3.* label.*\. Fill"),
    "decision": (lambda t: changed(t, 2, decision="both"), r"row 4: decision 'both' has no column p_both"),
    "per cent": (lambda t: changed(t, 0, p_normal=70, p_crackle=20, p_wheeze=10), r"row 2: .*not per cent"),
    "NaN": (lambda t: changed(t, 1, p_normal=np.nan), r"row 3: a probability is not a number from 0 to 1"),
    "negative": (lambda t: changed(t, 1, p_normal=-0.1, p_crackle=0.7), r"row 3: a probability is not a number"),
    "word": (lambda t: changed(t, 1, p_normal="high"), r"row 3: a probability is not a number"),
    "sum": (lambda t: changed(t, 2, p_crackle=0.5), r"row 4: the probabilities do not sum to 1\. Normalise"),
    "no patient": (lambda t: changed(t, 2, patient=None), r"row 4.* patient .*\. Fill"),
    "no cycle": (lambda t: changed(t, 0, cycle_id=None), r"row 2.* cycle_id .*\. Fill"),
    "time": (lambda t: changed(t, 1, end="later"), r"row 3: .*later.*Write"),
    "semicolons": (
        lambda t: t.rename(columns={"cycle_id": "cycle_id;patient"}).drop(columns="patient"),
        r"lacks .*not semicolons",
    ),
    "no normal class": (
        lambda t: t.rename(columns={"p_normal": "p_healthy"}).replace("normal", "healthy"),
        r"has no column p_normal, only p_healthy, p_crackle, p_wheeze\. Name the class",
    ),
    "backwards": (lambda t: changed(t, 1, end=1.0), r"row 3: a cycle from 1\.5 to 1\.0; expected"),
    "no time": (lambda t: changed(t, 1, start=None), r"row 3.* start .*\. Fill"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_with_its_row_and_remedy(read, table, what):
    spoil, said = WRONG[what]
    with pytest.raises(PredictionsError, match=r"predictions.csv: .*" + said):
        read(spoil(table))


@pytest.mark.parametrize("content", ["", "\x00\x01\x02", b"\xff\xfe\x00\x01binary", 'a,b\n1,"2\n3,4,5,6\n', "no table"])
def test_files_that_are_no_table(read, content):
    with pytest.raises(PredictionsError, match=r"predictions.csv: (is not a CSV table|lacks the columns)"):
        read(content)


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "no.csv", tmp_path):
        with pytest.raises(PredictionsError, match=r"there is no such table\. Pass a run folder"):
            read_predictions(path)
