"""The one training loop."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule  # pyright: ignore[reportPrivateUsage]
from torch import nn

from add4rsc.engine.batches import (
    CycleFeatures,
    batch_indices,
    class_weights,
    epoch_order,
    load_batches,
    process_share,
    seeded,
)
from add4rsc.engine.checkpoint import TrainingState, load_state, save_state
from add4rsc.engine.choice import check_selection, evaluate, keep_chosen
from add4rsc.engine.model import build_method
from add4rsc.engine.normalisation import share_batch_norm
from add4rsc.engine.optimise import (
    build_average,
    build_optimiser,
    half_step,
    learning_rate_share,
    set_learning_rate,
    sharpest_nearby,
)
from add4rsc.engine.progress import TrainingProgress
from add4rsc.engine.steps import STEPS, StepLog, describe_gradient
from add4rsc.engine.subsets import LabelledFeatures, TrainingData
from add4rsc.errors import DivergedError, WrongUsageError
from add4rsc.methods._base import AbstractPreparedMethod, AbstractTwoStageMethod, Batch, TrainingCycles
from add4rsc.recipe import Recipe

STATE_FILE = "state.safetensors"


@dataclass(frozen=True)
class FitSettings:
    """What does not change the result: where to write, how many loader processes, what to show."""

    folder: Path
    n_workers: int = 0
    show_progress: bool = True


def fit(
    fabric: Fabric,
    recipe: Recipe,
    data: TrainingData,
    seed: int,
    settings: FitSettings,
    build: Callable[[], nn.Module] | None = None,
) -> TrainingState:
    """Train to the last epoch, from the checkpoint in the folder if there is one.

    After every epoch the folder holds a checkpoint and, for each rule of selection that the recipe uses, the weights
    that it would choose by now. Seed and epoch decide everything, so a resumed run ends as an uninterrupted one.

    Args:
        fabric: of the run.
        recipe: how to train.
        data: on what.
        seed: of every draw.
        settings: what does not change the result.
        build: makes the network that learns; None makes the recipe's.

    Raises:
        WrongUsageError: if the batches cannot be divided among the processes.
        SplitError: if a subset by which an epoch is to be chosen has no normal, or no abnormal, cycle.
        DivergedError: if the loss is no longer a number.
        StorageError: if a checkpoint cannot be written; the previous one stays good.
    """
    _check_division(fabric, recipe.batch_size, "Use --set batch_size= with a multiple of --devices.")
    check_selection(recipe, data)
    is_fresh = not (settings.folder / STATE_FILE).exists()
    build = build or partial(build_method, recipe, len(data.classes), pretrained=is_fresh)
    state, model, optimiser = _prepare(fabric, recipe, data, seed, settings.folder, build)
    n_steps = len(batch_indices(range(len(data.train.labels)), recipe))
    done = len(state.history)
    shown = settings.show_progress and fabric.is_global_zero
    log = StepLog(settings.folder.parent / STEPS, done)
    with TrainingProgress(n_steps * recipe.epochs, done=n_steps * done, shown=shown) as progress:
        for epoch in range(done, recipe.epochs):
            began = time.monotonic()
            losses = _train_epoch(
                _Epoch(fabric, recipe, data, seed, epoch, settings, log), state, model, optimiser, progress
            )
            if fabric.is_global_zero:
                log.save()
            scores = evaluate(fabric, recipe, state.evaluated, data, settings.n_workers)
            row = {"epoch": epoch + 1.0, "learning_rate": optimiser.param_groups[0]["lr"], **losses, **scores}
            state.history.append(row | {"seconds": time.monotonic() - began})
            _save(fabric, recipe, state, settings.folder)
            progress.line(_describe(row, recipe.epochs))
    return state


def _check_division(fabric: Fabric, batch_size: int, remedy: str) -> None:
    """Raise WrongUsageError if batches cannot be divided among the processes."""
    if batch_size % fabric.world_size:
        raise WrongUsageError(
            f"Batches of {batch_size} cycles cannot be divided among {fabric.world_size} devices. {remedy}"
        )


def _prepare(
    fabric: Fabric, recipe: Recipe, data: TrainingData, seed: int, folder: Path, build: Callable[[], nn.Module]
) -> tuple[TrainingState, _FabricModule, torch.optim.Optimizer]:
    """Network and optimiser, fresh or from the folder's checkpoint, set up for the device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = build()
    if isinstance(module, AbstractTwoStageMethod):
        remedy = "Give the second stage, in the method's options, a batch_size that is a multiple of --devices."
        _check_division(fabric, module.head_training().batch_size, remedy)
        module.head().requires_grad_(requires_grad=False)  # it rests in this stage
    if fabric.world_size > 1:
        share_batch_norm(module)
    raw_optimiser = build_optimiser(module, recipe.optimiser)
    model, optimiser = fabric.setup(module, raw_optimiser)
    model.mark_forward_method("losses")
    if isinstance(module, AbstractPreparedMethod) and not (folder / STATE_FILE).exists():
        module.prepare(_training_cycles(fabric, data.train), seeded("prepare", seed))
    state = TrainingState(module, raw_optimiser, build_average(module, recipe.averaging), [])
    if (folder / STATE_FILE).exists():
        fabric.strategy.precision.load_state_dict(load_state(folder / STATE_FILE, state))
    return state, model, optimiser


