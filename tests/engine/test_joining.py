"""Joined cycles in a run: their sound, their features, their files."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from add4rsc.audio.crop import Crop
from add4rsc.audio.frontend import FrontEnd, LogMelFilterBank
from add4rsc.audio.io import read_waveform
from add4rsc.augment.joining import JoinedCycle
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine import joining
from add4rsc.engine.features import prepare_features
from add4rsc.engine.joining import append_joined, prepare_joined
from add4rsc.engine.preparation import prepare_data
from add4rsc.engine.run import resolve_recipe
from add4rsc.protocol.split import make_split

SETTINGS = (Crop(duration=1.5), FrontEnd())


@pytest.fixture
def cycles(made_corpus):
    return open_dataset(made_corpus).cycles()[:7]


def by_hand(cycles, pair):
    """One recording after the other, cut at the annotation, repeated to 1.5 s."""
    parts = []
    for index in (pair.first, pair.second):
        cycle = cycles[index]
        waveform = read_waveform(cycle.recording.path, 16_000)
        parts.append(waveform[int(cycle.start * 16_000) : int(cycle.end * 16_000)])
    joined = np.concatenate(parts)
    while len(joined) < 24_000:
        joined = np.concatenate([joined, np.concatenate(parts)])
    return LogMelFilterBank(FrontEnd())(torch.from_numpy(joined[None, :24_000]))[0].numpy()


def test_features_are_those_of_one_cycle_behind_the_other(cycles, tmp_path, monkeypatch):
    monkeypatch.setattr(joining, "CYCLES_PER_FILE", 2)
    pairs = [JoinedCycle(0, 6, 1), JoinedCycle(6, 0, 1), JoinedCycle(3, 3, 0)]
    plain = prepare_features(cycles, *SETTINGS, tmp_path)
    copy = replace(plain, rows=tuple(reversed(plain.rows)))
    store = append_joined(replace(plain, copies=(copy,)), cycles, pairs, SETTINGS, tmp_path)
    assert len(store) == len(store.copies[0]) == 10
    for index in range(7):
        np.testing.assert_array_equal(store.features(index), plain.features(index))
        np.testing.assert_array_equal(store.copies[0].features(index), copy.features(index))
    for index, pair in enumerate(pairs, start=7):
        np.testing.assert_allclose(store.features(index), by_hand(cycles, pair), atol=1e-5)
        np.testing.assert_array_equal(store.copies[0].features(index), store.features(index))
    assert len(set(store.files[7:])) == 2


def test_files_are_made_once_and_anew_for_other_settings(cycles, tmp_path, monkeypatch):
    pairs = [JoinedCycle(1, 2, 0)]
    files, rows = prepare_joined(cycles, pairs, SETTINGS, tmp_path)
    assert rows == (0,)
    others = [
        prepare_joined(cycles, [JoinedCycle(2, 1, 0)], SETTINGS, tmp_path)[0],
        prepare_joined(cycles, pairs, (Crop(duration=1.6), FrontEnd()), tmp_path)[0],
    ]
    assert len({files, *others}) == 3
    monkeypatch.setattr(joining, "read_recording", None)  # nothing is read again
    assert prepare_joined(cycles, pairs, SETTINGS, tmp_path) == (files, rows)
    assert prepare_joined(cycles, [], SETTINGS, tmp_path) == ((), ())


def test_only_training_gets_them_and_every_seed_the_same(small_recipe, made_corpus, feature_cache):
    dataset = open_dataset(made_corpus)
    recipes = [resolve_recipe(small_recipe(**changes), dataset) for changes in ({}, {"waveform__joined_scale": 2.0})]
    split = make_split(dataset, dataset.tasks["cycle-4"], recipes[0].split, validation_share=0.5)
    plain, more, again = (prepare_data(recipe, split, shown=False) for recipe in (*recipes, recipes[1]))
    assert (len(more.test.labels), len(more.validation.labels)) == (
        len(plain.test.labels),
        len(plain.validation.labels),
    )
    n_plain = len(plain.train.labels)
    assert (more.train.labels[:n_plain] == plain.train.labels).all()
    n_normal = int((plain.train.labels == 0).sum())
    assert np.bincount(more.train.labels).tolist() == [2 * n_normal] * 4
    assert len(more.train.store) == len(more.train.labels)
    assert more.train.store == again.train.store
    assert more.train.store.features(n_plain).shape == more.train.store.features(0).shape
