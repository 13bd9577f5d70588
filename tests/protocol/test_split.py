import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from add4rsc.datasets._base import NamedSplit
from add4rsc.datasets.icbhi2017 import Icbhi2017
from add4rsc.datasets.opening import open_dataset
from add4rsc.datasets.synthetic import synthesise
from add4rsc.errors import PatientLeakError, SplitError, UnknownNameError
from add4rsc.protocol.split import Split, fold_names, make_split, patient_folds
from add4rsc.terms import Subset

OFFICIAL = "icbhi2017/official"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Icbhi2017:
    """35 made recordings of ten patients."""
    return Icbhi2017(synthesise(tmp_path_factory.mktemp("made"), n_recordings=35, seed=3))


def divide(corpus, name=OFFICIAL, **settings) -> Split:
    return make_split(corpus, corpus.tasks["cycle-4"], name, **settings)


def patients(cycles) -> set[str]:
    return {cycle.recording.patient_id for cycle in cycles}


def ids(cycles) -> list[str]:
    return [cycle.cycle_id for cycle in cycles]


@pytest.mark.parametrize("name", [OFFICIAL, "patient-folds-4/2"])
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_validation_patients_are_carved_out_of_training_alone(corpus, name, share):
    whole, split = divide(corpus, name, validation_share=0.0), divide(corpus, name, validation_share=share)
    assert split.test == whole.test
    assert whole.validation == ()
    assert sorted(ids(split.train) + ids(split.validation)) == sorted(ids(whole.train))
    assert split.validation
    sides = [patients(split.subset(subset)) for subset in Subset]
    assert sum(map(len, sides)) == len(set.union(*sides))
    assert abs(len(split.validation) / len(whole.train) - share) < 0.15


def test_same_seed_gives_the_same_validation_patients(corpus):
    splits = [divide(Icbhi2017(corpus.folder), validation_share=0.3, validation_seed=1) for _ in range(2)]
    assert ids(splits[0].validation) == ids(splits[1].validation)


@pytest.mark.parametrize("n_folds", [2, 3, 5, 10])
def test_folds_are_disjoint_and_complete(corpus, n_folds):
    names = fold_names(f"patient-folds-{n_folds}")
    assert names == [f"patient-folds-{n_folds}/{number}" for number in range(1, n_folds + 1)]
    splits = [divide(corpus, name, validation_share=0.0) for name in names]
    tested = [each for split in splits for each in ids(split.test)]
    assert sorted(tested) == sorted(ids(corpus.cycles()))
    for split in splits:
        assert not patients(split.train) & patients(split.test)
        assert len(split.train) + len(split.test) == len(tested)
    owners = Counter(patient for split in splits for patient in patients(split.test))
    assert set(owners.values()) == {1}


def test_folds_have_like_shares_of_the_classes(corpus):
    task, cycles = corpus.tasks["cycle-4"], corpus.cycles()
    folds = patient_folds(cycles, task, 3)
    normal = sum(cycle.annotation == "normal" for cycle in cycles) / len(cycles)
    for fold in folds:
        members = [cycle for cycle in cycles if cycle.recording.patient_id in fold]
        assert abs(sum(cycle.annotation == "normal" for cycle in members) / len(members) - normal) < 0.1
    assert folds == patient_folds(cycles, task, 3)


def test_a_task_of_two_classes_divides_the_same_cycles(corpus):
    split = make_split(corpus, corpus.tasks["cycle-2"], OFFICIAL, validation_share=0.0)
    assert ids(split.test) == ids(divide(corpus, validation_share=0.0).test)
    counts = split.report()["subsets"]["test"]["cycles_per_class"]
    assert list(counts) == ["normal", "adventitious"]
    assert sum(counts.values()) == len(split.test)


class Leaky(Icbhi2017):
    """One test patient has a recording in training."""

    allowed: frozenset[str] | None = frozenset()

    def published_split(self, name):
        split = super().published_split(name)
        stem = sorted(each for each, side in split.subset_of.items() if side == Subset.TEST)[0]
        moved = {**split.subset_of, stem: Subset.TRAIN}
        return replace(split, subset_of=moved, shared_patients=self.allowed)


@pytest.fixture
def leaky(corpus) -> Leaky:
    return Leaky(corpus.folder)


