"""`add4rsc robustness`, as a shell sees it."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import soundfile

IMPORTED = """
import sys
from add4rsc.cli import main
sys.argv = ["add4rsc", *sys.argv[1:]]
try:
    main()
finally:
    print("imported:", *sorted(name for name in sys.modules if "." not in name))
"""


@pytest.fixture
def noise(tmp_path):
    folder = tmp_path / "noise"
    (folder / "rain").mkdir(parents=True)
    soundfile.write(folder / "rain" / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(8000), 8000)
    soundfile.write(folder / "hum.wav", 0.1 * np.sin(np.arange(16_000) / 8), 16_000)
    return folder


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    return tmp_path_factory.mktemp("trained") / "run"


@pytest.fixture
def run(train, trained_once, tmp_path):
    """A folder with a trained network, which every test may write to."""
    if not trained_once.exists():
        assert train(trained_once).code == 0
    return shutil.copytree(trained_once, tmp_path / "first")


@pytest.fixture(scope="session")
def measured_once(tmp_path_factory):
    return tmp_path_factory.mktemp("measured") / "run"


@pytest.fixture
def measured(run, measure, measured_once, tmp_path):
    """A run that was measured in white and pink noise, which every test may write to."""
    if not measured_once.exists():
        assert measure(run, "--corruptions", "white,pink").code == 0
        shutil.copytree(run, measured_once)
    return shutil.copytree(measured_once, tmp_path / "measured")


@pytest.fixture
def measure(cli, made_corpus, noise):
    def start(folder, *more):
        measuring = ("--data-folder", made_corpus, "--noise-folder", noise, "--accelerator", "cpu")
        return cli("robustness", folder, *measuring, "--snr", "5,-5", "--noise-seeds", "2", *more)

    return start


def test_measured_written_and_printed(cli, run, measure):
    outcome = measure(run, "--corruptions", "recorded,stethoscope", "--levels", "stethoscope=1000")
    assert outcome.code == 0, outcome.err
    assert "recorded rain 5 dB SNR" in outcome.text
    assert "10 of 10 conditions, done" in outcome.text
    assert "Research use only" in outcome.out
    folder = run / "robustness"
    table = pd.read_csv(folder / "robustness.csv")
    assert len(table) == 1 + 2 * 2 * 2 + 1
    assert list(table.columns[:6]) == ["corruption", "noise_class", "level", "unit", "noise_seed", "n_cycles"]
    assert {path.suffix for path in folder.glob("robustness.*")} == {".csv", ".png", ".svg"}
    again = cli("robustness", run, "--json")
    assert again.code == 0
    told = json.loads(again.out)
    assert told["noise_seeds"] == [1, 2]
    assert (told["recipe"], told["task"], told["n_conditions"]) == ("fine_tuning/small_cnn", "cycle-4", 10)
    rain = [e for e in told["scores"] if (e["noise_class"], e["level"]) == ("rain", -5.0)]
    kept = table[(table["noise_class"] == "rain") & (table["level"] == -5)]
    assert rain[0]["score"] == pytest.approx(kept["score"].mean())
    low, high = rain[0]["intervals"]["score"]
    assert low <= rain[0]["score"] <= high


def test_a_folder_is_added_to_with_resume(run, measure):
    assert measure(run, "--corruptions", "clean").code == 0
    again = measure(run, "--corruptions", "white")
    assert again.code == 1
    assert "Add to them with --resume" in again.text
    assert measure(run, "--corruptions", "white", "--resume").code == 0
    assert len(pd.read_csv(run / "robustness" / "robustness.csv")) == 1 + 2 * 2
    assert measure(run, "--corruptions", "pink", "--overwrite").code == 0
    assert set(pd.read_csv(run / "robustness" / "robustness.csv")["corruption"]) == {"clean", "pink"}


def test_runs_are_compared_from_what_is_stored(cli, measured, measure, tmp_path):
    run = measured
    assert measure(run, "--corruptions", "white", "--enhance", "wiener").code == 0
    other = run / "robustness-wiener"
    out = tmp_path / "both"
    outcome = cli("robustness", run, "--against", other, "--corruptions", "white", "-o", out, "--json")
    assert outcome.code == 0
    (difference,) = json.loads(outcome.out)["differences"]
    assert difference["against"] == "measured + wiener"
    assert difference["same_waveforms"]
    by_level = {cell["level"]: cell["scores"]["score"] for cell in difference["cells"] if cell["corruption"] == "white"}
    tables = [pd.read_csv(folder / "robustness.csv") for folder in (run / "robustness", other)]
    means = [table[table["level"] == 5.0]["score"].mean() for table in tables]
    assert by_level[5.0]["difference"] == pytest.approx(means[1] - means[0])
    assert b"measured + wiener" in (out / "robustness.svg").read_bytes()
    assert len(pd.read_csv(out / "differences.csv")["measure"].unique()) == 5
    told = cli("robustness", run, "--against", other, "--corruptions", "white", "-o", out)
    assert "A: measured B: measured + wiener" in told.text


def test_what_is_missing_makes_it_partly_done(cli, measured, tmp_path):
    run = measured
    outcome = cli("robustness", run, "--snr", "5,20", "--corruptions", "white,heart", "-o", tmp_path / "o")
    assert outcome.code == 3
    assert "Missing: corruption heart. Missing: white at 20." in outcome.text
    other = shutil.copytree(run / "robustness", tmp_path / "second")
    for path in (other / "predictions").glob("pink*"):
        path.unlink()
    outcome = cli("robustness", run, "--against", other, "-o", tmp_path / "o", "--json")
    assert outcome.code == 3
    assert "4 conditions of" in json.loads(outcome.out)["missing"][0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--corruptions", "wite"], "no corruption 'wite'. Did you mean 'white'"),
        (["--enhance", "winer"], "--enhance winer: expected one of none, spectral-subtraction, wiener"),
        (["--noise-band", "x"], "--noise-band x: expected one of front-end, recording"),
        (["--resume"], "Pass --data-folder too"),
        (["--snr", "a"], "--snr a: expected numbers"),
        (["--data-folder", "x", "--resume", "--overwrite"], "exclude each other"),
        (["--data-folder", "x", "--corruptions", "recorded"], "needs --noise-folder"),
        (["--levels", "clipping=2"], "below 1"),
    ],
)
def test_wrong_usage(cli, tmp_path, arguments, said):
    outcome = cli("robustness", tmp_path, *arguments)
    assert outcome.code == 2
    assert said in outcome.text


def test_nothing_measured_says_what_to_run(cli, tmp_path):
    outcome = cli("robustness", tmp_path)
    assert outcome.code == 1
    assert "nothing was measured there. Run: add4rsc robustness" in outcome.text


def test_telling_needs_no_torch(measured):
    run = str(measured)
    command = [sys.executable, "-c", IMPORTED, "robustness", run, "--against", run, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told, _, names = done.stdout.rpartition("imported:")
    assert json.loads(told)["differences"]
    assert "pandas" in names.split()
    assert "torch" not in names.split()


def test_help_imports_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, "robustness", "--help"], capture_output=True, text=True, check=True
    )
    assert not {"torch", "pandas", "scipy", "numpy"}.intersection(done.stdout.rpartition("imported:")[2].split())


def test_corruptions_are_listed(cli):
    from add4rsc.robustness.corruptions import corruptions

    rows = json.loads(cli("list", "corruptions", "--json").out)["corruptions"]
    assert [row["name"] for row in rows] == corruptions.names()
    assert next(row for row in rows if row["name"] == "white")["levels"] == [20.0, 10.0, 5.0, 0.0, -5.0]
    assert "dB SNR" in cli("list", "corruptions").out
