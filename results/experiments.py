"""Train what docs/denoising.md tells of: one list, which can be stopped and goes on.

Usage: python results/experiments.py --sprsound FOLDER --icbhi FOLDER [--only GROUP/NAME,...] [--shard I/N] [--out RUNS]

Every seed of every experiment is a run folder, RUNS/GROUP/NAME/seed-N; finished ones are kept, a killed one goes on
from its last epoch. Runs come in the order of the list, the first seed of everything in a group before the second.
What is of a corpus whose folder is not given is left out. `--list` prints the names. What a group is for is said where
it is made.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from add4rsc.audio.frontend import FrontEnd
from add4rsc.backbones import backbones
from add4rsc.engine.run import RunSettings, train
from add4rsc.methods import recipes
from add4rsc.methods._robust import HIGHEST_FREQUENCY
from add4rsc.recipe import change_recipe

Corpus = Literal["sprsound", "icbhi"]


@dataclass(frozen=True)
class Experiment:
    """A network that is trained from several seeds."""

    group: str
    name: str
    recipe: str
    changes: dict[str, Any]
    seeds: tuple[int, ...] = (1, 2)
    corpus: Corpus = "sprsound"
    joined: bool = False
    """Train on the training patients of the other corpus too."""
    teacher: str = ""
    """GROUP/NAME of the runs whose answers are learnt beside the labels."""
    start: str = ""
    """GROUP/NAME of the runs whose networks this training starts from, each from that of its own seed."""
    in_folds: bool = False
    """Every seed holds back other patients to choose its epoch by: together the seeds are a cross-validation."""

    @property
    def path(self) -> str:
        """GROUP/NAME."""
        return f"{self.group}/{self.name}"

    def changes_of(self, seed: int, out: Path) -> dict[str, Any]:
        """What one seed changes in the recipe, where all runs are in a folder."""
        folds = {"validation_seed": seed - 1} if self.in_folds else {}
        taught = {"options.teacher": str(out / self.teacher)} if self.teacher else {}
        start = {"start_from": str(out / self.start / f"seed-{seed}")} if self.start else {}
        return self.changes | folds | taught | start


@dataclass(frozen=True)
class Form:
    """A form of the ADD layer, or none, as settings of a recipe."""

    recipe: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def changes(self) -> dict[str, Any]:
        """What the form changes in its recipe."""
        return {"options": self.options} if self.options else {}


HEADS = {"n_heads": 4}
BLOCKS = HEADS | {"n_blocks": 4}
"""76 bands divide into 4 blocks of 19."""
PLAIN, MN04, ADD_MN04 = "fine_tuning/mn04-robust", "fine_tuning/mn04-small", "add4rsc/mn04-small"
FORMS = {
    "plain": Form(PLAIN),
    "fixed": Form("add4rsc/mn04-robust", {"preset": "fixed", "add": HEADS}),
    "paper": Form("add4rsc/mn04-robust", {"preset": "paper", "add": HEADS}),
    "released": Form("add4rsc/mn04-robust", {"preset": "released-2025-08", "add": BLOCKS}),
    "filter": Form(
        "add4rsc/mn04-robust", {"preset": "fixed", "add": HEADS | {"use_attention": False, "loss_beta": 0.0}}
    ),
    "attention": Form(
        "add4rsc/mn04-robust", {"preset": "fixed", "add": HEADS | {"use_filter": False, "loss_beta": 0.0}}
    ),
    "no-loss": Form("add4rsc/mn04-robust", {"preset": "fixed", "add": HEADS | {"loss_beta": 0.0}}),
}
"""Plain fine-tuning, and what stands in front of the same network."""

GAIN = Form(
    "add4rsc/mn04-robust",
    {
        "preset": "fixed",
        "add": {"filter_form": "gain", "use_attention": False, "second_filter": "none", "loss_beta": 0.0},
        "consistency": 1.0,
        "denoising": 1.0,
    },
)
"""In place of the layer a gain for each band and frame, which learns from twins what noise is."""

SHORT: dict[str, Any] = {
    "crop.duration": 2.0,
    "drop_last": True,
    "averaging.kind": "ema",
    "averaging.decay": 0.99,
    "response.probability": 0.3,
}
"""Cycles of 2 s, an average of the weights, and other stethoscopes for a third of the training cycles."""
SPRSOUND = SHORT | {"task": "task-1-2", "epochs": 4}
NOISY = {"noise.probability": 0.7}
CLEAN = {"noise.probability": 0.0}
FEWER = {"noise.probability": 0.4}
HALF = {"noise.probability": 0.5}
NOISIER = NOISY | {"noise.lowest_snr_db": -10.0}
TWINS = NOISY | {"noise.twin": True}
"""Each noisy cycle beside itself without noise: what the abstract of ADD4RSC calls comparisons of augmented samples."""
SMOOTHED: dict[str, Any] = {"options.teacher_smoothing": 0.4}
"""A teacher that has heard the other events of the recording."""
FOLDS: dict[str, Any] = {"task": "task-1-2", "epochs": 6, "averaging.kind": "ema", "averaging.decay": 0.99}
"""Every event as it was recorded, on all of the network's bands, with half as many epochs again as the benchmark."""
ICBHI: dict[str, Any] = SHORT | {"task": "cycle-4", "epochs": 6}
"""A quarter of SPRSound's cycles, seen more often."""
MN04_FRONT_END = backbones.get("mn04").front_end()
BELOW_2000: dict[str, Any] = {"front_end": MN04_FRONT_END.below(2000.0).model_dump()}
"""What every stethoscope of the corpus passes."""
COLOURED = {"response.probability": 1.0, "response.colour_db": 12.0}
"""Every training cycle through another stethoscope."""
BOXED: dict[str, Any] = {"task": "cycle-4", "drop_last": True, "averaging.kind": "ema", "averaging.decay": 0.99}
"""For the model in the box: 3 s, 6 epochs, noise and other stethoscopes in most of the cycles of two corpora."""


