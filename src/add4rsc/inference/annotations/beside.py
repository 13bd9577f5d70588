"""Find and read the annotation that lies beside a recording."""

from pathlib import Path

from add4rsc.errors import AnnotationError
from add4rsc.inference._base import Stretch
from add4rsc.inference.annotations import annotation_formats
from add4rsc.inference.annotations._base import AbstractAnnotationFormat, read_text

MAX_BYTES = 20_000_000
"""A larger text file beside a recording is something else."""


def annotation_beside(path: Path) -> tuple[Path, type[AbstractAnnotationFormat]] | None:
    """The annotation file of a recording and its format, None if there is none.

    A file counts that has the recording's stem, an ending of a format (in upper or lower case), and a content that the
    format recognises: a note in `STEM.txt` is no annotation.
    """
    formats = [annotation_formats.get(name) for name in annotation_formats.names()]
    for ending in dict.fromkeys(ending for each in formats for ending in each.endings):
        for candidate in _named(path, ending):
            text = read_text(candidate)
            for each in formats:
                if ending in each.endings and each.recognises(text):
                    return candidate, each
    return None


def stretches_beside(path: Path, duration: float) -> list[Stretch]:
    """The stretches that the annotation beside a recording of some seconds marks; none without an annotation.

    Raises:
        AnnotationError: if the annotation is wrong, or marks what lies after the recording's end.
    """
    found = annotation_beside(path)
    if found is None:
        return []
    annotation, form = found
    stretches = form.read(annotation)
    for each in stretches:
        if each.start >= duration:
            problem = f"marks {each.start} to {each.end} s of a recording of {duration:.3f} s"
            raise AnnotationError(annotation, problem, "Is it another recording's? Correct it or take it away.")
    return [Stretch(each.start, min(each.end, duration)) for each in stretches]


def _named(path: Path, ending: str) -> list[Path]:
    """The files of a stem and an ending whose letters may be upper case; small ones alone."""
    spellings = (ending, ending.upper(), ending.title(), ending.replace("textgrid", "TextGrid"))
    spellings += (ending.replace("table", "Table"), ending.replace("selection.table", "Selection.Table"))
    candidates = [path.with_name(path.stem + each) for each in dict.fromkeys(spellings)]
    return [each for each in candidates if each.is_file() and each.stat().st_size < MAX_BYTES]
