"""One thing to do: classify some sounds, with its progress, from the queue to the result."""

import asyncio
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath

from add4rsc.inference._base import AbstractClassifier
from add4rsc.inference.batch import classify_source
from add4rsc.inference.listing import Source
from add4rsc.inference.pipeline import Choices
from add4rsc.inference.result import FileProblem, RecordingResult
from add4rsc.serve.sounds import Sound, as_file, told_by_name
from add4rsc.serve.watching import Cancelled, WatchedClassifier

BYTES_PER_CYCLE = 1000
"""What the result of one cycle takes in memory, measured generously."""
BREATH = 2.4
"""Seconds of an ordinary one: how many there are in a sound is estimated until they are found."""
ALMOST = 0.99
"""Of the share that is told before the end: the number of cycles is only known then."""


_UNEXPECTED = re.compile(r"^(cannot be read as sound \(\w+):.*(?=\)$)", re.DOTALL)
"""What an error that nobody foresaw says may name the server's own files; its kind is enough."""


class Status(StrEnum):
    """Where a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self not in (Status.WAITING, Status.RUNNING)


@dataclass(frozen=True)
class Progress:
    """How far a job is; `share` of it is an estimate until it is done."""

    share: float = 0.0
    n_judged: int = 0


class Job:
    """Sounds to classify, and what comes of them. Its methods may be called by any thread.

    Args:
        sounds: in the order of the results.
        choices: where cycles come from, thresholds.
        problems: of files that were sent with them and not taken.
    """

    def __init__(self, sounds: Sequence[Sound], choices: Choices, problems: Sequence[FileProblem] = ()) -> None:
        self.sounds, self.choices = tuple(sounds), choices
        self.status = Status.WAITING
        self.progress = Progress()
        self.results: list[RecordingResult] = []
        self.problems = list(problems)
        self._is_cancelled = False
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], object]] = []

    @property
    def duration(self) -> float:
        """Of all sounds, in seconds."""
        return sum(sound.info.duration for sound in self.sounds)

    @property
    def n_result_bytes(self) -> int:
        """What the results take in memory, about."""
        return BYTES_PER_CYCLE * sum(len(result.cycles) for result in self.results)

    def run(self, classifier: AbstractClassifier) -> None:
        """Classify; nothing is raised, the status says what came of it."""
        self._change(Status.RUNNING)
        watched = WatchedClassifier(classifier, self._watch)
        try:
            for sound in self.sounds:
                self._classify(watched, sound)
        except Cancelled:
            self._change(Status.CANCELLED)
        except Exception as error:  # noqa: BLE001 - a thread of the queue must go on, and the client be told
            problem = f"could not be classified ({type(error).__name__})"
            name = self.sounds[len(self.results) :][0].name if len(self.results) < len(self.sounds) else "recording"
            self.problems.append(FileProblem(name, problem, "Try again; if it happens again, report it"))
            self._change(Status.FAILED)
        else:
            self.progress = Progress(1.0, self.progress.n_judged)
            self._change(Status.DONE if self.results else Status.FAILED)

    def cancel(self) -> None:
        """Stop at the next pass of the network, or before the first."""
        self._is_cancelled = True
        if self.status == Status.WAITING:
            self._change(Status.CANCELLED)

    async def finished(self) -> None:
        """Wait for the end."""
        while not self.status.is_final:
            await self.changed()

    async def changed(self) -> None:
        """Wait until the status or the progress is another, or the job is at its end."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def listen() -> None:
            with suppress(RuntimeError):  # whoever waited has closed its loop
                loop.call_soon_threadsafe(event.set)

        with self._lock:
            if self.status.is_final:
                return
            self._listeners.append(listen)
        try:
            await event.wait()
        finally:
            with self._lock:
                self._listeners = [each for each in self._listeners if each is not listen]

    def _classify(self, classifier: AbstractClassifier, sound: Sound) -> None:
        if self._is_cancelled:
            raise Cancelled
        with as_file(sound) as path:
            source = Source(str(path), sound.name, PurePath(sound.name).stem)
            entry = classify_source(classifier, source, self.choices)
            if entry.problem is not None:
                problem = _UNEXPECTED.sub(r"\1", told_by_name(entry.problem.problem, path, sound))
                self.problems.append(FileProblem(sound.name, problem, entry.problem.remedy))
        if entry.result is not None:
            self.results.append(entry.result)

    def _watch(self, n_cycles: int) -> None:
        if self._is_cancelled:
            raise Cancelled
        n_judged = self.progress.n_judged + n_cycles
        expected = self.duration / BREATH
        self.progress = Progress(max(self.progress.share, min(ALMOST, n_judged / expected)), n_judged)
        self._tell()

    def _change(self, status: Status) -> None:
        with self._lock:
            self.status = status
        self._tell()

    def _tell(self) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listen in listeners:
            listen()
