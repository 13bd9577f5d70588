"""What every augmentation draws."""

import torch
from torch import Generator


def uniform(generator: Generator) -> float:
    """A number from 0 to 1."""
    return float(torch.rand((), generator=generator))
