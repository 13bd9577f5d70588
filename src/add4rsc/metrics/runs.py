"""Tables of predictions of one run: of its only seed, or of several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from add4rsc.errors import PredictionsError
from add4rsc.predictions import Predictions, read_predictions

OWN_TABLE = "predictions.csv"
ONLY = 0
"""Stands for the seed of a run that is a single table."""
DESCRIPTIONS = {
    "last": "last epoch",
    "validation": "epoch chosen on validation patients",
    "test": "epoch chosen on the test set",
}


@dataclass(frozen=True)
class Run:
    """The tables of one system: seed -> predictions, all on the same cycles."""

    name: str
    of_seed: Mapping[int, Predictions]

    @property
    def tables(self) -> list[Predictions]:
        """The tables of all seeds."""
        return list(self.of_seed.values())


def read_run(path: Path) -> Run:
    """Read a run folder, of one seed or of several, or a predictions CSV of any program.

    Raises:
        PredictionsError: if there is no table, or one does not hold what the contract says.
    """
    tables = tables_of_seeds(path)
    if not tables:
        return Run(str(path), {ONLY: read_predictions(path / OWN_TABLE if path.is_dir() else path)})
    return Run(str(path), {seed: read_predictions(table) for seed, table in tables.items()})


def tables_of_seeds(folder: Path) -> dict[int, Path]:
    """Seed -> table, in the order of the seeds; none if the folder is of one run, or no folder."""
    if (folder / OWN_TABLE).exists():
        return {}
    return files_of_seeds(folder, OWN_TABLE)


def files_of_seeds(folder: Path, name: str) -> dict[int, Path]:
    """Seed -> the file of a name in `seed-N`, in the order of the seeds."""
    found = {path.parent.name.removeprefix("seed-"): path for path in folder.glob(f"seed-*/{name}")}
    return {int(seed): found[seed] for seed in sorted(filter(str.isdecimal, found), key=int)}


def mean_probabilities(run: Run) -> Run:
    """The ensemble of a run's seeds: the mean of their probabilities, and the class that is then most probable.

    Raises:
        PredictionsError: if the seeds are not on the same cycles.
    """
    return Run(run.name, {ONLY: mean_answers(run.tables, run.name)})


def mean_answers(tables: Sequence[Predictions], name: str) -> Predictions:
    """The first table's cycles with the mean of the probabilities that all tables give them.

    Raises:
        PredictionsError: if the tables, which are called by one name, are not on the same cycles.
    """
    first, *others = tables
    aligned = [first, *(in_order_of(first, other, name, name) for other in others)]
    return first.answered(np.mean([table.probabilities for table in aligned], axis=0))


def in_order_of(reference: Predictions, table: Predictions, name: str, other_name: str) -> Predictions:
    """The rows of a table in the order of another's.

    Raises:
        PredictionsError: if it has other classes, cycles, labels or patients.
    """
    if set(table.classes) != set(reference.classes) or table.classes[0] != reference.classes[0]:
        raise PredictionsError(
            f"{name} tells apart {', '.join(reference.classes)}; {other_name} tells apart {', '.join(table.classes)}. "
            "Only runs of one task can be compared: a binary sensitivity is no exact one."
        )
    wanted, found = set(reference.table["cycle_id"]), set(table.table["cycle_id"])
    if wanted != found:
        example = min(wanted ^ found)
        raise PredictionsError(
            f"{name} and {other_name} are not on the same cycles: {len(wanted - found)} are only in the first, "
            f"{len(found - wanted)} only in the second, such as {example}. Compare runs of one split and task."
        )
    ordered = table.table.set_index("cycle_id").loc[reference.table["cycle_id"]].reset_index()
    for column in ("label", "patient"):
        differs = np.flatnonzero(ordered[column].to_numpy() != reference.table[column].to_numpy())
        if len(differs):
            raise PredictionsError(
                f"{name} and {other_name} give cycle {ordered['cycle_id'][differs[0]]} another {column}. "
                "Both must be made from the same annotations."
            )
    return Predictions(ordered, reference.classes)


def describe_selection(name: str) -> str:
    """A rule of selection in words; one that we do not know is said to be unknown."""
    return DESCRIPTIONS.get(name, "selection unknown")
