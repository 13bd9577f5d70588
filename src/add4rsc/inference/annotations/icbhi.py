"""ICBHI 2017: `STEM.txt` with start, end, crackle, wheeze separated by tabs."""

from pathlib import Path

from add4rsc.datasets._icbhi_files import read_annotation
from add4rsc.inference.annotations import annotation_formats
from add4rsc.inference.annotations._base import AbstractAnnotationFormat, AnnotatedStretch


@annotation_formats.register("icbhi")
class IcbhiAnnotation(AbstractAnnotationFormat):
    """The respiratory cycles of a recording, as the ICBHI 2017 database has them."""

    endings = (".txt",)

    @classmethod
    def recognises(cls, text: str) -> bool:
        """Whether the first line has four values, the last two of them whole numbers."""
        values = next(iter(text.split("\n")), "").strip().split("\t")
        return len(values) == 4 and all(value.strip().isdigit() for value in values[2:])

    @classmethod
    def read(cls, path: Path) -> list[AnnotatedStretch]:
        """The cycles."""
        return [AnnotatedStretch(row.start, row.end, row.label.value) for row in read_annotation(path)]
