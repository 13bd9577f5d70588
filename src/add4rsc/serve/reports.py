"""Results -> the bytes of any format that `add4rsc predict` writes, and of FHIR."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from add4rsc.inference._base import AbstractClassifier
from add4rsc.inference.formats import formats
from add4rsc.inference.formats._base import AbstractFormat, Report
from add4rsc.inference.result import FileProblem, RecordingResult
from add4rsc.serve import fhir
from add4rsc.serve.problems import RefusedError
from add4rsc.serve.sounds import Sound, as_file

MEDIA_TYPES = {
    "csv": "text/csv",
    "json": "application/json",
    "audacity": "text/plain",
    "raven": "text/tab-separated-values",
    "textgrid": "text/plain",
    "html": "text/html",
    "fhir": fhir.MEDIA_TYPE,
}
"""What each format is called on the wire."""
WITH_PICTURES = "html"


def format_names() -> list[str]:
    """All formats."""
    return [*(name for name in MEDIA_TYPES if name in formats.names()), "fhir"]


def find_format(name: str) -> type[AbstractFormat]:
    """A format by its name.

    Raises:
        UnknownNameError: if there is none.
    """
    return fhir.FhirFormat if name == "fhir" else formats.get(name)


def media_type(name: str) -> str:
    """A format's type on the wire, with its encoding where it is text."""
    kind = MEDIA_TYPES.get(name, "application/octet-stream")
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def choose_format(wanted: str | None, accepted: str, default: str = "json") -> str:
    """The format that a client wants, by name or by its Accept header.

    Raises:
        UnknownNameError: if there is none of that name.
        RefusedError: if nothing of what it accepts can be written.

    >>> choose_format(None, "application/fhir+json"), choose_format(None, "*/*"), choose_format("csv", "*/*")
    ('fhir', 'json', 'csv')
    """
    if wanted is not None:
        find_format(wanted)
        return wanted
    kinds = [each.partition(";")[0].strip().lower() for each in accepted.split(",") if each.strip()]
    if not kinds or any(each in ("*/*", "application/*") for each in kinds):
        return default
    names = {kind: name for name, kind in reversed(MEDIA_TYPES.items())}
    found = next((names[each] for each in kinds if each in names), None)
    if found is None:
        problem = f"Nothing can be written as {', '.join(kinds)[:200]}"
        raise RefusedError(406, problem, f"Accept one of {', '.join(MEDIA_TYPES.values())}")
    return found


def write_results(
    name: str,
    classifier: AbstractClassifier,
    results: Sequence[RecordingResult],
    problems: Sequence[FileProblem] = (),
    sounds: Sequence[Sound] = (),
) -> bytes:
    """Results in a format; HTML has pictures of the sounds that are given."""
    with ExitStack() as stack:
        paths: dict[str, Path] = {}
        if name == WITH_PICTURES:
            paths = {sound.name: stack.enter_context(as_file(sound)) for sound in sounds}
        report = Report(
            lambda: results, classifier.classes, classifier.name, classifier.notes, tuple(problems), paths.get
        )
        with SpooledTemporaryFile() as file:  # without a size it never goes to a disk
            find_format(name).write(report, cast("BinaryIO", file))
            file.seek(0)
            return file.read()
