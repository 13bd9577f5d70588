"""What every output format is."""

import abc
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from add4rsc.inference.result import FileProblem, RecordingResult


def _nowhere(_file: str) -> Path | None:
    return None


@dataclass(frozen=True)
class Report:
    """Everything that one output says: of one recording, or of a whole batch, which is read anew at each walk."""

    recordings: Callable[[], Iterable[RecordingResult]]
    classes: tuple[str, ...]
    model: str
    notes: Mapping[str, str]
    """Provenance of the model."""
    problems: tuple[FileProblem, ...] = ()
    locate: Callable[[str], Path | None] = _nowhere
    """Where a recording's sound is, for pictures; None if it is not at hand."""

    def end_to_end(self) -> Iterator[tuple[float, RecordingResult]]:
        """The recordings as one long sound: the second at which each begins, and the recording."""
        begin = 0.0
        for recording in self.recordings():
            yield begin, recording
            begin += recording.duration


class AbstractFormat(abc.ABC):
    """A way of writing results. Formats with one time axis lay the recordings of a batch end to end."""

    suffix: ClassVar[str]
    """What follows the stem in a file's name."""

    @classmethod
    @abc.abstractmethod
    def write(cls, report: Report, file: BinaryIO) -> None:
        """Write a report, holding no more than one recording at a time in memory."""


def write_text(file: BinaryIO, text: str) -> None:
    """Write text as UTF-8; what no text can hold, such as the bytes of a file name, as escapes."""
    file.write(text.encode(errors="backslashreplace"))


def write_csv(file: BinaryIO, columns: Iterable[str], rows: Iterable[Mapping[str, Any]], delimiter: str = ",") -> None:
    """Write a table with a header, row by row."""
    line = io.StringIO()
    writer = csv.DictWriter(line, list(columns), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row)
        write_text(file, line.getvalue())
        line.seek(0)
        line.truncate()
    write_text(file, line.getvalue())


def one_line(text: str) -> str:
    """Text without the tabs and line breaks that would end a field."""
    return " ".join(text.split())
