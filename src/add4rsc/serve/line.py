"""The queue before the network, and the threads that serve it with one shared model."""

import logging
import threading
import time
from collections import deque

from add4rsc.inference._base import AbstractClassifier
from add4rsc.serve.jobs import Job, Status
from add4rsc.serve.limits import Limits
from add4rsc.serve.problems import RefusedError

log = logging.getLogger("add4rsc.serve")
SMOOTHING = 0.1
"""How much the newest job counts in the mean time of one."""
LONGEST_RETRY = 60.0
"""Seconds: more is never asked of a client."""


class Line:
    """Jobs one after the other, a fixed number at once. Long jobs never take the last thread.

    Args:
        classifier: shared by all threads.
        limits: how many jobs wait, how many threads there are, which job is long.
    """

    def __init__(self, classifier: AbstractClassifier, limits: Limits) -> None:
        self._classifier, self._limits = classifier, limits
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._condition = threading.Condition()
        self._is_open = False
        self._threads: list[threading.Thread] = []
        self._mean_time = 0.5

    @property
    def n_waiting(self) -> int:
        """Jobs that have not begun."""
        return len(self._waiting)

    @property
    def n_running(self) -> int:
        """Jobs that threads work on."""
        return len(self._running)

    def open(self) -> None:
        """Start the threads."""
        self._is_open = True
        for index in range(self._limits.n_workers):
            thread = threading.Thread(target=self._serve, name=f"classify-{index}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Cancel everything, and wait for the threads."""
        with self._condition:
            self._is_open = False
            for job in (*self._waiting, *self._running):
                job.cancel()
            self._waiting.clear()
            self._condition.notify_all()
        for thread in self._threads:
            thread.join(timeout=30)

    def enter(self, job: Job) -> None:
        """Put a job at the end.

        Raises:
            RefusedError: if the queue is full.
        """
        with self._condition:
            if len(self._waiting) >= self._limits.max_waiting:
                raise self.full()
            self._waiting.append(job)
            self._condition.notify()

    def full(self) -> RefusedError:
        """What is said when the queue is full, and when to come again: at the time of half of what waits."""
        seconds = self._mean_time * len(self._waiting) / self._limits.n_workers / 2
        remedy = "Send it again after the time in Retry-After"
        return RefusedError(503, "Too many recordings are waiting", remedy, retry_after=min(LONGEST_RETRY, seconds))

    def n_ahead(self, job: Job) -> int:
        """Jobs that come first; 0 if it has begun."""
        with self._condition:
            return self._waiting.index(job) if job in self._waiting else 0

    def leave(self, job: Job) -> None:
        """Cancel a job, whether it has begun or not."""
        with self._condition:
            if job in self._waiting:
                self._waiting.remove(job)
        job.cancel()

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            begin = time.perf_counter()
            try:
                job.run(self._classifier)
            finally:
                self._finish(job, time.perf_counter() - begin)

    def _next(self) -> Job | None:
        """The next job that may begin; None when the line is closed."""
        with self._condition:
            while self._is_open:
                job = next((each for each in self._waiting if self._may_begin(each)), None)
                if job is not None:
                    self._waiting.remove(job)
                    self._running.append(job)
                    return job
                self._condition.wait()
            return None

    def _may_begin(self, job: Job) -> bool:
        n_long = sum(self._is_long(each) for each in self._running)
        return not self._is_long(job) or n_long < max(1, self._limits.n_workers - 1)

    def _is_long(self, job: Job) -> bool:
        return job.duration > self._limits.long

    def _finish(self, job: Job, seconds: float) -> None:
        with self._condition:
            self._running.remove(job)
            self._mean_time += SMOOTHING * (seconds - self._mean_time)
            self._condition.notify_all()
        if job.status == Status.FAILED:
            log.warning("a job of %d recordings failed", len(job.sounds))
