import json
from collections import Counter
from pathlib import Path

import pytest

from add4rsc.datasets import datasets


@pytest.mark.parametrize("name", datasets.names())
def test_obtain_says_where_under_which_terms_and_whom_to_cite(cli, name):
    dataset = datasets.get(name)
    outcome = cli("data", "obtain", name)
    assert outcome.code == 0
    for part in (dataset.source.url, dataset.source.terms, dataset.source.size, dataset.paper.title):
        assert " ".join(part.split()) in outcome.text


def test_verify_counts_and_exits_with_3_for_a_part(cli, made_corpus):
    outcome = cli("data", "verify", made_corpus, "--json")
    assert outcome.code == 3
    report = json.loads(outcome.out)
    assert {"dataset", "n_recordings", "n_patients", "n_cycles", "cycles_per_class", "complete", "problems"} <= set(
        report
    )
    rows = [row.split("\t") for path in (made_corpus / "ICBHI_final_database").glob("*.txt")
            for row in path.read_text().splitlines()]  # fmt: skip
    kinds = Counter((crackle, wheeze) for _, _, crackle, wheeze in rows)
    assert report["n_recordings"] == 14
    assert report["n_patients"] == 4
    assert report["n_cycles"] == len(rows)
    assert report["cycles_per_class"]["both"] == kinds["1", "1"]
    assert report["cycles_per_class"]["crackle"] == kinds["1", "0"]
    assert report["problems"] == []
    assert report["complete"] is False
    text = cli("data", "verify", made_corpus)
    assert text.code == 3
    assert "part of the published corpus" in text.out


def test_verify_lists_problems_as_json(cli, made_corpus, tmp_path):
    corpus = tmp_path / "corpus"
    sound = next((made_corpus / "ICBHI_final_database").glob("*.wav"))
    corpus.mkdir()
    (corpus / sound.name).write_bytes(sound.read_bytes())
    outcome = cli("data", "verify", corpus, "--json", "--dataset", "icbhi2017")
    assert outcome.code == 3
    problems = json.loads(outcome.out)["problems"]
    assert all(set(problem) == {"file", "problem", "remedy"} for problem in problems)
    assert sound.stem in {Path(problem["file"]).stem for problem in problems}


def test_split_counts_every_cycle_once(cli, made_corpus):
    outcome = cli("data", "split", made_corpus, "--split", "icbhi2017/official", "--validation-share", "0.5", "--json")
    assert outcome.code == 0
    report = json.loads(outcome.out)
    counts = {name: subset["n_cycles"] for name, subset in report["subsets"].items()}
    assert counts == {"train": 23, "validation": 24, "test": 37}
    assert all(sum(subset["cycles_per_class"].values()) == subset["n_cycles"] for subset in report["subsets"].values())
    assert report["patients_in_two_subsets"] == []
    table = cli("data", "split", made_corpus, "--validation-share", "0")
    assert table.code == 0
    assert "No patient is in two subsets" in table.out


def test_split_into_folds(cli, made_corpus):
    outcome = cli("data", "split", made_corpus, "--split", "patient-folds-2", "--validation-share", "0", "--json")
    assert outcome.code == 0
    folds = json.loads(outcome.out)["folds"]
    assert sum(fold["subsets"]["test"]["n_cycles"] for fold in folds) == 84
    assert sum(fold["subsets"]["test"]["n_patients"] for fold in folds) == 4


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--split", "icbhi2017/oficial"], 2, "Did you mean 'icbhi2017/official'?"),
        (["--task", "cycle-5"], 2, "Did you mean 'cycle-"),
        (["--split", "patient-folds-9"], 1, "4 patients cannot be divided into 9 folds"),
        (["--split", "patient-folds-2/3"], 1, "Use patient-folds-2/1 to /2"),
    ],
)
def test_split_that_cannot_be(cli, made_corpus, arguments, code, said):
    outcome = cli("data", "split", made_corpus, *arguments)
    assert outcome.code == code
    assert said in outcome.text


def test_synthesize_writes_the_same_bytes_for_a_seed(cli, tmp_path):
    for name, seed in (("a", "4"), ("b", "4"), ("c", "5")):
        assert cli("data", "synthesize", tmp_path / name, "--recordings", "8", "--seed", seed).code == 0
    contents = [
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in "abc"
    ]
    assert len([path for path in contents[0] if path.suffix == ".wav"]) == 8
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]
    assert cli("data", "verify", tmp_path / "a", "--dataset", "icbhi2017").code == 3