def louder(gain_db: float, front_end: FrontEnd = MN04_FRONT_END) -> dict[str, Any]:
    """A front-end as if every recording had a gain; most bands of SPRSound's faint ones lie below mn04's offset."""
    return {"front_end": front_end.louder(gain_db).model_dump()}


LOUDER_BELOW_4000 = louder(20.0, MN04_FRONT_END.below(HIGHEST_FREQUENCY))
RECORDINGS: dict[str, Any] = FOLDS | {"task": "task-2-2", "epochs": 10, "crop.duration": 9.2, "crop.windows": "mean"}
"""Whole recordings, of which most last 9.2 s; the others, of 15.4 s, are heard in windows."""
LEVERS: dict[str, dict[str, Any]] = {
    "co-tuning": {
        "name": "co_tuning/mn04-small",
        "method": "co_tuning",
        "backbone_options": {"source_head": True},
    },
    "splice": {"name": "splice/mn04-small", "method": "splice"},
    "unweighted": {"class_weights": "none"},
    "louder-35": louder(35.0),
}
"""What might bring the folds further: AudioSet's tags as a second task, spliced cycles, no weights for the classes, and
more of what `louder` does."""
FINER, FINEST = (louder(20.0, MN04_FRONT_END.model_copy(update={"frame_shift_ms": shift})) for shift in (5.0, 2.5))
"""A frame every 5 or every 2.5 ms in place of 10, beside the gain."""
LOUDER_LEVERS: dict[str, dict[str, Any]] = {
    "zoomed": louder(20.0, MN04_FRONT_END.model_copy(update={"f_max": 4000.0, "n_fft": 2048})),
    "short-masks": louder(20.0) | {"augmentation.max_time_mask": 10},
    "finer-windows": louder(20.0, MN04_FRONT_END.model_copy(update={"frame_shift_ms": 5.0, "frame_length_ms": 12.5})),
}
"""What might bring `louder` further."""
CLAIMED, SCREENED = (1, 2, 3, 4, 5), (1, 2)


