"""The 97 stored cycles: where they begin, and how they are labelled.

Their sound is in tests/audio/test_crop.py, their features in tests/audio/test_frontend.py.
"""

import json
from pathlib import Path

import pytest

from add4rsc.datasets._icbhi_files import read_annotation
from add4rsc.terms import CYCLE_CLASSES


@pytest.mark.data
def test_every_stored_cycle_begins_ends_and_is_labelled_alike(golden: Path, shared_data: Path) -> None:
    stored = json.loads((golden / "cycles.json").read_text())
    n_cycles = 0
    for stem, recording in stored.items():
        rows = read_annotation(shared_data / "icbhi2017_annotations" / f"{stem}.txt")
        assert len(rows) == len(recording["cycles"])
        for row, cycle in zip(rows, recording["cycles"], strict=True):
            last = min(int(row.end * 16_000), recording["resampled_len"])
            assert (int(row.start * 16_000), last) == (cycle["start_ind"], cycle["end_ind"])
            assert CYCLE_CLASSES.index(row.label.value) == cycle["label"]
            n_cycles += 1
    assert n_cycles == 97
