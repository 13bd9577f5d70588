import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from scipy import signal
from typer.testing import CliRunner

from add4rsc.audio.crop import BandPass, Crop, fade_recording
from add4rsc.cli import legacy, training
from add4rsc.cli._app import app
from add4rsc.cli._legacy_flags import SILENT, build_parser
from add4rsc.cli._legacy_translation import SPLITS, translate
from add4rsc.cli._recipes import find_recipe
from add4rsc.datasets.opening import open_dataset
from add4rsc.errors import SplitError, WrongUsageError
from add4rsc.methods import recipes
from add4rsc.protocol.split import make_split
from add4rsc.protocol.stethoscopes import only_stethoscopes
from add4rsc.recipe import Recipe

ORIGINAL = re.findall(
    r"\w+",
    """
    seed print_freq save_freq optimizer epochs learning_rate lr_decay_epochs lr_decay_rate weight_decay momentum cosine
    warm weighted_loss mix_beta data_folder batch_size num_workers class_split n_cls test_fold weighted_sampler
    stetho_id sample_rate butterworth_filter desired_length nfft n_mels f_min f_max concat_aug_scale pad_types resz
    raw_augment specaug_policy specaug_mask model from_sl_official ma_update ma_beta audioset_pretrained method proj_dim
    temperature alpha negative_pair target_type denoise_d_model denoise_num_heads denoise_depth loss_beta audioset_ckpt
    eval two_cls_eval resume pretrained_ckpt
    """,
)
"""METHODS 4.2, and issue 3."""


def recipe_of(*arguments: str) -> Recipe:
    found = translate(build_parser().parse_args(arguments))
    return find_recipe(found.recipe.name, None, found.settings)


def test_every_flag_of_the_original_is_there() -> None:
    known = {action.dest for action in build_parser()._actions}
    assert set(ORIGINAL) <= known
    assert all(action.help for action in build_parser()._actions)


def test_without_flags_the_recipe_is_as_registered() -> None:
    assert recipe_of() == recipes.get("add4rsc/ast")()
    assert recipe_of("--model", "resnet50") == recipes.get("add4rsc/resnet50")()
    for preset in ("paper", "released-2025-02", "released-2025-08"):
        assert recipe_of("--preset", preset) == recipes.get(f"add4rsc/ast-{preset}")()


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        ("--denoise_num_heads 4", {"options.add.n_heads": 4}),
        ("--denoise_depth 2", {"options.add.depth": 2}),
        ("--loss_beta 0.3", {"options.add.loss_beta": 0.3}),
        ("--denoise_d_model 128", {"options.input_size": [1024, 128], "backbone_options.n_mels": 128}),
        ("--resz 0.5", {"options.input_size": [512, 128], "backbone_options.n_frames": 512}),
        ("--no-audioset_pretrained", {"weights": None}),
        ("--audioset_ckpt a/b.pth", {"weights": "a/b.pth"}),
        ("--n_cls 2", {"task": "cycle-2"}),
        ("--test_fold official", {"split": "icbhi2017/official"}),
        ("--test_fold 0", {"split": "icbhi2017/five-fold/1"}),
        ("--split random-file-seed1", {"split": "icbhi2017/random-file-seed1"}),
        ("--split patient-folds-5", {"split": "patient-folds-5"}),
        ("--stetho_id 2", {"stethoscopes": ("Litt3200",)}),
        ("--sample_rate 8000", {"front_end.sample_rate": 8000}),
        ("--sample_rate 44100", {"front_end.sample_rate": 44100, "front_end.n_fft": 2048}),
        ("--n_mels 64 --nfft 1024 --f_min 50 --f_max 2000",
         {"front_end.n_mels": 64, "front_end.n_fft": 1024, "front_end.f_min": 50.0, "front_end.f_max": 2000.0}),
        ("--desired_length 5 --pad_types zero", {"crop.duration": 5.0, "crop.padding": "zero"}),
        ("--butterworth_filter 5", {"crop.band_pass.order": 5}),
        ("--epochs 3 --batch_size 4", {"epochs": 3, "batch_size": 4}),
        ("--optimizer sgd --momentum 0.5", {"optimiser.name": "sgd", "optimiser.momentum": 0.5}),
        ("--learning_rate 1e-4 --weight_decay 0.1", {"optimiser.learning_rate": 1e-4, "optimiser.weight_decay": 0.1}),
        ("--no-cosine", {"schedule.shape": "step", "schedule.decay_epochs": (120, 160)}),
        ("--no-cosine --lr_decay_epochs 5,9 --lr_decay_rate 0.5",
         {"schedule.shape": "step", "schedule.decay_epochs": (5, 9), "schedule.decay_factor": 0.5}),
        ("--warm --warm_epochs 3", {"schedule.warmup_epochs": 3.0}),
        ("--weighted_loss", {"class_weights": "inverse"}),
        ("--weighted_sampler", {"sampler": "balanced"}),
        ("--ma_update", {"averaging.kind": "half-step", "averaging.decay": 0.5}),
        ("--ma_update --ma_beta 0.9", {"averaging.kind": "half-step", "averaging.decay": 0.9}),
        ("--selection test", {"selection": "test", "validation_share": 0.0}),
        ("--specaug_policy LB", {"augmentation.n_mel_masks": 1, "augmentation.max_mel_mask": 27,
                                 "augmentation.n_time_masks": 1, "augmentation.max_time_mask": 100}),
        ("--raw_augment 2", {"waveform.copies": 2}),
        ("--specaug_mask zero", {"augmentation.fill": "zero"}),
        ("--dataset sprsound", {"dataset": "sprsound"}),
        ("--class_split diagnosis --n_cls 2", {"task": "diagnosis-2"}),
    ],
)  # fmt: skip
def test_flags_together_do_what_their_helps_say(arguments: str, changes: dict) -> None:
    check_changes(arguments, "add4rsc/ast", changes)