def list_experiments() -> list[Experiment]:
    """All of them, in the order in which they are worth their time.

    `sprsound-again` trains what is listed elsewhere once more: only trainings of one kind of processor are compared.
    """
    others = [name for name in FORMS if name not in ("plain", "fixed")]
    return [
        Experiment("sprsound-folds", "plain", MN04, FOLDS, CLAIMED, in_folds=True),
        Experiment("sprsound-folds", "louder", MN04, FOLDS | louder(20.0), CLAIMED, in_folds=True),
        Experiment("sprsound-folds", "finer", MN04, FOLDS | FINER, CLAIMED, in_folds=True),
        Experiment("sprsound-folds", "finest", MN04, FOLDS | FINEST, CLAIMED, in_folds=True),
        Experiment("sprsound-recordings", "louder", MN04, RECORDINGS | louder(20.0), CLAIMED, in_folds=True),
        Experiment(
            "sprsound-recordings",
            "taught",
            MN04,
            RECORDINGS | LOUDER_BELOW_4000,
            CLAIMED,
            teacher="sprsound-recordings/louder",
            in_folds=True,
        ),
        Experiment(
            "sprsound-recordings",
            "again",
            MN04,
            RECORDINGS | LOUDER_BELOW_4000 | {"epochs": 6},
            CLAIMED,
            teacher="sprsound-recordings/taught",
            in_folds=True,
        ),
        Experiment("sprsound-folds", "noisy", MN04, FOLDS | HALF, SCREENED, in_folds=True),
        Experiment("sprsound-folds", "noisier", MN04, FOLDS | NOISIER, (1,), in_folds=True),
        *(
            Experiment(group, name, MN04, FOLDS | each, in_folds=True)
            for group, levers in (("sprsound-levers", LEVERS), ("sprsound-louder-levers", LOUDER_LEVERS))
            for name, each in levers.items()
        ),
        *(replace(_form("joint", name, BOXED, (1, 2, 3)), joined=True) for name in ("plain", "filter")),
        Experiment("joint", "louder", PLAIN, BOXED | LOUDER_BELOW_4000, (1, 2, 3), joined=True),
        Experiment("joint", "taught", PLAIN, BOXED, CLAIMED, joined=True, teacher="sprsound-folds/plain"),
        _form("sprsound-noisy", "plain", SPRSOUND | NOISY, CLAIMED),
        _form("sprsound-noisy", "fixed", SPRSOUND | NOISY, CLAIMED),
        *(_form("sprsound-noisy", name, SPRSOUND | NOISY, SCREENED) for name in others),
        *(_form("sprsound-louder", name, SPRSOUND | NOISY | LOUDER_BELOW_4000, CLAIMED) for name in ("plain", "fixed")),
        *(_form("sprsound-again", name, SPRSOUND | NOISY, CLAIMED) for name in ("plain", "fixed", "attention")),
        Experiment("sprsound-again", "alone", MN04, FOLDS | NOISY, CLAIMED),
        *(_form("sprsound-longer", name, SPRSOUND | NOISY | {"epochs": 12}, SCREENED) for name in ("plain", "fixed")),
        Experiment("sprsound-taught", "folds", MN04, FOLDS | NOISY, CLAIMED, teacher="sprsound-folds/plain"),
        Experiment("sprsound-taught", "alone", MN04, FOLDS | NOISY, CLAIMED),
        Experiment(
            "sprsound-taught", "in-folds", MN04, FOLDS | NOISY, CLAIMED, teacher="sprsound-folds/plain", in_folds=True
        ),
        Experiment("sprsound-taught", "again", MN04, FOLDS | NOISY, teacher="sprsound-taught/in-folds", in_folds=True),
        Experiment(
            "sprsound-taught",
            "in-recordings",
            MN04,
            FOLDS | NOISY | SMOOTHED,
            teacher="sprsound-taught/in-folds",
            in_folds=True,
        ),
        Experiment(
            "sprsound-taught",
            "louder-in-folds",
            MN04,
            FOLDS | NOISY | louder(20.0),
            CLAIMED,
            teacher="sprsound-folds/louder",
            in_folds=True,
        ),
        Experiment(
            "sprsound-taught",
            "finer-in-folds",
            MN04,
            FOLDS | NOISY | FINER,
            CLAIMED,
            teacher="sprsound-folds/finer",
            in_folds=True,
        ),
        Experiment(
            "sprsound-taught", "fixed", ADD_MN04, FOLDS | NOISY | FORMS["fixed"].changes, teacher="sprsound-folds/plain"
        ),
        Experiment("sprsound-taught", "same", PLAIN, SPRSOUND | NOISY, (1,), teacher="sprsound-noisy/plain"),
        _form("sprsound-clean", "plain", SPRSOUND | CLEAN, SCREENED),
        Experiment("sprsound-twins", "plain", PLAIN, SPRSOUND | TWINS | {"options": {"consistency": 1.0}}, (1,)),
        Experiment("sprsound-twins", "gain", GAIN.recipe, SPRSOUND | TWINS | GAIN.changes, (1,)),
        *(_form("icbhi-noisy", name, ICBHI | NOISY, CLAIMED, "icbhi") for name in ("plain", "fixed")),
        *(_form("icbhi-noisy", name, ICBHI | NOISY, SCREENED, "icbhi") for name in others),
        Experiment("icbhi-started", "joint-taught", PLAIN, BOXED, CLAIMED, "icbhi", start="joint/taught"),
        Experiment("icbhi-bands", "below-2000", PLAIN, ICBHI | NOISY | BELOW_2000, SCREENED, "icbhi"),
        Experiment("icbhi-bands", "coloured", PLAIN, ICBHI | NOISY | BELOW_2000 | COLOURED, SCREENED, "icbhi"),
        Experiment("sprsound-probes", "less-noise", PLAIN, SPRSOUND | FEWER, (1,)),
        Experiment("sprsound-probes", "levelled", PLAIN, SPRSOUND | FEWER | {"front_end.level": 0.1}, (1,)),
    ]