def _training_cycles(fabric: Fabric, train: LabelledFeatures) -> TrainingCycles:
    """The training cycles as a method may look at them, on the network's device."""

    def load(indices: Sequence[int]) -> Float[torch.Tensor, "batch time mel"]:
        features = np.stack([train.store.features(index) for index in indices])
        return fabric.to_device(torch.from_numpy(features))

    groups = {name: fabric.to_device(codes) for name, codes in train.groups.items()}
    return TrainingCycles(fabric.to_device(torch.from_numpy(train.labels)), groups, load)


@dataclass(frozen=True)
class _Epoch:
    """What one epoch needs to know."""

    fabric: Fabric
    recipe: Recipe
    data: TrainingData
    seed: int
    index: int
    settings: FitSettings
    log: StepLog

    def batches(self) -> list[list[int]]:
        """Cycles of every step, over all processes."""
        order = epoch_order(self.data.train.labels, self.recipe, self.seed, self.index)
        return batch_indices(order, self.recipe)


def _train_epoch(
    epoch: _Epoch,
    state: TrainingState,
    model: _FabricModule,
    optimiser: torch.optim.Optimizer,
    progress: TrainingProgress,
) -> dict[str, float]:
    """Take every step of an epoch; returns the mean of the loss and of each of its terms."""
    fabric, recipe = epoch.fabric, epoch.recipe
    batches = epoch.batches()
    weights = class_weights(epoch.data.train.labels, len(epoch.data.classes), recipe.class_weights)
    sums: dict[str, float] = {}
    model.train()
    with _private_randomness(seeded(epoch.seed, epoch.index, fabric.global_rank).initial_seed()):
        for step, (batch, cycle_weights) in enumerate(_local_batches(epoch, batches, weights)):
            share = learning_rate_share(recipe.schedule, epoch.index * len(batches) + step, recipe.epochs, len(batches))
            set_learning_rate(optimiser, recipe.optimiser.learning_rate * share)
            terms = _step(epoch, state, (model, optimiser), batch, cycle_weights, step)
            epoch.log.add(epoch.index + 1, step + 1, terms)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value / len(batches)
            progress.step(epoch.index + 1, terms["loss"], recipe.optimiser.learning_rate * share)
    return sums


def _local_batches(
    epoch: _Epoch, batches: Sequence[Sequence[int]], weights: Float[torch.Tensor, " class"]
) -> Iterator[tuple[Batch, Float[torch.Tensor, " batch"]]]:
    """This process' share of every batch, and each cycle's weight in the mean over the whole batch."""
    fabric, data = epoch.fabric, epoch.data
    mine = [process_share(batch, fabric.global_rank, fabric.world_size) for batch in batches]
    cycles = CycleFeatures(
        data.train.store, epoch.recipe.augmentation, epoch.seed, data.scene, n_views=epoch.recipe.views
    )
    cycles.epoch = epoch.index
    labels, answers = torch.from_numpy(data.train.labels), data.train.answers
    loader = load_batches(cycles, mine, epoch.settings.n_workers)
    for step, (whole, (indices, features)) in enumerate(zip(batches, loader, strict=True)):
        total = weights[labels[list(whole)]].sum().clamp_min(1e-12)
        own = labels[indices]
        # processes average their gradients, so each counts its share of the whole batch world_size times
        is_own = fabric.global_rank < len(whole)
        cycle_weights = weights[own] * is_own * fabric.world_size / total
        batch = Batch(
            labels=fabric.to_device(own),
            groups={name: fabric.to_device(codes[indices]) for name, codes in data.train.groups.items()},
            answers=None if answers is None else fabric.to_device(answers[indices]),
            progress=(epoch.index + step / len(batches)) / epoch.recipe.epochs,
            **{name: fabric.to_device(view) for name, view in features.items()},
        )
        yield batch, fabric.to_device(cycle_weights)


