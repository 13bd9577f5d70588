"""SPRSound 2022: counts of the real corpus, and refusal of everything that is not of the format."""

import json
from collections import Counter
from pathlib import Path

import pytest

from add4rsc.datasets._sprsound_files import read_annotation
from add4rsc.datasets.sprsound import SprSound2022
from add4rsc.errors import AnnotationError, SplitError, UnknownNameError
from add4rsc.terms import CYCLE_CLASSES, Subset

RECORD_CLASSES = ("normal", "cas", "das", "cas_das", "poor_quality")
EVENT_CLASSES = ("normal", "wheeze", "fine_crackle", "coarse_crackle", "wheeze_crackle", "rhonchi", "stridor")

# Counted from the published annotations by another program: patients, recordings a class, events a class.
PARTS = {
    "train": (251, (1303, 126, 248, 95, 177), (5159, 452, 912, 49, 30, 39, 15)),
    "inter": (41, (241, 65, 24, 17, 8), (1040, 305, 80, 3, 1, 0, 0)),
    "intra": (162, (241, 42, 75, 19, 2), (688, 108, 175, 14, 3, 14, 2)),
}


@pytest.fixture(scope="module")
def corpus(shared_data: Path) -> SprSound2022:
    return SprSound2022(shared_data / "sprsound2022")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return SprSound2022.fake(tmp_path)


def members(corpus: SprSound2022, part: str) -> set[str]:
    name, subset = ("sprsound2022/inter", Subset.TRAIN) if part == "train" else (f"sprsound2022/{part}", Subset.TEST)
    return {stem for stem, of in corpus.published_split(name).subset_of.items() if of == subset}


@pytest.mark.data
@pytest.mark.parametrize("part", PARTS)
def test_parts_hold_the_published_recordings_and_events(corpus: SprSound2022, part: str) -> None:
    n_patients, n_records, n_events = PARTS[part]
    stems = members(corpus, part)
    recordings = [each for each in corpus.recordings() if each.recording_id in stems]
    labels = Counter(each.label for each in recordings)
    events = Counter(each.annotation for each in corpus.cycles("event") if each.recording.recording_id in stems)
    assert len({each.patient_id for each in recordings}) == n_patients
    assert tuple(labels[name] for name in RECORD_CLASSES) == n_records
    assert labels.total() == sum(n_records)
    assert tuple(events[name] for name in EVENT_CLASSES) == n_events
    assert events.total() == sum(n_events)


@pytest.mark.data
def test_only_the_inter_patient_test_keeps_patients_apart(corpus: SprSound2022) -> None:
    patient_of = {each.recording_id: each.patient_id for each in corpus.recordings()}
    train, inter, intra = ({patient_of[stem] for stem in members(corpus, part)} for part in ("train", "inter", "intra"))
    assert not train & inter
    assert not intra & inter
    assert intra <= train
    assert corpus.published_split("sprsound2022/inter").shared_patients == frozenset()
    assert corpus.published_split("sprsound2022/intra").shared_patients is None
    assert members(corpus, "union") == members(corpus, "inter") | members(corpus, "intra")


@pytest.mark.data
def test_a_known_recording(corpus: SprSound2022, shared_data: Path) -> None:
    stem = "65114385_0.2_0_p1_3758"
    recording = next(each for each in corpus.recordings() if each.recording_id == stem)
    assert (recording.patient_id, recording.chest_location, recording.stethoscope) == ("65114385", "p1", "Yunting II")
    assert recording.metadata == {"age": "0.2", "sex": "M"}
    path = next((shared_data / "sprsound2022").rglob(f"{stem}.json"))
    raw = json.loads(path.read_text())["event_annotation"]
    expected = sorted((int(each["start"]) / 1000, int(each["end"]) / 1000) for each in raw)
    assert [(each.start, each.end) for each in corpus.cycles() if each.recording == recording] == expected


@pytest.mark.data
def test_events_have_ids_of_their_own(corpus: SprSound2022) -> None:
    cycles = corpus.cycles()
    assert len({each.cycle_id for each in cycles}) == len(cycles) == 9089


@pytest.mark.data
def test_recording_unit_covers_the_whole_sound(corpus: SprSound2022) -> None:
    wholes = corpus.cycles("recording")
    assert len(wholes) == 2683
    longest_event: dict[str, float] = {}
    for cycle in corpus.cycles():
        stem = cycle.recording.recording_id
        longest_event[stem] = max(cycle.end, longest_event.get(stem, 0))
    assert all(each.start == 0 and each.end >= longest_event.get(each.recording.recording_id, 0) for each in wholes)


