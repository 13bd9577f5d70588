"""Exit codes, help, and errors without tracebacks."""

import json
import signal
import subprocess
import sys
import time

import pytest

from add4rsc import __version__
from add4rsc.datasets import datasets
from add4rsc.errors import Add4rscError, WrongUsageError
from add4rsc.methods import recipes

HEAVY = ("torch", "pandas", "scipy", "sklearn", "transformers", "matplotlib", "lightning_fabric", "onnxruntime")
TRAIN = ("train", "add4rsc/small_cnn", "--data-folder", "x")
IMPORTED = """
import sys
from add4rsc.cli import main
sys.argv = ["add4rsc", *sys.argv[1:]]
try:
    main()
finally:
    print("imported:", *sorted(name for name in sys.modules if "." not in name))
"""


def imported_by(*arguments: str) -> tuple[set[str], float]:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", IMPORTED, *arguments], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("imported:")[2].split()), time.monotonic() - began


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["data", "verify", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    modules, seconds = imported_by(*arguments)
    assert "typer" in modules
    assert not modules.intersection(HEAVY)
    assert seconds < 2


def test_evaluation_needs_no_torch(tmp_path):
    table = tmp_path / "predictions.csv"
    table.write_text(
        "cycle_id,recording,patient,start,end,label,decision,p_normal,p_wheeze\n"
        "a,r,1,0,1,normal,normal,0.9,0.1\nb,r,1,1,2,wheeze,wheeze,0.2,0.8\n"
    )
    modules, _ = imported_by("evaluate", str(table))
    assert "pandas" in modules
    assert "torch" not in modules


def test_version(cli):
    outcome = cli("--version")
    assert (outcome.code, outcome.out.strip()) == (0, f"add4rsc {__version__}")


def test_every_verb_has_a_help_page(cli):
    pages = cli("--help")
    assert pages.code == 0
    for verb in ("demo", "data", "list", "cite", "train", "evaluate", "weights", "doctor"):
        assert f" {verb} " in pages.text
        assert cli(verb, "--help").code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "fine_tuning/small_cn", "--data-folder", "x"], "no recipe 'fine_tuning/small_cn'. Did you mean "
         "'fine_tuning/small_cnn'?"),
        ([*TRAIN, "--set", "epoch=3"], "no recipe key 'epoch'. Did you mean "
         "'epochs'?"),
        ([*TRAIN, "--set", "optimiser.lerning_rate=3"],
         "no recipe key 'optimiser.lerning_rate'. Did you mean 'learning_rate'?"),
        ([*TRAIN, "--sed", "1"], "options: --seeds"),
        ([*TRAIN, "--set", "epochs=[1"], "'[1' is not a YAML value"),
        ([*TRAIN, "--set", "epochs"], "expected KEY=VALUE"),
        ([*TRAIN, "--set", "epochs=0"], "'epochs' cannot be 0"),
        ([*TRAIN, "--seeds", "1,b"], "expected whole numbers"),
        ([*TRAIN, "--seeds", "1,1"], "named twice"),
        (["train", "add4rsc/small_cnn"], "--data-folder"),
        (["list", "recipe"], "recipes"),
        (["cite", "ad4rsc/ast"], "Did you mean 'add4rsc/ast'?"),
        (["data", "obtain", "icbhi"], "Did you mean 'icbhi2017'?"),
        (["tain"], "Did you mean 'train'?"),
    ],
)  # fmt: skip
def test_wrong_usage_is_2_with_the_nearest_name(cli, arguments, said):
    outcome = cli(*arguments)
    assert outcome.code == 2, outcome
    assert said in outcome.text
    assert outcome.out == ""


def test_unknown_keys_of_a_method_or_a_backbone_are_wrong_usage(train, tmp_path):
    outcome = train(tmp_path / "a", "--set", "options.dropuot=0.1")
    assert (outcome.code, "Did you mean 'dropout'?" in outcome.text) == (2, True)
    outcome = train(tmp_path / "b", "--set", "backbone_options.width=3")
    assert outcome.code == 2
    assert "width" in outcome.text
    outcome = train(tmp_path / "c", "--set", "split=icbhi2017/offical")
    assert (outcome.code, "Did you mean 'icbhi2017/official'?" in outcome.text) == (2, True)
    outcome = train(tmp_path / "d", "--set", "task=cycle-3")
    assert outcome.code == 2
    assert "cycle-4" in outcome.text
    outcome = train(tmp_path / "e", "--set", "backbone=resnet51")
    assert (outcome.code, "Did you mean 'resnet50'?" in outcome.text) == (2, True)


@pytest.mark.parametrize(("error", "code"), [(Add4rscError("[bold] tag"), 1), (WrongUsageError("[bold] tag"), 2)])
def test_errors_have_no_traceback_and_keep_their_brackets(cli, monkeypatch, error, code):
    def fail():
        raise error

    monkeypatch.setattr(recipes, "names", fail)
    outcome = cli("list", "recipes")
    assert outcome.code == code
    assert outcome.err.strip() == "Error: [bold] tag"


def test_a_bug_is_not_taken_for_a_users_mistake(cli, monkeypatch):
    monkeypatch.setattr(datasets, "names", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli("list", "datasets")


@pytest.mark.parametrize("stop", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_stopped_training_says_how_to_go_on_and_does(made_corpus, cli, tmp_path, stop):
    arguments = ["train", "fine_tuning/small_cnn", "--data-folder", str(made_corpus), "--run-folder", str(tmp_path)]
    for change in ("epochs=25", "validation_share=0.5", "crop.duration=1.0", "batch_size=4"):
        arguments += ["--set", change]
    process = subprocess.Popen(
        [sys.executable, "-m", "add4rsc", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    state = tmp_path / "checkpoint" / "state.safetensors"
    began = time.monotonic()
    while not state.exists() and process.poll() is None and time.monotonic() - began < 60:
        time.sleep(0.02)
    process.send_signal(stop)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert "Traceback" not in err
    assert "with the same command and --resume" in " ".join(err.split())
    assert not (tmp_path / "summary.json").exists()
    resumed = cli(*arguments, "--resume", "--json")
    assert resumed.code == 0, resumed.err
    assert json.loads(resumed.out)["n_cycles"] == 37
    n_done = sum(line.startswith("epoch ") for line in resumed.err.splitlines())
    assert 0 < n_done < 25
