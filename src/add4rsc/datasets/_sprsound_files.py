"""The files of the SPRSound layout: names, and annotations in JSON."""

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from add4rsc.datasets.verification import Inspected, Stretch
from add4rsc.errors import AnnotationError

RECORDING_NAME = re.compile(r"(\d+)_(\d+(?:\.\d+)?)_([01])_(p[1-8])_(\d+)")
EXPECTED_NAME = "PATIENT_AGE_GENDER_LOCATION_NUMBER, such as 40069321_15.3_0_p1_981"
SEX_OF_GENDER = {"0": "M", "1": "F"}
STETHOSCOPE = "Yunting II"

EVENT_TYPES = {
    "Normal": "normal",
    "Rhonchi": "rhonchi",
    "Wheeze": "wheeze",
    "Stridor": "stridor",
    "Coarse Crackle": "coarse_crackle",
    "Fine Crackle": "fine_crackle",
    "Wheeze+Crackle": "wheeze_crackle",
}
RECORD_TYPES = {
    "Normal": "normal",
    "CAS": "cas",
    "DAS": "das",
    "CAS & DAS": "cas_das",
    "Poor Quality": "poor_quality",
}
RECORD_KEYS = ("record_annotation", "recording_annotation")
FORM = 'Expected {"record_annotation": ..., "event_annotation": [{"start": ms, "end": ms, "type": ...}, ...]}.'


def split_name(stem: str) -> tuple[str, ...]:
    """Patient, age in years, gender, location and number of a recording.

    Raises:
        ValueError: if the stem is not of the published form.

    >>> split_name("40069321_15.3_0_p1_981")
    ('40069321', '15.3', '0', 'p1', '981')
    """
    match = RECORDING_NAME.fullmatch(stem)
    if match is None:
        raise ValueError(f"{stem} is not {EXPECTED_NAME}")
    return match.groups()


def read_annotation(path: Path) -> Inspected:
    """Read one recording's label and events.

    Raises:
        AnnotationError: if the file is not JSON of the published form, or holds an unknown type or a wrong time.
    """
    annotation = inspect_annotation(path)
    if annotation.errors:
        raise annotation.errors[0]
    return annotation


def inspect_annotation(path: Path) -> Inspected:
    """Read the label and the events that parse, in order of time, and say what is wrong with the others."""
    stretches: list[Stretch] = []
    errors: list[AnnotationError] = []
    try:
        label, entries = _read_json(path)
    except AnnotationError as error:
        return Inspected("", [], [error])
    for number, entry in enumerate(entries, start=1):
        try:
            stretches.append(parse_event(path, number, entry))
        except AnnotationError as error:
            errors.append(error)
    return Inspected(label, sorted(stretches), errors)


def _read_json(path: Path) -> tuple[str, list[Any]]:
    """The recording's label, and its events as they are.

    Raises:
        AnnotationError: if the file is not JSON of the published form.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise AnnotationError(path, f"cannot be read as JSON ({error})", "Get the file again.") from error
    if not isinstance(content, dict) or not isinstance(content.get("event_annotation"), list):
        raise AnnotationError(path, "has no list 'event_annotation'", FORM)
    label = str(next((content[key] for key in RECORD_KEYS if key in content), None))
    if label not in RECORD_TYPES:
        raise AnnotationError(path, f"the recording is '{label}'", f"Expected one of: {', '.join(RECORD_TYPES)}.")
    return RECORD_TYPES[label], content["event_annotation"]


def parse_event(path: Path, number: int, entry: Any) -> Stretch:
    """Parse one entry of an event list.

    Raises:
        AnnotationError: if a key is missing, the type is not known, or the times do not ascend from 0.
    """
    try:
        start, end = (float(entry[key]) / 1000 for key in ("start", "end"))
        event_type = str(entry["type"])
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(path, f"event {number}: {entry} has no start, end and type", FORM) from error
    if event_type not in EVENT_TYPES:
        problem = f"event {number} is of type '{event_type}'"
        raise AnnotationError(path, problem, f"Expected one of: {', '.join(EVENT_TYPES)}.")
    if not 0 <= start < end < math.inf:
        problem = f"event {number} is from {start} to {end} s; expected 0 <= start < end"
        raise AnnotationError(path, problem, "Correct the times.")
    return Stretch(start, end, EVENT_TYPES[event_type])


def write_annotation(path: Path, label: str, stretches: Iterable[Stretch]) -> None:
    """Write a recording's label and events, as the publisher does."""
    type_of = {word: event_type for event_type, word in EVENT_TYPES.items()}
    events = [
        {"start": str(round(each.start * 1000)), "end": str(round(each.end * 1000)), "type": type_of[each.annotation]}
        for each in stretches
    ]
    content = {
        "record_annotation": {word: kind for kind, word in RECORD_TYPES.items()}[label],
        "event_annotation": events,
    }
    path.write_text(json.dumps(content), encoding="utf-8")
