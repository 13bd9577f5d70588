"""What the published 65.53 is: ADD4RSC, its baselines and Patch-Mix CL on ICBHI 2017 under three protocols.

Usage: python reproduction/reproduce.py --data-folder FOLDER [--ast CHECKPOINT] [--out FOLDER] [--seeds 1,2,3,4,5]
       [--shard I/N] [--devices N] [--small] [--only SYSTEM,...]

Every run is a folder of its own: one that is finished is kept, one that was killed goes on. On several GPUs, start one
process a GPU (CUDA_VISIBLE_DEVICES=0 ... --shard 1/4), each with its share of the runs; whoever comes last, or a call
with --table, writes the table of all that is there.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from add4rsc.engine.run import RunSettings, train
from add4rsc.errors import WrongUsageError
from add4rsc.methods import recipes
from add4rsc.metrics.evaluation import evaluate
from add4rsc.predictions import read_predictions
from add4rsc.recipe import Recipe, change_recipe
from add4rsc.storage import write_text
from add4rsc.terms import RESEARCH_USE_ONLY

SYSTEMS = {
    "ADD4RSC (AST)": "add4rsc/ast-released-2025-02",
    "ADD4RSC (ResNet-50)": "add4rsc/resnet50-released-2025-02",
    "AST fine-tuning": "fine_tuning/ast-as-released",
    "ResNet-50 fine-tuning": "fine_tuning/resnet50",
    "Patch-Mix CL": "patch_mix_cl/ast-as-released",
}
"""The code that the paper's numbers came from, where it was released."""

SMALL = {
    "ADD4RSC (AST)": "add4rsc/ast-small",
    "ADD4RSC (ResNet-50)": "add4rsc/small_cnn",
    "ResNet-50 fine-tuning": "fine_tuning/small_cnn",
}
"""The same three protocols on networks that a CPU trains in minutes: to try the kit, not to reproduce anything."""

PROTOCOLS: dict[str, dict[str, Any]] = {
    "official + validation": {
        "split": "icbhi2017/official", "selection": "validation", "validation_share": 0.2,
    },
    "official + test-chosen epoch": {
        "split": "icbhi2017/official", "selection": "test", "validation_share": 0.0,
    },
    "random-file-seed1 + test-chosen epoch": {
        "split": "icbhi2017/random-file-seed1", "selection": "test", "validation_share": 0.0,
    },
}  # fmt: skip
"""From what can be trusted to what the released code does; only the first keeps test patients out of every choice."""

MEASURES = ("specificity", "sensitivity", "score")


@dataclass(frozen=True)
class Job:
    """One training run."""

    protocol: str
    system: str
    recipe: Recipe
    seed: int

    def folder(self, out: Path) -> Path:
        """Where it is kept."""
        return out / _slug(self.protocol) / _slug(self.system) / f"seed-{self.seed}"


def _slug(name: str) -> str:
    return "-".join("".join(each if each.isalnum() else " " for each in name.lower()).split())


def list_jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """Every run, seed by seed, so that the first seed of everything comes first."""
    systems = SMALL if arguments.small else SYSTEMS
    for seed in arguments.seeds:
        for protocol, changes in PROTOCOLS.items():
            for system, name in systems.items():
                if name in recipes.names() and (not arguments.only or system in arguments.only):
                    yield Job(protocol, system, make_recipe(name, changes, arguments), seed)


def make_recipe(name: str, changes: dict[str, Any], arguments: argparse.Namespace) -> Recipe:
    """A recipe under a protocol, with the pretrained weights at hand."""
    recipe = change_recipe(recipes.get(name)(), {"dataset": "icbhi2017", "task": "cycle-4", **changes})
    if arguments.ast is not None and recipe.backbone == "ast" and recipe.weights is not None:
        recipe = change_recipe(recipe, {"weights": str(arguments.ast)})
    return recipe if arguments.epochs is None else change_recipe(recipe, {"epochs": arguments.epochs})


def write_table(jobs: list[Job], out: Path) -> str:
    """Mean and spread over the seeds that are finished, beside what was published; as CSV and as Markdown."""
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    reported = {job.system: job.recipe.reported for job in jobs}
    for job in jobs:
        table = job.folder(out) / "predictions.csv"
        if table.exists():
            rows.setdefault((job.system, job.protocol), []).append(evaluate(read_predictions(table)))
    lines = ["| system | protocol | seeds | Sp | Se | Score | printed in the paper |", "|---|---|---|---|---|---|---|"]
    records = []
    for (system, protocol), results in rows.items():
        values = pd.DataFrame([{name: 100 * result[name] for name in MEASURES} for result in results])
        cells = [_spread(values[name]) for name in MEASURES]
        paper = reported[system]
        printed = "-" if paper is None else " / ".join(f"{100 * getattr(paper, name):.2f}" for name in MEASURES)
        lines.append(f"| {system} | {protocol} | {len(results)} | {' | '.join(cells)} | {printed} |")
        spread = {f"{name}_{of}": getattr(values[name], of)() for name in MEASURES for of in ("mean", "std")}
        complete = all(result["is_official"] for result in results)
        records.append({"system": system, "protocol": protocol, "seeds": len(results), **spread, "complete": complete})
    note = "Percent, mean ± sd over seeds. " + (
        "" if all(record["complete"] or "random" in record["protocol"] for record in records)
        else "Not the complete official test: not to be set beside published scores. "
    ) + RESEARCH_USE_ONLY  # fmt: skip
    text = "\n".join([*lines, "", note, ""])
    write_text(out / "table.csv", pd.DataFrame(records).to_csv(index=False))
    write_text(out / "table.md", text)
    return text


def _spread(values: pd.Series) -> str:
    return f"{values.mean():.2f}" + (f" ± {values.std():.2f}" if len(values) > 1 else "")


def run(arguments: argparse.Namespace) -> str:
    """Train what is missing of this process' share; returns the table of everything that is finished.

    Raises:
        WrongUsageError: if nothing is left to train by the names given.
    """
    jobs = list(list_jobs(arguments))
    if not jobs:
        raise WrongUsageError(f"No system is named so. Known: {', '.join(SMALL if arguments.small else SYSTEMS)}.")
    index, n_shards = arguments.shard
    for job in [] if arguments.table else jobs[index - 1 :: n_shards]:
        settings = RunSettings(
            arguments.data_folder,
            job.folder(arguments.out),
            arguments.devices,
            n_workers=arguments.workers,
            resume=True,
        )
        train(job.recipe, [job.seed], settings)
    return write_table(jobs, arguments.out)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.replace("/", ",").split(","))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-folder", type=Path, required=True, help="the full ICBHI 2017 database")
    parser.add_argument("--ast", type=Path, help="audioset_10_10_0.4593.pth; default: as imported into the cache")
    parser.add_argument("--out", type=Path, default=Path("runs/reproduction"))
    parser.add_argument("--seeds", type=_numbers, default=(1, 2, 3, 4, 5))
    parser.add_argument("--shard", type=_numbers, default=(1, 1), metavar="I/N")
    parser.add_argument("--devices", type=int, default=1, help="processes that share each run")
    parser.add_argument("--workers", type=int, default=0, help="further processes that load batches")
    parser.add_argument("--only", type=lambda text: text.split(","), default=(), help="systems, by comma")
    parser.add_argument("--epochs", type=int, help="fewer than the recipes': for a trial")
    parser.add_argument("--small", action="store_true", help="small networks: tries the kit on a CPU")
    parser.add_argument("--table", action="store_true", help="train nothing, write the table")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    import sys

    sys.stdout.write(run(parse()))
