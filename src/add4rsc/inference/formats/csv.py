"""The table of the command contract: one row a cycle."""

from typing import BinaryIO

from add4rsc.inference.formats import formats
from add4rsc.inference.formats._base import AbstractFormat, Report, write_csv
from add4rsc.inference.result import row_columns


@formats.register("csv")
class CsvFormat(AbstractFormat):
    """Comma-separated values, UTF-8, with a header."""

    suffix = ".csv"

    @classmethod
    def write(cls, report: Report, file: BinaryIO) -> None:
        """Write one row a cycle."""
        rows = (row for recording in report.recordings() for row in recording.rows())
        write_csv(file, row_columns(report.classes), rows)
