"""The reproduction kit, in small."""

from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def kit(load_script):
    return load_script("reproduction/reproduce.py")


def predictions(folder: Path, decisions: list[str], split: str) -> None:
    labels = ["normal", "normal", "crackle", "wheeze"]
    table = pd.DataFrame({"cycle_id": [f"c{i}" for i in range(4)], "recording": "r", "patient": ["a", "b", "c", "d"]})
    table = table.assign(start=0.0, end=1.0, label=labels, decision=decisions)
    for name in ("normal", "crackle", "wheeze", "both"):
        table[f"p_{name}"] = [0.7 if name == decision else 0.1 for decision in decisions]
    folder.mkdir(parents=True)
    table.assign(split=split, selection="test").to_csv(folder / "predictions.csv", index=False)


def test_jobs_are_every_system_under_every_protocol_with_its_rule(kit, tmp_path):
    arguments = kit.parse(["--data-folder", str(tmp_path), "--seeds", "1,2", "--ast", "audioset.pth"])
    jobs = list(kit.list_jobs(arguments))
    n_systems = sum(name in kit.recipes.names() for name in kit.SYSTEMS.values())
    assert n_systems >= 4
    assert len(jobs) == 2 * 3 * n_systems
    assert len({job.folder(tmp_path) for job in jobs}) == len(jobs)
    for job in jobs:
        assert (job.recipe.selection.value == "validation") == (job.protocol == "official + validation")
        assert (job.recipe.validation_share > 0) == (job.protocol == "official + validation")
        assert job.recipe.split == ("icbhi2017/random-file-seed1" if "random" in job.protocol else "icbhi2017/official")
        assert (job.recipe.weights == "audioset.pth") == (job.recipe.backbone == "ast")
    assert [job.seed for job in jobs] == sorted(job.seed for job in jobs)


def test_shards_share_all_jobs(kit, tmp_path):
    arguments = kit.parse(["--data-folder", str(tmp_path), "--shard", "2/3"])
    assert arguments.shard == (2, 3)
    jobs = list(kit.list_jobs(arguments))
    shares = [jobs[index - 1 :: 3] for index in (1, 2, 3)]
    assert sorted(job.folder(tmp_path) for share in shares for job in share) == sorted(
        job.folder(tmp_path) for job in jobs
    )


def test_table_is_the_mean_over_the_seeds_that_are_there(kit, tmp_path):
    arguments = kit.parse(
        ["--data-folder", str(tmp_path), "--seeds", "1,2,3", "--out", str(tmp_path / "out"), "--table"]
    )
    job = next(job for job in kit.list_jobs(arguments) if "random" in job.protocol)
    folder = job.folder(arguments.out).parent
    predictions(folder / "seed-1", ["normal", "normal", "crackle", "normal"], "icbhi2017/random-file-seed1")
    predictions(folder / "seed-3", ["normal", "wheeze", "crackle", "wheeze"], "icbhi2017/random-file-seed1")
    text = kit.run(arguments)
    row = next(line for line in text.splitlines() if "random-file" in line)
    assert "| 2 | 75.00 ± 35.36 | 75.00 ± 35.36 | 75.00 ± 0.00 |" in row
    assert "85.13 / 45.94 / 65.53" in row
    table = pd.read_csv(arguments.out / "table.csv")
    assert table["score_mean"].tolist() == [75.0]


@pytest.mark.data
@pytest.mark.slow
def test_small_networks_go_through_all_protocols_and_resume(kit, shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("ADD4RSC_HOME", str(tmp_path / "cache"))
    words = ["--data-folder", str(shared_data / "icbhi2017_subset"), "--out", str(tmp_path / "out"), "--small"]
    words += ["--epochs", "1", "--seeds", "1", "--only", "ADD4RSC (ResNet-50),ResNet-50 fine-tuning"]
    first = kit.run(kit.parse([*words, "--shard", "1/2"]))
    assert len(first.splitlines()) == 2 + 3 + 2
    whole = kit.run(kit.parse([*words, "--shard", "2/2"]))
    assert len(whole.splitlines()) == 2 + 6 + 2
    assert "Not the complete official test" in whole
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("model.safetensors")}
    assert len(before) == 6
    assert kit.run(kit.parse(words)) == whole
    assert {path: path.stat().st_mtime_ns for path in before} == before
