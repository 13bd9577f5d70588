"""Praat TextGrids, long or short form: the intervals of one tier."""

import re
from collections.abc import Iterator
from pathlib import Path

from add4rsc.errors import AnnotationError
from add4rsc.inference.annotations import annotation_formats
from add4rsc.inference.annotations._base import (
    AbstractAnnotationFormat,
    AnnotatedStretch,
    read_text,
    read_times,
)

TIER_NAMES = ("cycles", "cycle", "breaths", "events")
"""A tier of one of these names is taken, in this order; else the first one that has a text."""
VALUE = re.compile(r'"((?:[^"]|"")*)"|(?<![\w\[.])(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?![\w\]])|(<exists>)')
"""The values of both forms, in order: texts, numbers and the flag; words and indices in brackets are left out."""


@annotation_formats.register("textgrid")
class TextGridAnnotation(AbstractAnnotationFormat):
    """Intervals that were marked in Praat; those without a text are the gaps between them."""

    endings = (".textgrid",)

    @classmethod
    def recognises(cls, text: str) -> bool:
        """Whether the file says so itself."""
        return "ooTextFile" in text[:200]

    @classmethod
    def read(cls, path: Path) -> list[AnnotatedStretch]:
        """The intervals of the tier that holds cycles."""
        try:
            tiers = dict(_tiers(path, _values(read_text(path))))
        except StopIteration as error:
            raise AnnotationError(path, "ends in the middle of a tier", "Save it again in Praat.") from error
        named = [tiers[name] for name in TIER_NAMES if tiers.get(name)]
        return next(iter([*named, *(tier for tier in tiers.values() if tier)]), [])


def _values(text: str) -> Iterator[str]:
    return (
        match[1].replace('""', '"') if match[1] is not None else match[2] or match[3] for match in VALUE.finditer(text)
    )


def _tiers(path: Path, values: Iterator[str]) -> list[tuple[str, list[AnnotatedStretch]]]:
    """All interval tiers: lower-case name and the intervals that have a text.

    Raises:
        StopIteration: if the file ends too early.
        AnnotationError: if a time or count is not a number.
    """
    for expected in ("ooTextFile", "TextGrid"):
        if next(values) != expected:
            raise AnnotationError(path, "is not a TextGrid", "Save it again in Praat as a text file.")
    _skip(values, 3)
    return [_tier(path, values) for _ in range(_count(path, next(values)))]


def _tier(path: Path, values: Iterator[str]) -> tuple[str, list[AnnotatedStretch]]:
    kind, name = next(values), next(values).lower()
    _skip(values, 2)
    stretches = []
    for number in range(1, _count(path, next(values)) + 1):
        start = next(values)
        end = next(values) if kind == "IntervalTier" else start
        text = next(values).strip()
        times = read_times(path, f"tier '{name}', interval {number}", start, end)
        if text and times[0] < times[1]:
            stretches.append(AnnotatedStretch(*times, text))
    return name, stretches


def _skip(values: Iterator[str], number: int) -> None:
    for _ in range(number):
        next(values)


def _count(path: Path, value: str) -> int:
    if not value.isdigit():
        raise AnnotationError(path, f"has '{value}' where a count is expected", "Save it again in Praat.")
    return int(value)
