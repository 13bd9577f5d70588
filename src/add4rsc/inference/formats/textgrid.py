"""Praat's TextGrid, long form: tiers whose intervals cover all of the time."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import BinaryIO, NamedTuple

from add4rsc.inference.formats import formats
from add4rsc.inference.formats._base import AbstractFormat, Report, one_line, write_text
from add4rsc.inference.result import CycleResult, RecordingResult, in_words
from add4rsc.terms import RESEARCH_USE_ONLY


class _Interval(NamedTuple):
    start: float
    end: float
    text: str


@formats.register("textgrid")
class TextGridFormat(AbstractFormat):
    """Tiers `cycles`, `label` and `probability`, then `file` and `notice`.

    Intervals of a tier may not overlap: of two windows that do, each gets its half of what they share. Recordings of a
    batch lie end to end.
    """

    suffix = ".TextGrid"

    @classmethod
    def write(cls, report: Report, file: BinaryIO) -> None:
        """Walk through the recordings once to count and once to write, for each tier."""
        total = float(sum(recording.duration for recording in report.recordings()))
        tiers: dict[str, Callable[[], Iterator[_Interval]]] = {
            "cycles": lambda: _cycle_tier(report, lambda cycle: cycle.decision),
            "label": lambda: _cycle_tier(report, _words),
            "probability": lambda: _cycle_tier(report, lambda cycle: f"{cycle.probability or 0:.3f}"),
            "file": lambda: (_Interval(begin, begin + each.duration, each.file) for begin, each in report.end_to_end()),
            "notice": lambda: iter([_Interval(0.0, total, RESEARCH_USE_ONLY)] if total else []),
        }
        write_text(file, 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n')
        write_text(file, f"xmin = 0\nxmax = {total:.6f}\ntiers? <exists>\nsize = {len(tiers)}\nitem []:\n")
        for number, (name, intervals) in enumerate(tiers.items(), start=1):
            _write_tier(file, number, name, total, intervals)


def _write_tier(
    file: BinaryIO, number: int, name: str, total: float, intervals: Callable[[], Iterator[_Interval]]
) -> None:
    size = sum(1 for _ in intervals())
    write_text(file, f'    item [{number}]:\n        class = "IntervalTier"\n        name = "{name}"\n')
    write_text(file, f"        xmin = 0\n        xmax = {total:.6f}\n        intervals: size = {size}\n")
    for index, (start, end, text) in enumerate(intervals(), start=1):
        quoted = one_line(text).replace('"', '""')
        write_text(file, f"        intervals [{index}]:\n            xmin = {start:.6f}\n")
        write_text(file, f'            xmax = {end:.6f}\n            text = "{quoted}"\n')


def _words(cycle: CycleResult) -> str:
    return in_words(cycle.decision) if cycle.is_judged else "not judged"


def _cycle_tier(report: Report, text_of: Callable[[CycleResult], str]) -> Iterator[_Interval]:
    for begin, recording in report.end_to_end():
        yield from _tiled(begin, recording, text_of)


def _tiled(begin: float, recording: RecordingResult, text_of: Callable[[CycleResult], str]) -> Iterator[_Interval]:
    """A recording's cycles and the gaps between them, without overlap, shifted by `begin`."""
    cycles = sorted(recording.cycles, key=lambda cycle: (cycle.start, cycle.end))
    cuts = [(before.end + after.start) / 2 if after.start < before.end else None for before, after in pairwise(cycles)]
    done = 0.0
    for cycle, cut_before, cut_after in zip(cycles, [None, *cuts], [*cuts, None], strict=False):
        start = max(done, cycle.start if cut_before is None else cut_before)
        end = min(recording.duration, cycle.end if cut_after is None else cut_after)
        if round(end, 6) <= round(start, 6):
            continue
        if round(start, 6) > round(done, 6):
            yield _Interval(begin + done, begin + start, "")
        yield _Interval(begin + start, begin + end, text_of(cycle))
        done = end
    if round(recording.duration, 6) > round(done, 6):
        yield _Interval(begin + done, begin + recording.duration, "")
