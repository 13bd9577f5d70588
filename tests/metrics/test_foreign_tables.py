"""Tables by other programs: what is taken, and a message for each thing that is wrong."""

from pathlib import Path

import pytest

from add4rsc.errors import PredictionsError
from add4rsc.metrics.evaluation import evaluate
from add4rsc.predictions import read_predictions

HEADER = "cycle_id,recording,patient,start,end,label,decision,p_normal,p_crackle"
FIRST = "a@0,a,007,0.0,1.0,normal,normal,0.9,0.1"
SECOND = "b@0,b,2,0.5,1.0,crackle,normal,0.6,0.4"
GOOD = "\n".join([HEADER, FIRST, SECOND, ""])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


def test_normal_is_the_first_class_wherever_its_column_is(path: Path) -> None:
    path.write_text(GOOD)
    expected = evaluate(read_predictions(path))
    assert (expected["specificity"], expected["sensitivity"]) == (1, 0)
    rows = [line.split(",") for line in GOOD.splitlines()]
    path.write_text("\n".join(",".join([*row[:7], row[8], row[7]]) for row in rows))
    assert evaluate(read_predictions(path)) == expected


BAD = {
    "empty file": ("", "not a CSV table.*header row"),
    "header alone": (HEADER + "\n", "has no rows"),
    "semicolons": (GOOD.replace(",", ";"), "commas, not semicolons"),
    "missing column": (GOOD.replace("patient", "subject"), "lacks the columns patient"),
    "too many values": (GOOD.replace(SECOND, SECOND + ",1,2"), "as many values in every row"),
    "too few values": (GOOD.replace(SECOND, "b@0,b,2"), "row 3: start is not a time"),
    "no patient": (GOOD.replace("a,007", "a,"), "row 2: patient is empty"),
    "no label": (GOOD.replace("crackle,normal", ",normal"), "row 3: label is empty"),
    "repeated cycle": (GOOD.replace("b@0", "a@0"), "row 3 repeats cycle a@0"),
    "time in words": (GOOD.replace("0.5,1.0", "half,1.0"), "row 3: start is not a time in seconds but 'half'"),
    "end before start": (GOOD.replace("0.5,1.0", "1.5,1.0"), "row 3: a cycle from 1.5 to 1.0; expected 0 <= start"),
    "before the recording": (GOOD.replace("0.5,1.0", "-0.5,1.0"), "row 3: a cycle from -0.5"),
    "endless": (GOOD.replace("0.5,1.0", "0.5,inf"), "row 3: end is not a time in seconds"),
    "unknown label": (GOOD.replace("crackle,normal", "Crackle,normal"), "row 3: label 'Crackle' has no column"),
    "unknown decision": (GOOD.replace("crackle,normal", "crackle,none"), "row 3: decision 'none'"),
    "no normal class": (GOOD.replace("normal", "healthy"), "no column p_normal, only p_healthy, p_crackle"),
    "one class": (GOOD.replace("p_crackle", "crackle"), "fewer than two probability columns"),
    "per cent": (GOOD.replace("0.9,0.1", "90,10"), "row 2: a probability.*not per cent"),
    "no probability": (GOOD.replace("0.6,0.4", "0.6,"), "row 3: a probability is not a number"),
    "sum": (GOOD.replace("0.9,0.1", "0.9,0.2"), "row 2: the probabilities do not sum to 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_each_thing_that_is_wrong_has_its_message(path: Path, case: str) -> None:
    text, message = BAD[case]
    path.write_text(text)
    with pytest.raises(PredictionsError, match=rf"(?s)table\.csv: .*{message}"):
        read_predictions(path)