def test_tasks_map_every_word_as_the_challenge_does() -> None:
    tasks = SprSound2022.tasks
    assert list(tasks) == ["cycle-4", "task-1-1", "task-1-2", "task-2-1", "task-2-2"]
    assert tasks["cycle-4"].classes == CYCLE_CLASSES
    named = {word: tasks["cycle-4"].class_of[word] for word in EVENT_CLASSES}
    assert list(named.values()) == ["normal", "wheeze", "crackle", "crackle", "both", "wheeze", "wheeze"]
    assert tasks["task-1-1"].classes == ("normal", "adventitious")
    assert [tasks["task-1-1"].label(word) for word in EVENT_CLASSES] == [0, 1, 1, 1, 1, 1, 1]
    order = ("normal", "rhonchi", "wheeze", "stridor", "coarse_crackle", "fine_crackle", "wheeze_crackle")
    assert tasks["task-1-2"].classes == order
    assert tasks["task-2-1"].classes == ("normal", "adventitious", "poor_quality")
    assert [tasks["task-2-1"].label(word) for word in RECORD_CLASSES] == [0, 1, 1, 1, 2]
    assert tasks["task-2-2"].classes == RECORD_CLASSES


@pytest.mark.parametrize("key", ["record_annotation", "recording_annotation"])
def test_both_spellings_of_the_record_key_are_read(tmp_path: Path, key: str) -> None:
    path = tmp_path / "a.json"
    events = [
        {"start": "2500", "end": "3000", "type": "Wheeze+Crackle"},
        {"start": "7", "end": "90", "type": "Stridor"},
    ]
    path.write_text(json.dumps({key: "CAS & DAS", "event_annotation": events}))
    read = read_annotation(path)
    assert read.label == "cas_das"
    assert read.stretches == [(0.007, 0.09, "stridor"), (2.5, 3.0, "wheeze_crackle")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "has no list 'event_annotation'"),
        ('{"record_annotation": "Normal"}', "has no list 'event_annotation'"),
        ('{"event_annotation": []}', "the recording is 'None'.*Poor Quality"),
        ('{"record_annotation": "normal", "event_annotation": []}', "the recording is 'normal'"),
        ('{"record_annotation": ["CAS"], "event_annotation": []}', "the recording is"),
        ('{"record_annotation": "CAS", "event_annotation": [{"start": "1", "type": "Wheeze"}]}', "event 1.*start, end"),
        ('{"record_annotation": "CAS", "event_annotation": [3]}', "event 1"),
        ('{"record_annotation": "CAS", "event_annotation": [{"start": "a", "end": "2", "type": "Wheeze"}]}', "event 1"),
        ('{"record_annotation": "CAS", "event_annotation": [{"start": "9", "end": "2", "type": "Wheeze"}]}', "start <"),
        (
            '{"record_annotation": "CAS", "event_annotation": [{"start": "1", "end": "2", "type": "Squawk"}]}',
            "'Squawk'",
        ),
        ('{"record_annotation": "CAS", "event_annotation": [{"start": "1", "end": "2", "type": {}}]}', "of type"),
    ],
)
def test_malformed_annotation_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(AnnotationError, match=said):
        read_annotation(path)


def test_folder_may_be_the_inner_one_or_the_unpacked_archive(tiny: Path) -> None:
    expected = [each.recording_id for each in SprSound2022(tiny).recordings()]
    assert [each.recording_id for each in SprSound2022(tiny / "BioCAS2022").recordings()] == expected
    outer = tiny / "outer"
    (outer / "SPRSound-main").mkdir(parents=True)
    (tiny / "BioCAS2022").rename(outer / "SPRSound-main" / "BioCAS2022")
    assert [each.recording_id for each in SprSound2022(outer).recordings()] == expected


def test_split_without_its_test_part_is_refused(tiny: Path) -> None:
    for path in (tiny / "BioCAS2022" / "test2022_json" / "inter_test_json").iterdir():
        path.unlink()
    dataset = SprSound2022(tiny)
    with pytest.raises(SplitError, match="inter_test_json"):
        dataset.published_split("sprsound2022/inter")
    assert dataset.published_split("sprsound2022/intra").subset_of
    with pytest.raises(UnknownNameError, match="sprsound2022/inter"):
        dataset.published_split("sprsound2022/outer")