def check_changes(arguments: str, base: str, changes: dict) -> None:
    """These keys have these values, and no other key of the base recipe has changed."""
    changed, usual = recipe_of(*shlex.split(arguments)).model_dump(), recipes.get(base)().model_dump()
    for key, value in changes.items():
        node = changed
        for part in key.split("."):
            node = node[part]
        assert node == value, key
    heads = {key.split(".")[0] for key in changes}
    assert {key for key in usual if usual[key] != changed[key]} == heads


RECIPE_FLAGS: dict[str, tuple[str, dict]] = {
    "optimizer": ("sgd", {"optimiser.name": "sgd"}),
    "epochs": ("7", {"epochs": 7}),
    "learning_rate": ("1e-4", {"optimiser.learning_rate": 1e-4}),
    "lr_decay_epochs": ("5,9 --no-cosine", {"schedule.shape": "step", "schedule.decay_epochs": (5, 9)}),
    "lr_decay_rate": ("0.3 --no-cosine", {"schedule.shape": "step", "schedule.decay_factor": 0.3}),
    "weight_decay": ("0.1", {"optimiser.weight_decay": 0.1}),
    "momentum": ("0.5", {"optimiser.momentum": 0.5}),
    "cosine": ("--model small_cnn", {"schedule.shape": "cosine", "schedule.per_epoch": True}),
    "warm": ("", {"schedule.warmup_epochs": 10.0, "schedule.initial_share": 0.1}),
    "weighted_loss": ("", {"class_weights": "inverse"}),
    "batch_size": ("4", {"batch_size": 4}),
    "class_split": ("diagnosis", {"task": "diagnosis-3"}),
    "n_cls": ("2", {"task": "cycle-2"}),
    "test_fold": ("4", {"split": "icbhi2017/five-fold/5"}),
    "weighted_sampler": ("", {"sampler": "balanced"}),
    "stetho_id": ("3", {"stethoscopes": ("AKGC417L",)}),
    "sample_rate": ("8000", {"front_end.sample_rate": 8000}),
    "butterworth_filter": ("4", {"crop.band_pass.order": 4, "crop.band_pass.low": 200.0}),
    "desired_length": ("5", {"crop.duration": 5.0}),
    "nfft": ("1024", {"front_end.n_fft": 1024}),
    "n_mels": ("64", {"front_end.n_mels": 64}),
    "f_min": ("50", {"front_end.f_min": 50.0}),
    "f_max": ("2000", {"front_end.f_max": 2000.0}),
    "concat_aug_scale": ("1.5", {"waveform.joined_scale": 1.5}),
    "pad_types": ("aug", {"crop.padding": "changed"}),
    "resz": ("2", {"options.input_size": [2048, 512], "backbone_options.n_frames": 2048}),
    "raw_augment": ("2", {"waveform.copies": 2}),
    "specaug_policy": ("icbhi_sup", {"augmentation.max_mel_mask": 20, "augmentation.max_time_mask": 50}),
    "specaug_mask": ("zero", {"augmentation.fill": "zero"}),
    "from_sl_official": ("--model resnet50 --preset released-2025-08", {"weights": "resnet50/imagenet"}),
    "ma_update": ("", {"averaging.kind": "half-step", "averaging.decay": 0.5}),
    "ma_beta": ("0.25 --ma_update", {"averaging.kind": "half-step", "averaging.decay": 0.25}),
    "audioset_pretrained": ("--model ast-small", {"weights": "ast/audioset-10-10"}),
    "denoise_d_model": ("64", {"options.input_size": [1024, 64], "backbone_options.n_mels": 64}),
    "denoise_num_heads": ("2", {"options.add.n_heads": 2}),
    "denoise_depth": ("1", {"options.add.depth": 1}),
    "loss_beta": ("0.2", {"options.add.loss_beta": 0.2}),
    "audioset_ckpt": ("a.pth", {"weights": "a.pth"}),
}
"""Flag -> its value and others that it needs, and every key of the recipe that it changes."""

