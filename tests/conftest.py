"""Where the real data lie, and the skip that says so when they do not."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from add4rsc.datasets.synthetic import synthesise

SHARED = Path(os.environ.get("ADD4RSC_SHARED", Path(__file__).resolve().parents[2] / "shared"))
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
