"""Every named division of ICBHI 2017 and SPRSound 2022 against numbers counted elsewhere."""

import json
import random
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from add4rsc.datasets.icbhi2017 import Icbhi2017
from add4rsc.datasets.sprsound import SprSound2022
from add4rsc.errors import AnnotationError, SplitError, UnknownNameError
from add4rsc.protocol.split import Split, fold_names, make_split
from add4rsc.terms import Subset

LISTS = ("ICBHI_challenge_train_test.txt", "patient_list_foldwise.txt")
FOLDS_FILE = "patient_list_foldwise.txt"


@pytest.fixture(scope="module")
def whole(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Icbhi2017:
    """All 920 annotations with the two lists, without sound."""
    folder = tmp_path_factory.mktemp("icbhi")
    (folder / "ICBHI_final_database").symlink_to(shared_data / "icbhi2017_annotations")
    for name in LISTS:
        shutil.copyfile(shared_data / "icbhi2017_subset" / name, folder / name)
    corpus = Icbhi2017(folder, needs_audio=False)
    corpus.cycles, corpus.recordings = cache(corpus.cycles), cache(corpus.recordings)
    return corpus


@pytest.fixture(scope="module")
def sprsound(shared_data: Path) -> SprSound2022:
    corpus = SprSound2022(shared_data / "sprsound2022")
    corpus.cycles = cache(corpus.cycles)
    return corpus


@pytest.fixture(scope="module")
def divide(whole: Icbhi2017) -> Callable[[str], Split]:
    return lambda name: make_split(whole, whole.tasks["cycle-4"], f"icbhi2017/{name}", validation_share=0.0)


def counts(split: Split, subset: Subset) -> list[int]:
    return list(split.report()["subsets"][subset]["cycles_per_class"].values())


@pytest.mark.data
def test_official_disjoint_drops_the_shared_patients_from_test_alone(divide: Callable[[str], Split]) -> None:
    official, disjoint = divide("official"), divide("official-disjoint")
    assert (len(disjoint.test), disjoint.report()["subsets"]["test"]["n_patients"]) == (2636, 47)  # METHODS 1.2
    assert disjoint.shared_patients == ()
    assert disjoint.train == official.train
    kept = {cycle.cycle_id for cycle in disjoint.test}
    dropped = [cycle for cycle in official.test if cycle.cycle_id not in kept]
    assert len(dropped) == 120
    assert {cycle.recording.patient_id for cycle in dropped} == set(official.shared_patients) == {"156", "218"}
    assert official.report()["test_cycles_of_training_patients"] == 120


@pytest.mark.data
def test_random_files_are_those_of_the_released_code(divide: Callable[[str], Split], golden: Path) -> None:
    stored = json.loads((golden / "split.json").read_text())
    split = divide("random-file-seed1")
    for subset in (Subset.TRAIN, Subset.TEST):
        names = {cycle.recording.recording_id for cycle in split.subset(subset)}
        assert names == set(stored[f"reference_{subset}_files"])
        assert counts(split, subset) == stored["reference_counts"][subset]
    report = split.report()
    assert report["test_cycles_of_training_patients"] == 2520  # METHODS 2.1: 93.9 %
    assert report["share_of_test_cycles_of_training_patients"] == pytest.approx(0.939, abs=5e-4)
    assert len(report["patients_in_two_subsets"]) == 76


@pytest.mark.data
def test_random_files_of_a_part_of_the_corpus_are_divided_as_in_the_whole(
    divide: Callable[[str], Split], shared_data: Path
) -> None:
    part = Icbhi2017(shared_data / "icbhi2017_subset")
    split = make_split(part, part.tasks["cycle-4"], "icbhi2017/random-file-seed1", validation_share=0.0)
    whole = divide("random-file-seed1")
    for subset in (Subset.TRAIN, Subset.TEST):
        names = {cycle.recording.recording_id for cycle in split.subset(subset)}
        assert names < {cycle.recording.recording_id for cycle in whole.subset(subset)}
    assert len(part.published_split("icbhi2017/random-file-seed1").subset_of) == 264
    # the recording that the list misnames is divided under its own name
    stems = sorted(line.split()[0] for line in (part.folder / LISTS[0]).read_text().splitlines())
    order = list(range(920))
    random.Random(1).shuffle(order)
    side = Subset.TRAIN if stems.index("226_1b1_Pl_sc_Meditron") in order[:552] else Subset.TEST
    assert part.published_split("icbhi2017/random-file-seed1").subset_of["226_1b1_Pl_sc_LittC2SE"] == side


@pytest.mark.data
def test_by_patient_overlap_has_two_patients_whole_on_both_sides(divide: Callable[[str], Split]) -> None:
    split = divide("by-patient-overlap")
    assert (len(split.train), len(split.test)) == (4262, 2873)  # METHODS 1.2
    normal, *abnormal = counts(split, Subset.TEST)
    assert (normal, sum(abnormal)) == (1589, 1284)
    report = split.report()
    assert report["cycles_in_training_and_test"] == report["test_cycles_of_training_patients"] == 237
    assert report["patients_in_two_subsets"] == ["156", "218"]


@pytest.mark.data
def test_five_folds_test_every_patient_once(divide: Callable[[str], Split], whole: Icbhi2017) -> None:
    names = fold_names("icbhi2017/five-fold")
    assert [name.rsplit("/", 1)[1] for name in names] == ["1", "2", "3", "4", "5"]
    folds = [divide(name.removeprefix("icbhi2017/")) for name in names]
    assert [fold.report()["subsets"]["test"]["n_patients"] for fold in folds] == [26, 25, 25, 25, 25]
    tested = [cycle.cycle_id for fold in folds for cycle in fold.test]
    assert len(tested) == len(set(tested)) == 6898
    listed = dict(line.split() for line in (whole.folder / FOLDS_FILE).read_text().splitlines())
    for number, fold in enumerate(folds):
        assert {listed[cycle.recording.patient_id] for cycle in fold.test} == {str(number)}
        assert len(fold.train) + len(fold.test) == 6898
        assert fold.shared_patients == ()


@pytest.mark.data
def test_each_stethoscope_is_left_out_with_its_patients(divide: Callable[[str], Split]) -> None:
    n_cycles = {"AKGC417L": 4346, "LittC2SE": 594, "Litt3200": 502, "Meditron": 1456}  # METHODS 6.1: train + test
    names = fold_names("icbhi2017/leave-one-stethoscope-out")
    assert [name.rsplit("/", 1)[1] for name in names] == list(n_cycles)
    for name in names:
        split = divide(name.removeprefix("icbhi2017/"))
        left_out = name.rsplit("/", 1)[1]
        assert len(split.test) == n_cycles[left_out]
        assert {cycle.recording.stethoscope for cycle in split.test} == {left_out}
        assert left_out not in {cycle.recording.stethoscope for cycle in split.train}
        assert split.shared_patients == ()
        assert split.report()["stethoscope_shift"] == pytest.approx(1)


@pytest.mark.data
def test_shift_of_the_official_split_is_that_of_the_counts(divide: Callable[[str], Split]) -> None:
    train, test = (2510, 997, 594, 41), (1836, 459, 0, 461)  # METHODS 6.1
    expected = sum(abs(left / 4142 - right / 2756) for left, right in zip(train, test, strict=True)) / 2
    assert divide("official").report()["stethoscope_shift"] == pytest.approx(expected)


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    [
        "official-disjoint",
        "random-file-seed1",
        "by-patient-overlap",
        "five-fold/2",
        "leave-one-stethoscope-out/Meditron",
    ],
)
def test_complete_corpus_with_a_changed_label_is_refused(whole: Icbhi2017, tmp_path: Path, name: str) -> None:
    shutil.copytree((whole.folder / "ICBHI_final_database").resolve(), tmp_path / "ICBHI_final_database")
    for file in LISTS:
        shutil.copyfile(whole.folder / file, tmp_path / file)
    path = tmp_path / "ICBHI_final_database" / "101_1b1_Al_sc_Meditron.txt"
    path.chmod(0o644)
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([first[:-3] + "1\t1", *others]) + "\n")
    with pytest.raises(SplitError, match=f"icbhi2017/{name} does not give the published numbers"):
        Icbhi2017(tmp_path, needs_audio=False).published_split(f"icbhi2017/{name}")


