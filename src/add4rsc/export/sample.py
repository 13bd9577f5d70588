"""Cycles of a corpus as the waveforms that an exported network takes."""

from collections.abc import Iterator, Sequence
from itertools import groupby, islice

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import softmax

from add4rsc.audio.crop import Crop, crop_cycle, fade_recording
from add4rsc.audio.io import read_waveform
from add4rsc.audio.windows import vote
from add4rsc.engine.windows import split_cycles
from add4rsc.inference._base import AbstractClassifier
from add4rsc.terms import RespiratoryCycle

BATCH_SIZE = 32


def spread(cycles: Sequence[RespiratoryCycle], n_wanted: int) -> list[RespiratoryCycle]:
    """At most so many cycles, evenly spaced over all of them."""
    places = np.linspace(0, len(cycles) - 1, min(n_wanted, len(cycles)))
    return [cycles[index] for index in places.round().astype(int)]


def read_cycles(
    cycles: Sequence[RespiratoryCycle], sample_rate: int, crop: Crop
) -> Iterator[Float[ndarray, " sample"]]:
    """The cropped waveform of each cycle, in order; cycles of one recording should follow each other.

    Raises:
        AudioError: if a recording cannot be read.
    """
    for path, members in groupby(cycles, key=lambda cycle: cycle.recording.path):
        waveform = fade_recording(read_waveform(path, sample_rate), sample_rate, crop)
        for cycle in members:
            yield crop_cycle(waveform, sample_rate, cycle.start, cycle.end, crop)


def logits_of(classifier: AbstractClassifier, cycles: Sequence[RespiratoryCycle]) -> Float[ndarray, "cycle class"]:
    """A classifier's logits of many cycles, a batch at a time; where windows vote, the logarithms of their vote.

    Raises:
        AudioError: if a recording cannot be read.
    """
    parts, windows = split_cycles(cycles, classifier.crop)
    waveforms = read_cycles(parts, classifier.sample_rate, classifier.crop)
    rows = []
    while batch := list(islice(waveforms, BATCH_SIZE)):
        rows.append(classifier.logits(np.stack(batch)))
    logits = np.concatenate(rows)
    return logits if windows is None else np.log(vote(softmax(logits, axis=1), *windows).clip(1e-30))
