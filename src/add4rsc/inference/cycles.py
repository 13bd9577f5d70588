"""Where the breaths of a recording are, and whether it can be judged: one walk through the file, part by part."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from add4rsc.audio.io import AudioInfo, read_waveform
from add4rsc.audio.windows import overlapping_windows
from add4rsc.datasets import datasets
from add4rsc.inference._base import Stretch
from add4rsc.inference.annotations.beside import stretches_beside
from add4rsc.inference.quality import assess

CycleChoice = Literal["auto", "annotation", "envelope", "windows"]
"""`auto`: the annotation beside the recording, and the breath envelope where there is none."""
CYCLE_CHOICES: tuple[CycleChoice, ...] = ("auto", "annotation", "envelope", "windows")

Unit = Literal["cycle", "event"]
"""`cycle`: from the beginning of a breath to that of the next; `event`: one sound of a breath, as SPRSound marks it."""

LONGEST_PART, SHORTEST_PART = 600.0, 30.0
"""Seconds that are held in memory at once, for files of few and of very many samples a second."""
MAX_PART_SAMPLES = 2**24
"""Samples of all channels in one part: 64 MiB."""
OVERLAP = 15.0
"""Seconds on either side of a part that the search for breaths sees: two slow breaths."""
N_DIGITS = 6


@dataclass(frozen=True)
class Part:
    """A piece of a recording that is read at once, and the flags of its sound."""

    start: float
    end: float
    quality: tuple[str, ...] = ()


@dataclass(frozen=True)
class Survey:
    """What is known of a recording before any network sees it."""

    stretches: tuple[Stretch, ...]
    cycles_from: str
    """`annotation`, `envelope` or `windows`."""
    parts: tuple[Part, ...]

    def quality_at(self, time: float) -> tuple[str, ...]:
        """Flags of the part that holds a time in seconds."""
        return next((part.quality for part in self.parts if time < part.end), self.parts[-1].quality)

    @property
    def quality(self) -> tuple[str, ...]:
        """Flags that hold for at least half of the recording."""
        total = self.parts[-1].end
        names = dict.fromkeys(name for part in self.parts for name in part.quality)
        lengths = {name: sum(part.end - part.start for part in self.parts if name in part.quality) for name in names}
        return tuple(name for name in names if lengths[name] >= total / 2)


def part_length(info: AudioInfo) -> float:
    """Seconds of a file that are read at once."""
    return min(LONGEST_PART, max(SHORTEST_PART, float(MAX_PART_SAMPLES // (info.sample_rate * info.n_channels))))


def unit_of(notes: Mapping[str, str]) -> Unit:
    """What a network was trained on, from the notes that it carries: its task's unit; cycles where nothing is known."""
    dataset, task = notes.get("dataset", ""), notes.get("task", "")
    known = datasets.get(dataset).tasks if dataset in datasets.names() else {}
    return "event" if task in known and known[task].unit == "event" else "cycle"


def survey_recording(path: Path, info: AudioInfo, choice: CycleChoice, window: float, unit: Unit = "cycle") -> Survey:
    """Find the stretches of a recording that are to be classified, and assess its sound.

    Args:
        path: of the recording.
        info: its header.
        choice: where stretches come from.
        window: length of a window in seconds, where they are windows.
        unit: what is searched for in the sound.

    Raises:
        AudioError: if the file cannot be read.
        AnnotationError: if there is an annotation beside it that is wrong.
    """
    marked = stretches_beside(path, info.duration) if choice in ("auto", "annotation") else []
    searches = not marked and choice in ("auto", "envelope")
    parts: list[Part] = []
    found: list[Stretch] = []
    for start, end in _parts(info):
        first, last = (max(0.0, start - OVERLAP), min(info.duration, end + OVERLAP)) if searches else (start, end)
        waveform = read_waveform(path, info.sample_rate, first, None if last >= info.duration else last)
        offset = int((start - first) * info.sample_rate)
        core = waveform[offset : offset + round((end - start) * info.sample_rate)]
        parts.append(Part(start, end, assess(core, info.sample_rate)))
        if searches:
            from add4rsc.inference.segment import find_cycles

            breaths = find_cycles(waveform, info.sample_rate, unit)
            _add_breaths(found, breaths, first, (start, end))
    if marked:
        return Survey(tuple(sorted(marked)), "annotation", tuple(parts))
    if found:
        return Survey(tuple(found), "envelope", tuple(parts))
    return Survey(tuple(windows(info.duration, window)), "windows", tuple(parts))


def windows(duration: float, length: float) -> list[Stretch]:
    """Windows that overlap by half and reach from the first to the last second; one shorter one if all is shorter.

    >>> windows(5.0, 2.0)
    [Stretch(start=0.0, end=2.0), Stretch(start=1.0, end=3.0), Stretch(start=2.0, end=4.0), Stretch(start=3.0, end=5.0)]
    """
    found = overlapping_windows(duration, length)
    return [Stretch(round(start, N_DIGITS), round(end, N_DIGITS)) for start, end in found]


def _parts(info: AudioInfo) -> Iterator[tuple[float, float]]:
    """Start and end of the parts; the last one takes a rest of less than a tenth."""
    length = part_length(info)
    n_parts = max(1, int(info.duration / length + 0.9))
    for index in range(n_parts):
        yield index * length, info.duration if index == n_parts - 1 else (index + 1) * length


def _add_breaths(found: list[Stretch], breaths: Iterable[Stretch], first: float, core: tuple[float, float]) -> None:
    """Add the breaths that begin in the core of a part; where two parts disagree, the earlier breath ends sooner."""
    for each in breaths:
        start, end = round(each.start + first, N_DIGITS), round(each.end + first, N_DIGITS)
        if not core[0] <= start < core[1]:
            continue
        if found and found[-1].end > start:
            before = found.pop()
            if start - before.start < 0.5 * before.duration:
                start = before.start
            else:
                found.append(Stretch(before.start, start))
        found.append(Stretch(start, end))
