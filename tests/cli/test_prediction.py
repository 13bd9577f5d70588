"""`add4rsc predict` and `add4rsc merge` as a shell sees them."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from add4rsc.terms import RESEARCH_USE_ONLY

LAST = 8000
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "250"}


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """Logits from the mean, the largest and the mean absolute sample of two seconds at 4 kHz."""
    import onnx
    from onnx import TensorProto, helper

    from add4rsc.audio.crop import Crop
    from add4rsc.inference.onnx_model import ModelDescription

    nodes = [
        helper.make_node("Abs", ["waveform"], ["absolute"]),
        helper.make_node("ReduceMean", ["absolute", "axis"], ["size"]),
        helper.make_node("ReduceMax", ["waveform", "axis"], ["largest"]),
        helper.make_node("ReduceMean", ["waveform", "axis"], ["mean"]),
        helper.make_node("Concat", ["mean", "size", "largest", "size"], ["logits"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["cycle", LAST])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["cycle", 4])],
        [onnx.numpy_helper.from_array(np.array([1]), "axis")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    classes = ("normal", "crackle", "wheeze", "both")
    described = ModelDescription(name="small", classes=classes, sample_rate=4000, crop=Crop(duration=2.0))
    helper.set_model_props(made, described.to_metadata())
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(made, path)
    return path


def write_sounds(folder: Path, number: int, seconds: float = 6.0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        noise = np.random.default_rng(index).standard_normal(round(4000 * seconds))
        swell = 0.05 + np.clip(np.sin(np.arange(len(noise)) * 2 * np.pi / 12_000), 0, None)
        soundfile.write(folder / f"{index:03d} é.wav", 0.1 * noise * swell, 4000)
    return folder


@pytest.fixture
def recordings(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_sounds(tmp_path / "in", 3)
    (tmp_path / "in" / "BAD.WAV").write_text("a letter")
    return Path("in")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_predict_writes_and_prints(cli, model, recordings):
    done = cli(
        "predict", recordings, "-o", "out", "--model", model, "--format", "csv,json,audacity,raven,textgrid,html"
    )
    assert done.code == 3
    assert RESEARCH_USE_ONLY in done.out
    assert "in/BAD.WAV" in done.text
    assert "not sure" in done.text
    table = pd.read_csv("out/predictions.csv")
    assert table["file"].nunique() == 3
    assert pd.read_csv("out/errors.csv")["file"].tolist() == ["in/BAD.WAV"]
    assert {path.suffix for path in Path("out/files").iterdir()} == {".csv", ".json", ".txt", ".TextGrid", ".html"}


def test_predict_without_out_only_prints(cli, model, recordings, tmp_path):
    before = contents(tmp_path)
    done = cli("predict", recordings / "000 é.wav", "--model", model)
    assert done.code == 0
    assert "000 é.wav" in done.out
    assert RESEARCH_USE_ONLY in done.out
    assert contents(tmp_path) == before


def test_json_is_one_object(cli, model, recordings):
    printed = json.loads(cli("predict", recordings, "--model", model, "--json").out)
    assert printed["notice"] == RESEARCH_USE_ONLY
    assert len(printed["recordings"]) == 3
    assert printed["errors"][0]["file"] == "in/BAD.WAV"
    summed = json.loads(cli("predict", recordings, "--model", model, "--json", "-o", "out").out)
    assert (summed["n_files"], summed["n_errors"]) == (4, 1)
    assert all(Path(path).is_file() for path in summed["outputs"])


def test_a_list_on_standard_input(cli, model, recordings, monkeypatch):
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("in/000 é.wav\nin/002 é.wav\n"))
    assert cli("predict", "-", "-o", "out", "--model", model).code == 0
    assert pd.read_csv("out/predictions.csv")["file"].unique().tolist() == ["in/000 é.wav", "in/002 é.wav"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["in", "-o", "out", "--format", "cvs"], 2, "Did you mean 'csv'"),
        (["in", "--format", "csv"], 2, "-o FOLDER"),
        (["in", "--resume"], 2, "-o FOLDER"),
        (["in", "-o", "out", "--shard", "3/2"], 2, "1/8"),
        (["in", "--cycles", "widows"], 2, "windows"),
        (["in", "--patient", "(("], 2, "--patient"),
        (["in", "--threshold", "2"], 2, "threshold"),
        (["in", "--smooth", "1.5"], 2, "smooth"),
        (["empty"], 1, "No sound files"),
        (["in", "--model", "nothing.onnx"], 1, "no such model"),
        (["in", "--model", "in/BAD.WAV"], 1, "no ONNX model"),
        (["missing.wav"], 3, "does not exist"),
    ],
)
def test_wrong_usage(cli, model, recordings, arguments, code, words):
    Path("empty").mkdir()
    more = [] if "--model" in arguments else ["--model", model]
    done = cli("predict", *arguments, *more)
    assert done.code == code
    assert words in done.text
    assert "Traceback" not in done.text


def test_shards_and_merge(cli, model, recordings):
    cli("predict", recordings, "-o", "whole", "--model", model)
    codes = [cli("predict", recordings, "-o", f"p{i}", "--model", model, "--shard", f"{i}/3").code for i in (1, 2, 3)]
    assert sorted(codes) == [0, 0, 3]
    done = cli("merge", "p3", "p1", "p2", "-o", "out")
    assert done.code == 3
    assert contents(Path("out")) == contents(Path("whole"))
    assert "Missing: shard 2/3" in cli("merge", "p3", "p1", "-o", "less").text


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "add4rsc", *map(str, arguments)]


def test_killed_and_resumed(cli, model, tmp_path, monkeypatch):
    """kill -9 in the middle, then --resume: the bytes of a run that nobody touched."""
    monkeypatch.chdir(tmp_path)
    write_sounds(tmp_path / "in", 40, 10.0)
    arguments = ("predict", "in", "--model", model, "--format", "csv,json,textgrid")
    with subprocess.Popen(command(*arguments, "-o", "out"), env=ENVIRONMENT, stdout=subprocess.DEVNULL) as process:
        journal, deadline = Path("out/journal.jsonl"), time.monotonic() + 60
        while time.monotonic() < deadline and not (journal.is_file() and journal.read_bytes().count(b"\n") >= 5):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    n_done = journal.read_bytes().count(b"\n")
    assert 5 <= n_done < 40
    assert not Path("out/predictions.csv").exists()
    assert cli(*arguments, "-o", "out", "--resume").code == 0
    cli(*arguments, "-o", "whole")
    found = {name: body for name, body in contents(Path("out")).items() if not Path(name).name.startswith(".")}
    assert found == contents(Path("whole"))


def test_a_disk_that_takes_no_more(cli, model, tmp_path, monkeypatch):
    """A limit on the size of files stands for a full disk: the journal cannot grow past it."""
    monkeypatch.chdir(tmp_path)
    write_sounds(tmp_path / "in", 12)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))

    arguments = ("predict", "in", "-o", "out", "--model", model, "--cycles", "windows")
    done = subprocess.run(
        command(*arguments), env=ENVIRONMENT, capture_output=True, text=True, check=False, preexec_fn=limit
    )
    assert done.returncode == 1
    assert "could not be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert cli(*arguments, "--resume").code == 0
    assert pd.read_csv("out/predictions.csv")["file"].nunique() == 12


def test_progress_is_on_standard_error(cli, model, recordings, monkeypatch):
    from add4rsc.cli import _batch_progress

    monkeypatch.setattr(_batch_progress, "SECONDS_BETWEEN_LINES", 0.0)
    done = cli("predict", recordings, "--model", model)
    assert "4 of 4 files" in done.err
    assert "audio-hours per hour" in done.err


@pytest.mark.slow
def test_two_gigabytes_in_little_memory(model, tmp_path):
    """A WAV of 2 GB, most of it a hole on the disk, takes less than half of it in memory."""
    path = tmp_path / "huge.wav"
    soundfile.write(path, np.zeros(44_100, np.int16), 44_100)
    size = 2**31
    with path.open("r+b") as file:
        header = bytearray(file.read(44))
        header[4:8], header[40:44] = (size - 8).to_bytes(4, "little"), (size - 44).to_bytes(4, "little")
        file.seek(0)
        file.write(header)
        file.truncate(size)
    program = (
        "import resource, sys; from add4rsc.inference.model import Model; import add4rsc; "
        f"result = add4rsc.load({str(model)!r}).predict({str(path)!r}, cycles='windows'); "
        "print(result.table['abstain'].all(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    abstains, megabytes = done.stdout.split()
    assert abstains == "True"
    assert int(megabytes) < 1000
