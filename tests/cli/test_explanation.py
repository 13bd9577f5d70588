import re

import pandas as pd
import pytest
import soundfile

from add4rsc.engine.explanation import choose_stretch, cycles_beside
from add4rsc.errors import WrongUsageError

TINY = ("--set", "epochs=1", "--set", "crop.duration=1.0", "--set", "validation_share=0.5", "--accelerator", "cpu")


@pytest.fixture
def recording(made_corpus):
    return sorted((made_corpus / "ICBHI_final_database").glob("*.wav"))[0]


def test_draws_one_cycle(cli, train, recording, tmp_path) -> None:
    assert train(tmp_path / "run", recipe="add4rsc/small_cnn").code == 0
    outcome = cli("explain", tmp_path / "run", recording, "-o", tmp_path / "out", "--cycle", "2")
    assert outcome.code == 0, outcome.err
    start = cycles_beside(recording)[1][0]
    stem = f"{recording.stem}@{round(start * 1000)}"
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"{stem}{kind}" for kind in (".png", ".svg", "-heads.png", "-heads.svg")}
    for path in (tmp_path / "out").glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
    for path in (tmp_path / "out").glob("*.svg"):
        text = re.sub("<[^>]*>", " ", path.read_text())
        assert "Research use only, not a medical device." in text
        assert recording.stem in text
    assert "crackle" in outcome.text
    nothing = cli("explain", tmp_path / "run", recording, "-o", tmp_path / "out", "--cycle", "99")
    assert nothing.code == 2
    assert "no cycle 99" in nothing.text


def test_a_method_without_the_layer_is_refused(cli, train, recording, tmp_path) -> None:
    assert train(tmp_path / "run").code == 0
    outcome = cli("explain", tmp_path / "run", recording, "-o", tmp_path / "out")
    assert outcome.code == 2
    assert "has no ADD layer" in outcome.text
    assert not (tmp_path / "out").exists()


def test_examples_of_any_method(cli, train, made_corpus, recording, tmp_path) -> None:
    assert train(tmp_path / "run").code == 0
    out = tmp_path / "out"
    asked = ("--examples", "--data-folder", made_corpus, "--per-class", "1")
    outcome = cli("explain", tmp_path / "run", *asked, "-o", out)
    assert outcome.code == 0, outcome.err
    table = pd.read_csv(out / "examples.csv")
    assert {"cycle_id", "class", "epsilon", "kind"} <= set(table.columns)
    assert {path.stem for path in out.glob("*.png")} == set(table["class"])
    assert table.groupby(["class", "kind"]).size().max() == 1
    for path in out.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
    assert "Research use only" in outcome.text
    for wrong in ((), (recording, "--data-folder", made_corpus)):
        refused = cli("explain", tmp_path / "run", "--examples", *wrong)
        assert refused.code == 2
        assert "--data-folder" in refused.text


def test_nothing_to_explain_is_told(cli, train, tmp_path) -> None:
    outcome = cli("explain", tmp_path)
    assert outcome.code == 2
    assert "Give a recording, or --examples" in outcome.text


def test_a_folder_without_a_run(cli, recording, tmp_path) -> None:
    (tmp_path / "runs" / "seed-1").mkdir(parents=True)
    (tmp_path / "runs" / "seed-1" / "model.safetensors").write_bytes(b"")
    outcome = cli("explain", tmp_path / "runs", recording)
    assert outcome.code == 1
    assert "Pass one of" in outcome.text
    assert "seed-1" in outcome.text


def test_stretch_is_chosen_by_number_by_times_or_whole(recording, tmp_path) -> None:
    rows = [line.split() for line in recording.with_suffix(".txt").read_text().splitlines()]
    assert choose_stretch(recording, None, None, None) == (float(rows[0][0]), float(rows[0][1]))
    assert choose_stretch(recording, 3, None, None) == (float(rows[2][0]), float(rows[2][1]))
    assert choose_stretch(recording, None, 1.0, 2.5) == (1.0, 2.5)
    samples, rate = soundfile.read(recording)
    alone = tmp_path / "alone.wav"
    soundfile.write(alone, samples, rate)
    assert choose_stretch(alone, None, None, None) == (0.0, len(samples) / rate)
    assert choose_stretch(alone, None, 1.0, None) == (1.0, len(samples) / rate)
    for cycle, start, end, problem in (
        (1, None, None, "0 annotated"),
        (1, 0.0, None, "exclude"),
        (None, 2.0, 1.0, "nothing"),
    ):
        with pytest.raises(WrongUsageError, match=problem):
            choose_stretch(alone, cycle, start, end)


def test_events_of_a_json_annotation(tmp_path) -> None:
    (tmp_path / "a.json").write_text(
        '{"record_annotation": "CAS", "event_annotation": [{"start": "500", "end": "1250", "type": "Wheeze"}]}'
    )
    assert cycles_beside(tmp_path / "a.wav") == [(0.5, 1.25)]