BASES = {"cosine": "add4rsc/small_cnn", "from_sl_official": "add4rsc/resnet50-released-2025-08"}
BASES |= {"audioset_pretrained": "add4rsc/ast-small"}

RUN_FLAGS = {
    "seed": ("7", "--seeds 7"),
    "data_folder": ("here/there", "--data-folder here/there"),
    "num_workers": ("3", "--workers 3"),
    "model": ("resnet50", "train add4rsc/resnet50"),
    "method": ("ce", "train add4rsc/ast"),
    "resume": ("{run}/checkpoint", "--run-folder {run} --seeds 0 --resume"),
    "pretrained_ckpt": ("{run}/model.safetensors", "--set start_from={run}"),
    "eval": ("--pretrained_ckpt {trained}", "add4rsc evaluate {trained}"),
}
"""Flag -> its value and others that it needs, and what the printed line holds for it."""


def test_every_flag_of_the_original_has_a_case() -> None:
    assert {*RECIPE_FLAGS, *RUN_FLAGS, *SILENT, "two_cls_eval"} == set(ORIGINAL)  # the last is run below


@pytest.mark.parametrize("flag", RECIPE_FLAGS)
def test_each_flag_does_what_its_help_says(flag: str) -> None:
    value, changes = RECIPE_FLAGS[flag]
    arguments = f"--{flag} {value}" if value[:2] != "--" else f"{value} --{flag}"
    check_changes(arguments, BASES.get(flag, "add4rsc/ast"), changes)


