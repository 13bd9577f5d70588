"""Recognise a complete official test subset by its rows, and nothing else as one."""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from add4rsc.predictions import Predictions

TABLE = Path(__file__).with_name("official_tests.csv")
BIN, BIN_EDGE = 10.0, 2.5
"""Milliseconds. Times are compared in bins whose edges no official time lies on, even in half milliseconds, so that a
table with times rounded to milliseconds, by whatever rule, holds the same bins."""


@dataclass(frozen=True)
class OfficialTest:
    """One complete test subset as one task labels it."""

    split: str
    unit: str
    """`cycle`, `event` or `recording`; the times of a whole recording are not looked at."""
    classes: frozenset[str]
    n_rows: int
    digest: str


def _read_tests() -> tuple[OfficialTest, ...]:
    with TABLE.open(newline="", encoding="utf-8") as file:
        return tuple(
            OfficialTest(row["split"], row["unit"], frozenset(row["classes"].split()), int(row["rows"]), row["digest"])
            for row in csv.DictReader(file)
        )


OFFICIAL_TESTS = _read_tests()
"""The tests of ICBHI 2017 and of SPRSound 2022 (inter, intra and their union), for every task of each corpus."""


def is_official(predictions: Predictions) -> bool:
    """Whether the rows are one complete official test subset: its recordings, its times and its labels.

    A column `split`, where there is one, must name that test.
    """
    return official_test(predictions) is not None


def official_test(predictions: Predictions) -> OfficialTest | None:
    """The official test subset that the rows are, or None."""
    table, classes = predictions.table, frozenset(predictions.classes)
    named = predictions.constant("split")
    for test in OFFICIAL_TESTS:
        if (test.classes, test.n_rows) != (classes, len(table)) or ("split" in table and named != test.split):
            continue
        if digest_of_test(table, test.unit) == test.digest:
            return test
    return None


def digest_of_test(table: pd.DataFrame, unit: str) -> str:
    """SHA-256 of what a table tests: recording, label and, unless the unit is `recording`, start and end."""
    columns = [table["recording"].astype(str), table["label"].astype(str)]
    if unit != "recording":
        times = table[["start", "end"]].to_numpy(dtype=float) * 1000
        bins = np.floor((times - BIN_EDGE) / BIN).astype(int)
        columns += [pd.Series(bins[:, side]).astype(str) for side in (0, 1)]
    rows = sorted("\t".join(row) for row in zip(*columns, strict=True))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()
