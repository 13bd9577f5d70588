"""Measure what each form of the ADD layer costs in front of mn04, as ratios to the network alone, within one run.

Usage: python benchmarks/forms.py [--repeats N] [--out results/benchmarks/forms.json]

Forms and settings are those of results/experiments.py on SPRSound: 2 s of sound, 76 bands, 32 cycles a training step.
One thread; seconds are of the processor's time, the least of some repeats, in which the forms take turns.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from add4rsc.engine.model import build_method, resolve_front_end
from add4rsc.engine.provenance import describe_environment
from add4rsc.methods import recipes
from add4rsc.methods._base import AbstractMethod, Batch
from add4rsc.recipe import change_recipe
from add4rsc.storage import write_json

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "results"))

from experiments import FORMS, GAIN, SPRSOUND, Form  # noqa: E402

BATCH_SIZE, N_CLASSES = 32, 7
MEASURED = FORMS | {"gain": GAIN}


class Subject:
    """A network with one form in front, and inputs for it."""

    def __init__(self, form: Form) -> None:
        recipe = change_recipe(recipes.get(form.recipe)(), SPRSOUND | form.changes)
        front_end = resolve_front_end(recipe)
        n_frames = front_end.n_frames(recipe.crop.n_samples(front_end.sample_rate))
        torch.manual_seed(0)
        self.network: AbstractMethod = build_method(recipe, N_CLASSES, pretrained=False)
        self.frames = torch.randn(BATCH_SIZE, n_frames, front_end.n_bands)
        self.labels = torch.randint(N_CLASSES, (BATCH_SIZE,))
        self.generator = torch.Generator().manual_seed(0)

    def learn(self) -> None:
        """Losses of a batch, and their gradients."""
        self.network.train()
        terms = self.network.losses(Batch(self.frames, self.labels), self.generator)
        torch.stack([term.mean() for term in terms.values()]).sum().backward()
        self.network.zero_grad()

    def judge(self) -> None:
        """The logits of one cycle."""
        self.network.eval()
        with torch.inference_mode():
            self.network(self.frames[:1])


def least_seconds(actions: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """The least processor time of each action; all take their turn before any is repeated."""
    least = dict.fromkeys(actions, float("inf"))
    for _ in range(repeats + 1):
        for name, action in actions.items():
            began = time.process_time()
            action()
            least[name] = min(least[name], time.process_time() - began)
    return least


def measure(repeats: int) -> list[dict[str, Any]]:
    """One row a form: parameters, and both costs with their ratios to the network alone."""
    torch.set_num_threads(1)
    subjects = {name: Subject(form) for name, form in MEASURED.items()}
    step = least_seconds({name: each.learn for name, each in subjects.items()}, repeats)
    cycle = least_seconds({name: each.judge for name, each in subjects.items()}, 10 * repeats)
    return [
        {
            "form": name,
            "n_parameters": sum(parameter.numel() for parameter in each.network.parameters()),
            "step_seconds": step[name],
            "step_ratio": step[name] / step["plain"],
            "cycle_seconds": cycle[name],
            "cycle_ratio": cycle[name] / cycle["plain"],
        }
        for name, each in subjects.items()
    ]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "benchmarks" / "forms.json")
    arguments = parser.parse_args()
    rows = measure(arguments.repeats)
    write_json(arguments.out, {"environment": describe_environment(), "rows": rows})
    for row in rows:
        sys.stdout.write(
            f"{row['form']:10} {row['n_parameters']:>9,} parameters, a step x {row['step_ratio']:.2f}, "
            f"a cycle x {row['cycle_ratio']:.2f}\n"
        )


if __name__ == "__main__":
    main()
