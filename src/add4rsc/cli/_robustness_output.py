"""What `add4rsc robustness` shows while it measures, writes and prints."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from add4rsc.cli._output import print_json, print_table
from add4rsc.errors import MissingExtraError
from add4rsc.metrics.evaluation import without_nan
from add4rsc.robustness.conditions import CLEAN, Condition, Grid
from add4rsc.robustness.results import difference_objects, difference_rows, score_objects, score_rows
from add4rsc.robustness.scoring import MeasuredRun, compare_cells, find_run, score_cells, tidy_table
from add4rsc.storage import write_text
from add4rsc.terms import RESEARCH_USE_ONLY

SECONDS_BETWEEN_LINES = 60.0


class ConditionProgress:
    """A bar over the conditions on a terminal, a line now and then elsewhere; both on standard error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("reading", total=None)
        self._last_line = time.monotonic()

    def __enter__(self) -> "ConditionProgress":
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self._bar.stop()

    def __call__(self, what: str, n_done: int, n_total: int) -> None:
        """Tell what comes next, and how many conditions are done."""
        self._bar.update(self._task, completed=n_done, total=n_total, description=what)
        now = time.monotonic()
        if self._bar.disable and (now - self._last_line > SECONDS_BETWEEN_LINES or n_done == n_total):
            self._last_line = now
            self._console.print(f"{n_done} of {n_total} conditions, {what}")


def tell(path: Path, against: Sequence[Path], grid: Grid, out: Path, *, as_json: bool) -> bool:
    """Write the tables and the figure, and print; whether something that was asked for is missing.

    Raises:
        RunFolderError: if nothing was measured in one of the folders.
        PredictionsError: if the runs were not tested on the same cycles.
    """
    runs = _with_short_names([find_run(each) for each in (path, *against)])
    first, *others = runs
    asked = [each for each in first.conditions if grid.asks_for(each)]
    missing = grid.unmet(asked)
    tables = [(run, score_cells(run, [each for each in run.conditions if grid.asks_for(each)])) for run in runs]
    rows = [row for run, scores in tables for row in score_rows(run.name, scores)]
    compared = []
    for other in others:
        shared = [each for each in asked if each in set(other.conditions)]
        lacking = [each for each in asked if each not in set(shared)]
        missing += [f"{len(lacking)} conditions of {other.name}, such as {lacking[0]}"] if lacking else []
        compared.append((other, compare_cells(first, other, shared)))
    differences = [row for other, cells in compared for row in difference_rows(first.name, other.name, cells)]
    files = _write(out, tidy_table(first), rows, differences)
    if as_json:
        found = _as_object(first, asked) | {
            "scores": score_objects(tables[0][1]),
            "differences": [_against(first, other) | {"cells": difference_objects(each)} for other, each in compared],
            "missing": missing,
            "files": [str(file) for file in files],
        }
        print_json(without_nan(found))
    else:
        _print(first, score_objects(tables[0][1]), [(o, difference_objects(each)) for o, each in compared])
        typer.echo("".join(f"Missing: {each}.\n" for each in missing) + f"Written: {', '.join(map(str, files))}.")
        typer.echo(RESEARCH_USE_ONLY)
    return bool(missing)


def _with_short_names(runs: Sequence[MeasuredRun]) -> list[MeasuredRun]:
    """The same runs, named by what their paths do not share."""
    names = [run.name for run in runs]
    common = os.path.commonpath([os.path.dirname(name) for name in names])  # noqa: PTH120
    return [replace(run, name=os.path.relpath(run.name, common) if common else run.name) for run in runs]


def _write(
    out: Path, tidy: pd.DataFrame, rows: Sequence[dict[str, Any]], differences: Sequence[dict[str, Any]]
) -> list[Path]:
    """Write every table and the figure; the figure is left out where matplotlib is not installed."""
    tables = {"robustness.csv": tidy, "summary.csv": pd.DataFrame(rows)}
    tables |= {"differences.csv": pd.DataFrame(differences)} if differences else {}
    for name, table in tables.items():
        write_text(out / name, table.to_csv(index=False))
    files = [out / name for name in tables]
    try:
        from add4rsc.report.robustness import draw_robustness, save_robustness
    except MissingExtraError as error:
        typer.echo(f"No figure: {error}", err=True)
        return files
    return files + save_robustness(draw_robustness(rows), out / "robustness")


def _as_object(run: MeasuredRun, asked: Sequence[Condition]) -> dict[str, Any]:
    settings = run.first.settings
    return {
        "run": run.name,
        **settings.model_dump(exclude={"format", "noise"}),
        "classes": list(settings.classes),
        "n_cycles": len(run.first.cycles),
        "n_patients": int(run.first.cycles["patient"].nunique()),
        "training_seeds": list(run.of_seed),
        "noise_seeds": sorted({each.noise_seed for each in asked if each.noise_seed}),
        "n_conditions": len(asked),
    }


def _against(first: MeasuredRun, other: MeasuredRun) -> dict[str, Any]:
    return {"against": other.name, "same_waveforms": _same_waveforms(first, other)}


def _same_waveforms(first: MeasuredRun, other: MeasuredRun) -> bool:
    """Whether both heard the very same noise; at another sample rate it is drawn anew."""
    settings, others = first.first.settings, other.first.settings
    return (settings.sample_rate, settings.noise_band) == (others.sample_rate, others.noise_band)


def _print(
    run: MeasuredRun, scores: list[dict[str, Any]], compared: list[tuple[MeasuredRun, list[dict[str, Any]]]]
) -> None:
    is_sprsound = "sprsound_score" in run.measures
    rows = [
        [
            *_place(each),
            *(_number(each[name]) for name in ("specificity", "sensitivity", "score")),
            _range(each["intervals"]["score"]),
            *([_number(each["sprsound_score"])] if is_sprsound else []),
        ]
        for each in scores
    ]
    settings = run.first.settings
    seeds = f", mean of {len(run.of_seed)} training seeds" if len(run.of_seed) > 1 else ""
    title = f"{run.name}: {settings.recipe} on {settings.split}, {settings.task}, {len(run.first.cycles)} cycles{seeds}"
    columns = ["corruption", "class", "level", "Sp", "Se", "Score", "95 % interval over patients"]
    print_table(title, columns + (["SPRSound Score"] if is_sprsound else []), rows)
    for other, cells in compared:
        _print_differences(run, other, cells)


def _print_differences(first: MeasuredRun, other: MeasuredRun, cells: list[dict[str, Any]]) -> None:
    rows = []
    for each in cells:
        score = each["scores"]["score"]
        values = [_number(score[key]) for key in ("first", "second")]
        gain = f"{score['difference']:+.4f}"
        rows.append([*_place(each), *values, gain, _range(score["interval"]), _number(score["p_permutation"])])
    columns = ["corruption", "class", "level", "A", "B", "B - A", "95 % interval over patients", "p (permutation)"]
    print_table(f"Score. A: {first.name}   B: {other.name}", columns, rows)
    if not _same_waveforms(first, other):
        typer.echo("The two differ in sample rate or noise band: their noisy cycles are alike, not the same.")


def _place(cell: dict[str, Any]) -> list[str]:
    if cell["corruption"] == CLEAN:
        return [CLEAN, "", ""]
    level = f"{cell['level']:g} {cell['unit']}" if cell["quantity"] == "level" else cell["quantity"]
    return [cell["corruption"], cell["noise_class"], level]


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.4f}"


def _range(pair: list[float]) -> str:
    return f"{_number(pair[0])} to {_number(pair[1])}"
