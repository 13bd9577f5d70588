"""The seeds of a run as one network."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from add4rsc.engine.loading import TrainedRun, load_run, seed_folders
from add4rsc.errors import RunFolderError, SplitError
from add4rsc.methods._base import AbstractInformedMethod
from add4rsc.recipe import Recipe

MAY_DIFFER = {"validation_seed"}
"""Settings of a recipe in which the members of an ensemble may differ: who was held back to choose their epochs by."""


class Ensemble(nn.Module):
    """Networks that answer together: each class has the mean of the probabilities that they give it."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logarithms of the mean probabilities, which serve as logits."""
        members = torch.stack([network(log_mel).log_softmax(dim=-1) for network in self.networks])
        return members.exp().mean(dim=0).clamp_min(torch.finfo(members.dtype).tiny).log()


def load_ensemble(folder: Path) -> TrainedRun:
    """Load what every seed of a run chose, as one network.

    Its recipe is that of the first seed.

    Args:
        folder: of a run with several seeds.

    Raises:
        RunFolderError: if there are fewer than two trained seeds, or they are no ensemble: of different recipes, told
            of the recordings, or with something of each seed's own beside its network.
        CheckpointError: if one is damaged.
    """
    members = tuple(load_run(each) for each in seed_folders(folder).values())
    if len(members) < 2:
        raise RunFolderError(
            f"{folder} holds {len(members)} trained seeds (seed-1, seed-2 ...); an ensemble needs two. "
            "Train with --seeds 1,2,3, or leave out --ensemble."
        )
    first = members[0]
    for each in members:
        _check_kin(first, each)
    network = Ensemble([each.network for each in members]).eval()
    return TrainedRun(folder, first.recipe, first.classes, network, members)


def check_held_back(run: TrainedRun) -> None:
    """Let a run pass whose validation patients are new to its network.

    Raises:
        SplitError: if it is an ensemble whose members held back different patients.
    """
    if len({each.recipe.validation_seed for each in run.members}) > 1:
        raise SplitError(
            f"The seeds of {run.folder} held back different patients, so that nobody is new to all of them and "
            "nothing can be fitted on such patients. Export with --calibration none, use one seed by itself, or train "
            "the seeds with one validation_seed."
        )


def _check_kin(first: TrainedRun, other: TrainedRun) -> None:
    """Raise RunFolderError if two runs are no members of one ensemble, or either can be none."""
    differing = sorted(_settings(first.recipe).items() ^ _settings(other.recipe).items())
    if differing or first.classes != other.classes:
        what = differing[0][0] if differing else "classes"
        raise RunFolderError(f"{other.folder} differs from {first.folder} in '{what}'. Train the seeds of one recipe.")
    recipe = other.recipe
    if isinstance(other.network, AbstractInformedMethod) or recipe.device_fine_tuning or recipe.spectrum_correction:
        raise RunFolderError(
            f"{other.folder}: its network is told of the recordings' stethoscopes or patients, or has parts for each "
            "stethoscope, so that one network cannot stand for several seeds. Average their predictions with "
            "`add4rsc compare --seeds ensemble`."
        )


def _settings(recipe: Recipe) -> dict[str, str]:
    return {key: repr(value) for key, value in recipe.model_dump(exclude=MAY_DIFFER).items()}
