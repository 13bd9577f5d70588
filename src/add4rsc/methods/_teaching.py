"""What methods have in common that may learn from a teacher."""

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from add4rsc.methods._base import Batch, Losses, mean_of_views
from add4rsc.terms import Settings

SMALLEST_ANSWER = 1e-7


class TaughtOptions(Settings):
    """Settings of a method that learns a teacher's answers beside the labels: distillation (Hinton et al. 2015).

    A method whose `Options` are of this kind finds them in `Batch.answers`.
    """

    teacher: str | None = None
    """A run folder, of one or several seeds, whose answers for each cycle as it is are learnt (arXiv:1503.02531)."""
    teacher_weight: float = Field(default=0.5, ge=0, le=1)
    """Share of the divergence from those answers in what is learnt; the labels have the rest."""
    teacher_temperature: float = Field(default=2.0, gt=0)
    """What the logits of both are divided by in that divergence, whose gradient is brought back to size."""
    teacher_smoothing: float = Field(default=0.0, ge=0, le=1)
    """How far each answer is moved towards the mean of the recording's (`metrics.smoothing`), so that
    what is learnt of a cycle is told by one who has heard the others too."""


def classification_losses(
    entropy: Float[Tensor, " view"], logits: Float[Tensor, "view class"], batch: Batch, options: TaughtOptions
) -> Losses:
    """The cross-entropy with the labels, and beside it the divergence from the teacher's answers where there are any.

    Args:
        entropy: of every view of `both_views`.
        logits: the same.
        batch: whose cycles, in as many views, they are of.
        options: of the method.
    """
    n_cycles = len(batch.labels)
    if options.teacher is None or batch.answers is None:
        return {"classification": mean_of_views(entropy, n_cycles)}
    answers = batch.answers.repeat(len(logits) // n_cycles, 1)
    divergence = divergence_from_answers(logits, answers, options.teacher_temperature)
    return {
        "classification": (1 - options.teacher_weight) * mean_of_views(entropy, n_cycles),
        "teacher": options.teacher_weight * mean_of_views(divergence, n_cycles),
    }


def divergence_from_answers(
    logits: Float[Tensor, "view class"], answers: Float[Tensor, "view class"], temperature: float
) -> Float[Tensor, " view"]:
    """T^2 KL(q || p) in nats, of softmaxes at temperature T: q of the logarithms of the answers, p of the logits.

    Args:
        logits: of the network that learns.
        answers: probabilities by its teacher.
        temperature: T.
    """
    learnt = (logits / temperature).log_softmax(dim=-1)
    softened = (answers.clamp_min(SMALLEST_ANSWER).log() / temperature).log_softmax(dim=-1)
    return temperature**2 * (softened.exp() * (softened - learnt)).sum(dim=-1)
