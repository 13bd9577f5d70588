"""Everything that is known of each recording, as JSON."""

import json
from typing import Any, BinaryIO

from add4rsc.inference.aggregation import recording_row
from add4rsc.inference.formats import formats
from add4rsc.inference.formats._base import AbstractFormat, Report, write_text
from add4rsc.inference.result import ILLUSTRATIVE, CycleResult, RecordingResult, in_words
from add4rsc.terms import RESEARCH_USE_ONLY

SCHEMA = "add4rsc-predictions/1"
"""The number rises when a key changes its meaning or goes away."""


@formats.register("json")
class JsonFormat(AbstractFormat):
    """One object: notice, model, errors, and a list of recordings, each with its cycles."""

    suffix = ".json"

    @classmethod
    def write(cls, report: Report, file: BinaryIO) -> None:
        """Write one recording a line."""
        head = {
            "schema": SCHEMA,
            "notice": RESEARCH_USE_ONLY,
            "model": {"name": report.model, **report.notes},
            "classes": report.classes,
            "errors": [problem.row() for problem in report.problems],
        }
        write_text(file, json.dumps(head, indent=1)[:-2] + ',\n "recordings": [')
        for index, recording in enumerate(report.recordings()):
            write_text(file, ("," if index else "") + "\n  " + json.dumps(recording_object(recording)))
        write_text(file, "\n ]\n}\n")


def recording_object(recording: RecordingResult) -> dict[str, Any]:
    """One recording as JSON: the row of `recordings.csv`, with lists for flags and cycles."""
    row = {key: value for key, value in recording_row(recording).items() if key != "notice"}
    cycles = [_cycle(cycle, recording.classes) for cycle in recording.cycles]
    view = {"note": ILLUSTRATIVE, "is_illustrative": True, "files": list(recording.illustrations)}
    shown = {"denoised": view} if recording.illustrations else {}
    return row | {"sample_rate": recording.sample_rate, "quality": list(recording.quality), **shown, "cycles": cycles}


def _cycle(cycle: CycleResult, classes: tuple[str, ...]) -> dict[str, Any]:
    probabilities = dict(zip(classes, cycle.probabilities, strict=True)) if cycle.is_judged else None
    return {
        "start": cycle.start,
        "end": cycle.end,
        "decision": cycle.decision,
        "heard": in_words(cycle.decision) if cycle.is_judged else "not judged",
        "abstain": cycle.abstains,
        "probabilities": probabilities,
        "quality": list(cycle.quality),
    }
