from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from add4rsc.errors import PredictionsError, RunFolderError
from add4rsc.metrics.evaluation import evaluate
from add4rsc.robustness.conditions import CLEAN, Condition
from add4rsc.robustness.stored import (
    CYCLE_COLUMNS,
    MeasuredSettings,
    claim_measured,
    measured_home,
    open_measured,
    open_seeds,
    store_predictions,
)

CLASSES = ("normal", "crackle", "wheeze", "both")
WHITE = Condition("white", "", 0.0, 1)


def settings(**changes) -> MeasuredSettings:
    values = {
        "recipe": "fine_tuning/small_cnn", "model": "abc", "dataset": "icbhi2017", "split": "made", "task": "cycle-4",
        "classes": CLASSES, "selection": "validation", "sample_rate": 16_000, "noise": {"rain": "1"},
    }  # fmt: skip
    return MeasuredSettings(**(values | changes))


@pytest.fixture
def cycles() -> pd.DataFrame:
    labels = np.random.default_rng(0).choice(CLASSES, 40)
    rows = [(f"00{i}@0", f"00{i}", f"0{i // 8}", 0.0, 1.0, label, "NA", "Al") for i, label in enumerate(labels)]
    return pd.DataFrame(rows, columns=list(CYCLE_COLUMNS))


@pytest.fixture
def probabilities():
    return np.random.default_rng(1).dirichlet(np.ones(4), 40)


def claim(folder: Path, cycles, **flags):
    return claim_measured(folder, settings(), cycles, **({"resume": False, "overwrite": False} | flags))


def test_predictions_come_back(tmp_path, cycles, probabilities):
    claim(tmp_path, cycles)
    store_predictions(tmp_path, WHITE, probabilities)
    measured = open_measured(tmp_path)
    assert measured.conditions == (WHITE,)
    decisions, shares = measured.arrays(WHITE)
    np.testing.assert_array_equal(decisions, probabilities.argmax(axis=1))
    np.testing.assert_allclose(shares, probabilities, atol=5e-4)
    table = measured.predictions(WHITE)
    assert list(table.patients) == list(cycles["patient"])  # zeros in front are kept
    result = evaluate(table)
    assert (result["n_cycles"], result["selection"]) == (40, "validation")


def test_the_same_values_are_the_same_bytes(tmp_path, cycles, probabilities):
    for name in ("a", "b"):
        claim(tmp_path / name, cycles)
        store_predictions(tmp_path / name, WHITE, probabilities)
    first, second = ((tmp_path / name / "predictions" / f"{WHITE.stem}.npz").read_bytes() for name in ("a", "b"))
    assert first == second
    assert len(first) < 1500


def test_a_folder_is_not_written_over_by_accident(tmp_path, cycles, probabilities):
    claim(tmp_path, cycles)
    store_predictions(tmp_path, WHITE, probabilities)
    with pytest.raises(RunFolderError, match=r"holds 1 measured conditions\. Add to them with --resume"):
        claim(tmp_path, cycles)
    assert claim(tmp_path, cycles, resume=True).conditions == (WHITE,)
    assert claim(tmp_path, cycles, overwrite=True).conditions == ()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": "other"}, "model"),
        ({"sample_rate": 8000, "split": "x"}, "split, sample_rate"),
        ({"enhancement": "wiener"}, "enhancement"),
        ({"noise_band": "recording"}, "noise_band"),
        ({"noise": {"rain": "2"}}, "the clips of 'rain'"),
    ],
)
def test_other_measurements_are_not_mixed(tmp_path, cycles, changes, named):
    claim(tmp_path, cycles)
    with pytest.raises(RunFolderError, match=f"different: {named}"):
        claim_measured(tmp_path, settings(**changes), cycles, resume=True, overwrite=False)
    with pytest.raises(RunFolderError, match="different: cycles"):
        claim_measured(tmp_path, settings(), cycles[1:], resume=True, overwrite=False)


def test_noise_classes_are_added(tmp_path, cycles):
    claim(tmp_path, cycles)
    found = claim_measured(tmp_path, settings(noise={"hum": "3"}), cycles, resume=True, overwrite=False)
    assert found.settings.noise == {"hum": "3", "rain": "1"}


def test_what_a_kill_left_is_cleared(tmp_path, cycles, probabilities):
    claim(tmp_path, cycles)
    store_predictions(tmp_path, WHITE, probabilities)
    half = tmp_path / "predictions" / f".{WHITE.stem}.npz.{'0' * 32}"
    half.write_bytes(b"half")
    assert open_measured(tmp_path).conditions == (WHITE,)
    claim(tmp_path, cycles, resume=True)
    assert not half.exists()


def test_damaged_and_foreign_files_are_refused(tmp_path, cycles, probabilities):
    claim(tmp_path, cycles)
    store_predictions(tmp_path, WHITE, probabilities[1:])
    with pytest.raises(PredictionsError, match="is of other cycles"):
        open_measured(tmp_path).arrays(WHITE)
    (tmp_path / "predictions" / f"{WHITE.stem}.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(PredictionsError, match="Delete it and measure again"):
        open_measured(tmp_path).arrays(WHITE)
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(RunFolderError, match="cannot be read"):
        open_measured(tmp_path)


def test_measurements_are_found(tmp_path, cycles):
    with pytest.raises(RunFolderError, match="nothing was measured there"):
        measured_home(tmp_path)
    for seed in (2, 10):
        claim(tmp_path / "run" / "robustness" / f"seed-{seed}", cycles)
    home = measured_home(tmp_path / "run")
    assert home == tmp_path / "run" / "robustness"
    assert list(open_seeds(home)) == [2, 10]
    assert measured_home(home) == home
    claim(tmp_path / "one", cycles)
    assert list(open_seeds(measured_home(tmp_path / "one"))) == [0]
    assert Condition(CLEAN).stem == "clean____0__0"
