r"""Audacity labels: `STEM.txt` with start, end and text separated by tabs; second lines `\ low high` are left out."""

from pathlib import Path

from add4rsc.inference.annotations import annotation_formats
from add4rsc.inference.annotations._base import (
    AbstractAnnotationFormat,
    AnnotatedStretch,
    read_text,
    read_times,
)

SPECTRAL_LINE = "\\"


@annotation_formats.register("audacity")
class AudacityAnnotation(AbstractAnnotationFormat):
    """A label track that was exported from Audacity."""

    endings = (".txt", ".audacity.txt", ".labels.txt")

    @classmethod
    def recognises(cls, text: str) -> bool:
        """Whether the first line begins with two numbers and has at most a text after them."""
        values = next((line for line in text.splitlines() if line.strip()), "").split("\t")
        return len(values) in (2, 3) and all(_is_number(value) for value in values[:2])

    @classmethod
    def read(cls, path: Path) -> list[AnnotatedStretch]:
        """The labels that have a length."""
        stretches = []
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            if not line.strip() or line.startswith(SPECTRAL_LINE):
                continue
            start, end, text, *_ = [*line.split("\t"), "", ""]
            stretches.append(AnnotatedStretch(*read_times(path, f"line {number}", start, end), text.strip()))
        return sorted(each for each in stretches if each.start < each.end)


def _is_number(text: str) -> bool:
    return text.strip().replace(",", ".").replace(".", "", 1).isdigit()
