"""Corpora behind one interface; one file each."""

from add4rsc.datasets._base import AbstractDataset
from add4rsc.registry import Registry

datasets: Registry[type[AbstractDataset]] = Registry("dataset", __name__)
