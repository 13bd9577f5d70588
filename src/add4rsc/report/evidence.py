"""What a report is made from: the tables of a run, and what its folder says of how they came about.

Nothing here needs torch. A predictions CSV of another program has no run folder: what it does not say stays empty.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from add4rsc.datasets import datasets
from add4rsc.datasets._base import AbstractDataset
from add4rsc.engine.summary import summarise_seeds
from add4rsc.errors import RunFolderError
from add4rsc.metrics.evaluation import evaluate
from add4rsc.metrics.intervals import SCORES, draw_patients, patient_counts, percentile_interval, scores_of_counts
from add4rsc.metrics.official import OFFICIAL_TESTS, OfficialTest, official_test
from add4rsc.metrics.runs import ONLY, OWN_TABLE, Run, describe_selection, read_run, tables_of_seeds
from add4rsc.metrics.selections import evaluate_run
from add4rsc.metrics.sprsound import judged
from add4rsc.predictions import Predictions
from add4rsc.protocol.selection import Selection
from add4rsc.report.tables import Estimate

RECIPE, RECORD, HISTORY = "recipe.json", "run.json", "history.csv"
N_RESAMPLES = 10_000


@dataclass(frozen=True)
class History:
    """One row an epoch, of one training; `epoch` is the one that was chosen, where that is known."""

    label: str
    table: pd.DataFrame
    epoch: int | None


@dataclass(frozen=True)
class Evidence:
    """One run: its predictions, their evaluation, and what its folder holds; empty where it holds nothing.

    Of several seeds, `result`, plots and groups are those of `shown`, the seed with the median score; `over_seeds` has
    the mean and sd.
    """

    name: str
    run: Run
    shown: int
    result: dict[str, Any]
    over_seeds: dict[str, Any]
    recipe: dict[str, Any]
    record: dict[str, Any]
    histories: tuple[History, ...]

    @property
    def predictions(self) -> Predictions:
        """The table of the seed that is shown."""
        return self.run.of_seed[self.shown]

    @property
    def seeds(self) -> list[int]:
        """All seeds; empty where the table does not say."""
        if self.over_seeds:
            return list(self.run.of_seed)
        return [self.record["seed"]] if "seed" in self.record else []

    @property
    def selection(self) -> str:
        """How the epoch was chosen, in words."""
        return describe_selection(self.result["selection"])

    @property
    def stamp(self) -> str:
        """What has to stand beside every number of a run that looked at the test labels; else empty."""
        return Selection.TEST.description if self.result["selection"] == Selection.TEST else ""

    @property
    def split(self) -> str:
        """Name of the split; empty where neither run nor table says, and the rows are no official test."""
        recognised = official_test(self.predictions) if self.result["is_official"] else None
        return self.result["split"] or self.recipe.get("split") or (recognised.split if recognised else "")

    @property
    def corpus(self) -> type[AbstractDataset] | None:
        """The corpus, by the recipe or by the split's name; None where neither says."""
        named = self.recipe.get("dataset") or self.split.split("/")[0]
        return datasets.get(named) if named in datasets.names() else None

    @property
    def task(self) -> str:
        """Name of the task, or empty."""
        return self.recipe.get("task") or self.record.get("split", {}).get("task") or _task_of(self)

    @property
    def official_test(self) -> OfficialTest | None:
        """The official test that the rows are, or that the split's name promises whether or not they are complete."""
        if self.result["is_official"]:
            return official_test(self.predictions)
        classes = frozenset(self.result["classes"])
        for test in OFFICIAL_TESTS:
            if test.split == self.split and test.classes == classes:
                return test
        return None

    def score(self, name: str) -> Estimate:
        """A score with its 95 % interval over patients; of several seeds, their mean."""
        value = self.over_seeds[name]["mean"] if self.over_seeds else self.result[name]
        low, high = (self.over_seeds if self.over_seeds else self.result)["intervals"][name]
        return Estimate(value, low, high)


def read_evidence(paths: Sequence[Path]) -> list[Evidence]:
    """Read run folders and predictions CSVs.

    Raises:
        PredictionsError: if a table is missing or does not hold what the contract says.
        RunFolderError: if a file of a run folder cannot be read.
    """
    return [_read(path, name) for path, name in zip(paths, _names(paths), strict=True)]


