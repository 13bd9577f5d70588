"""What every reader of annotations is."""

import abc
import math
from pathlib import Path
from typing import ClassVar, NamedTuple

from add4rsc.errors import AnnotationError


class AnnotatedStretch(NamedTuple):
    """A stretch that somebody marked, and the word for it as it stands in the file."""

    start: float
    end: float
    text: str


class AbstractAnnotationFormat(abc.ABC):
    """One way of writing down what is where in a recording."""

    endings: ClassVar[tuple[str, ...]]
    """What follows the recording's stem in the annotation's name, in lower case."""

    @classmethod
    @abc.abstractmethod
    def recognises(cls, text: str) -> bool:
        """Whether a file of such a name is an annotation of this format, right or wrong, and not something else."""

    @classmethod
    @abc.abstractmethod
    def read(cls, path: Path) -> list[AnnotatedStretch]:
        """All stretches, in order of time; points in time are left out.

        Raises:
            AnnotationError: at the first thing that is not as the format says.
        """


def read_text(path: Path) -> str:
    """Text in any of the encodings that these programs write (Praat writes UTF-16).

    Raises:
        AnnotationError: if it is not text.
    """
    try:
        content = path.read_bytes()
        encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        return content.decode(encoding)
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(path, f"cannot be read as text ({error})", "Save it as UTF-8.") from error


def read_times(path: Path, where: str, start: str, end: str) -> tuple[float, float]:
    """Two times in seconds, with a decimal point or comma.

    Raises:
        AnnotationError: if they are no numbers, or do not ascend from 0.
    """
    try:
        times = float(start.replace(",", ".")), float(end.replace(",", "."))
    except ValueError as error:
        raise AnnotationError(path, f"{where}: '{start}' and '{end}' are not two times", "Write seconds.") from error
    if not 0 <= times[0] <= times[1] < math.inf:
        raise AnnotationError(path, f"{where}: from {start} to {end} s", "Write 0 <= start <= end in seconds.")
    return times
