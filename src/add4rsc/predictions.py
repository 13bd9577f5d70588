"""Predictions: one row a cycle, the only thing that metrics and reports see of a model."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from add4rsc.errors import PredictionsError

NORMAL = "normal"
COLUMNS = ("cycle_id", "recording", "patient", "start", "end", "label", "decision")
SUM_TOLERANCE = 5e-3
"""How far from 1 a row of probabilities may sum: tables written by other software round them."""


@dataclass(frozen=True)
class Predictions:
    """A table with the columns of `COLUMNS`, then one probability `p_CLASS` a class, then any others.

    `label` and `decision` are class names. The first class is the normal one, and is called so.
    """

    table: pd.DataFrame
    classes: tuple[str, ...]

    @property
    def labels(self) -> Int[ndarray, " cycle"]:
        """Index of each cycle's class."""
        return _indices(self.table["label"], self.classes)

    @property
    def decisions(self) -> Int[ndarray, " cycle"]:
        """Index of the class that each cycle was given."""
        return _indices(self.table["decision"], self.classes)

    @property
    def probabilities(self) -> Float[ndarray, "cycle class"]:
        """Probability of every class."""
        return self.table[[f"p_{name}" for name in self.classes]].to_numpy(dtype=np.float64)

    @property
    def patients(self) -> ndarray:
        """Patient id of each cycle, as text."""
        return self.table["patient"].to_numpy(dtype=str)

    def answered(self, probabilities: Float[ndarray, "cycle class"]) -> "Predictions":
        """The same cycles with other probabilities, and the decisions that follow from them."""
        columns: dict[str, ndarray] = {f"p_{name}": probabilities[:, at] for at, name in enumerate(self.classes)}
        columns["decision"] = np.array(self.classes)[probabilities.argmax(axis=1)]
        return Predictions(self.table.assign(**columns), self.classes)

    def constant(self, column: str) -> str:
        """The one value of a column, empty if the column is missing or holds several."""
        values = self.table[column].unique() if column in self.table else []
        return str(values[0]) if len(values) == 1 else ""


def _indices(names: pd.Series, classes: tuple[str, ...]) -> Int[ndarray, " cycle"]:
    return pd.Categorical(names, categories=list(classes)).codes.astype(np.int64)


def read_predictions(path: Path) -> Predictions:
    """Read a table of predictions, ours or another program's.

    Raises:
        PredictionsError: for the first thing that is wrong, with the row where there is one.
    """
    if not path.is_file():
        raise PredictionsError(f"{path}: there is no such table. Pass a run folder or a predictions CSV.")
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(("cycle_id", "recording", "patient", "label", "decision"), str))
    except (ValueError, UnicodeDecodeError) as error:
        told = " ".join(str(error).split())
        raise PredictionsError(
            f"{path}: is not a CSV table ({told}). Write it with commas, a header row, and as many values in every row."
        ) from error
    problem = _first_problem(table)
    if problem:
        raise PredictionsError(f"{path}: {problem}")
    return Predictions(table, _classes(table))


def _classes(table: pd.DataFrame) -> tuple[str, ...]:
    """The classes in the order of their columns, but `normal` first, wherever another program has put it."""
    names = [str(name)[2:] for name in table.columns if str(name).startswith("p_")]
    return tuple(sorted(names, key=lambda name: name != NORMAL))


def _first_problem(table: pd.DataFrame) -> str:
    """What is wrong with a table, with its remedy; empty if nothing is."""
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        hint = " Separate the values by commas, not semicolons." if ";" in str(table.columns[0]) else ""
        needed = f"A table of predictions has {', '.join(COLUMNS)} and p_CLASS."
        return f"lacks the columns {', '.join(missing)}. {needed}{hint}"
    classes = _classes(table)
    if len(classes) < 2:
        return "has fewer than two probability columns. Add one p_CLASS column a class."
    if NORMAL not in classes:
        return f"has no column p_{NORMAL}, only p_{', p_'.join(classes)}. Name the class of healthy sounds '{NORMAL}'."
    if table.empty:
        return "has no rows. Write one row a cycle."
    empty = _first_empty(table)
    if empty:
        return empty
    repeated = table.index[table["cycle_id"].duplicated()]
    if len(repeated):
        return f"row {repeated[0] + 2} repeats cycle {table['cycle_id'][repeated[0]]}. Keep one row a cycle."
    return _first_bad_time(table) or _first_bad_value(table, classes)


def _first_empty(table: pd.DataFrame) -> str:
    for column in COLUMNS:
        empty = table.index[table[column].isna()]
        if len(empty):
            reason = "is not a time in seconds" if column in ("start", "end") else "is empty"
            return f"row {empty[0] + 2}: {column} {reason}. Fill every one of {', '.join(COLUMNS)}."
    return ""


def _first_bad_time(table: pd.DataFrame) -> str:
    start, end = (pd.to_numeric(table[column], errors="coerce") for column in ("start", "end"))
    for column, times in (("start", start), ("end", end)):
        words = table.index[~np.isfinite(times)]
        if len(words):
            found = table[column][words[0]]
            return f"row {words[0] + 2}: {column} is not a time in seconds but '{found}'. Write a number such as 1.25."
    turned = table.index[(start < 0) | (start >= end)]
    if len(turned):
        row = turned[0]
        return f"row {row + 2}: a cycle from {start[row]} to {end[row]}; expected 0 <= start < end, in seconds."
    return ""


def _first_bad_value(table: pd.DataFrame, classes: tuple[str, ...]) -> str:
    for column in ("label", "decision"):
        unknown = table.index[~table[column].isin(list(classes))]
        if len(unknown):
            row, name = unknown[0], table[column][unknown[0]]
            return f"row {row + 2}: {column} '{name}' has no column p_{name}. Rename one of the two."
    probabilities = table[[f"p_{name}" for name in classes]].apply(pd.to_numeric, errors="coerce").to_numpy()
    legal = ((probabilities >= 0) & (probabilities <= 1)).all(axis=1)
    if not legal.all():
        row = int(np.argmin(legal)) + 2
        return f"row {row}: a probability is not a number from 0 to 1. Write fractions, not per cent."
    sums = np.abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE
    if not sums.all():
        return f"row {int(np.argmin(sums)) + 2}: the probabilities do not sum to 1. Normalise them over the classes."
    return ""