def test_patient_on_both_sides_is_refused(leaky, corpus):
    leaked = min(patients(divide(corpus).test))
    with pytest.raises(
        PatientLeakError, match=rf"'{OFFICIAL}' puts these patients in training and in test: {leaked}\."
    ):
        divide(leaky)


@pytest.mark.parametrize("allow_all", [True, False])
def test_known_overlap_is_reported(leaky, corpus, allow_all):
    leaked = min(patients(divide(corpus).test))
    leaky.allowed = None if allow_all else frozenset({leaked, "999"})
    report = divide(leaky, validation_share=0.0).report()
    assert report["patients_in_two_subsets"] == [leaked]
    n_cycles = sum(cycle.recording.patient_id == leaked for cycle in divide(leaky).test)
    assert report["test_cycles_of_training_patients"] == n_cycles > 0


def test_report_counts_what_is_there(corpus):
    split = divide(corpus, validation_share=0.3)
    report = split.report()
    for subset in Subset:
        counted, cycles = report["subsets"][subset], split.subset(subset)
        assert counted["n_cycles"] == len(cycles) == sum(counted["cycles_per_class"].values())
        assert counted["n_patients"] == len(patients(cycles))
        assert counted["n_recordings"] == len({cycle.recording.recording_id for cycle in cycles})
        assert counted["cycles_per_class"] == {
            name: sum(cycle.annotation == name for cycle in cycles) for name in split.task.classes
        }
        assert counted["cycles_per_stethoscope"] == Counter(cycle.recording.stethoscope for cycle in cycles)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("icbhi2017/oficial", UnknownNameError, "Did you mean 'icbhi2017/official'"),
        ("patient-fold-5", UnknownNameError, "Did you mean 'patient-folds-5'"),
        ("patient-folds-3/4", SplitError, "Use patient-folds-3/1 to /3"),
        ("patient-folds-3/0", SplitError, "Use patient-folds-3/1 to /3"),
        ("patient-folds-11/1", SplitError, "10 patients cannot be divided into 11 folds"),
    ],
)
def test_splits_that_do_not_exist(corpus, name, error, said):
    with pytest.raises(error, match=said):
        divide(corpus, name)


def test_empty_side_is_refused(corpus):
    class OneSided(Icbhi2017):
        def published_split(self, name):
            recordings = {recording.recording_id: Subset.TRAIN for recording in self.recordings()}
            return NamedSplit(name, recordings)

    with pytest.raises(SplitError, match="leaves no test cycles"):
        divide(OneSided(corpus.folder))


@pytest.mark.data
def test_official_counts_of_the_whole_database(shared_data, tmp_path):
    (tmp_path / "ICBHI_final_database").symlink_to(shared_data / "icbhi2017_annotations")
    shutil.copy(shared_data / "icbhi2017_subset" / "ICBHI_challenge_train_test.txt", tmp_path)
    split = divide(Icbhi2017(tmp_path, needs_audio=False), validation_share=0.0)
    assert (len(split.train), len(split.test)) == (4142, 2756)
    assert split.report()["subsets"]["test"]["cycles_per_class"] == {
        "normal": 1579, "crackle": 649, "wheeze": 385, "both": 143,
    }  # fmt: skip
    assert split.shared_patients == ("156", "218")
    carved = divide(Icbhi2017(tmp_path, needs_audio=False), validation_share=0.2)
    assert carved.test == split.test
    assert len(carved.train) + len(carved.validation) == 4142
    assert not patients(carved.train) & patients(carved.validation)
    assert 0.15 < len(carved.validation) / 4142 < 0.25


@pytest.mark.data
@pytest.mark.parametrize("folder", ["icbhi2017_subset", "sprsound2022"])
def test_first_split_of_the_real_corpora_leaks_no_unknown_patient(shared_data: Path, folder):
    corpus = open_dataset(shared_data / folder)
    split = make_split(corpus, next(iter(corpus.tasks.values())), corpus.split_names[0])
    both = (patients(split.train) | patients(split.validation)) & patients(split.test)
    assert both <= {"156", "218"}
    assert tuple(sorted(both)) == split.shared_patients
    assert not patients(split.train) & patients(split.validation)


def test_another_validation_seed_is_another_fold(corpus) -> None:
    chosen = [patients(divide(corpus, validation_seed=seed).validation) for seed in (0, 1, 0)]
    assert chosen[0] == chosen[2]
    assert not chosen[0] & chosen[1]
