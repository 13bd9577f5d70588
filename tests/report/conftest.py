"""Run folders as training writes them, and a table as another program would."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

CLASSES = ("normal", "crackle", "wheeze", "both")


def made_table(seed: int = 0, n_patients: int = 9, **columns: str) -> pd.DataFrame:
    """8 cycles a patient; about half of the decisions are right, and they are the most probable class."""
    generator = np.random.default_rng(seed)
    rows = []
    for patient in range(101, 101 + n_patients):
        for index in range(8):
            label = CLASSES[int(np.random.default_rng(patient * 100 + index).integers(4))]
            weights = generator.random(4) + 0.6 * (np.array(CLASSES) == label)
            shares = (weights / weights.sum()).round(6)
            recording = f"{patient}_1b1_Al_sc_Meditron"
            rows.append(
                {
                    "cycle_id": f"{recording}@{index * 1500}",
                    "recording": recording,
                    "patient": str(patient),
                    "start": index * 1.5,
                    "end": index * 1.5 + 1.2,
                    "label": label,
                    "decision": CLASSES[int(shares.argmax())],
                    **{f"p_{name}": share for name, share in zip(CLASSES, shares, strict=True)},
                }
            )
    return pd.DataFrame(rows).assign(**columns)


@pytest.fixture
def other_csv(tmp_path: Path) -> Path:
    """A table with nothing but the columns of the contract."""
    path = tmp_path / "other.csv"
    made_table().to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def write_run() -> Callable[..., Path]:
    """Write a run folder of one seed."""

    def write(folder: Path, selection: str = "validation", seed: int = 1) -> Path:
        folder.mkdir(parents=True)
        constants = {"subset": "test", "split": "icbhi2017/official", "selection": selection, "epoch": "2"}
        table = made_table(seed, stethoscope="Meditron", chest_location="Al", **constants)
        table.loc[table["patient"] == "101", "stethoscope"] = "Litt3200"
        table.to_csv(folder / "predictions.csv", index=False)
        history = {"epoch": [1.0, 2.0, 3.0], "loss": [1.3, 1.1, 1.0], "validation_loss": [1.2, 1.0, 1.1]}
        history |= {"validation_score": [0.5, 0.6, 0.55]}
        pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
        recipe = {"name": "fine_tuning/small_cnn", "method": "fine_tuning", "backbone": "small_cnn", "weights": None}
        recipe |= {
            "dataset": "icbhi2017",
            "task": "cycle-4",
            "split": "icbhi2017/official",
            "deviations": [],
            "paper": "",
        }
        (folder / "recipe.json").write_text(json.dumps(recipe))
        subset = {"n_cycles": 72, "n_recordings": 9, "n_patients": 9}
        subset |= {"cycles_per_class": dict.fromkeys(CLASSES, 18), "cycles_per_stethoscope": {"Meditron": 72}}
        split = {"subsets": {"train": subset, "test": subset}, "patients_in_two_subsets": ["101"]}
        split |= {"test_cycles_of_training_patients": 8, "cycles_in_training_and_test": 0, "stethoscope_shift": 0.4}
        record = {"seed": seed, "epoch": 2, "split": split, "python": "3.11.7", "packages": {"numpy": "2.4.6"}}
        (folder / "run.json").write_text(json.dumps(record | {"commit": "abc123", "n_parameters": 47060}))
        return folder

    return write


@pytest.fixture
def run_folder(tmp_path: Path, write_run: Callable[..., Path]) -> Callable[..., Path]:
    """Write a run folder of that name."""
    return lambda name="first", **about: write_run(tmp_path / name, **about)
