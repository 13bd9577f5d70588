"""Audacity's label track: start, end and text, separated by tabs (its manual: Importing and Exporting Labels)."""

from typing import BinaryIO

from add4rsc.inference.formats import formats
from add4rsc.inference.formats._base import AbstractFormat, Report, one_line, write_text
from add4rsc.inference.result import CycleResult, in_words
from add4rsc.terms import RESEARCH_USE_ONLY


@formats.register("audacity")
class AudacityFormat(AbstractFormat):
    """Labels in seconds with six decimals. The notice is a label at 0 s; recordings of a batch lie end to end."""

    suffix = ".audacity.txt"

    @classmethod
    def write(cls, report: Report, file: BinaryIO) -> None:
        """Write one label a cycle, and one at the beginning of each recording of several."""
        write_text(file, f"{0:.6f}\t{0:.6f}\t{RESEARCH_USE_ONLY}\n")
        for begin, recording in report.end_to_end():
            write_text(file, f"{begin:.6f}\t{begin:.6f}\t{one_line(recording.file)}\n")
            for cycle in recording.cycles:
                start, end = begin + cycle.start, begin + cycle.end
                write_text(file, f"{start:.6f}\t{end:.6f}\t{label_text(cycle)}\n")


def label_text(cycle: CycleResult) -> str:
    """What a cycle is called on a label: in words, with its probability."""
    if not cycle.is_judged:
        return f"not judged ({', '.join(cycle.quality)})"
    return f"{in_words(cycle.decision)} {cycle.probability:.2f}"
