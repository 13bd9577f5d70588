"""Reading runs of one seed and of several, and their ensemble."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from add4rsc.errors import PredictionsError
from add4rsc.metrics.runs import Run, mean_probabilities, read_run, tables_of_seeds
from add4rsc.predictions import Predictions

Make = Callable[..., Predictions]


def write(table: Predictions, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.table.to_csv(path, index=False)
    return path


def test_folder_and_table_are_the_same_run(made: Make, tmp_path: Path) -> None:
    path = write(made(), tmp_path / "predictions.csv")
    by_folder, by_file = read_run(tmp_path), read_run(path)
    assert list(by_folder.of_seed) == list(by_file.of_seed) == [0]
    assert by_folder.tables[0].table.equals(by_file.tables[0].table)


def test_seeds_are_in_order_of_their_number(made: Make, tmp_path: Path) -> None:
    for seed in (10, 2, 1):
        write(made(seed=seed), tmp_path / f"seed-{seed}" / "predictions.csv")
    write(made(), tmp_path / "seed-x" / "predictions.csv")
    assert list(tables_of_seeds(tmp_path)) == list(read_run(tmp_path).of_seed) == [1, 2, 10]


def test_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match=r"no such table"):
        read_run(tmp_path)


def test_ensemble_has_the_mean_probabilities_and_their_decision(made: Make) -> None:
    tables = [made(seed=seed) for seed in (1, 2, 3)]
    shuffled = Predictions(tables[1].table.sample(frac=1, random_state=0), tables[1].classes)
    ensemble = mean_probabilities(Run("a", {1: tables[0], 2: shuffled, 3: tables[2]})).tables[0]
    mean = (tables[0].probabilities + tables[1].probabilities + tables[2].probabilities) / 3
    np.testing.assert_allclose(ensemble.probabilities, mean)
    assert (ensemble.decisions == mean.argmax(axis=1)).all()
    assert (ensemble.labels == tables[0].labels).all()
    with pytest.raises(PredictionsError, match="same cycles"):
        mean_probabilities(Run("a", {1: tables[0], 2: made(n_patients=3)}))