def _names(paths: Sequence[Path]) -> list[str]:
    """A short name for every run; the whole path where two would have the same."""
    short = [path.stem if path.suffix == ".csv" else path.resolve().name for path in paths]
    return [
        name if short.count(name) == 1 else f"{index}: {path}"
        for index, (name, path) in enumerate(zip(short, paths, strict=True), start=1)
    ]


def _read(path: Path, name: str) -> Evidence:
    run = Run(name, read_run(path).of_seed)
    folders = {seed: table.parent for seed, table in tables_of_seeds(path).items()}
    if not folders and path.is_dir():
        folders = {ONLY: path}
    if folders:
        results = {seed: evaluate_run(folder) for seed, folder in folders.items()}
    else:
        results = {ONLY: evaluate(run.of_seed[ONLY])}
    shown = _median(results)
    folder = folders.get(shown)
    record = _read_json(folder / RECORD) if folder else {}
    return Evidence(
        name,
        run,
        shown,
        results[shown],
        _over_seeds(run, results) if len(results) > 1 else {},
        _read_recipe(path, folder),
        record,
        tuple(_read_histories(folder, record)) if folder else (),
    )


def _read_recipe(path: Path, shown: Path | None) -> dict[str, Any]:
    """That of the run, or of the seed that is shown where each has its own; a table by itself has none."""
    if not path.is_dir():
        return {}
    return _read_json(path / RECIPE) or (_read_json(shown / RECIPE) if shown else {})


def _median(results: dict[int, dict[str, Any]]) -> int:
    """The seed with the median score, the lower of the middle two."""
    ranked = sorted(results, key=lambda seed: (results[seed]["score"] is None, results[seed]["score"] or 0.0, seed))
    return ranked[(len(ranked) - 1) // 2]


def _over_seeds(run: Run, results: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Mean and sd over seeds, with the interval of the mean from a bootstrap over patients."""
    counts = []
    for table in run.tables:
        rows = judged(table.labels, table.classes)
        counts.append(patient_counts(table.labels[rows], table.decisions[rows], table.patients[rows]))
    mean = np.mean(counts, axis=0)
    draws = draw_patients(len(mean), np.random.default_rng(0), N_RESAMPLES)
    resampled = scores_of_counts(draws @ mean)
    found = {name: percentile_interval(resampled[:, index]) for index, name in enumerate(SCORES)}
    intervals = {name: [_known(each.low), _known(each.high)] for name, each in found.items()}
    return summarise_seeds(results) | {"intervals": intervals}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _read_histories(folder: Path, record: dict[str, Any]) -> list[History]:
    """The history of the run, or those of its folds."""
    places = [("", folder)] if (folder / HISTORY).exists() else []
    if not places:
        of_folds = [path.parent for path in folder.glob(f"fold-*/{HISTORY}")]
        places = [(f"fold {path.name.removeprefix('fold-')}", path) for path in sorted(of_folds)]
    found = []
    for label, place in places:
        epoch = (_read_json(place / RECORD) if label else record).get("epoch")
        found.append(History(label, _read_table(place / HISTORY), epoch))
    return found


def _read_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; empty if there is no such file.

    Raises:
        RunFolderError: if it holds anything else.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise RunFolderError(f"{path}: is not JSON ({error}). Restore it, or report on {OWN_TABLE} alone.") from error
    if not isinstance(content, dict):
        raise RunFolderError(f"{path}: holds no keys. Restore it, or report on {OWN_TABLE} alone.")
    return content


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise RunFolderError(f"{path}: is not a CSV table ({error}). Restore it, or delete it.") from error


def _task_of(evidence: Evidence) -> str:
    """The task of the corpus that has these classes; a table without recipe does not name it."""
    corpus, classes = evidence.corpus, set(evidence.result["classes"])
    matching = [name for name, task in corpus.tasks.items() if set(task.classes) == classes] if corpus else []
    return matching[0] if len(matching) == 1 else ""
