"""Where the real data lie, and the skip that says so when they do not; made tables of predictions."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch

from add4rsc.datasets.synthetic import synthesise
from add4rsc.predictions import Predictions

SHARED = Path(os.environ.get("ADD4RSC_SHARED", Path(__file__).resolve().parents[2] / "shared"))
CYCLE_CLASSES = ("normal", "crackle", "wheeze", "both")
DATA = Path(os.environ.get("ADD4RSC_DATA", SHARED / "data"))


def _folder_or_skip(folder: Path) -> Path:
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    return _folder_or_skip(DATA)


@pytest.fixture(scope="session")
def golden() -> Path:
    return _folder_or_skip(SHARED / "reference" / "golden")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    return _folder_or_skip(SHARED / "weights")


@pytest.fixture(scope="session")
def load_script() -> Callable[[str], ModuleType]:
    """Loads a program of the repository that is no part of the package, by its path from the root."""

    def load(path: str) -> ModuleType:
        file = Path(__file__).parents[1] / path
        specification = importlib.util.spec_from_file_location(file.stem, file)
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def made_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 made recordings of two training and two test patients, in the layout of ICBHI 2017. Not to be written to."""
    return synthesise(tmp_path_factory.mktemp("made") / "corpus", n_recordings=14, seed=0)


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def feature_cache(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps features, which all tests share, out of the user's own folder."""
    monkeypatch.setenv("ADD4RSC_HOME", str(shared_home))
    return shared_home


def make_table(
    seed: int = 0,
    n_patients: int = 12,
    n_cycles: int = 25,
    skill: float = 0.3,
    classes: tuple[str, ...] = CYCLE_CLASSES,
    labels_seed: int = 100,
) -> Predictions:
    """`n_cycles` a patient; the labels depend on `labels_seed` alone, the probabilities on `seed`."""
    of_labels, generator = np.random.default_rng(labels_seed), np.random.default_rng(seed)
    total = n_patients * n_cycles
    labels = of_labels.integers(0, len(classes), total)
    probabilities = generator.dirichlet(np.full(len(classes), 0.7), total)
    probabilities = skill * np.eye(len(classes))[labels] + (1 - skill) * probabilities
    patient = np.repeat(np.arange(n_patients), n_cycles)
    start = np.tile(np.arange(n_cycles) * 2.0, n_patients)
    names = np.array(classes)
    table = pd.DataFrame(
        {
            "cycle_id": [f"{each}_1b1@{at:.0f}" for each, at in zip(patient, start * 1000, strict=True)],
            "recording": [f"{each}_1b1" for each in patient],
            "patient": patient.astype(str),
            "start": start,
            "end": start + 1.5,
            "label": names[labels],
            "decision": names[probabilities.argmax(axis=1)],
            **{f"p_{name}": probabilities[:, index] for index, name in enumerate(classes)},
        }
    )
    return Predictions(table, classes)


@pytest.fixture
def made() -> Callable[..., Predictions]:
    return make_table
