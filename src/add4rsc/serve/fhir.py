"""Results as a FHIR R4 bundle: an Observation a recording, and one a cycle, each marked as preliminary.

Resources and codes are those of HL7 FHIR 4.0.1. SNOMED CT codes stand beside our own where a class is one concept of
it: 37931006 auscultation, 56018004 wheezing, 48409008 respiratory crackles.
"""

import json
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from add4rsc import __version__
from add4rsc.datasets._icbhi_files import RECORDING_NAME
from add4rsc.inference.aggregation import recording_row
from add4rsc.inference.formats._base import AbstractFormat, Report, write_text
from add4rsc.inference.quality import FLAGS
from add4rsc.inference.result import CycleResult, FileProblem, RecordingResult, in_words
from add4rsc.terms import RESEARCH_USE_ONLY

MEDIA_TYPE = "application/fhir+json"
OWN, SNOMED, UCUM = "urn:x-add4rsc:predictions:1", "http://snomed.info/sct", "http://unitsofmeasure.org"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
CONCEPTS = {"wheeze": ("56018004", "Wheezing"), "crackle": ("48409008", "Respiratory crackles")}
LOCATIONS = {
    "Tc": "trachea",
    "Al": "anterior left",
    "Ar": "anterior right",
    "Pl": "posterior left",
    "Pr": "posterior right",
    "Ll": "lateral left",
    "Lr": "lateral right",
}
"""Of ICBHI 2017's file names."""
_SPACE = uuid.UUID("5b0f2e4c-8f0c-5d3e-9f2a-6d0a4c1b7e55")
"""Makes ids of contents: the same result gives the same bundle."""
_TAG = {"system": OWN, "code": "research-use-only", "display": RESEARCH_USE_ONLY}


class FhirFormat(AbstractFormat):
    """One bundle of the type `collection`."""

    suffix = ".fhir.json"

    @classmethod
    def write(cls, report: Report, file: BinaryIO) -> None:
        """Write the device, then recording by recording, then what could not be judged."""
        head = {"resourceType": "Bundle", "meta": {"tag": [_TAG]}, "type": "collection"}
        write_text(file, json.dumps(head)[:-1] + ', "entry": [\n')
        for index, resource in enumerate(_resources(report)):
            entry = {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource}
            write_text(file, (",\n" if index else "") + json.dumps(entry))
        write_text(file, "\n]}\n")


def chest_location(name: str) -> str:
    """Where on the chest a recording was made, by an ICBHI name; empty where the name does not tell.

    >>> chest_location("101_1b1_Al_sc_Meditron.wav"), chest_location("breath.wav")
    ('Al', '')
    """
    found = RECORDING_NAME.fullmatch(Path(name).stem)
    return found[3] if found else ""


def _resources(report: Report) -> Iterator[dict[str, Any]]:
    device = _device(report)
    yield device
    for index, recording in enumerate(report.recordings()):
        yield from _recording(recording, index, device["id"])
    for index, problem in enumerate(report.problems):
        yield _outcome(problem, index)


def _device(report: Report) -> dict[str, Any]:
    return {
        "resourceType": "Device",
        "id": _id("device", report.model, __version__),
        "type": {"text": "Software that classifies respiratory sounds"},
        "deviceName": [{"name": f"add4rsc {report.model}", "type": "model-name"}],
        "version": [{"value": __version__}],
        "note": [{"text": RESEARCH_USE_ONLY}],
    }


def _recording(recording: RecordingResult, index: int, device: str) -> Iterator[dict[str, Any]]:
    own = _id("recording", recording.file, str(index), recording.model)
    media = {
        "resourceType": "Media",
        "id": _id("media", own),
        "status": "completed",
        "content": {"title": recording.file},
        "duration": recording.duration,
        **_subject(recording),
    }
    yield media
    shared = {**_subject(recording), **_site(recording), "device": _refer(device), "derivedFrom": [_refer(media["id"])]}
    cycles = [_cycle(cycle, _id("cycle", own, str(number)), shared) for number, cycle in enumerate(recording.cycles)]
    for resource, cycle in zip(cycles, recording.cycles, strict=True):
        resource["component"] += _probabilities(zip(recording.classes, cycle.probabilities, strict=False))
    yield _whole(recording, own, shared) | ({"hasMember": [_refer(each["id"]) for each in cycles]} if cycles else {})
    yield from cycles


