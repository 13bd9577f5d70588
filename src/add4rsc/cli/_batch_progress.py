"""What a person sees of a batch while it runs: files done, audio-hours per hour, and time left."""

import sys
import time
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from add4rsc.inference.journal import Entry

SECONDS_BETWEEN_LINES = 30.0
"""Where there is no terminal, one line in so many seconds."""


class BatchProgress:
    """A bar on a terminal, a line now and then elsewhere; both on standard error."""

    def __init__(self, n_files: int) -> None:
        self._n_files = n_files
        self._n_done, self._seconds = 0, 0.0
        self._began = self._last_line = time.monotonic()
        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("files"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]:.0f} audio-hours per hour, left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("files", total=n_files, speed=0.0)

    def __enter__(self) -> "BatchProgress":
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self._bar.stop()

    def __call__(self, entry: "Entry") -> None:
        """Count a file."""
        self._n_done += 1
        self._seconds += entry.result.duration if entry.result is not None else 0.0
        now = time.monotonic()
        speed = self._seconds / max(now - self._began, 1e-6)
        self._bar.update(self._task, advance=1, speed=speed)
        if self._bar.disable and now - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = timedelta(seconds=round((now - self._began) / self._n_done * (self._n_files - self._n_done)))
            self._console.print(
                f"{self._n_done} of {self._n_files} files, {speed:.0f} audio-hours per hour, {left} left"
            )
