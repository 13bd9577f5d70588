"""The frames of a whole recording through a filter that was made for short windows."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from add4rsc.inference._base import AbstractMelFilter, MelFrames


@dataclass(frozen=True)
class Heard:
    """A part of a recording, and the index of its first sample in the whole."""

    waveform: Float[ndarray, " sample"]
    begin: int

    def cut(self, start: int, n_samples: int) -> Float[ndarray, " cut"]:
        """So many samples of the whole from an index on; zeros where there are none."""
        first, last = start - self.begin, start - self.begin + n_samples
        part = self.waveform[max(first, 0) : max(last, 0)]
        before = min(max(-first, 0), n_samples)
        return np.pad(part, (before, n_samples - before - len(part)))


@dataclass(frozen=True)
class Grid:
    """Where windows and frames of a recording lie, at the network's rate; windows overlap by half."""

    frames: MelFrames
    n_recording: int
    """Samples of the recording."""
    n_window: int
    """Samples of a window: what the network takes."""
    n_window_frames: int

    @cached_property
    def windows(self) -> Int[ndarray, " window"]:
        """First frame of each window, the last one as late as it can be."""
        shift = self.frames.frame_shift
        last = max(0, self.n_recording - self.n_window) // shift
        return np.unique(np.append(np.arange(0, last, max(1, self.n_window // shift // 2)), last))

    @property
    def n_frames(self) -> int:
        """Frames of the recording."""
        by_windows = int(self.windows[-1]) + self.n_window_frames
        return min(by_windows, -(-self.n_recording // self.frames.frame_shift))

    def frame_at(self, time: float) -> int:
        """The first frame whose middle is not before a time in seconds."""
        samples = time * self.frames.sample_rate - self.frames.first_centre
        return min(self.n_frames, max(0, int(np.ceil(samples / self.frames.frame_shift - 1e-6))))

    def time_of(self, frame: int) -> float:
        """Middle of a frame in seconds."""
        return (frame * self.frames.frame_shift + self.frames.first_centre) / self.frames.sample_rate

    def window(self, heard: Heard, first_frame: int) -> Float[ndarray, " sample"]:
        """One window's samples; a recording that is shorter is repeated."""
        if self.n_recording < self.n_window:
            return np.resize(heard.cut(0, self.n_recording), self.n_window)
        return heard.cut(first_frame * self.frames.frame_shift, self.n_window)


def filter_frames(
    mel_filter: AbstractMelFilter, grid: Grid, heard: Heard, first: int, last: int
) -> tuple[Float[ndarray, "time mel"], Float[ndarray, "time mel"]]:
    """Frames of a recording before and after the filter, from one index to before another.

    Each frame is the mean over the windows that hold it, of which the one counts most that has it in its middle.
    """
    near = [int(each) for each in grid.windows if each < last and each + grid.n_window_frames > first]
    found = mel_filter.apply(np.stack([grid.window(heard, each) for each in near]))
    rising = np.arange(1, grid.n_window_frames + 1)
    weights = np.minimum(rising, rising[::-1])[:, None]
    sums = np.zeros((2, last - first, grid.frames.n_mels))
    total = np.zeros((last - first, 1))
    for window, log_mel, filtered in zip(near, *found, strict=True):
        inside = slice(max(first - window, 0), min(last - window, grid.n_window_frames))
        place = slice(window + inside.start - first, window + inside.stop - first)
        sums[:, place] += weights[inside] * np.stack([log_mel[inside], filtered[inside]])
        total[place] += weights[inside]
    log_mel, filtered = (sums / total).astype(np.float32)
    return log_mel, filtered
