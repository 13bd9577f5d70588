"""What every method is: a network with named loss terms."""

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import ValidationError
from torch import Generator, Tensor, nn

from add4rsc.backbones._base import AbstractBackbone
from add4rsc.errors import RecipeError
from add4rsc.protocol.groups import UNKNOWN
from add4rsc.recipe import HeadTraining, nearest
from add4rsc.terms import Paper, Settings


@dataclass(frozen=True)
class Batch:
    """Cycles of one training step."""

    log_mel: Float[Tensor, "batch time mel"]
    labels: Int[Tensor, " batch"]
    clean: Float[Tensor, "batch time mel"] | None = None
    """The same cycles without the noise that training mixed into them, where the recipe asks for it (`noise.twin`)."""
    second: Float[Tensor, "batch time mel"] | None = None
    """The same cycles, augmented once more with other draws, where the recipe asks for it (`views = 2`)."""
    answers: Float[Tensor, "batch class"] | None = None
    """Probabilities that a trained network gives the cycles as they are, where the method has a teacher."""
    groups: Mapping[str, Int[Tensor, " batch"]] = field(default_factory=dict)
    """Codes of what is known of each cycle's recording, by the names of `terms.GROUPS`; -1 where it is not known."""
    progress: float = 0.0
    """Share of all training steps that lie behind, in [0, 1)."""


Losses = dict[str, Float[Tensor, " batch"]]
"""Named terms, one value a cycle, already scaled: their sum is what is minimised. The loop weighs and averages them,
over all processes, so that a run gives the same on one device or on many."""


def both_views(batch: Batch) -> Float[Tensor, "view time mel"]:
    """The batch's cycles, and after them their twins without noise where there are any."""
    return batch.log_mel if batch.clean is None else torch.cat([batch.log_mel, batch.clean])


def mean_of_views(values: Float[Tensor, " view"], n_cycles: int) -> Float[Tensor, " batch"]:
    """One value a cycle: the mean over what `both_views` put together."""
    return values.unflatten(0, (-1, n_cycles)).mean(dim=0)


def divergence_of_views(logits: Float[Tensor, "view class"], n_cycles: int) -> Float[Tensor, " batch"]:
    """How far a prediction is from that for the twin, which is the teacher and gets no gradient; 0 without twins.

    Kullback-Leibler divergence of the softmax of the noisy cycle from that of the clean one, in nats.
    """
    if len(logits) == n_cycles:
        return torch.zeros(n_cycles, device=logits.device)
    noisy, clean = logits.log_softmax(dim=-1).split(n_cycles)
    teacher = clean.detach()
    return (teacher.exp() * (teacher - noisy)).sum(dim=-1)


def centre_bands(log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch time mel"]:
    """Take every band's mean over the cycle away, and with it the stethoscope's response and the level.

    Cepstral mean subtraction without the cepstrum (Atal 1974): a filter multiplies a spectrum, so it adds to its log.
    """
    return log_mel - log_mel.mean(dim=1, keepdim=True)


class AbstractMethod(nn.Module):
    """A network from log-mel frames to class logits, and the terms by which it learns."""

    paper: ClassVar[Paper]
    Options: ClassVar[type[Settings]]
    """The method's own settings; `Recipe.options` must fit them."""

    @classmethod
    @abc.abstractmethod
    def create(cls, backbone: AbstractBackbone, n_mels: int, n_classes: int, options: Any) -> "AbstractMethod":
        """Build the method around a backbone. `options` is an instance of its `Options`."""

    @abc.abstractmethod
    def forward(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""

    @abc.abstractmethod
    def losses(self, batch: Batch, generator: Generator) -> Losses:
        """The loss terms of every cycle; any randomness comes from `generator`."""


@dataclass(frozen=True)
class TrainingCycles:
    """The training cycles as a whole, for a method that looks at them before its first step."""

    labels: Int[Tensor, " cycle"]
    groups: Mapping[str, Int[Tensor, " cycle"]]
    """As in `Batch`."""
    load: Callable[[Sequence[int]], Float[Tensor, "batch time mel"]]
    """Log-mel frames of the cycles of these indices, without any augmentation, on the network's device."""


def codes_of(cycles: Batch | TrainingCycles, group: str) -> Int[Tensor, " cycle"]:
    """Codes of a group of `terms.GROUPS`; -1 for all cycles where nothing is known of them."""
    return cycles.groups.get(group, torch.full_like(cycles.labels, UNKNOWN))


class AbstractPreparedMethod(AbstractMethod):
    """A method that looks at the training cycles once, before the first step of a fresh run."""

    @abc.abstractmethod
    def prepare(self, training: TrainingCycles, generator: Generator) -> None:
        """Keep what is found in parameters or buffers, whose shapes do not depend on it: a resumed run reads them.

        The network is on its device, with its pretrained weights. Every process is given the same cycles.
        """


class AbstractInformedMethod(AbstractMethod):
    """A method whose predictions may draw on what is known of the recordings, beside their sound."""

    @abc.abstractmethod
    def forward(
        self, log_mel: Float[Tensor, "batch time mel"], groups: Mapping[str, Int[Tensor, " batch"]] | None = None
    ) -> Float[Tensor, "batch class"]:
        """Logits of every class; `groups` as in `Batch`, None where nothing is known."""


class AbstractPacedMethod(AbstractMethod):
    """A method whose parts learn at rates of their own."""

    @abc.abstractmethod
    def learning_rate_factors(self) -> Mapping[str, float]:
        """Beginning of parameters' names -> factor of the recipe's learning rate; the others have 1.

        Of several beginnings that fit, the longest counts.
        """


class AbstractHead(nn.Module):
    """What learns in the second stage of an `AbstractTwoStageMethod`, on the features of its parts."""

    @abc.abstractmethod
    def forward(self, features: Float[Tensor, "batch part feature"]) -> Float[Tensor, "batch class"]:
        """Logits of every class."""

    @abc.abstractmethod
    def losses(self, features: Float[Tensor, "batch part feature"], labels: Int[Tensor, " batch"]) -> Losses:
        """The loss terms of every cycle."""


class AbstractTwoStageMethod(AbstractMethod):
    """Parts that learn first, each for itself, and then a head on the features that the chosen parts have stored.

    `losses` are those of the first stage, in which the head rests. The epoch is chosen for every part by itself.
    """

    @abc.abstractmethod
    def parts(self) -> Mapping[str, Sequence[str]]:
        """Name of each part -> beginnings of the names of its parameters and buffers, which it shares with no other."""

    @abc.abstractmethod
    def part_logits(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch part class"]:
        """What every part says by itself, in the order of `parts`."""

    @abc.abstractmethod
    def features(self, log_mel: Float[Tensor, "batch time mel"]) -> Float[Tensor, "batch part feature"]:
        """What is stored for the head."""

    @abc.abstractmethod
    def head(self) -> AbstractHead:
        """The head; `forward` is the head on `features`."""

    @abc.abstractmethod
    def head_training(self) -> HeadTraining:
        """How the head learns."""


def read_options(method: type[AbstractMethod], options: dict[str, Any]) -> Settings:
    """Check a recipe's `options` against the method's own settings.

    Raises:
        RecipeError: for an unknown key, with the nearest one, or a value that does not fit.
    """
    try:
        return method.Options.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            hint = nearest(str(first["loc"][-1]), list(method.Options.model_fields))
            raise RecipeError(f"There is no recipe key 'options.{key}'. {hint}") from error
        raise RecipeError(f"Recipe key 'options.{key}' cannot be {first['input']!r}: {first['msg']}.") from error
