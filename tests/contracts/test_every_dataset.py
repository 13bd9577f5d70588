"""What every corpus must hold, whoever adds it."""

from pathlib import Path

import numpy as np
import pytest

from add4rsc.audio.io import read_info, read_waveform
from add4rsc.datasets import datasets
from add4rsc.datasets._base import AbstractDataset, cycles_for
from add4rsc.datasets.verification import verify
from add4rsc.errors import DatasetNotFoundError, UnknownNameError
from add4rsc.terms import Subset

pytestmark = pytest.mark.parametrize("name", datasets.names())


def fake(name: str, folder: Path) -> AbstractDataset:
    kind = datasets.get(name)
    return kind(kind.fake(folder))


def test_fake_loads_and_is_recognised_by_itself_alone(name: str, tmp_path: Path) -> None:
    dataset = fake(name, tmp_path)
    assert [each for each in datasets.names() if datasets.get(each).recognises(dataset.folder)] == [name]
    recordings = dataset.recordings()
    ids = [each.recording_id for each in recordings]
    assert len(ids) >= 3
    assert ids == sorted(set(ids))
    assert all(each.path.is_file() and each.patient_id and each.stethoscope for each in recordings)


def test_cycles_lie_inside_their_recordings(name: str, tmp_path: Path) -> None:
    dataset = fake(name, tmp_path)
    for unit in {task.unit for task in dataset.tasks.values()}:
        cycles = dataset.cycles(unit)
        assert cycles
        assert len({each.cycle_id for each in cycles}) == len(cycles)
        for cycle in cycles:
            assert 0 <= cycle.start < cycle.end <= read_info(cycle.recording.path).duration
            assert np.isfinite(read_waveform(cycle.recording.path, 16_000, cycle.start, cycle.end)).all()
        order = [(each.recording.recording_id, each.start) for each in cycles]
        assert order == sorted(order)


def test_every_task_gets_all_its_classes(name: str, tmp_path: Path) -> None:
    dataset = fake(name, tmp_path)
    for key, task in dataset.tasks.items():
        assert task.name == key
        assert task.classes[0] == "normal"
        assert not task.annotated_by or task.annotated_by in dataset.metadata_files
        assert set(task.class_of.values()) == set(task.classes)
        cycles = cycles_for(dataset, task)
        labels = {task.label(each.annotation) for each in cycles}
        assert len(cycles) == len(dataset.cycles(task.unit))
        if task.unit != "recording" and not task.annotated_by:
            assert labels == set(range(len(task.classes)))


def test_published_splits_share_no_patient_that_is_not_known(name: str, tmp_path: Path) -> None:
    dataset = fake(name, tmp_path)
    patient_of = {each.recording_id: each.patient_id for each in dataset.recordings()}
    for split_name in dataset.split_names:
        assert split_name.startswith(f"{name}/")
        split = dataset.published_split(split_name)
        assert split.name == split_name
        assert split.subset_of.keys() <= patient_of.keys()
        sides = [{patient_of[stem] for stem, of in split.subset_of.items() if of == each} for each in Subset]
        train, validation, test = sides
        assert train
        assert test
        assert not validation
        if split.shared_patients is not None:
            assert train & test <= split.shared_patients


def test_unknown_split_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError):
        fake(name, tmp_path).published_split(f"{name}/no such split")


def test_fake_has_no_problem_and_is_not_complete(name: str, tmp_path: Path) -> None:
    report = verify(fake(name, tmp_path))
    assert report.problems == ()
    assert not report.complete
    assert report.n_cycles == sum(report.cycles_per_class.values()) > 0


def test_empty_folder_is_refused(name: str, tmp_path: Path) -> None:
    kind = datasets.get(name)
    assert not kind.recognises(tmp_path)
    for read in (kind(tmp_path).recordings, kind(tmp_path).cycles, kind(tmp_path).problems):
        with pytest.raises(DatasetNotFoundError, match=name):
            read()


def test_corpus_says_where_it_is_from(name: str) -> None:
    kind = datasets.get(name)
    assert kind.name == name
    assert kind.paper.bibtex().startswith("@")
    assert kind.paper.doi
    assert kind.source.url.startswith("https://")
    assert kind.source.terms
    assert kind.source.downloads
    assert len(kind.n_published) == 3
