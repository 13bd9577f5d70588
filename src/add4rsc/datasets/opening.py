"""Open a folder as the corpus that it is."""

from pathlib import Path

from add4rsc.datasets import datasets
from add4rsc.datasets._base import AbstractDataset
from add4rsc.errors import DatasetNotFoundError


def open_dataset(folder: Path, name: str | None = None) -> AbstractDataset:
    """Open a folder by the name of a corpus, or as the first corpus whose layout it has.

    Raises:
        UnknownNameError: if no corpus has that name.
        DatasetNotFoundError: if the folder has not the layout of that corpus, or of any.
    """
    kinds = [datasets.get(each) for each in (datasets.names() if name is None else [name])]
    for kind in kinds:
        if kind.recognises(folder):
            return kind(folder)
    expected = "; or ".join(kind.expected for kind in kinds)
    raise DatasetNotFoundError("|".join(kind.name for kind in kinds), folder, expected)