def _step(
    epoch: _Epoch,
    state: TrainingState,
    trained: tuple[_FabricModule, torch.optim.Optimizer],
    batch: Batch,
    cycle_weights: Float[torch.Tensor, " batch"],
    step: int,
) -> dict[str, float]:
    """One step; returns the value of the loss and of each term on this process' cycles."""
    model, optimiser = trained
    fabric, recipe = epoch.fabric, epoch.recipe
    move_back = half_step(state.module, recipe.averaging)  # before the forward pass, which moves the buffers
    with _repeated_draws(recipe.optimiser.sharpness_radius is not None):
        terms = _backward(epoch, model, batch, cycle_weights, step)
    if recipe.optimiser.sharpness_radius is not None:
        with sharpest_nearby(state.module, recipe.optimiser.sharpness_radius):
            _backward(epoch, model, batch, cycle_weights, step)
    gradient = describe_gradient(state.module, _loss_scale(fabric))
    if recipe.optimiser.clip_norm is not None:
        fabric.clip_gradients(model, optimiser, max_norm=recipe.optimiser.clip_norm, error_if_nonfinite=False)
    optimiser.step()
    optimiser.zero_grad()
    move_back()
    if state.average is not None:
        state.average.update_parameters(state.module)
    return terms | gradient


def _backward(
    epoch: _Epoch, model: _FabricModule, batch: Batch, cycle_weights: Float[torch.Tensor, " batch"], step: int
) -> dict[str, float]:
    """Find the gradient of a step; returns the value of the loss and of each term on this process' cycles."""
    fabric = epoch.fabric
    generator = seeded("step", epoch.seed, epoch.index, step)
    with fabric.autocast():  # Fabric enters it by itself for `forward` alone, unless there are several processes
        losses = model.losses(batch, generator)
    terms = {name: (term.float() * cycle_weights).sum() for name, term in losses.items()}
    loss = torch.stack(list(terms.values())).sum()
    if not bool(torch.isfinite(loss)):
        raise DivergedError(
            f"The loss is {loss.item()} in epoch {epoch.index + 1}, step {step + 1}. The last checkpoint is good. "
            "Try a lower learning rate (--set optimiser.learning_rate=...) or --set precision=32-true."
        )
    fabric.backward(loss)
    return {"loss": loss.item(), **{f"loss_{name}": value.item() for name, value in terms.items()}}


@contextmanager
def _repeated_draws(repeated: bool) -> Iterator[None]:
    """Whether what follows is to draw the same as what is done inside."""
    if not repeated:
        yield
        return
    with torch.random.fork_rng():
        yield


def _loss_scale(fabric: Fabric) -> float:
    """What half precision multiplies the loss by, so that small gradients stay above its smallest number."""
    scaler = getattr(fabric.strategy.precision, "scaler", None)
    return 1.0 if scaler is None else float(scaler.get_scale())


@contextmanager
def _private_randomness(seed: int) -> Iterator[None]:
    """Seed what torch's own layers draw from (dropout), and leave the caller's generator as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _save(fabric: Fabric, recipe: Recipe, state: TrainingState, folder: Path) -> None:
    """Write the weights that each rule would choose now, then the checkpoint: a crash between the two is harmless."""
    if fabric.is_global_zero:
        keep_chosen(recipe, state, folder)
        save_state(folder / STATE_FILE, state, dict(fabric.strategy.precision.state_dict()))
    fabric.barrier()


def _describe(row: dict[str, float], n_epochs: int) -> str:
    text = f"epoch {row['epoch']:.0f}/{n_epochs}  loss {row['loss']:.4f}"
    for name in ("validation", "test"):
        if f"{name}_score" in row:
            values = (row[f"{name}_{part}"] for part in ("specificity", "sensitivity", "score"))
            text += f"  {name} Sp {{:.3f}} Se {{:.3f}} Score {{:.3f}}".format(*values)
    return text