@pytest.mark.parametrize("flag", [flag for flag in RUN_FLAGS if flag != "eval"])
def test_each_flag_of_a_run_is_in_the_printed_line(flag: str, tmp_path, capsys) -> None:
    run = tmp_path / "run"
    (run / "checkpoint").mkdir(parents=True)
    (run / "recipe.json").write_text("{}")
    value, expected = (text.format(run=run) for text in RUN_FLAGS[flag])
    with pytest.raises(SystemExit) as stop:
        legacy.main([f"--{flag}", value, "--dry_run"])
    assert stop.value.code == 0
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize("flag", SILENT)
def test_each_silent_flag_says_why_it_is(flag: str, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        legacy.main([f"--{flag}", "1", "--dry_run"])
    assert stop.value.code == 0
    caught = capsys.readouterr()
    assert f"--{flag} changes nothing here: {SILENT[flag]}." in caught.err
    assert "--set" not in caught.out


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [("--from_sl_official", "from_sl_official"), ("--model resnet50 --audioset_ckpt a.pth", "audioset_ckpt")],
)
def test_weights_of_another_backbone_are_said_to_be_unused(arguments: str, flag: str) -> None:
    found = translate(build_parser().parse_args(shlex.split(arguments)))
    assert not found.changes
    assert f"--{flag} changes nothing" in found.notes[0]


LINES = [
    "",
    "--model resnet50 --preset released-2025-02 --denoise_d_model 64 --denoise_num_heads 3 --n_cls 2 --weighted_loss",
    "--split random-file-seed1 --selection test --ma_update --audioset_ckpt 'a folder/it.pth' --num_workers 2 --seed 7",
    "--no-cosine --lr_decay_epochs 3 --stetho_id 0 --no-audioset_pretrained --butterworth_filter 3 --tag x",
    "--sample_rate 4000 --n_mels 32 --specaug_policy none --learning_rate 1e-05",
]


