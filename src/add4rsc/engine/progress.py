"""What a person sees of a run: a bar with loss, learning rate and time left, and one line an epoch."""

import sys
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False)


class TrainingProgress:
    """A bar over all steps of a run on a terminal, and one line an epoch anywhere. Silent unless `shown`."""

    def __init__(self, n_steps: int, *, done: int = 0, shown: bool = True) -> None:
        self._shown = shown
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f}  lr {task.fields[learning_rate]:.2e}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not (shown and sys.stderr.isatty()),
        )
        self._steps = self._bar.add_task(
            "training", total=n_steps, completed=done, loss=float("nan"), learning_rate=0.0
        )

    def __enter__(self) -> "TrainingProgress":
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self._bar.stop()

    def step(self, epoch: int, loss: float, learning_rate: float) -> None:
        """Count one step."""
        self._bar.update(self._steps, advance=1, loss=loss, learning_rate=learning_rate, description=f"epoch {epoch}")

    def line(self, text: str) -> None:
        """Print a line above the bar."""
        if self._shown:
            console.print(text)


def counting_line(what: str) -> Callable[[int, int], None]:
    """A callback (done, in all) that keeps a bar of `what` on a terminal and prints one line at the end elsewhere."""
    bar = Progress(
        TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console,
        disable=not sys.stderr.isatty(), transient=True,
    )  # fmt: skip
    task = bar.add_task(what, total=None)

    def show(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)
        if done == total:
            bar.stop()
            console.print(f"{what}: {total}")

    return show
