"""The ADD layer as published, as released twice, and as we mend it."""

from collections.abc import Mapping

import torch
from torch import Tensor

from add4rsc.add.layer import AddLayer, AddSettings
from add4rsc.errors import CheckpointError, UnknownNameError, WrongUsageError

PAPER = AddSettings(
    filter_form="paper", threshold=0.02, second_filter="own", norms="paper", bias_input="output", smoothing="paper",
    loss_beta=0.5, zero_init=False,
)  # fmt: skip
"""Dong et al. 2025 (arXiv:2506.02505), text and figure; heads and depth, which are not stated, as released."""

RELEASED_2025_02 = AddSettings(
    filter_form="released", threshold=0.01, second_filter="shared", norms="released", bias_input="first_frames",
    smoothing="released", loss_beta=None, zero_init=False,
)  # fmt: skip
"""Commit 4ed7905, of the time of the paper: the first filter's weights serve again after the layer, losses add up."""

RELEASED_2025_08 = RELEASED_2025_02.model_copy(update={"second_filter": "none", "loss_beta": 0.5})
"""Commit 8a0384a: no second filter; losses are weighed in training."""

PRESETS: dict[str, AddSettings] = {
    "paper": PAPER,
    "released-2025-02": RELEASED_2025_02,
    "released-2025-08": RELEASED_2025_08,
    "fixed": AddSettings(),
}

DEPARTURES: dict[str, str] = {
    "filter_form": "A real gain along time only, starting at 1. The mel axis is one of frequency already; and of the "
    "paper's mask a quarter starts in the dead zone of the soft shrinkage, and the median gain is about 0.03 (on real "
    "cycles, with torch's own initialisation), so that a pretrained backbone would see nothing that it knows.",
    "norms": "Root-mean-square norms inside the residual branches only: a norm between the blocks would take each "
    "frame's loudness away, and hand the backbone frames of a spread that it was not pretrained on.",
    "zero_init": "Both residual branches start at 0: a pretrained backbone first sees the frames that it knows.",
}
"""Where the preset `fixed` leaves the paper, by setting, and why."""


def build(preset: str, dim: int = 256, n_heads: int = 8, n_classes: int = 4) -> AddLayer:
    """Make the ADD layer of a preset.

    Args:
        preset: a name of `PRESETS`.
        dim: mel columns of its input (256 in the released pipeline, after interpolation).
        n_heads: attention heads, at most `dim`.
        n_classes: classes of the bias head.

    Raises:
        UnknownNameError: if there is no such preset.
        RecipeError: if there are more heads than columns.
    """
    if preset not in PRESETS:
        raise UnknownNameError("ADD preset", preset, PRESETS)
    return AddLayer(PRESETS[preset].model_copy(update={"n_heads": n_heads}), dim, n_classes)


FILTER_PREFIXES = {"released-2025-02": "fft_filter", "released-2025-08": "aff"}

FILTER_KEYS = {"w1": "hidden_weight", "b1": "hidden_bias", "w2": "output_weight", "b2": "output_bias"}

LAYER_KEYS = {
    "attn.W_q.weight": "denoise.attention.to_query.weight",
    "attn.W_k.weight": "denoise.attention.to_key.weight",
    "attn.W_v.weight": "denoise.attention.to_value.weight",
    "attn.W_o.weight": "denoise.attention.to_output.weight",
    "attn.rms_scale": "denoise.attention.head_norm.weight",
    "norm1.scale": "denoise.attention_norm.weight",
    "norm2.scale": "denoise.feed_forward_norm.weight",
    "ff.WG.weight": "denoise.feed_forward.gate.weight",
    "ff.WG.bias": "denoise.feed_forward.gate.bias",
    "ff.W1.weight": "denoise.feed_forward.value.weight",
    "ff.W1.bias": "denoise.feed_forward.value.bias",
    "ff.W2.weight": "denoise.feed_forward.output.weight",
    "ff.W2.bias": "denoise.feed_forward.output.bias",
    "classifier.weight": "bias_head.weight",
    "classifier.bias": "bias_head.bias",
}
"""Released name -> ours."""

LAMBDA_KEYS = {
    "denoise.attention.lambda_query": ("attn.lambda_q1", "attn.lambda_q2"),
    "denoise.attention.lambda_key": ("attn.lambda_k1", "attn.lambda_k2"),
}
"""Our name -> the released tensors that are stacked in it."""


def convert_state(state_dict: Mapping[str, Tensor], preset: str) -> dict[str, Tensor]:
    """Rename the `bias_denoise_encoder` of a released checkpoint for `AddLayer.load_state_dict`.

    Args:
        state_dict: its tensors, with or without the prefix `module.`.
        preset: `released-2025-02` or `released-2025-08`; they name the filter differently.

    Raises:
        UnknownNameError: if there is no such preset.
        WrongUsageError: if nothing was released in the preset's form.
        CheckpointError: if keys are unknown or missing; the message lists them.
    """
    if preset not in PRESETS:
        raise UnknownNameError("ADD preset", preset, PRESETS)
    if preset not in FILTER_PREFIXES:
        known = " or ".join(FILTER_PREFIXES)
        raise WrongUsageError(f"No checkpoint was released in the form '{preset}'. Convert to {known}.")
    tensors = {key.removeprefix("module."): tensor for key, tensor in state_dict.items()}
    filter_keys = {f"{FILTER_PREFIXES[preset]}.{key}": f"filter.{name}" for key, name in FILTER_KEYS.items()}
    renamed = LAYER_KEYS | filter_keys
    _require_keys(tensors, {*renamed, *(key for pair in LAMBDA_KEYS.values() for key in pair)}, preset)
    stacked = {name: torch.stack([tensors[key] for key in pair]) for name, pair in LAMBDA_KEYS.items()}
    return {name: tensors[key] for key, name in renamed.items()} | stacked


def _require_keys(tensors: Mapping[str, Tensor], expected: set[str], preset: str) -> None:
    """Compare a checkpoint's keys with those of its form.

    Raises:
        CheckpointError: if they are not the same.
    """
    missing, unknown = sorted(expected - tensors.keys()), sorted(tensors.keys() - expected)
    if missing or unknown:
        raise CheckpointError(
            f"Not the ADD layer of {preset}: missing keys {missing}, unknown keys {unknown}. "
            "Pass the checkpoint's `bias_denoise_encoder`, and the preset of the commit that wrote it "
            f"({', '.join(f'{name} calls its filter {prefix}' for name, prefix in FILTER_PREFIXES.items())})."
        )