def _whole(recording: RecordingResult, own: str, shared: dict[str, Any]) -> dict[str, Any]:
    """The recording: what most of it sounds like, and how many cycles there are of each class."""
    row = recording_row(recording)
    counts = [_count(f"n_{name}", f"cycles of {in_words(name)}", row[f"n_{name}"]) for name in recording.classes]
    means = _probabilities(((name, row[f"p_{name}"]) for name in recording.classes), "mean probability of")
    counts += [
        _count("n_cycles", "cycles", row["n_cycles"]),
        _count("n_abstained", "undecided", row["n_abstained"]),
    ]
    return {
        **_observation(own, "Respiratory sounds of a recording", shared),
        **_decision(row["decision"], recording.is_judged, recording.quality),
        "component": counts + means,
    }


def _cycle(cycle: CycleResult, own: str, shared: dict[str, Any]) -> dict[str, Any]:
    times = [_quantity("start", "start", cycle.start, "s"), _quantity("end", "end", cycle.end, "s")]
    return {
        **_observation(own, "Respiratory sound of one cycle", shared),
        **_decision(cycle.decision, cycle.is_judged, cycle.quality),
        "component": times,
    }


def _observation(own: str, text: str, shared: dict[str, Any]) -> dict[str, Any]:
    coding = {"system": SNOMED, "code": "37931006", "display": "Auscultation"}
    return {
        "resourceType": "Observation",
        "id": own,
        "meta": {"tag": [_TAG]},
        "status": "preliminary",
        "category": [{"coding": [{"system": CATEGORY, "code": "exam", "display": "Exam"}]}],
        "code": {"coding": [coding], "text": text},
        "method": {"text": "Classified by software, not by a person"},
        **shared,
    }


def _decision(decision: str, is_judged: bool, quality: Iterable[str]) -> dict[str, Any]:
    """The class, or why there is none; flags of quality as notes."""
    notes = [RESEARCH_USE_ONLY, *(f"Quality: {FLAGS[flag]}" for flag in quality)]
    shown = {"note": [{"text": text} for text in notes]}
    if decision == "abstain":
        code = ("unknown", "Unknown") if is_judged else ("error", "Error")
        reason = {"system": ABSENT, "code": code[0], "display": code[1]}
        text = in_words(decision) if is_judged else "not judged"
        return {"dataAbsentReason": {"coding": [reason], "text": text}, **shown}
    coding = [{"system": OWN, "code": decision, "display": in_words(decision)}]
    if decision in CONCEPTS:
        code, display = CONCEPTS[decision]
        coding.append({"system": SNOMED, "code": code, "display": display})
    return {"valueCodeableConcept": {"coding": coding, "text": in_words(decision)}, **shown}


def _probabilities(values: Iterable[tuple[str, float | None]], words: str = "probability of") -> list[dict[str, Any]]:
    return [
        _quantity(f"p_{name}", f"{words} {in_words(name)}", value, "1") for name, value in values if value is not None
    ]


def _count(code: str, text: str, value: int) -> dict[str, Any]:
    return {"code": {"coding": [{"system": OWN, "code": code}], "text": text}, "valueInteger": value}


def _quantity(code: str, text: str, value: float, unit: str) -> dict[str, Any]:
    return {
        "code": {"coding": [{"system": OWN, "code": code}], "text": text},
        "valueQuantity": {"value": value, "unit": unit, "system": UCUM, "code": unit},
    }


def _subject(recording: RecordingResult) -> dict[str, Any]:
    return {"subject": {"identifier": {"value": recording.patient}}} if recording.patient else {}


def _site(recording: RecordingResult) -> dict[str, Any]:
    location = chest_location(recording.file)
    return {"bodySite": {"text": LOCATIONS[location]}} if location else {}


def _outcome(problem: FileProblem, index: int) -> dict[str, Any]:
    issue = {"severity": "error", "code": "processing", "details": {"text": f"{problem.file}: {problem.problem}"}}
    own = _id("outcome", problem.file, str(index))
    return {"resourceType": "OperationOutcome", "id": own, "issue": [issue | {"diagnostics": problem.remedy}]}


def _refer(own: str) -> dict[str, str]:
    return {"reference": f"urn:uuid:{own}"}


def _id(*parts: str) -> str:
    return str(uuid.uuid5(_SPACE, "\n".join(parts)))
