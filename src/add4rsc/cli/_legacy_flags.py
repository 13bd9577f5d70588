"""The flags of the released code's main.py (commits 4ed7905 and 8a0384a; METHODS 4.2) and what they do here."""

import argparse
from pathlib import Path

SPECAUGMENT_POLICIES = {
    "icbhi_ast_sup": (2, 48, 2, 160),
    "icbhi_sup": (2, 20, 2, 50),
    "LB": (1, 27, 1, 100),
    "LD": (2, 27, 2, 100),
    "SM": (2, 15, 2, 70),
    "SS": (2, 27, 2, 70),
    "none": (0, 0, 0, 0),
}
"""Mel masks, their width bound, time masks, their width bound; LB to SS are Park et al. 2019's, without time warp."""

DATA_FOLDER = Path("data/ICBHI/ICBHI_final_database")
STETHOSCOPES = ("Meditron", "LittC2SE", "Litt3200", "AKGC417L")
PRESETS = ("fixed", "paper", "released-2025-02", "released-2025-08")
SILENT = {
    "print_freq": "a bar shows every step",
    "save_freq": "every epoch is saved, and the best one kept",
    "mix_beta": "of the methods patchmix and patchmix_cl",
    "proj_dim": "of the method patchmix_cl",
    "temperature": "of the method patchmix_cl",
    "alpha": "of the method patchmix_cl",
    "negative_pair": "of the method patchmix_cl",
    "target_type": "of the method patchmix_cl",
}
"""Flags that change nothing here, and why."""


def build_parser() -> argparse.ArgumentParser:
    """All flags; None stands for "as the recipe has it"."""
    parser = argparse.ArgumentParser(
        prog="main.py",
        description="Train and test ADD4RSC with the flags of the released code. Each is translated to the recipe "
        "system; the equivalent `add4rsc train` line is printed. What is not given is as in the recipe.",
        epilog="Research use only, not a medical device.",
        allow_abbrev=False,
    )
    for add_group in (_add_form, _add_data, _add_front_end, _add_training, _add_augmentation, _add_checkpoints):
        add_group(parser)
    silent = parser.add_argument_group("without effect here (a warning says so)")
    for name, reason in SILENT.items():
        silent.add_argument(f"--{name}", help=reason)
    return parser


