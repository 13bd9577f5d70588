"""Batches that stop, go on, are shared out and put together: nothing lost, nothing twice, the same bytes."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from add4rsc.errors import RunFolderError, StorageError
from add4rsc.inference import batch, journal
from add4rsc.inference.batch import JOURNAL, Plan, merge_batches, run_batch
from add4rsc.inference.journal import Entry, Journal
from add4rsc.inference.listing import find_sources
from add4rsc.inference.pipeline import Choices

FORMATS = ("csv", "json", "textgrid")
EVERY_FORMAT = (*FORMATS, "audacity", "raven", "html")
N_GOOD = 5


class Stopped(BaseException):
    """As a kill would be, were it not for the test."""


@pytest.fixture
def cohort(write, breath, tmp_path, monkeypatch):
    for number in range(N_GOOD):
        write(f"in/{number % 2}/10{number}_1b1_Al_sc_Meditron.wav", breath(5.0, seed=number))
    write("in/silent.wav", np.zeros(20_000, np.float32))
    (tmp_path / "in" / "text.wav").write_text("I am a letter")
    (tmp_path / "in" / "empty.flac").write_bytes(b"")
    write("in/nan.wav", np.full(20_000, np.nan, np.float32), subtype="FLOAT")
    monkeypatch.chdir(tmp_path)
    return find_sources(["in"])[0]


def plan(shard=(1, 1), formats=FORMATS, cycles="windows", model="abc", resume=False) -> Plan:
    return Plan(model, formats, Choices(cycles), shard, resume)


def contents(folder: Path, without: tuple[str, ...] = ()) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name not in without}


def test_bad_files_are_named_and_the_others_done(classifier, cohort, tmp_path):
    outcome = run_batch(classifier, cohort, tmp_path / "out", plan())
    errors = pd.read_csv(tmp_path / "out" / "errors.csv")
    table = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert outcome.exit_code == 3
    assert list(errors.columns) == ["file", "problem", "remedy", "notice"]
    assert errors["file"].tolist() == ["in/empty.flac", "in/nan.wav", "in/silent.wav", "in/text.wav"]
    assert errors.notna().all().all()
    assert "20000 samples that are not finite" in errors["problem"][1]
    assert table["file"].nunique() == N_GOOD + 1
    assert table.loc[table["file"] == "in/silent.wav", "abstain"].all()
    assert table["file"].is_monotonic_increasing


def test_outputs_are_there_for_each_file_and_for_all(classifier, cohort, tmp_path):
    run_batch(classifier, cohort, tmp_path / "out", plan(formats=EVERY_FORMAT))
    names = set(contents(tmp_path / "out"))
    suffixes = (".csv", ".json", ".audacity.txt", ".raven.txt", ".TextGrid", ".html")
    assert {f"predictions{suffix}" for suffix in suffixes} < names
    assert {f"files/1/103_1b1_Al_sc_Meditron{suffix}" for suffix in suffixes} < names
    assert {"recordings.csv", "patients.csv", "errors.csv"} < names
    assert pd.read_csv(tmp_path / "out" / "patients.csv")["patient"].tolist() == list(range(100, 100 + N_GOOD))


def test_a_file_gives_the_same_alone_and_in_a_batch(classifier, cohort, tmp_path):
    run_batch(classifier, cohort, tmp_path / "all", plan())
    together = pd.read_csv(tmp_path / "all" / "predictions.csv", dtype={"patient": str})
    for source in cohort[:3]:
        run_batch(classifier, [source], tmp_path / source.name.replace("/", "-"), plan())
        alone = pd.read_csv(tmp_path / source.name.replace("/", "-") / "predictions.csv", dtype={"patient": str})
        pd.testing.assert_frame_equal(alone, together[together["file"] == source.name].reset_index(drop=True))


@pytest.mark.parametrize("n_before", [0, 3, 8])
def test_a_stopped_batch_goes_on_to_the_same_bytes(classifier, cohort, tmp_path, n_before):
    run_batch(classifier, cohort, tmp_path / "whole", plan())
    done = []

    def stop_at(entry: Entry) -> None:
        done.append(entry.name)
        if len(done) == n_before + 1:
            raise Stopped

    with pytest.raises(Stopped):
        run_batch(classifier, cohort, tmp_path / "out", plan(), watch=stop_at)
    with (tmp_path / "out" / JOURNAL).open("ab") as file:
        file.write(b'{"name":"in/1/105_1b1_Al_sc_Medit')
    again = []
    run_batch(classifier, cohort, tmp_path / "out", plan(resume=True), watch=lambda entry: again.append(entry.name))
    assert sorted(done + again) == [source.name for source in cohort]
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_finished_batch_is_not_done_again(classifier, cohort, tmp_path):
    run_batch(classifier, cohort, tmp_path / "out", plan())
    before, n_batches = contents(tmp_path / "out"), len(classifier.batches)
    run_batch(classifier, cohort, tmp_path / "out", plan(resume=True))
    assert contents(tmp_path / "out") == before
    assert len(classifier.batches) == n_batches


def test_a_file_that_changed_is_done_again_and_counts_once(classifier, cohort, tmp_path, write, breath):
    run_batch(classifier, cohort, tmp_path / "out", plan())
    write("in/text.wav", breath(5.0, seed=9))
    outcome = run_batch(classifier, cohort, tmp_path / "out", plan(resume=True))
    run_batch(classifier, cohort, tmp_path / "fresh", plan())
    assert outcome.n_problems == 3
    assert contents(tmp_path / "out", (JOURNAL,)) == contents(tmp_path / "fresh", (JOURNAL,))


def test_a_folder_is_not_written_over(classifier, cohort, tmp_path):
    run_batch(classifier, cohort, tmp_path / "out", plan())
    with pytest.raises(RunFolderError, match="--resume"):
        run_batch(classifier, cohort, tmp_path / "out", plan())


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (plan(model="xyz"), "model"),
        (plan(cycles="auto"), "cycles"),
        (plan(formats=("csv",)), "formats"),
        (replace(plan(), choices=replace(plan().choices, smoothing=0.3)), "smoothing"),
    ],
)
def test_another_batch_does_not_go_on(classifier, cohort, tmp_path, other, word):
    run_batch(classifier, cohort, tmp_path / "out", plan())
    with pytest.raises(RunFolderError, match=word):
        run_batch(classifier, cohort, tmp_path / "out", replace(other, resume=True))


@pytest.mark.parametrize("n_shards", [2, 12])
def test_shards_join_to_the_same_bytes(classifier, cohort, tmp_path, n_shards):
    run_batch(classifier, cohort, tmp_path / "whole", plan())
    parts = [tmp_path / f"part-{index}" for index in range(1, n_shards + 1)]
    for index, part in enumerate(parts, start=1):
        run_batch(classifier, cohort, part, plan((index, n_shards)))
    outcome = merge_batches(parts[::-1], tmp_path / "out")
    assert outcome.missing == ()
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_join_says_what_is_missing(classifier, cohort, tmp_path):
    run_batch(classifier, cohort, tmp_path / "a", plan((1, 3)))

    def stop(_entry: Entry) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        run_batch(classifier, cohort, tmp_path / "b", plan((2, 3)), watch=stop)
    outcome = merge_batches([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert outcome.missing == ("shard 3/3", f"2 of 3 files of {tmp_path / 'b'}")
    assert outcome.exit_code == 3


def test_parts_of_different_batches_do_not_join(classifier, cohort, tmp_path):
    run_batch(classifier, cohort, tmp_path / "a", plan((1, 2)))
    run_batch(classifier, cohort[:-1], tmp_path / "b", plan((2, 2)))
    with pytest.raises(RunFolderError, match="listing"):
        merge_batches([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    with pytest.raises(RunFolderError, match="holds no batch"):
        merge_batches([tmp_path], tmp_path / "out")


def test_a_full_disk_stops_the_batch_and_it_goes_on(classifier, cohort, tmp_path, monkeypatch):
    run_batch(classifier, cohort, tmp_path / "whole", plan())
    real, n_calls = os.fsync, []

    def fill(handle: int) -> None:
        n_calls.append(handle)
        if len(n_calls) > 12:
            raise OSError(28, "No space left on device")
        real(handle)

    with monkeypatch.context() as full:
        full.setattr(journal.os, "fsync", fill)
        with pytest.raises(StorageError, match=r"No space left.*--resume"):
            run_batch(classifier, cohort, tmp_path / "out", plan())
    run_batch(classifier, cohort, tmp_path / "out", plan(resume=True))
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("error", [RuntimeError("strange"), ValueError("odd"), MemoryError(), TypeError("raw")])
def test_whatever_a_file_does_the_others_are_done(classifier, cohort, tmp_path, monkeypatch, error):
    real = batch.classify_file

    def fail_once(classifier, path, name, choices):
        if name.endswith("102_1b1_Al_sc_Meditron.wav"):
            raise error
        return real(classifier, path, name, choices)

    monkeypatch.setattr(batch, "classify_file", fail_once)
    outcome = run_batch(classifier, cohort, tmp_path / "out", plan(formats=("csv",)))
    assert outcome.n_problems == 5
    assert outcome.n_files == len(cohort)


def test_a_wrong_annotation_is_named_with_its_own_file(classifier, cohort, tmp_path):
    (tmp_path / "in/1/101_1b1_Al_sc_Meditron.txt").write_text("1\t0\t0\t0\n")
    run_batch(classifier, cohort, tmp_path / "out", plan(cycles="auto"))
    errors = pd.read_csv(tmp_path / "out" / "errors.csv").set_index("file")
    assert "101_1b1_Al_sc_Meditron.txt line 1" in errors.loc["in/1/101_1b1_Al_sc_Meditron.wav", "problem"]


def test_the_journal_keeps_in_memory_where_lines_are_not_what_they_say(tmp_path):
    book = Journal(tmp_path / "j")
    for number in range(50):
        book.append(Entry(f"{number:02}", "x", (number, 0)))
    assert [entry.name for entry in Journal(tmp_path / "j").entries()] == [f"{number:02}" for number in range(50)]
    assert Journal(tmp_path / "j").has("07", (7, 0))
    assert not Journal(tmp_path / "j").has("07", (8, 0))
    lines = (tmp_path / "j").read_bytes().splitlines()
    assert all(json.loads(line)["output"] == "x" for line in lines)
