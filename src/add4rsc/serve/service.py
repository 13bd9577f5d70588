"""Everything that requests share: the model, the queue, what is held, and for how long."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool

from add4rsc.inference._base import AbstractClassifier
from add4rsc.inference.pipeline import Choices
from add4rsc.serve.jobs import Job
from add4rsc.serve.limits import Limits
from add4rsc.serve.line import Line
from add4rsc.serve.peaks import CoarsePeaks, read_coarse_peaks
from add4rsc.serve.shelf import AbstractItem, Memory, Shelf
from add4rsc.serve.sounds import Sound, as_file

SWEEP_EVERY = 5.0
"""Seconds."""
Parameters = ParamSpec("Parameters")
Found = TypeVar("Found")


@dataclass
class HeldJob(AbstractItem):
    """A job whose result somebody will fetch."""

    job: Job
    line: Line
    format: str

    @property
    def n_bytes(self) -> int:
        """What it takes in memory."""
        return sum(sound.n_bytes for sound in self.job.sounds) + self.job.n_result_bytes

    @property
    def is_busy(self) -> bool:
        """Whether it is not at its end."""
        return not self.job.status.is_final

    def close(self) -> None:
        """Cancel it."""
        self.line.leave(self.job)


@dataclass
class HeldRecording(AbstractItem):
    """A sound that is looked at and listened to, and its classification."""

    sound: Sound
    job: Job
    line: Line
    outline: CoarsePeaks | None = field(default=None, repr=False)

    @property
    def n_bytes(self) -> int:
        """What it takes in memory."""
        n_outline = 0 if self.outline is None else self.outline.n_bytes
        return self.sound.n_bytes + self.job.n_result_bytes + n_outline

    @property
    def is_busy(self) -> bool:
        """Whether it is being classified."""
        return not self.job.status.is_final

    def close(self) -> None:
        """Cancel its classification."""
        self.line.leave(self.job)

    def judge(self, choices: Choices) -> None:
        """Classify, anew if it was before.

        Raises:
            RefusedError: if the queue is full.
        """
        job = Job([self.sound], choices)
        self.line.enter(job)
        self.job = job

    def coarse_peaks(self) -> CoarsePeaks:
        """The outline of the whole, which is made once.

        Raises:
            AudioError: if it cannot be read.
        """
        if self.outline is None:
            with as_file(self.sound) as path:
                self.outline = read_coarse_peaks(path, self.sound.info)
        return self.outline


class Service:
    """What requests share.

    Args:
        classifier: the model.
        limits: of everything.
        token: that clients must show; empty for none.
    """

    def __init__(self, classifier: AbstractClassifier, limits: Limits, token: str = "") -> None:
        self.classifier, self.limits, self.token = classifier, limits, token
        self.line = Line(classifier, limits)
        self.memory = Memory(limits)
        self.recordings: Shelf[HeldRecording] = Shelf("recording", limits.keep, limits.max_held, self.memory)
        self.jobs: Shelf[HeldJob] = Shelf("job", limits.keep_results, limits.max_held, self.memory)
        self._readers: asyncio.Semaphore | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Threads that classify, and a clock that forgets, as long as the block lasts."""
        self._readers = asyncio.Semaphore(self.limits.max_reading)
        self.line.open()
        sweeper = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            sweeper.cancel()
            self.recordings.clear()
            self.jobs.clear()
            await run_in_threadpool(self.line.close)

    async def read(
        self, work: Callable[Parameters, Found], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Found:
        """Do what takes processor time in a thread, a few at once."""
        if self._readers is None:
            return await run_in_threadpool(work, *args, **kwargs)
        async with self._readers:
            return await run_in_threadpool(work, *args, **kwargs)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            self.recordings.sweep()
            self.jobs.sweep()
