"""The files of the ICBHI 2017 layout: names, annotations, the official list, tables of patients."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from jaxtyping import Float
from numpy import ndarray

from add4rsc.datasets.verification import Inspected, Stretch
from add4rsc.errors import AnnotationError
from add4rsc.terms import CycleLabel, Subset

SITE = "https://bhichallenge.med.auth.gr/sites/default/files/ICBHI_final_database"
DATABASE_FOLDER = "ICBHI_final_database"
SPLIT_FILE = "ICBHI_challenge_train_test.txt"
DIAGNOSIS_FILE = "ICBHI_Challenge_diagnosis.txt"
DEMOGRAPHY_FILE = "ICBHI_Challenge_demographic_information.txt"

CHEST_LOCATIONS = ("Tc", "Al", "Ar", "Pl", "Pr", "Ll", "Lr")
"""Trachea; anterior, posterior and lateral, left and right."""
RECORDING_NAME = re.compile(rf"(\d{{3}})_(\w+?)_({'|'.join(CHEST_LOCATIONS)})_(sc|mc)_([A-Za-z0-9]+)")
EXPECTED_NAME = "PATIENT_INDEX_LOCATION_MODE_STETHOSCOPE, such as 101_1b1_Al_sc_Meditron"
DEMOGRAPHY_COLUMNS = ("age", "sex", "adult_bmi", "child_weight", "child_height")
"""Years, F or M, kg/m2, kg, cm; NA where it is not known."""
PATIENT_TABLES = {DEMOGRAPHY_FILE: DEMOGRAPHY_COLUMNS, DIAGNOSIS_FILE: ("diagnosis",)}
CHRONIC = ("copd", "bronchiectasis", "asthma")
NOT_CHRONIC = ("urti", "lrti", "pneumonia", "bronchiolitis")
"""Diagnoses of the corpus, in small letters: chronic obstructive pulmonary disease, and upper and lower respiratory
tract infection among them. Grouped as in the code of Patch-Mix and ADD4RSC."""
PatientTable = dict[str, dict[str, str]]
"""Patient -> column -> value, as text."""
ROW = "Write START, END, CRACKLE, WHEEZE separated by tabs: seconds, seconds, 0 or 1, 0 or 1"


class CycleRow(NamedTuple):
    """One row of an annotation file; times in seconds."""

    start: float
    end: float
    label: CycleLabel


def split_name(stem: str) -> tuple[str, ...]:
    """Patient, index, location, mode and stethoscope of a recording.

    Raises:
        ValueError: if the stem is not of the published form.

    >>> split_name("101_1b1_Al_sc_Meditron")
    ('101', '1b1', 'Al', 'sc', 'Meditron')
    """
    match = RECORDING_NAME.fullmatch(stem)
    if match is None:
        raise ValueError(f"{stem} is not {EXPECTED_NAME}")
    return match.groups()


def read_annotation(path: Path) -> list[CycleRow]:
    """Read the cycles of one recording.

    Raises:
        AnnotationError: at the first line that is not four tab-separated values in range.
    """
    return [parse_row(path, number, line) for number, line in numbered_lines(path)]


def inspect_annotation(path: Path) -> Inspected:
    """Read the cycles of one recording that parse, and say what is wrong with the other lines."""
    stretches: list[Stretch] = []
    errors: list[AnnotationError] = []
    try:
        lines = list(numbered_lines(path))
    except AnnotationError as error:
        return Inspected("", [], [error])
    for number, line in lines:
        try:
            row = parse_row(path, number, line)
            stretches.append(Stretch(row.start, row.end, row.label.value))
        except AnnotationError as error:
            errors.append(error)
    if not lines:
        errors.append(AnnotationError(path, "is empty", f"{ROW}, one line a cycle."))
    return Inspected("", stretches, errors)


def parse_row(path: Path, number: int, line: str) -> CycleRow:
    """Parse one line of an annotation file.

    Raises:
        AnnotationError: if it is not four tab-separated values, the times do not ascend from 0, or a bit is not 0 or 1.
    """
    values = line.split("\t")
    if len(values) != 4:
        problem = f"line {number} has {len(values)} tab-separated values where 4 are expected: '{line}'"
        raise AnnotationError(path, problem, f"{ROW}.")
    try:
        start, end = float(values[0]), float(values[1])
    except ValueError as error:
        raise AnnotationError(path, f"line {number}: '{line}' has a time that is not a number", f"{ROW}.") from error
    if not 0 <= start < end < math.inf:
        problem = f"line {number}: a cycle from {start} to {end} s; expected 0 <= start < end"
        raise AnnotationError(path, problem, "Correct the times.")
    crackle, wheeze = (value.strip() for value in values[2:])
    if {crackle, wheeze} - {"0", "1"}:
        problem = f"line {number}: crackle '{crackle}' and wheeze '{wheeze}' where 0 or 1 is expected"
        raise AnnotationError(path, problem, f"{ROW}.")
    return CycleRow(start, end, CycleLabel.from_bits(crackle == "1", wheeze == "1"))


def read_split_list(path: Path) -> Iterator[tuple[str, Subset]]:
    """Recording names and their subsets from the official list.

    Raises:
        AnnotationError: at a line that is not a recording's name, a tab, and train or test.
    """
    for number, line in numbered_lines(path):
        name, _, subset = line.partition("\t")
        if not RECORDING_NAME.fullmatch(name) or subset.strip() not in ("train", "test"):
            problem = f"line {number}: '{line}' is not a recording's name, a tab, and train or test"
            raise AnnotationError(path, problem, f"Get the file again from {SITE}.")
        yield name, Subset(subset.strip())


def read_patient_tables(paths: Iterable[Path]) -> tuple[dict[str, PatientTable], list[AnnotationError]]:
    """Read what is known of the patients, by file; a file that does not parse gives an error instead."""
    tables: dict[str, PatientTable] = {}
    errors: list[AnnotationError] = []
    for path in paths:
        try:
            tables[path.name] = read_patient_table(path, PATIENT_TABLES[path.name])
        except AnnotationError as error:
            errors.append(error)
    return tables, errors


def merge_patient_tables(tables: Mapping[str, PatientTable]) -> PatientTable:
    """All values of each patient."""
    merged: PatientTable = {}
    for table in tables.values():
        for patient, values in table.items():
            merged[patient] = merged.get(patient, {}) | values
    return merged


def read_patient_table(path: Path, columns: Sequence[str]) -> PatientTable:
    """Read a file of one line a patient, values separated by blanks; NA values are left out.

    Raises:
        AnnotationError: at a line with another number of values.
    """
    table: PatientTable = {}
    for number, line in numbered_lines(path):
        patient, *values = line.split()
        if len(values) != len(columns):
            problem = f"line {number} has {1 + len(values)} values; expected a patient and {', '.join(columns)}"
            raise AnnotationError(path, problem, "Separate them by blanks, and write NA for what is not known.")
        known = zip(columns, values, strict=True)
        table[patient] = {column: value for column, value in known if value.lower() not in ("na", "nan")}
    return table


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not blank, counted from 1.

    Raises:
        AnnotationError: if the file cannot be read as text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(path, f"cannot be read as text ({error})", "Get the file again.") from error
    return ((number, line) for number, line in enumerate(lines, start=1) if line.strip())


def write_recording(
    folder: Path, stem: str, waveform: Float[ndarray, " sample"], sample_rate: int, rows: Iterable[CycleRow]
) -> None:
    """Write a recording as 16-bit WAV, and its annotation beside it."""
    soundfile.write(folder / f"{stem}.wav", np.clip(waveform, -1, 1), sample_rate, subtype="PCM_16")
    lines = (
        f"{row.start:.3f}\t{row.end:.3f}\t{_bit(row.label, 'crackle')}\t{_bit(row.label, 'wheeze')}\n" for row in rows
    )
    (folder / f"{stem}.txt").write_text("".join(lines), encoding="utf-8")


def write_patient_files(
    folder: Path, subset_of: dict[str, Subset], demography: dict[str, str], diagnosis: dict[str, str]
) -> None:
    """Write the official list (by recording), and what is known of each patient, as the challenge's site does."""
    files = {
        SPLIT_FILE: [f"{stem}\t{subset}" for stem, subset in subset_of.items()],
        DEMOGRAPHY_FILE: [f"{patient} {values}" for patient, values in demography.items()],
        DIAGNOSIS_FILE: [f"{patient}\t{value}" for patient, value in diagnosis.items()],
    }
    for name, lines in files.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_tiny_corpus(folder: Path) -> None:
    """Write three recordings of 5 s of noise: one with all classes, one more of that patient, one of a test patient."""
    (folder / DATABASE_FOLDER).mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    labels = list(CycleLabel)
    stems = {
        "901_1b1_Al_sc_Meditron": labels,
        "901_1b1_Pr_sc_Litt3200": labels[:2],
        "902_1b1_Tc_sc_AKGC417L": labels[::-1],
    }
    for stem, of_cycles in stems.items():
        rows = [CycleRow(0.1 + 1.2 * i, 1.3 + 1.2 * i, label) for i, label in enumerate(of_cycles)]
        write_recording(folder / DATABASE_FOLDER, stem, 0.1 * generator.standard_normal(20_000), 4000, rows)
    subset_of = {stem: Subset.TEST if stem.startswith("902") else Subset.TRAIN for stem in stems}
    write_patient_files(
        folder, subset_of, {"901": "60 F 24.5 NA NA", "902": "5 M NA 18 110"}, {"901": "COPD", "902": "Healthy"}
    )


def _bit(label: CycleLabel, sound: str) -> int:
    return int(label in (sound, CycleLabel.BOTH))
