"""SPRSound 2022: paediatric respiratory sounds, labelled by event and by recording; Zhang et al. 2022.

2,683 recordings of 292 patients, 9,089 events, one stethoscope, 8 kHz. A recording is named
patient_age_gender_location_number; a JSON file holds its annotation and its events' (milliseconds, in no particular
order). Recordings of poor quality are labelled so and mostly have no events.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import soundfile

from add4rsc.datasets import datasets
from add4rsc.datasets._base import (
    AbstractDataset,
    Download,
    NamedSplit,
    Source,
    Survey,
    audio_by_stem,
    audio_files,
    whole_recordings,
)
from add4rsc.datasets._sprsound_files import (
    EVENT_TYPES,
    EXPECTED_NAME,
    RECORD_TYPES,
    RECORDING_NAME,
    SEX_OF_GENDER,
    STETHOSCOPE,
    inspect_annotation,
    read_annotation,
    split_name,
    write_annotation,
)
from add4rsc.datasets.verification import Holdings, Inspected, Stretch, survey_holdings
from add4rsc.errors import DatasetNotFoundError, SplitError, UnknownNameError
from add4rsc.terms import CYCLE_CLASSES, Paper, Recording, RespiratoryCycle, Subset, Task

REPOSITORY = "https://github.com/SJTU-YONGFU-RESEARCH-GRP/SPRSound"
PARTS = {
    "train": ("train2022_wav", "train2022_json"),
    "inter": ("test2022_wav", "test2022_json/inter_test_json"),
    "intra": ("test2022_wav", "test2022_json/intra_test_json"),
}
"""Folders of the sounds and of the annotations."""
TEST_PARTS = {
    "sprsound2022/inter": ("inter",),
    "sprsound2022/intra": ("intra",),
    "sprsound2022/union": ("inter", "intra"),
}


def _task(name: str, unit: str, class_of: dict[str, str]) -> Task:
    return Task(name, unit, tuple(dict.fromkeys(class_of.values())), class_of)


_BINARY_RECORD = {"normal": "normal"} | dict.fromkeys(("cas", "das", "cas_das"), "adventitious")

_TASKS = (
    Task(
        "cycle-4",
        "event",
        CYCLE_CLASSES,
        {
            "normal": "normal",
            "coarse_crackle": "crackle",
            "fine_crackle": "crackle",
            "wheeze": "wheeze",
            "rhonchi": "wheeze",
            "stridor": "wheeze",
            "wheeze_crackle": "both",
        },
    ),
    _task("task-1-1", "event", {each: each if each == "normal" else "adventitious" for each in EVENT_TYPES.values()}),
    _task("task-1-2", "event", {each: each for each in EVENT_TYPES.values()}),
    _task("task-2-1", "recording", _BINARY_RECORD | {"poor_quality": "poor_quality"}),
    _task("task-2-2", "recording", {each: each for each in RECORD_TYPES.values()}),
)


@datasets.register("sprsound2022")
class SprSound2022(AbstractDataset):
    """The database as released for IEEE BioCAS 2022, in its publisher's layout; WAV or converted to another format."""

    name = "sprsound2022"
    paper = Paper(
        key="zhang2022sprsound",
        title="SPRSound: Open-Source SJTU Paediatric Respiratory Sound Database",
        authors="Zhang, Q. and others",
        venue="IEEE Transactions on Biomedical Circuits and Systems 16(5):867-881",
        year=2022,
        doi="10.1109/TBCAS.2022.3204910",
    )
    source = Source(
        url=REPOSITORY,
        terms="CC BY 4.0; the paper must be cited",
        size="about 740 MB",
        downloads=(Download(f"{REPOSITORY}/archive/45b0d5d.zip", "SPRSound.zip"),),
    )
    tasks: ClassVar[dict[str, Task]] = {task.name: task for task in _TASKS}
    split_names = tuple(TEST_PARTS)
    split_help: ClassVar[dict[str, str]] = {
        "sprsound2022/inter": "test patients are not in training",
        "sprsound2022/intra": "all test patients are in training, by design",
        "sprsound2022/union": "both tests together",
    }
    expected = (
        f"sound files named {EXPECTED_NAME} in BioCAS2022/{{train2022_wav,test2022_wav}}, with their JSON folders"
    )
    n_published = (2683, 292, 9089)

    @classmethod
    def recognises(cls, folder: Path) -> bool:
        """Whether the folder, or BioCAS2022 in it, has one of the sub-folders of sounds."""
        return _root(folder) is not None

    @property
    def root(self) -> Path:
        """The folder BioCAS2022.

        Raises:
            DatasetNotFoundError: if there is none.
        """
        root = _root(self.folder)
        if root is None:
            raise DatasetNotFoundError(self.name, self.folder, self.expected)
        return root

    def recordings(self) -> Sequence[Recording]:
        """All recordings whose name is of the published form, in order of their id.

        Raises:
            DatasetNotFoundError: if there is none.
            AnnotationError: at the first annotation that does not parse.
        """
        return [recording for recording, _ in self._annotated]

    def cycles(self, unit: str = "cycle") -> Sequence[RespiratoryCycle]:
        """All annotated events in order; with `unit="recording"`, every annotated recording as one cycle.

        Raises:
            DatasetNotFoundError: if there is no recording.
            AnnotationError: at the first annotation that does not parse.
        """
        if unit == "recording":
            return whole_recordings(self.recordings())
        return [
            RespiratoryCycle(recording, *stretch)
            for recording, annotation in self._annotated
            for stretch in annotation.stretches
        ]

    def published_split(self, name: str) -> NamedSplit:
        """Train against the inter-patient test, the intra-patient test (whose patients are all in train), or both.

        Raises:
            UnknownNameError: if the name is of no split of this corpus.
            SplitError: if a part that it needs has no annotations.
        """
        if name not in TEST_PARTS:
            raise UnknownNameError("split", name, TEST_PARTS)
        present = {recording.recording_id for recording in self.recordings()}
        parts = {"train": Subset.TRAIN} | dict.fromkeys(TEST_PARTS[name], Subset.TEST)
        subset_of: dict[str, Subset] = {}
        for part, subset in parts.items():
            stems = self.annotation_paths(part).keys() & present
            if not stems:
                raise SplitError(
                    f"{name} needs {PARTS[part][1]} in {self.root}, with the sounds. Get it from {REPOSITORY}."
                )
            subset_of |= dict.fromkeys(sorted(stems), subset)
        return NamedSplit(name, subset_of, frozenset() if name == "sprsound2022/inter" else None)

    def survey(self) -> Survey:
        """Read everything, sounds included, without stopping at what is wrong.

        Raises:
            DatasetNotFoundError: if the folder holds no recording at all.
        """
        sounds = [path for folder in self._audio_folders() for path in audio_files(folder)]
        if not any(RECORDING_NAME.fullmatch(path.stem) for path in sounds):
            raise DatasetNotFoundError(self.name, self.folder, self.expected)
        annotations = [path for part in PARTS for path in self.annotation_paths(part).values()]
        return survey_holdings(
            Holdings(
                self.folder,
                sounds,
                annotations,
                RECORDING_NAME,
                EXPECTED_NAME,
                inspect_annotation,
                _recording,
            )
        )

    @classmethod
    def fake(cls, folder: Path) -> Path:
        """Write four recordings of 4 s: all events and a poor one for training, one for each test."""
        generator = np.random.default_rng(0)
        words = list(EVENT_TYPES.values())
        written = (
            ("train", "90000001_5.0_0_p1_1", "cas_das", words),
            ("train", "90000001_5.0_0_p2_2", "poor_quality", []),
            ("inter", "90000002_0.8_1_p3_3", "das", words[::-2]),
            ("intra", "90000001_5.0_0_p4_4", "normal", words[:1]),
        )
        for part, stem, label, events in written:
            audio, annotation = (folder / "BioCAS2022" / each for each in PARTS[part])
            audio.mkdir(parents=True, exist_ok=True)
            annotation.mkdir(parents=True, exist_ok=True)
            soundfile.write(audio / f"{stem}.wav", 0.1 * generator.standard_normal(32_000), 8000, subtype="PCM_16")
            stretches = [Stretch(0.1 + 0.5 * i, 0.5 + 0.5 * i, word) for i, word in enumerate(events)]
            write_annotation(annotation / f"{stem}.json", label, stretches)
        return folder

    def annotation_paths(self, part: str) -> dict[str, Path]:
        """The annotation files of `train`, `inter` or `intra` by stem, in order."""
        return {path.stem: path for path in sorted((self.root / PARTS[part][1]).glob("[!.]*.json"))}

    @cached_property
    def _annotated(self) -> list[tuple[Recording, Inspected]]:
        """Every recording with its annotation; an empty one where there is no file."""
        annotations = {stem: path for part in PARTS for stem, path in self.annotation_paths(part).items()}
        sounds = {stem: path for folder in self._audio_folders() for stem, path in audio_by_stem(folder).items()}
        found = []
        for stem in sorted(filter(RECORDING_NAME.fullmatch, sounds)):
            annotation = read_annotation(annotations[stem]) if stem in annotations else Inspected("", [], [])
            found.append((_recording(stem, sounds[stem], annotation.label), annotation))
        if not found:
            raise DatasetNotFoundError(self.name, self.folder, self.expected)
        return found

    def _audio_folders(self) -> list[Path]:
        return sorted({self.root / audio for audio, _ in PARTS.values()})


def _root(folder: Path) -> Path | None:
    candidates = (folder, folder / "BioCAS2022", *sorted(folder.glob("*/BioCAS2022")))
    return next((each for each in candidates if any((each / audio).is_dir() for audio, _ in PARTS.values())), None)


def _recording(stem: str, path: Path, label: str) -> Recording:
    patient, age, gender, location, _ = split_name(stem)
    return Recording(stem, path, patient, STETHOSCOPE, location, label, {"age": age, "sex": SEX_OF_GENDER[gender]})