def _form(
    group: str,
    name: str,
    changes: dict[str, Any],
    seeds: tuple[int, ...],
    corpus: Corpus = "sprsound",
) -> Experiment:
    form = FORMS[name]
    return Experiment(group, name, form.recipe, changes | form.changes, seeds, corpus)


def list_runs(arguments: argparse.Namespace) -> Iterator[tuple[Experiment, int]]:
    """Every run of what was asked for: group by group, seed by seed."""
    at_hand = [each for each in list_experiments() if all(folders_of(each, arguments))]
    asked = [each for each in at_hand if not arguments.only or each.path in arguments.only]
    for group in dict.fromkeys(each.group for each in asked):
        members = [each for each in asked if each.group == group]
        for seed in sorted({seed for each in members for seed in each.seeds}):
            if not arguments.seeds or seed in arguments.seeds:
                yield from ((each, seed) for each in members if seed in each.seeds)


def check_seeds(arguments: argparse.Namespace) -> None:
    """Stop where a seed was asked for that nothing lists, instead of training nothing.

    Raises:
        SystemExit: No experiment of `--only`, or of all, has one of `--seeds`.
    """
    asked = [each for each in list_experiments() if not arguments.only or each.path in arguments.only]
    missing = set(arguments.seeds) - {seed for each in asked for seed in each.seeds}
    if missing:
        raise SystemExit(f"No experiment asked for has seed {min(missing)}: --list prints the seeds of each.")


def folders_of(experiment: Experiment, arguments: argparse.Namespace) -> tuple[Path | None, ...]:
    """Where its corpus is, and the other one if that joins; None for what was not given."""
    other: Corpus = "icbhi" if experiment.corpus == "sprsound" else "sprsound"
    names = (experiment.corpus, other) if experiment.joined else (experiment.corpus,)
    return tuple(getattr(arguments, name) for name in names)


def run(experiment: Experiment, seed: int, arguments: argparse.Namespace) -> None:
    """Train one seed, or go on with it; nothing where it is finished."""
    own, *others = filter(None, folders_of(experiment, arguments))
    folder = arguments.out / experiment.path / f"seed-{seed}"
    settings = RunSettings(own, folder, accelerator="cpu", resume=True, more_data=tuple(others))
    train(
        change_recipe(recipes.get(experiment.recipe)(), experiment.changes_of(seed, arguments.out)), (seed,), settings
    )


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sprsound", type=Path, help="SPRSound 2022")
    parser.add_argument("--icbhi", type=Path, help="ICBHI 2017, or a part of it")
    parser.add_argument("--out", type=Path, default=Path("runs/experiments"))
    parser.add_argument("--only", type=lambda text: text.split(","), default=(), help="experiments, by comma")
    parser.add_argument("--seeds", type=lambda text: tuple(map(int, text.split(","))), default=(), help="these alone")
    parser.add_argument("--shard", type=lambda text: tuple(map(int, text.split("/"))), default=(1, 1), metavar="I/N")
    parser.add_argument("--list", action="store_true", help="print the names")
    return parser.parse_args(arguments)


def main() -> None:
    """Train this process' share of what is missing."""
    arguments = parse()
    if arguments.list:
        sys.stdout.writelines(f"{each.path} {each.recipe} seeds {each.seeds}\n" for each in list_experiments())
        return
    check_seeds(arguments)
    index, n_shards = arguments.shard
    for position, (experiment, seed) in enumerate(list_runs(arguments)):
        if position % n_shards == index - 1:
            run(experiment, seed, arguments)


if __name__ == "__main__":
    main()
