"""What makes a recipe one for recordings that are not those of its corpus."""

from add4rsc.augment.noise import NoiseAugmentation
from add4rsc.augment.response import ResponseAugmentation
from add4rsc.augment.waveform import WaveformAugmentation
from add4rsc.backbones import backbones
from add4rsc.recipe import Recipe

HIGHEST_FREQUENCY = 4000.0
"""Hertz. Stethoscopes pass little above 2 kHz, and SPRSound was recorded at 8 kHz: the rest tells corpora apart."""


def robust(recipe: Recipe) -> Recipe:
    """The recipe with the bands that recordings share, made noise, other stethoscopes, and boundaries as a segmenter's.

    The jitter of 0.15 s is about what the segmenter's boundaries are off by (`docs/segmenter.md`).
    """
    front_end = recipe.front_end or backbones.get(recipe.backbone).front_end()
    changes = {
        "name": f"{recipe.name}-robust",
        "front_end": front_end.below(HIGHEST_FREQUENCY),
        "response": ResponseAugmentation(probability=0.7),
        "noise": NoiseAugmentation(probability=0.7),
        "waveform": WaveformAugmentation(copies=1, boundary_jitter=0.15),
        "epochs": 6,
    }
    return recipe.model_copy(update=changes)
