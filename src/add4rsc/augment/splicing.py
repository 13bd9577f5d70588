"""Spliced cycles: a piece of an abnormal cycle inside a normal cycle of another patient.

The idea is that of Wang and Wang, ICASSP 2022: a class should not be known by the background of the recordings that
have it. Their rule of splicing is not known (METHODS A3); this one is ours.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

NORMAL = 0
"""Code of the normal class, the first of every task."""


class Splices(NamedTuple):
    """What each spliced cycle is made of; places and lengths in frames."""

    donors: Int[Tensor, " splice"]
    """Abnormal cycles of the batch: they give the piece, and with it the label."""
    hosts: Int[Tensor, " splice"]
    """Normal cycles of the batch: they give the rest."""
    lengths: Int[Tensor, " splice"]
    """Of the pieces."""
    donor_starts: Int[Tensor, " splice"]
    host_starts: Int[Tensor, " splice"]


def draw_splices(
    labels: Int[Tensor, " batch"],
    patients: Int[Tensor, " batch"],
    n_frames: int,
    least_share: float,
    generator: Generator,
) -> Splices:
    """Draw a host, a piece and its place for every abnormal cycle that finds a normal cycle of another patient.

    Args:
        labels: class 0 is the normal one.
        patients: codes; -1 where the patient is not known, who then counts as another one than everybody else.
        n_frames: in a cycle.
        least_share: a piece is at least this share of a cycle, and at most the whole.
        generator: of all draws, on the CPU.
    """
    fits = _hosts_of(labels.cpu(), patients.cpu())
    donors = fits.any(dim=1).nonzero()[:, 0]
    if len(donors) == 0:
        return Splices(*(donors for _ in Splices._fields))
    hosts = torch.multinomial(fits[donors].float(), 1, generator=generator)[:, 0]
    length, donor_place, host_place = torch.rand(3, len(donors), generator=generator)
    lengths = ((least_share + (1 - least_share) * length) * n_frames).long().clamp_min(1)
    room = n_frames - lengths + 1
    return Splices(donors, hosts, lengths, (donor_place * room).long(), (host_place * room).long())


def _hosts_of(labels: Int[Tensor, " batch"], patients: Int[Tensor, " batch"]) -> Bool[Tensor, "batch batch"]:
    """Whether the cycle of a row may be put into that of a column."""
    may_be_another = (patients[:, None] != patients) | (patients < 0)
    return (labels[:, None] != NORMAL) & (labels == NORMAL) & may_be_another


def splice_cycles(
    log_mel: Float[Tensor, "batch time mel"], splices: Splices, fade: int, *, match_level: bool
) -> Float[Tensor, "splice time mel"]:
    """Make the spliced cycles.

    Args:
        log_mel: the batch.
        splices: as drawn for it.
        fade: frames at either end of a piece over which host and piece cross.
        match_level: bring the mean of the piece to that of the frames which it replaces, so that it is not known by
            its loudness.
    """
    time = torch.arange(log_mel.shape[1], device=log_mel.device)
    donors, hosts, lengths, donor_starts, host_starts = (part.to(log_mel.device) for part in splices)
    from_start = time - host_starts[:, None]
    to_end = (host_starts + lengths)[:, None] - 1 - time
    weights = ((torch.minimum(from_start, to_end) + 1).to(log_mel.dtype) / (fade + 1)).clamp(0, 1)[..., None]
    sources = (from_start + donor_starts[:, None]).clamp(0, log_mel.shape[1] - 1)
    piece, host = log_mel[donors[:, None], sources], log_mel[hosts]
    if match_level:
        inside = (weights > 0).to(log_mel.dtype)
        n_values = lengths[:, None, None] * log_mel.shape[2]
        piece = piece + ((host - piece) * inside).sum(dim=(1, 2), keepdim=True) / n_values
    return torch.lerp(host, piece, weights)
