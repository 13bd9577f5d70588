"""ICBHI 2017 Respiratory Sound Database; Rocha et al. 2019.

920 recordings of 126 patients, 6,898 respiratory cycles, four stethoscopes. A recording is named
patient_index_location_mode_stethoscope; its cycles are the rows of a text file beside it: start, end (seconds),
crackle, wheeze (0 or 1), separated by tabs. Labels are of cycles only, so `Recording.label` stays empty. Two further
tasks give every cycle the diagnosis of its patient, from the publisher's table; `normal` is a healthy patient there.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from add4rsc.datasets import datasets
from add4rsc.datasets._base import (
    AbstractDataset,
    Download,
    NamedSplit,
    Problem,
    Source,
    Survey,
    audio_by_stem,
    audio_files,
    whole_recordings,
)
from add4rsc.datasets._icbhi_files import (
    CHRONIC,
    DATABASE_FOLDER,
    DEMOGRAPHY_FILE,
    DIAGNOSIS_FILE,
    EXPECTED_NAME,
    NOT_CHRONIC,
    PATIENT_TABLES,
    RECORDING_NAME,
    SITE,
    SPLIT_FILE,
    PatientTable,
    inspect_annotation,
    merge_patient_tables,
    read_annotation,
    read_patient_tables,
    read_split_list,
    split_name,
    write_tiny_corpus,
)
from add4rsc.datasets._icbhi_splits import FIND_AT, FOLDS, HELP, SINGLE, check_counts, divide
from add4rsc.datasets.verification import Holdings, survey_holdings
from add4rsc.errors import AnnotationError, DatasetNotFoundError, SplitError
from add4rsc.terms import CYCLE_CLASSES, Paper, Recording, RespiratoryCycle, Task

AUDIO_FOLDERS = ("", DATABASE_FOLDER, "audio_and_txt_files")
"""Where the sound files are below the given folder: as downloaded or unpacked, and as in the Kaggle mirror."""


@datasets.register("icbhi2017")
class Icbhi2017(AbstractDataset):
    """The database in the layout of its publisher; recordings as WAV, or converted to FLAC or another format.

    With `needs_audio=False`, annotation files stand for recordings, so that cycles can be counted without any sound.
    """

    name = "icbhi2017"
    paper = Paper(
        key="rocha2019icbhi",
        title="An open access database for the evaluation of respiratory sound classification algorithms",
        authors="Rocha, B. M. and others",
        venue="Physiological Measurement 40(3):035001",
        year=2019,
        doi="10.1088/1361-6579/ab03ea",
    )
    source = Source(
        url="https://bhichallenge.med.auth.gr/ICBHI_2017_Challenge",
        terms="freely available for research; the paper must be cited",
        size="about 2 GB",
        downloads=tuple(
            Download(f"{SITE}/{name}", name)
            for name in ("ICBHI_final_database.zip", SPLIT_FILE, DIAGNOSIS_FILE, DEMOGRAPHY_FILE)
        ),
    )
    tasks: ClassVar[dict[str, Task]] = {
        "cycle-4": Task("cycle-4", "cycle", CYCLE_CLASSES, {name: name for name in CYCLE_CLASSES}),
        "cycle-2": Task(
            "cycle-2",
            "cycle",
            ("normal", "adventitious"),
            {"normal": "normal"} | dict.fromkeys(CYCLE_CLASSES[1:], "adventitious"),
        ),
        "diagnosis-3": Task(
            "diagnosis-3",
            "cycle",
            ("normal", "chronic", "non-chronic"),
            {"healthy": "normal"} | dict.fromkeys(CHRONIC, "chronic") | dict.fromkeys(NOT_CHRONIC, "non-chronic"),
            annotated_by="diagnosis",
        ),
        "diagnosis-2": Task(
            "diagnosis-2",
            "cycle",
            ("normal", "diseased"),
            {"healthy": "normal"} | dict.fromkeys((*CHRONIC, *NOT_CHRONIC), "diseased"),
            annotated_by="diagnosis",
        ),
    }
    metadata_files: ClassVar[dict[str, str]] = {"diagnosis": DIAGNOSIS_FILE}
    split_names = tuple(SINGLE)
    split_folds = FOLDS
    split_help = HELP
    expected = f"sound files named {EXPECTED_NAME}, each with a .txt of its cycles, here or in {DATABASE_FOLDER}/"
    n_published = (920, 126, 6898)

    def __init__(self, folder: Path, needs_audio: bool = True) -> None:
        super().__init__(folder)
        self.needs_audio = needs_audio

    @classmethod
    def recognises(cls, folder: Path) -> bool:
        """Whether a sound file here, or in the publisher's sub-folder, has a name such as 101_1b1_Al_sc_Meditron."""
        return _folder_of(folder, audio_files) is not None

    @property
    def audio_folder(self) -> Path:
        """Where the recordings and their annotation files are."""
        return _folder_of(self.folder, audio_files if self.needs_audio else _annotation_files) or self.folder

    def recordings(self) -> Sequence[Recording]:
        """All recordings whose name is of the published form, in order of their id.

        Raises:
            DatasetNotFoundError: if there is none.
            AnnotationError: if a demography or diagnosis file does not parse.
        """
        paths = self._paths_by_stem()
        if not paths:
            raise DatasetNotFoundError(self.name, self.folder, self.expected)
        tables, errors = self._patient_tables()
        if errors:
            raise errors[0]
        metadata = merge_patient_tables(tables)
        return [_recording(stem, path, metadata) for stem, path in paths.items()]

    def cycles(self, unit: str = "cycle") -> Sequence[RespiratoryCycle]:
        """All annotated cycles in order; none with `unit="recording"`, since recordings have no label.

        Raises:
            DatasetNotFoundError: if there is no recording.
            AnnotationError: at the first annotation that does not parse.
        """
        recordings = self.recordings()
        if unit == "recording":
            return whole_recordings(recordings)
        return [
            RespiratoryCycle(recording, row.start, row.end, row.label.value)
            for recording in recordings
            if (annotation := self.annotation_path(recording)).is_file()
            for row in read_annotation(annotation)
        ]

    def annotation_path(self, recording: Recording) -> Path:
        """The text file of a recording's cycles."""
        return recording.path.with_suffix(".txt")

    def published_split(self, name: str) -> NamedSplit:
        """The division of that name (METHODS 1.2) of the recordings that are present.

        Raises:
            UnknownNameError: if the name is of no split of this corpus.
            SplitError: if a list is missing, or the complete corpus does not give the published counts.
        """
        split = divide(name, self.recordings(), lambda file: self._list_file(name, file))
        if len(self.recordings()) == self.n_published[0]:
            check_counts(split, self.cycles())
        return split

    def survey(self) -> Survey:
        """Read everything, sounds included, without stopping at what is wrong.

        Raises:
            DatasetNotFoundError: if the folder holds no recording at all.
        """
        if not self._paths_by_stem():
            raise DatasetNotFoundError(self.name, self.folder, self.expected)
        metadata = merge_patient_tables(self._patient_tables()[0])
        survey = survey_holdings(
            Holdings(
                self.folder,
                audio_files(self.audio_folder),
                _annotation_files(self.audio_folder),
                RECORDING_NAME,
                EXPECTED_NAME,
                inspect_annotation,
                lambda stem, path, _: _recording(stem, path, metadata),
            )
        )
        return replace(survey, problems=[*survey.problems, *self._companion_problems(survey.recordings)])

    @classmethod
    def fake(cls, folder: Path) -> Path:
        """Write three recordings of 5 s of noise, of a training and a test patient; return their folder."""
        write_tiny_corpus(folder)
        return folder

    def companion(self, name: str) -> Path | None:
        """A file of the corpus that is about all recordings: here, beside the recordings, or one folder up."""
        places = (self.folder, self.audio_folder, self.audio_folder.parent)
        return next((place / name for place in places if (place / name).is_file()), None)

    def _list_file(self, split: str, file: str) -> Path:
        path = self.companion(file)
        if path is None:
            raise SplitError(f"{split} needs {file}, which is not in {self.folder}. Get it from {FIND_AT[file]}.")
        return path

    def _paths_by_stem(self) -> dict[str, Path]:
        if not self.folder.is_dir():
            return {}
        if self.needs_audio:
            found = audio_by_stem(self.audio_folder)
        else:
            found = {path.stem: path.with_suffix(".wav") for path in _annotation_files(self.audio_folder)}
        return {stem: path for stem, path in found.items() if RECORDING_NAME.fullmatch(stem)}

    def _patient_tables(self) -> tuple[dict[str, PatientTable], list[AnnotationError]]:
        return read_patient_tables([path for path in map(self.companion, PATIENT_TABLES) if path])

    def _companion_problems(self, recordings: Sequence[Recording]) -> list[Problem]:
        """Missing lists and tables, tables that do not parse, and patients that a table does not name."""
        tables, errors = self._patient_tables()
        if split_list := self.companion(SPLIT_FILE):
            try:
                list(read_split_list(split_list))
            except AnnotationError as error:
                errors.append(error)
        missing = [file for file in (SPLIT_FILE, *PATIENT_TABLES) if self.companion(file) is None]
        problems = [Problem(file, "is missing", f"Get it from {SITE}/{file}") for file in missing]
        problems += [Problem(Path(error.path).name, error.problem, error.remedy) for error in errors]
        patients = {recording.patient_id for recording in recordings}
        for file, table in tables.items():
            remedy = f"Add a line for the patient, or get the file again: {SITE}/{file}"
            unnamed = sorted(patients - table.keys())
            problems += [Problem(file, f"does not name patient {patient}", remedy) for patient in unnamed]
        return problems


def _folder_of(folder: Path, list_paths: Callable[[Path], Iterable[Path]]) -> Path | None:
    """The first of the usual folders where a listed file is named as a recording."""
    for candidate in (folder / name for name in AUDIO_FOLDERS):
        if candidate.is_dir() and any(RECORDING_NAME.fullmatch(path.stem) for path in list_paths(candidate)):
            return candidate
    return None


def _annotation_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.txt") if RECORDING_NAME.fullmatch(path.stem))


def _recording(stem: str, path: Path, metadata: dict[str, dict[str, str]]) -> Recording:
    patient, index, location, mode, stethoscope = split_name(stem)
    of_recording = {"recording_index": index, "acquisition_mode": mode}
    return Recording(stem, path, patient, stethoscope, location, metadata=metadata.get(patient, {}) | of_recording)
