"""Raven's selection table: tab-separated, one selection a row."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from add4rsc.inference.formats import formats
from add4rsc.inference.formats._base import AbstractFormat, Report, one_line, write_csv
from add4rsc.inference.formats.audacity import label_text
from add4rsc.terms import RESEARCH_USE_ONLY

COLUMNS = (
    "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)",
    "Begin Path", "File Offset (s)", "Annotation", "Decision", "Confidence", "Quality", "Notice",
)  # fmt: skip


@formats.register("raven")
class RavenFormat(AbstractFormat):
    """Selections with the columns by which Raven opens several files as one; no frequency range is claimed."""

    suffix = ".raven.txt"

    @classmethod
    def write(cls, report: Report, file: BinaryIO) -> None:
        """Write one selection a cycle."""
        write_csv(file, COLUMNS, cls._rows(report), delimiter="\t")

    @classmethod
    def _rows(cls, report: Report) -> Iterator[dict[str, Any]]:
        number = 0
        for begin, recording in report.end_to_end():
            for cycle in recording.cycles:
                number += 1
                probability = cycle.probability
                values = (
                    number, "Spectrogram 1", 1, f"{begin + cycle.start:.6f}", f"{begin + cycle.end:.6f}",
                    0, recording.sample_rate / 2, one_line(recording.file), f"{cycle.start:.6f}",
                    label_text(cycle), cycle.decision, "" if probability is None else f"{probability:.6f}",
                    ";".join(cycle.quality), RESEARCH_USE_ONLY,
                )  # fmt: skip
                yield dict(zip(COLUMNS, values, strict=True))
