"""Where the real data lie, and the skip that says so when they do not."""

import os
from pathlib import Path

import pytest
import torch

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


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