@pytest.mark.parametrize("arguments", LINES)
def test_printed_line_is_equivalent(arguments: str, monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        legacy.main([*shlex.split(arguments), "--dry_run"])
    assert stop.value.code == 0
    line = next(each for each in capsys.readouterr().out.splitlines() if each.startswith("Equivalent: "))
    words = shlex.split(line.removeprefix("Equivalent: "))
    assert words[:2] == ["add4rsc", "train"]
    caught = {}

    def remember(recipe, seeds, settings):
        caught.update(recipe=recipe, seeds=seeds, settings=settings)
        raise typer.Exit

    monkeypatch.setattr("add4rsc.engine.run.train", remember)
    assert training  # the verb is registered
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, result.output
    flags = build_parser().parse_args(shlex.split(arguments))
    assert caught["recipe"] == recipe_of(*shlex.split(arguments))
    assert caught["seeds"] == [flags.seed]
    assert caught["settings"].data_folder == flags.data_folder
    assert caught["settings"].n_workers == flags.num_workers


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("--model rsnet50", "Did you mean 'add4rsc/resnet50'"),
        ("--method patchmix_cl", "runs ce alone"),
        ("--split official --test_fold 0", "Keep one of them"),
        ("--class_split diagnosis --n_cls 4", "diagnosis-4"),
        ("--n_cls 3", "cycle-3"),
        ("--concat_aug_scale -1", "waveform.joined_scale"),
        ("--nfft 64", "400 samples"),
        ("--resz 0", "above 0"),
        ("--no-cosine --lr_decay_epochs a", "whole numbers"),
        ("--eval", "--pretrained_ckpt"),
        ("--pretrained_ckpt nowhere", "add4rsc weights import"),
        ("--epochs 0", "epochs"),
        ("--loss_beta 2 --dry_run", "options.add.loss_beta"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: str, problem: str, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        legacy.main(shlex.split(arguments))
    assert stop.value.code == 2
    assert problem in capsys.readouterr().err


def test_silent_flags_warn(capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        legacy.main(["--dry_run", "--print_freq", "3", "--ma_beta", "0.9", "--lr_decay_rate", "0.1"])
    assert stop.value.code == 0
    warned = capsys.readouterr().err
    for name in ("print_freq", "ma_beta", "lr_decay_rate"):
        assert f"--{name} changes nothing" in warned
    assert "print_freq" in SILENT


def test_random_split_says_what_it_is(capsys) -> None:
    for arguments in (["--split", "random-file-seed1"], ["--preset", "released-2025-08"]):
        with pytest.raises(SystemExit):
            legacy.main([*arguments, "--dry_run"])
        said = capsys.readouterr().err
        assert "not comparable with the official split" in said
        assert "2,520 of the 2,685" in said


@pytest.mark.data
def test_random_split_is_the_released_codes(shared_data: Path, golden: Path) -> None:
    expected = set(json.loads((golden / "split.json").read_text())["reference_train_files"])
    dataset = open_dataset(shared_data / "icbhi2017_subset")
    found = make_split(dataset, dataset.tasks["cycle-4"], SPLITS["random-file-seed1"], validation_share=0.0)
    present = {recording.recording_id for recording in dataset.recordings()}
    assert {cycle.recording.recording_id for cycle in found.train} <= expected & present
    assert not {cycle.recording.recording_id for cycle in found.test} & expected


def test_trains_tests_and_goes_on(made_corpus, feature_cache, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    quick = shlex.split("--model small_cnn --epochs 1 --desired_length 0.6 --selection last --n_cls 2 --two_cls_eval")
    common = [*quick, "--data_folder", str(made_corpus)]

    def start(*more: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["main.py", *common, *more])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(Path(__file__).parents[2] / "main.py"), run_name="__main__")
        caught = capsys.readouterr()
        return stop.value.code, caught.out + caught.err

    code, said = start("--weighted_loss")
    assert code == 0, said
    assert "Normal against abnormal" in said
    run = tmp_path / "save" / "add4rsc_small_cnn_seed0"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["classes"] == ["normal", "adventitious"]
    code, said = start("--weighted_loss")
    assert code == 1
    assert "finished run" in said
    assert start("--weighted_loss", "--resume", str(run / "checkpoint"))[0] == 0
    code, said = start("--eval", "--pretrained_ckpt", str(run))
    assert code == 0, said
    assert f"Score {summary['score_binary']:.4f}" in said
    assert RUN_FLAGS["eval"][1].split(" {")[0] in said
    code, said = start("--pretrained_ckpt", str(run / "model.safetensors"), "--tag", "more")
    assert code == 0, said
    stored = json.loads((tmp_path / "save" / "add4rsc_small_cnn_more_seed0" / "recipe.json").read_text())
    assert stored["start_from"] == str(run)


def test_band_pass_keeps_its_band() -> None:
    rate = 8000
    time = np.arange(2 * rate) / rate
    crop = Crop(band_pass=BandPass(order=4, low=200.0, high=1800.0))
    for frequency, gain in ((50, 0.0), (800, 1.0), (3500, 0.0)):
        tone = np.sin(2 * np.pi * frequency * time).astype(np.float32)
        passed = fade_recording(tone, rate, crop)
        assert passed.dtype == np.float32
        middle = slice(rate // 2, 3 * rate // 2)
        assert np.std(passed[middle]) / np.std(tone[middle]) == pytest.approx(gain, abs=0.02)
        if gain:
            assert np.argmax(signal.correlate(passed[middle], tone[middle])) == rate - 1  # nothing moves in time


def test_only_one_stethoscope(made_corpus) -> None:
    dataset = open_dataset(made_corpus)
    split = make_split(dataset, dataset.tasks["cycle-4"], "icbhi2017/official", validation_share=0.0)
    names = {cycle.recording.stethoscope for cycle in split.train} & {
        cycle.recording.stethoscope for cycle in split.test
    }
    kept = only_stethoscopes(split, [min(names)])
    assert {cycle.recording.stethoscope for cycle in (*kept.train, *kept.test)} == {min(names)}
    assert len(kept.test) == sum(cycle.recording.stethoscope == min(names) for cycle in split.test)
    assert only_stethoscopes(split, []) is split
    with pytest.raises(SplitError, match="no training cycles of Eko"):
        only_stethoscopes(split, ["Eko"])


def test_conflicts_are_errors_of_ours() -> None:
    with pytest.raises(WrongUsageError):
        recipe_of("--split", "official", "--test_fold", "1")
