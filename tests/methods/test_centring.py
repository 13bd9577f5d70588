"""Centred bands: what a stethoscope's response does to a cycle is gone before the network sees it."""

import pytest
import torch

from add4rsc.backbones import backbones
from add4rsc.methods import methods
from add4rsc.methods._base import read_options

N_MELS = backbones.get("small_cnn").front_end().n_mels


@pytest.mark.parametrize("name", ["fine_tuning", "add4rsc"])
def test_a_filter_changes_nothing_once_bands_are_centred(name, generator):
    """A filter multiplies every band's energy by a constant, which adds one to its logarithm."""
    kind, log_mel = methods.get(name), torch.randn(3, 50, N_MELS, generator=generator)
    heard = log_mel + 2 * torch.randn(1, 1, N_MELS, generator=generator)
    for centred in (True, False):
        network = kind.create(backbones.get("small_cnn")(), N_MELS, 4, read_options(kind, {"centred": centred})).eval()
        with torch.no_grad():
            one, other = network(log_mel), network(heard)
        assert torch.allclose(one, other, atol=1e-4) == centred
