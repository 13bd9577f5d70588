"""Many recipes under one protocol: the same cycles, the same rule of selection, the same seeds."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from add4rsc.audio.frontend import LogMelFilterBank
from add4rsc.engine.folder import SUMMARY
from add4rsc.engine.loading import TrainedRun, load_run
from add4rsc.engine.run import RunSettings, train
from add4rsc.errors import Add4rscError
from add4rsc.methods import recipes
from add4rsc.protocol.selection import Selection
from add4rsc.recipe import Recipe
from add4rsc.storage import write_json

ENTRY = "entry.json"
N_TIMED = 20
"""Cycles whose time is taken, one by one."""
SMALL = "-small"
"""End of the names of recipes that are made for two processors and no downloads."""


@dataclass(frozen=True)
class Protocol:
    """What all rows of a benchmark share, whatever their recipes say."""

    seeds: tuple[int, ...]
    split: str | None = None
    """None is the corpus' first split."""
    task: str | None = None
    """None is the corpus' first task."""
    validation_share: float = 0.2
    validation_seed: int = 0

    def apply(self, recipe: Recipe) -> Recipe:
        """The recipe under this protocol: patients kept back choose the epoch, and nothing else is looked at."""
        changes: dict[str, Any] = {
            "split": self.split,
            "task": self.task,
            "validation_share": self.validation_share,
            "validation_seed": self.validation_seed,
            "selection": Selection.VALIDATION,
            "also_select": (),
            "least_sensitivity": None,
        }
        return recipe.model_copy(update=changes)


@dataclass(frozen=True)
class Entry:
    """One row: a recipe, where its runs are, and what they cost; or the problem that stopped it."""

    recipe: str
    method: str
    folder: str
    n_parameters: int | None = None
    n_learning: int | None = None
    """Parameters that training changes."""
    training_seconds: float | None = None
    """Mean over the seeds of the time of all epochs, on the machine that `run.json` describes."""
    latency: float | None = None
    """Seconds from a cycle's waveform to its probabilities: one cycle, one processor, the median of many."""
    deviations: tuple[str, ...] = ()
    reported_score: float | None = None
    problem: str = ""


def choose_recipes(names: Sequence[str]) -> list[Recipe]:
    """Recipes by their own names, or by methods': then the one that is made for small machines.

    Without names, every method's.

    Raises:
        UnknownNameError: if a name is neither.
    """
    return [recipes.get(_row_of(name))() for name in names or _methods_with_recipes()]


def _methods_with_recipes() -> list[str]:
    return list(dict.fromkeys(name.split("/")[0] for name in recipes.names()))


def _row_of(name: str) -> str:
    """The recipe of a method: a small one, on the AST or else on mn04; else one on mn04, else its first."""
    own = [each for each in recipes.names() if each.split("/")[0] == name]
    small = [each for each in own if each.endswith(SMALL)] or [each for each in own if each.endswith("/mn04")]
    return min(small or own[:1] or [name], key=lambda each: ("/ast" not in each, "/mn04" not in each, len(each)))


def run_benchmark(
    chosen: Sequence[Recipe], protocol: Protocol, settings: RunSettings, tell: Callable[[str], None]
) -> list[Entry]:
    """Train every recipe that is not finished; a row that fails does not stop the others.

    Args:
        chosen: the rows.
        protocol: what they share.
        settings: where the data are; `run_folder` gets one folder a recipe.
        tell: called with a line before every row.
    """
    entries = []
    for number, recipe in enumerate(chosen, start=1):
        tell(f"[{number}/{len(chosen)}] {recipe.name}")
        folder = settings.run_folder / recipe.name.replace("/", "-")
        if settings.overwrite:
            (folder / ENTRY).unlink(missing_ok=True)
        try:
            train(
                protocol.apply(recipe),
                protocol.seeds,
                replace(settings, run_folder=folder, resume=not settings.overwrite),
            )
            entries.append(_entry(recipe, folder))
        except Add4rscError as error:
            tell(f"{recipe.name} failed: {error}")
            entries.append(Entry(recipe.name, recipe.method, str(folder), problem=str(error)))
    return entries


def _entry(recipe: Recipe, folder: Path) -> Entry:
    """What a finished row cost; measured once, and kept beside it."""
    kept = folder / ENTRY
    if kept.exists():
        values = json.loads(kept.read_text())
        return Entry(**values | {"folder": str(folder), "deviations": tuple(values["deviations"])})
    runs = [folder] if (folder / "history.csv").exists() else sorted(folder.glob("seed-*"))
    seconds = [float(pd.read_csv(run / "history.csv")["seconds"].sum()) for run in runs if (run / SUMMARY).exists()]
    trained = load_run(runs[0])
    weights = list(trained.network.parameters())
    entry = Entry(
        recipe.name,
        recipe.method,
        str(folder),
        sum(weight.numel() for weight in weights),
        sum(weight.numel() for weight in weights if weight.requires_grad),
        statistics.mean(seconds),
        measure_latency(trained),
        recipe.deviations,
        None if recipe.reported is None else recipe.reported.score,
    )
    write_json(kept, asdict(entry))
    return entry


def measure_latency(run: TrainedRun) -> float:
    """Median seconds from one cycle's waveform to its probabilities, front-end included, on one processor."""
    filter_bank, n_threads = LogMelFilterBank(run.front_end), torch.get_num_threads()
    waveform = torch.randn(
        1, run.recipe.crop.n_samples(run.front_end.sample_rate), generator=torch.Generator().manual_seed(0)
    )
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return statistics.median(
                _seconds(lambda: run.network(filter_bank(0.1 * waveform)).softmax(dim=1)) for _ in range(N_TIMED)
            )
    finally:
        torch.set_num_threads(n_threads)


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
