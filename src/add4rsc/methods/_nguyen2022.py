"""What two methods of Nguyen and Pernkopf 2022 share: the publication, and all of a recipe but the method."""

from typing import Any

from add4rsc.audio.crop import Crop
from add4rsc.audio.spectrum_correction import SpectrumCorrection
from add4rsc.augment.spectrogram import SpectrogramAugmentation
from add4rsc.augment.waveform import WaveformAugmentation
from add4rsc.recipe import Optimiser, Recipe, Schedule
from add4rsc.terms import Paper

NGUYEN_PAPER = Paper(
    key="nguyen2022cotuning",
    title="Lung Sound Classification Using Co-tuning and Stochastic Normalization",
    authors="Nguyen, Truc and Pernkopf, Franz",
    venue="IEEE Transactions on Biomedical Engineering",
    year=2022,
    doi="10.1109/TBME.2022.3156293",
    arxiv="2108.01991",
)

NOT_FOUND = (
    "sample rate, bands, window and cycle length are not published: 16 kHz and 8 s, with the AST's frames and bands",
    "optimiser, rate, epochs and batch are not published: SGD with momentum and a cosine, 50 epochs of batches of 32",
    "classes are balanced by the sampler and by copies of another speed, loudness and noise, with masks; no VTLP, no "
    "flips, and copies of all classes",
    "spectra are corrected by at most 20 dB, and by a filter of the recording in place of factors of its frames",
    "one input channel, with the kernels for red, green and blue summed",
    "epoch chosen on validation patients, who are kept out of training; how the paper chose its own is not published, "
    "and listed as the last",
)


def published_settings() -> dict[str, Any]:
    """Recipe keys of the published rows (METHODS A4/A5)."""
    return {
        "crop": Crop(duration=8.0),
        "spectrum_correction": SpectrumCorrection(),
        "waveform": WaveformAugmentation(copies=3, speed=0.2),
        "augmentation": SpectrogramAugmentation(
            n_time_masks=2, max_time_mask=80, n_mel_masks=2, max_mel_mask=24, time_shift=0.5, level_shift=0.2
        ),
        "sampler": "balanced",
        "optimiser": Optimiser(name="sgd", learning_rate=1e-3, weight_decay=5e-4),
        "schedule": Schedule(shape="cosine"),
        "epochs": 50,
        "batch_size": 32,
        "paper": NGUYEN_PAPER.key,
    }


def small_recipe(method: str, **changes: Any) -> Recipe:
    """The method on EfficientAT's mn04 from AudioSet weights: minutes on two cores."""
    values: dict[str, Any] = {
        "name": f"{method}/mn04-small",
        "method": method,
        "backbone": "mn04",
        "weights": "mn04/audioset",
        "crop": Crop(duration=2.5),
        "spectrum_correction": SpectrumCorrection(),
        "augmentation": SpectrogramAugmentation(
            n_time_masks=1, max_time_mask=40, n_mel_masks=1, max_mel_mask=16, time_shift=0.5, level_shift=0.2
        ),
        "optimiser": Optimiser(name="adamw", learning_rate=6e-4, weight_decay=1e-3),
        "schedule": Schedule(warmup_epochs=0.5),
        "epochs": 6,
        "batch_size": 32,
        "class_weights": "square-root",
        "paper": NGUYEN_PAPER.key,
        "deviations": (
            "EfficientAT's mn04 with AudioSet weights in place of ResNet-50 with those of ImageNet",
            "crops of 2.5 s, few epochs, AdamW",
            "classes are balanced by weights of the loss, not by copies",
        ),
    }
    return Recipe(**(values | changes))
