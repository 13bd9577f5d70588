"""ICBHI 2017: counts of the real annotations, and refusal of everything that is not of the format."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from add4rsc.datasets._base import cycles_for
from add4rsc.datasets._icbhi_files import parse_row, read_annotation
from add4rsc.datasets.icbhi2017 import Icbhi2017
from add4rsc.errors import AnnotationError, DatasetNotFoundError, SplitError, UnknownNameError
from add4rsc.protocol.split import make_split
from add4rsc.terms import CycleLabel, Subset

CLASSES = ("normal", "crackle", "wheeze", "both")
OFFICIAL = "icbhi2017/official"


@pytest.fixture
def all_annotations(shared_data: Path, tmp_path: Path) -> Path:
    """The 920 annotation files in the published layout, without sound."""
    (tmp_path / "ICBHI_final_database").symlink_to(shared_data / "icbhi2017_annotations")
    for file in (shared_data / "icbhi2017_subset").glob("ICBHI_*.txt"):
        shutil.copyfile(file, tmp_path / file.name)
    return tmp_path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return Icbhi2017.fake(tmp_path / "tiny")


@pytest.mark.data
def test_all_annotations_give_the_published_counts(all_annotations: Path) -> None:
    # Rocha et al. 2019: 920 recordings, 126 patients, 6,898 cycles: 3,642 / 1,864 / 886 / 506
    dataset = Icbhi2017(all_annotations, needs_audio=False)
    cycles = dataset.cycles()
    assert Counter(cycle.annotation for cycle in cycles) == {
        "normal": 3642,
        "crackle": 1864,
        "wheeze": 886,
        "both": 506,
    }
    recordings = dataset.recordings()
    assert (len(recordings), len({each.patient_id for each in recordings}), len(cycles)) == dataset.n_published
    assert len({cycle.cycle_id for cycle in cycles}) == 6898
    assert Counter(each.stethoscope for each in recordings).keys() == {"AKGC417L", "LittC2SE", "Litt3200", "Meditron"}


@pytest.mark.data
def test_official_split_gives_the_counts_of_the_stored_reference(all_annotations: Path, golden: Path) -> None:
    expected = json.loads((golden / "split.json").read_text())
    dataset = Icbhi2017(all_annotations, needs_audio=False)
    split = dataset.published_split(OFFICIAL)
    found = Counter((split.subset_of[cycle.recording.recording_id], cycle.annotation) for cycle in dataset.cycles())
    for subset in (Subset.TRAIN, Subset.TEST):
        assert [found[subset, name] for name in CLASSES] == expected["official_counts"][subset]
    n_files = Counter(split.subset_of.values())
    assert [n_files[Subset.TRAIN], n_files[Subset.TEST]] == expected["official_files"]
    patients = {
        subset: {stem.split("_")[0] for stem, of in split.subset_of.items() if of == subset} for subset in Subset
    }
    shared = patients[Subset.TRAIN] & patients[Subset.TEST]
    assert shared == split.shared_patients == set(expected["official_shared_patients"])
    assert [len(patients[Subset.TRAIN]), len(patients[Subset.TEST]), len(shared)] == expected["official_patients"]


@pytest.mark.data
@pytest.mark.parametrize(
    ("task", "groups"),
    [
        ("diagnosis-3", {"normal": "Healthy", "chronic": "COPD Bronchiectasis Asthma",
                         "non-chronic": "URTI LRTI Pneumonia Bronchiolitis"}),
        ("diagnosis-2", {"normal": "Healthy",
                         "diseased": "COPD Bronchiectasis Asthma URTI LRTI Pneumonia Bronchiolitis"}),
    ],
)  # fmt: skip
def test_every_cycle_can_have_its_patients_diagnosis(all_annotations: Path, task: str, groups: dict) -> None:
    dataset = Icbhi2017(all_annotations, needs_audio=False)
    table = (all_annotations / "ICBHI_Challenge_diagnosis.txt").read_text().split()
    diagnosis = dict(zip(table[::2], table[1::2], strict=True))
    expected = Counter(
        next(name for name, words in groups.items() if diagnosis[cycle.recording.patient_id] in words.split())
        for cycle in dataset.cycles()
    )
    asked = dataset.tasks[task]
    found = cycles_for(dataset, asked)
    assert Counter(asked.class_of[cycle.annotation] for cycle in found) == expected
    assert sum(expected.values()) == 6898
    assert asked.classes == tuple(groups)


def test_diagnosis_without_its_table_says_where_to_get_it(tiny: Path) -> None:
    (tiny / "ICBHI_Challenge_diagnosis.txt").unlink()
    dataset = Icbhi2017(tiny)
    with pytest.raises(AnnotationError, match=r"ICBHI_Challenge_diagnosis.txt: is missing.*diagnosis-3.*Get it from"):
        make_split(dataset, dataset.tasks["diagnosis-3"], OFFICIAL)
    assert make_split(dataset, dataset.tasks["cycle-4"], OFFICIAL, validation_share=0.0).train


@pytest.mark.data
def test_cycles_per_stethoscope_are_as_counted_elsewhere(all_annotations: Path) -> None:
    dataset = Icbhi2017(all_annotations, needs_audio=False)
    split = dataset.published_split(OFFICIAL)
    found = Counter((c.recording.stethoscope, split.subset_of[c.recording.recording_id]) for c in dataset.cycles())
    expected = {"AKGC417L": (2510, 1836), "Meditron": (997, 459), "LittC2SE": (594, 0), "Litt3200": (41, 461)}
    assert {name: (found[name, Subset.TRAIN], found[name, Subset.TEST]) for name in expected} == expected


@pytest.mark.data
def test_complete_corpus_with_a_changed_annotation_has_no_official_split(all_annotations: Path) -> None:
    folder = all_annotations / "ICBHI_final_database"
    real = folder.resolve()
    folder.unlink()
    shutil.copytree(real, folder)
    path = folder / "101_1b1_Al_sc_Meditron.txt"
    path.chmod(0o644)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(SplitError, match="published"):
        Icbhi2017(all_annotations, needs_audio=False).published_split(OFFICIAL)


@pytest.mark.data
def test_subset_has_the_renamed_recording_in_train(shared_data: Path) -> None:
    dataset = Icbhi2017(shared_data / "icbhi2017_subset")
    split = dataset.published_split(OFFICIAL)
    assert "226_1b1_Pl_sc_Meditron" in (shared_data / "icbhi2017_subset" / "ICBHI_challenge_train_test.txt").read_text()
    assert split.subset_of["226_1b1_Pl_sc_LittC2SE"] == Subset.TRAIN
    assert len(split.subset_of) == len(dataset.recordings()) == 264


@pytest.mark.data
def test_metadata_of_a_known_patient(shared_data: Path) -> None:
    recording = Icbhi2017(shared_data / "icbhi2017_subset").recordings()[0]
    assert (recording.recording_id, recording.patient_id) == ("101_1b1_Al_sc_Meditron", "101")
    assert (recording.stethoscope, recording.chest_location, recording.label) == ("Meditron", "Al", "")
    known = {"age": "3", "sex": "F", "child_weight": "19", "child_height": "99", "diagnosis": "URTI"}
    assert known.items() <= recording.metadata.items()
    assert "adult_bmi" not in recording.metadata


@pytest.mark.data
def test_native_folder_of_sounds_alone_is_recognised(shared_data: Path) -> None:
    folder = shared_data / "icbhi2017_native"
    assert Icbhi2017.recognises(folder)
    with pytest.raises(SplitError, match=r"ICBHI_challenge_train_test\.txt"):
        Icbhi2017(folder).published_split(OFFICIAL)


def test_folder_of_sounds_finds_the_lists_one_folder_up(tiny: Path) -> None:
    inner = Icbhi2017(tiny / "ICBHI_final_database")
    assert inner.published_split(OFFICIAL) == Icbhi2017(tiny).published_split(OFFICIAL)
    assert inner.recordings()[0].metadata["diagnosis"] == "COPD"


def test_recordings_have_no_label_of_their_own(tiny: Path) -> None:
    assert list(Icbhi2017(tiny).cycles("recording")) == []


def test_two_class_task_joins_the_abnormal_classes() -> None:
    task = Icbhi2017.tasks["cycle-2"]
    assert [task.label(name) for name in CLASSES] == [0, 1, 1, 1]
    assert [Icbhi2017.tasks["cycle-4"].label(name) for name in CLASSES] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0.1,0.9,0,1", r"line 7 has 1 tab-separated values where 4 .*'0\.1,0\.9,0,1'.*tabs"),
        ("0.1 0.9 0 1", "separated by tabs"),
        ("0.1\t0.9\t0", "3 tab-separated values"),
        ("0.1\t0.9\t0\t1\t", "5 tab-separated values"),
        ("0.1\tend\t0\t1", "time that is not a number"),
        ("0,1\t0,9\t0\t1", "time that is not a number"),
        ("0.9\t0.1\t0\t1", r"from 0\.9 to 0\.1 s"),
        ("0.9\t0.9\t0\t1", "0 <= start < end"),
        ("-0.1\t0.9\t0\t1", "0 <= start"),
        ("nan\t0.9\t0\t1", "0 <= start"),
        ("0.1\tinf\t0\t1", "0 <= start"),
        ("0.1\t0.9\t0\t2", "wheeze '2' where 0 or 1"),
        ("0.1\t0.9\t\t1", "crackle ''"),
    ],
)
def test_malformed_row_is_refused_with_file_line_and_remedy(line: str, said: str) -> None:
    with pytest.raises(AnnotationError, match=said) as caught:
        parse_row(Path("a/b.txt"), 7, line)
    assert str(caught.value).startswith("a/b.txt: line 7")
    assert caught.value.remedy


def test_blank_lines_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"\xef\xbb\xbf0.036\t0.579\t0\t0\r\n\r\n0.579\t2.45\t1\t1\r\n")
    assert read_annotation(path) == [(0.036, 0.579, CycleLabel.NORMAL), (0.579, 2.45, CycleLabel.BOTH)]


def test_binary_annotation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"\xff\xfe\x00\x9c")
    with pytest.raises(AnnotationError, match="cannot be read as text"):
        read_annotation(path)


@pytest.mark.parametrize("line", ["101_1b1_Al_sc_Meditron train", "101_1b1_Al_sc_Meditron\tdev", "101\ttrain"])
def test_malformed_split_list_is_refused(tiny: Path, line: str) -> None:
    (tiny / "ICBHI_challenge_train_test.txt").write_text(line)
    with pytest.raises(AnnotationError, match="line 1"):
        Icbhi2017(tiny).published_split(OFFICIAL)


def test_malformed_demography_is_refused(tiny: Path) -> None:
    (tiny / "ICBHI_Challenge_demographic_information.txt").write_text("901 60 F\n")
    with pytest.raises(AnnotationError, match=r"line 1 has 3 values.*NA"):
        Icbhi2017(tiny).recordings()


def test_unknown_split_names_the_known(tiny: Path) -> None:
    with pytest.raises(UnknownNameError, match="icbhi2017/official"):
        Icbhi2017(tiny).published_split("icbhi2017/oficial")


def test_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        assert not Icbhi2017.recognises(folder)
        with pytest.raises(DatasetNotFoundError, match="101_1b1_Al_sc_Meditron"):
            Icbhi2017(folder).recordings()