@pytest.mark.data
@pytest.mark.parametrize(
    ("part", "n_recordings", "n_events"), [("inter", 355, 1429), ("intra", 379, 1004), ("union", 734, 2433)]
)
def test_sprsound_tests_are_complete_for_every_task(
    sprsound: SprSound2022, part: str, n_recordings: int, n_events: int
) -> None:
    for task in sprsound.tasks.values():
        split = make_split(sprsound, task, f"sprsound2022/{part}", validation_share=0.0)
        assert len(split.test) == (n_recordings if task.unit == "recording" else n_events)
        assert len(split.train) == (1949 if task.unit == "recording" else 6656)
        assert bool(split.shared_patients) == (part != "inter")


def tiny(tmp_path: Path) -> Icbhi2017:
    return Icbhi2017(Icbhi2017.fake(tmp_path))


def test_fold_list_that_is_missing_or_malformed_is_named(tmp_path: Path) -> None:
    corpus = tiny(tmp_path)
    with pytest.raises(SplitError, match=r"patient_list_foldwise\.txt.*RespireNet"):
        corpus.published_split("icbhi2017/five-fold/1")
    (tmp_path / FOLDS_FILE).write_text("901 0\n902 5\n")
    with pytest.raises(AnnotationError, match=r"line 2.*0 to 4"):
        corpus.published_split("icbhi2017/five-fold/1")
    (tmp_path / FOLDS_FILE).write_text("901 0\n902 4\n")
    assert corpus.published_split("icbhi2017/five-fold/5").members(Subset.TEST) == {"902_1b1_Tc_sc_AKGC417L"}


@pytest.mark.parametrize(
    "name",
    ["five-fold", "five-fold/6", "five-fold/0", "leave-one-stethoscope-out/Litt", "official/1", "random-file-seed2"],
)
def test_names_of_no_division_are_refused(tmp_path: Path, name: str) -> None:
    corpus = tiny(tmp_path)
    with pytest.raises(UnknownNameError):
        make_split(corpus, corpus.tasks["cycle-4"], f"icbhi2017/{name}")
    with pytest.raises(UnknownNameError):
        corpus.published_split(f"icbhi2017/{name}")


def test_stethoscope_without_recordings_leaves_no_test(tmp_path: Path) -> None:
    corpus = tiny(tmp_path)
    with pytest.raises(SplitError, match="no test cycles"):
        make_split(corpus, corpus.tasks["cycle-4"], "icbhi2017/leave-one-stethoscope-out/LittC2SE")


def test_names_that_are_one_division_stand_for_themselves() -> None:
    for name in ("icbhi2017/official", "sprsound2022/union", "patient-folds-3/2", "icbhi2017/five-fold/3", "nothing"):
        assert fold_names(name) == [name]
