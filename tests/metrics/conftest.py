"""Made tables of predictions."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from add4rsc.predictions import Predictions

CLASSES = ("normal", "crackle", "wheeze", "both")


def make_table(
    seed: int = 0,
    n_patients: int = 12,
    n_cycles: int = 25,
    skill: float = 0.3,
    classes: tuple[str, ...] = CLASSES,
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
