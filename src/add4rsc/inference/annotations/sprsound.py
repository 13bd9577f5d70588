"""SPRSound: `STEM.json` with a list `event_annotation`, times in milliseconds."""

from pathlib import Path

from add4rsc.datasets._sprsound_files import read_annotation
from add4rsc.inference.annotations import annotation_formats
from add4rsc.inference.annotations._base import AbstractAnnotationFormat, AnnotatedStretch


@annotation_formats.register("sprsound")
class SprSoundAnnotation(AbstractAnnotationFormat):
    """The events of a recording, as the SPRSound database has them."""

    endings = (".json",)

    @classmethod
    def recognises(cls, text: str) -> bool:
        """Whether it has the key that holds the events."""
        return '"event_annotation"' in text

    @classmethod
    def read(cls, path: Path) -> list[AnnotatedStretch]:
        """The events."""
        return [AnnotatedStretch(each.start, each.end, each.annotation) for each in read_annotation(path).stretches]
