"""Finished runs are brought into results/: scored anew, with their ensemble, and ranked together with what is there."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from add4rsc.engine.benchmarking import Entry
from add4rsc.predictions import Predictions, read_predictions
from add4rsc.report.evidence import read_evidence
from add4rsc.report.leaderboard import WRITERS, make_leaderboard
from add4rsc.storage import write_json, write_text

Made = Callable[..., Predictions]


@pytest.fixture(scope="module")
def collect(load_script) -> ModuleType:
    return load_script("results/collect.py")


def write_run(folder: Path, made: Made, skill: float) -> None:
    for seed in (1, 2):
        place = folder / f"seed-{seed}"
        place.mkdir(parents=True)
        write_text(place / "predictions.csv", made(seed=seed, n_patients=4, skill=skill).table.to_csv(index=False))
        write_text(place / "history.csv", "epoch,loss\n1,2.5\n")
        write_text(place / "steps.csv", "step,loss\n1,2.5\n")
    write_json(folder / "recipe.json", {"epochs": 1})
    write_json(folder / "run.json", {"seconds": 1.0})


def write_benchmark(folder: Path, made: Made, **skill_of: float) -> Path:
    """A folder as `add4rsc benchmark` leaves it: a run a recipe, and the table that ranks them."""
    entries = []
    for name, skill in skill_of.items():
        run = folder / f"{name}-small"
        write_run(run, made, skill)
        entries.append(Entry(f"{name}/small", name, str(run), 10, 10, 1.0, 0.001, (f"{name} deviates",), None))
    board = make_leaderboard(
        entries, read_evidence([Path(each.folder) for each in entries]), "Benchmark on made tables"
    )
    write_text(folder / "benchmark.json", WRITERS["json"](board))
    return folder


def ranked(place: Path) -> list[str]:
    return [row["recipe"] for row in json.loads((place / "benchmark.json").read_text())["ranking"]]


def test_a_run_is_scored_anew_with_its_ensemble_and_its_command(collect, made, tmp_path):
    write_run(tmp_path / "run", made, 0.2)
    collect.collect(tmp_path / "run", tmp_path / "place", "add4rsc train x", None)
    place = tmp_path / "place"
    summary = json.loads((place / "summary.json").read_text())
    scores = [json.loads((place / f"seed-{seed}" / "summary.json").read_text())["score"] for seed in (1, 2)]
    assert summary["score"]["mean"] == pytest.approx(sum(scores) / 2)
    tables = [read_predictions(place / name / "predictions.csv") for name in ("seed-1", "seed-2", "ensemble")]
    mean = (tables[0].probabilities + tables[1].probabilities) / 2
    assert tables[2].probabilities == pytest.approx(mean, abs=1e-5)
    assert (place / "command.txt").read_text() == "add4rsc train x\n"
    assert not list(place.rglob("steps.csv"))


def test_rows_join_those_that_are_there_and_take_the_place_of_their_own(collect, made, tmp_path):
    place = tmp_path / "place"
    collect.collect_benchmark(write_benchmark(tmp_path / "a", made, one=0.1, two=0.25), place, "first", joins=False)
    assert ranked(place) == ["two/small", "one/small"]
    (place / "one-small" / "seed-3").mkdir()

    collect.collect_benchmark(write_benchmark(tmp_path / "b", made, one=0.4, three=0.17), place, "again", joins=True)

    assert ranked(place) == ["one/small", "two/small", "three/small"]
    board = json.loads((place / "benchmark.json").read_text())
    assert board["title"] == "Benchmark on made tables"
    assert {each["deviation"] for each in board["deviations"]} == {"one deviates", "two deviates", "three deviates"}
    assert (place / "one-small" / "command.txt").read_text() == "again\n"
    assert (place / "two-small" / "command.txt").read_text() == "first\n"
    assert not (place / "one-small" / "seed-3").exists()


def test_the_table_of_a_benchmark_that_stands_alone_is_copied(collect, made, tmp_path):
    source = write_benchmark(tmp_path / "a", made, one=0.1, two=0.25)
    collect.collect_benchmark(source, tmp_path / "place", "add4rsc benchmark", joins=False)
    assert (tmp_path / "place" / "benchmark.json").read_text() == (source / "benchmark.json").read_text()