def _add_form(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("network")
    switch = argparse.BooleanOptionalAction
    group.add_argument("--model", default="ast", help="backbone: ast (default), resnet50, or any that has a recipe")
    group.add_argument("--preset", choices=PRESETS, default="fixed", help="which form of ADD4RSC; default fixed")
    group.add_argument("--method", default="ce", help="ce alone: cross-entropy beside the ADD layer, as released")
    group.add_argument("--denoise_d_model", type=int, help="mel columns to which the input is stretched; released 256")
    group.add_argument("--denoise_num_heads", type=int, help="heads of the differential attention; released 8")
    group.add_argument("--denoise_depth", type=int, help="sets the start of lambda and nothing else; released 6")
    group.add_argument("--loss_beta", type=float, help="share of the bias denoising loss, 0 to 1; released 0.5")
    group.add_argument(
        "--n_cls", type=int, choices=(2, 3, 4), help="number of classes: 4 or 2 of lung sounds, 3 or 2 of diagnoses; "
        "default the larger",
    )  # fmt: skip
    group.add_argument("--resz", type=float, help="factor on the 1024 x 256 that the input is stretched to; released 1")
    group.add_argument("--from_sl_official", action=switch, help="start ResNets from ImageNet weights")
    group.add_argument("--audioset_pretrained", action=switch, help="start the AST from AudioSet weights")
    group.add_argument("--audioset_ckpt", type=Path, help="file with the AudioSet weights; default: imported ones")


def _add_data(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("data")
    group.add_argument("--dataset", default="icbhi", help="icbhi, or a name of `add4rsc list datasets`")
    group.add_argument("--data_folder", type=Path, default=DATA_FOLDER, help=f"default {DATA_FOLDER}")
    group.add_argument(
        "--class_split", choices=("lungsound", "diagnosis"), default="lungsound", help="lungsound: normal, crackle, "
        "wheeze, both, or normal, abnormal; diagnosis, of the cycle's patient: healthy, chronic, non-chronic, or "
        "healthy, diseased",
    )  # fmt: skip
    group.add_argument(
        "--split", help="official, random-file-seed1 (what the released code really used), or a name of "
        "`add4rsc list splits`",
    )  # fmt: skip
    group.add_argument(
        "--test_fold", choices=("official", "0", "1", "2", "3", "4"),
        help="official: the challenge's split; 0 to 4: RespireNet's patient folds",
    )  # fmt: skip
    group.add_argument(
        "--stetho_id", type=int, choices=range(-1, 4), default=-1, metavar="-1..3",
        help="one stethoscope alone: 0 Meditron, 1 LittC2SE, 2 Litt3200, 3 AKGC417L; -1: all",
    )  # fmt: skip
    group.add_argument("--num_workers", type=int, default=0, help="further processes that load batches; default 0")


def _add_front_end(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("from sound to frames")
    group.add_argument("--sample_rate", type=int, help="hertz; released 16000")
    group.add_argument("--desired_length", type=float, help="seconds of every cycle; released 8")
    group.add_argument(
        "--pad_types",
        choices=("repeat", "zero", "aug"),
        help="how a short cycle is filled: by its repetition, by zeros, or by a copy of another speed, loudness and "
        "noise, before or behind it",
    )
    group.add_argument("--n_mels", type=int, help="mel bands; released 128")
    group.add_argument("--nfft", type=int, help="points of the Fourier transform (the original ignores it)")
    group.add_argument("--f_min", type=float, help="lowest hertz of the mel bands (the original ignores it)")
    group.add_argument("--f_max", type=float, help="highest hertz of the mel bands (the original ignores it)")
    group.add_argument("--butterworth_filter", type=int, help="order of a band pass of 200 to 1800 Hz before all else")


def _add_training(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training")
    switch = argparse.BooleanOptionalAction
    group.add_argument("--seed", type=int, default=0, help="default 0")
    group.add_argument("--epochs", type=int, help="released 50")
    group.add_argument("--batch_size", type=int, help="released 8")
    group.add_argument("--optimizer", choices=("adam", "adamw", "sgd"), help="released: AdamW, under the name adam")
    group.add_argument("--learning_rate", type=float, help="released 5e-5")
    group.add_argument("--weight_decay", type=float, help="released 1e-6")
    group.add_argument("--momentum", type=float, help="for sgd; released 0.9")
    group.add_argument("--cosine", action=switch, help="cosine between epochs; --no-cosine: steps (two flags below)")
    group.add_argument(
        "--lr_decay_epochs", help="after these epochs the rate drops, with --no-cosine; released 120,160"
    )
    group.add_argument("--lr_decay_rate", type=float, help="by this factor; released 0.1")
    group.add_argument("--warm", action=switch, help="let the rate rise from a tenth of itself first")
    group.add_argument("--warm_epochs", type=float, default=10.0, help="for that many epochs; default 10")
    group.add_argument("--weighted_loss", action=switch, help="weigh cycles by 1 / frequency of their class")
    group.add_argument("--weighted_sampler", action=switch, help="draw all classes as often")
    group.add_argument("--ma_update", action=switch, help="put only 1 - ma_beta of every step into the weights")
    group.add_argument("--ma_beta", type=float, help="released 0.5")
    group.add_argument(
        "--selection", choices=("validation", "test", "last"), help="which epoch counts; released: test, the best one "
        "on the test set; default: as the recipe has it",
    )  # fmt: skip


def _add_augmentation(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("augmentation")
    group.add_argument("--specaug_policy", choices=tuple(SPECAUGMENT_POLICIES), help="number and width of the masks")
    group.add_argument("--specaug_mask", choices=("mean", "zero"), help="what masks are filled with")
    group.add_argument(
        "--raw_augment",
        type=int,
        default=0,
        help="copies of each training cycle with another speed, loudness and noise, of which every epoch draws one or "
        "the cycle itself; 0 for none",
    )
    group.add_argument(
        "--concat_aug_scale", type=float, help="fill every class up to this multiple of the normal cycles by joining "
        "two training cycles end to end; 0 for none",
    )  # fmt: skip


def _add_checkpoints(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("runs and checkpoints")
    group.add_argument("--save_dir", type=Path, default=Path("save"), help="folder of runs; default save")
    group.add_argument("--tag", default="", help="added to the run's name")
    group.add_argument("--resume", type=Path, help="a run folder, or a file in it, to go on with")
    group.add_argument("--pretrained_ckpt", type=Path, help="a run folder whose network training starts from")
    group.add_argument("--eval", action="store_true", help="test the network of --pretrained_ckpt; no training")
    group.add_argument("--two_cls_eval", action="store_true", help="print normal against abnormal too")
    group.add_argument("--dry_run", action="store_true", help="print the `add4rsc` line and stop")
