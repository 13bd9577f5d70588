"""Windows of long cycles in a run: cycles of their own in training; in a test they vote."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from add4rsc.audio.crop import Crop, Voting
from add4rsc.audio.windows import window_times
from add4rsc.protocol.split import Split
from add4rsc.terms import RespiratoryCycle


class Windows(NamedTuple):
    """Whose windows the rows of a table are, and how they vote."""

    owners: tuple[int, ...]
    """Index of each window's cycle."""
    rule: Voting

    @property
    def firsts(self) -> list[int]:
        """Index of every cycle's first window."""
        return [index for index, owner in enumerate(self.owners) if index == 0 or owner != self.owners[index - 1]]


def split_cycles(cycles: Sequence[RespiratoryCycle], crop: Crop) -> tuple[tuple[RespiratoryCycle, ...], Windows | None]:
    """Windows as cycles with other times, and whose they are; the cycles themselves and None if the crop has none."""
    if crop.windows is None:
        return tuple(cycles), None
    parts = [
        (owner, replace(cycle, start=start, end=end))
        for owner, cycle in enumerate(cycles)
        for start, end in window_times(cycle.start, cycle.end, crop)
    ]
    return tuple(window for _, window in parts), Windows(tuple(owner for owner, _ in parts), crop.windows)


def split_windows(split: Split, crop: Crop) -> Split:
    """A split whose cycles are windows."""
    train, validation, test = (split_cycles(each, crop)[0] for each in (split.train, split.validation, split.test))
    return replace(split, train=train, validation=validation, test=test)
