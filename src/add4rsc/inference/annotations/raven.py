"""Raven selection tables: tab-separated, with a header row."""

import csv
from pathlib import Path

from add4rsc.errors import AnnotationError
from add4rsc.inference.annotations import annotation_formats
from add4rsc.inference.annotations._base import (
    AbstractAnnotationFormat,
    AnnotatedStretch,
    read_text,
    read_times,
)

BEGIN, END = "Begin Time (s)", "End Time (s)"
TEXT_COLUMNS = ("Annotation", "Label", "Species", "Common Name", "Type")


@annotation_formats.register("raven")
class RavenAnnotation(AbstractAnnotationFormat):
    """A selection table of Raven Pro or Lite; of two views of one selection, the first."""

    endings = (".txt", ".selections.txt", ".raven.txt", ".table.1.selections.txt", ".selection.table.txt")

    @classmethod
    def recognises(cls, text: str) -> bool:
        """Whether the header row has a selection's number and times."""
        return text.startswith("Selection\t") and BEGIN in text.split("\n", 1)[0]

    @classmethod
    def read(cls, path: Path) -> list[AnnotatedStretch]:
        """The selections."""
        reader = csv.DictReader(read_text(path).splitlines(), delimiter="\t")
        if END not in (reader.fieldnames or ()):
            raise AnnotationError(path, f"has no column '{END}'", "Add it to the table in Raven and save again.")
        text_column = next((name for name in TEXT_COLUMNS if name in (reader.fieldnames or ())), "")
        found: dict[str, AnnotatedStretch] = {}
        for number, row in enumerate(reader, start=2):
            times = read_times(path, f"line {number}", row[BEGIN] or "", row[END] or "")
            found.setdefault(row["Selection"] or str(number), AnnotatedStretch(*times, row.get(text_column) or ""))
        return sorted(each for each in found.values() if each.start < each.end)
