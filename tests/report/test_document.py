"""Reports: the same numbers in every form, and words where something is missing."""

import base64
import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from add4rsc import metrics
from add4rsc.datasets.opening import open_dataset
from add4rsc.engine.summary import summarise_seeds
from add4rsc.errors import DatasetNotFoundError, MissingExtraError, RunFolderError, WrongUsageError
from add4rsc.metrics.compare import compare_runs
from add4rsc.metrics.evaluation import evaluate
from add4rsc.metrics.runs import read_run
from add4rsc.predictions import read_predictions
from add4rsc.report.document import Report, make_report
from add4rsc.report.errors_gallery import most_confident_errors
from add4rsc.report.formats import as_csv, as_html, as_json, as_latex_text, as_markdown_text, choose_targets
from add4rsc.report.published import own_scores, published_tables
from add4rsc.terms import RESEARCH_USE_ONLY

FORMS = {"html": as_html, "json": as_json, "csv": as_csv, "md": as_markdown_text, "tex": as_latex_text}
ON_TEST = "epoch chosen on the test set"


class Reader(HTMLParser):
    """What a browser would see."""

    VOID = frozenset({"meta", "br", "img", "link", "hr", "input"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def values(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.tags if name in attributes]


@pytest.fixture(scope="module")
def fair(tmp_path_factory, write_run) -> Report:
    """A report of a run whose epoch was chosen on validation patients."""
    return make_report([write_run(tmp_path_factory.mktemp("fair") / "fair")])


@pytest.fixture(scope="module")
def unfair(tmp_path_factory, write_run) -> Report:
    """A report of a run whose epoch was chosen on the test set."""
    return make_report([write_run(tmp_path_factory.mktemp("unfair") / "unfair", selection="test")])


@pytest.fixture(scope="module")
def page(fair) -> str:
    return as_html(fair)


@pytest.fixture(scope="module")
def fair_texts(fair, page) -> dict[str, str]:
    return {form: page if form == "html" else write(fair) for form, write in FORMS.items()}


def test_page_asks_no_server_for_anything(page):
    reader = Reader(page)
    asked = [value for name in ("src", "href", "xlink:href", "data", "srcset") for value in reader.values(name)]
    assert asked
    assert all(value.startswith(("#", "data:")) for value in asked)
    assert not re.search(r"@import|url\((?!#)", page)
    assert "default-src 'none'" in page
    assert not {"script", "link", "iframe"} & {tag for tag, _ in reader.tags}


def test_page_is_whole_and_can_be_walked_by_headings(page):
    reader = Reader(page)
    assert reader.open == []
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = reader.values("id")
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in reader.values("href") if value.startswith("#")} <= set(ids)


def test_every_picture_has_words(page):
    pictures = [attributes for _, attributes in Reader(page).tags if attributes.get("role") == "img"]
    n_drawn = page.count("<svg ")
    assert len(pictures) == n_drawn >= 7
    assert all(len(attributes["aria-label"] or "") > 20 for attributes in pictures)
    assert page.count('<svg aria-hidden="true"') == n_drawn


@pytest.mark.parametrize("form", FORMS)
def test_notice_stands_at_both_ends(form, fair_texts):
    text = fair_texts[form]
    if form != "json":
        assert text.rindex(RESEARCH_USE_ONLY) > 0.9 * len(text)
    if form != "csv":
        start = text.index("<body>") if form == "html" else 0
        assert text.index(RESEARCH_USE_ONLY, start) < start + 300


@pytest.mark.parametrize("form", FORMS)
def test_scores_are_those_of_evaluate_in_every_form(form, fair, fair_texts):
    wanted = evaluate(fair.runs[0].evidence.predictions)
    text = fair_texts[form]
    low, high = wanted["intervals"]["score"]
    if form in ("html", "md", "tex"):
        assert f"{100 * wanted['score']:.2f} ({100 * low:.2f} to {100 * high:.2f})" in text
        return
    if form == "json":
        assert json.loads(text)["runs"][0]["result"]["score"] == wanted["score"]
        found = next(row for row in json.loads(text)["runs"][0]["tables"]["scores"] if row["measure"] == "Score")[
            "value"
        ]
    else:
        rows = list(csv.DictReader(io.StringIO(text)))
        row = next(row for row in rows if (row["table"], row["row"], row["measure"]) == ("scores", "Score", "value"))
        found = {key: float(row[key]) for key in ("value", "low", "high")}
    assert found == {"value": wanted["score"], "low": low, "high": high}


@pytest.mark.parametrize("form", FORMS)
def test_test_selection_is_written_wherever_it_is_so_and_nowhere_else(form, unfair, fair_texts):
    text = FORMS[form](unfair)
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert all(row["selection"] == ON_TEST for row in rows[:-1])
    elif form == "json":
        assert json.loads(text)["runs"][0]["selection"] == ON_TEST
    else:
        n_tables = {"html": text.count("<table"), "md": text.count("**\n\n|"), "tex": text.count(r"\begin{table}")}[
            form
        ]
        assert text.lower().count(ON_TEST) >= n_tables
    assert ON_TEST not in fair_texts[form].split('<section id="words">')[0].lower()


def test_a_subset_is_not_set_beside_published_scores(fair):
    run = fair.runs[0]
    assert not run.published
    assert "72 of the 2,756" in run.published_problem
    assert "not comparable" in run.published_problem


def test_a_complete_test_stands_beside_comparable_published_scores_alone(fair):
    evidence = fair.runs[0].evidence
    complete = replace(evidence, result=evidence.result | {"is_official": True})
    tables, problem = published_tables(complete)
    assert problem == ""
    assert [table.key for table in tables] == ["published-icbhi-4", "published-icbhi-2"]
    exact, binary = tables
    assert exact.rows[0][4] == evidence.score("score")
    assert binary.rows[0][4] == evidence.score("score_binary")
    with (Path(metrics.__file__).parent / "published.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["comparable_with"] == "icbhi2017/official cycle-4 icbhi-4"]
    assert sorted(row[0] for row in exact.rows[1:]) == sorted(row["system"] for row in rows)
    on_test = [row[0] for row in exact.rows[1:] if row[6] == ON_TEST]
    assert sorted(on_test) == sorted(row["system"] for row in rows if row["selection"] == "test")
    own = {row[0]: row[4] for row in exact.rows}
    assert own["Patch-Mix CL"] == pytest.approx(0.6237)


def test_of_several_seeds_their_means_stand_beside_published_scores(fair):
    first = fair.runs[0].evidence
    other = first.result | {"sprsound": dict.fromkeys(first.result["sprsound"], 0.5)}
    several = replace(first, over_seeds=summarise_seeds({1: first.result, 2: other}))
    for metric, part in (("S", "score"), ("AS", "average"), ("HS", "harmonic")):
        expected = [(first.result["sprsound"][name] + 0.5) / 2 for name in ("specificity", "sensitivity", part)]
        assert own_scores(several, metric) == pytest.approx(expected)
        assert own_scores(first, metric)[2] == first.result["sprsound"][part]
    assert own_scores(several, "M")[2] == pytest.approx(first.result["sprsound_look_alikes"]["M"]["score"])


@pytest.mark.parametrize("form", FORMS)
def test_a_table_of_another_program_is_reported_with_what_it_lacks(form, other_csv):
    text = FORMS[form](make_report([other_csv]))
    assert "not known: the table of predictions does not say" in text
    if form == "html":
        assert "There is no history of the training." in text
        assert "Pass their folder with --data-folder." in text


def test_runs_stand_side_by_side_with_the_differences_of_compare(run_folder):
    paths = [run_folder("first", seed=1), run_folder("second", seed=2)]
    report = make_report(paths)
    wanted = compare_runs(*map(read_run, paths)).scores["score"]
    overview, differences, _ = report.side
    assert [row[0] for row in overview.rows] == ["first", "second"]
    row = next(row for row in differences.records() if row["measure"] == "Score")
    assert row["difference"]["value"] == wanted.difference
    assert row["difference"]["low"] == wanted.interval.low
    assert row["p_permutation"] == wanted.p_permutation
    assert Reader(as_html(report)).open == []


def test_runs_on_other_cycles_are_not_compared_and_it_is_said(run_folder):
    first, second = run_folder("first"), run_folder("second")
    table = pd.read_csv(second / "predictions.csv", dtype={"patient": str, "epoch": str})
    table.iloc[:-3].to_csv(second / "predictions.csv", index=False)
    report = make_report([first, second])
    assert [table.key for table in report.side] == ["overview"]
    assert "not on the same cycles" in report.side_problem
    assert report.side_problem in as_markdown_text(report)


def test_seeds_are_averaged_and_the_interval_is_of_the_mean(run_folder, tmp_path):
    for seed in (1, 2, 3):
        run_folder(f"many/seed-{seed}", seed=seed)
    evidence = make_report([tmp_path / "many"]).runs[0].evidence
    scores = {
        seed: evaluate(read_predictions(tmp_path / "many" / f"seed-{seed}" / "predictions.csv"))["score"]
        for seed in (1, 2, 3)
    }
    assert evidence.seeds == [1, 2, 3]
    assert evidence.score("score").value == pytest.approx(np.mean(list(scores.values())))
    assert scores[evidence.shown] == sorted(scores.values())[1]
    low, high = evidence.over_seeds["intervals"]["score"]
    assert low < evidence.score("score").value < high
    single = evidence.result["intervals"]["score"]
    assert high - low < single[1] - single[0]


def test_most_confident_errors_by_brute_force(other_csv):
    predictions = read_predictions(other_csv)
    rows = [row for _, row in predictions.table.iterrows() if row["label"] != row["decision"]]
    rows.sort(key=lambda row: -row[f"p_{row['decision']}"])
    wanted: list[str] = []
    for row in rows:
        if sum(each.startswith(row["recording"]) for each in wanted) < 2:
            wanted.append(row["cycle_id"])
    assert len(wanted) < len(rows)
    found = most_confident_errors(predictions, 15)
    assert [error.cycle_id for error in found] == wanted[:15]
    assert len(most_confident_errors(predictions, 5)) == 5
    assert found[0].confidence > found[0].of_label


def test_clips_sound_and_absent_recordings_are_named(other_csv, tmp_path):
    report = make_report([other_csv])
    errors = report.runs[0].errors
    present = errors[0]
    folder = tmp_path / "sounds"
    folder.mkdir()
    tone = 0.01 * np.sin(2 * np.pi * 440 * np.arange(16000 * 15) / 16000)
    soundfile.write(folder / f"{present.recording}.flac", tone, 16000)
    page = as_html(report, folder)
    clips = [value for value in Reader(page).values("src") if value.startswith("data:audio/wav;base64,")]
    same = [error for error in errors if error.recording == present.recording]
    assert len(clips) == len(same)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(clips[0].partition(",")[2])))
    assert rate == 8000
    assert len(samples) == pytest.approx(8000 * (present.end - present.start), abs=1)
    assert np.abs(samples).max() == pytest.approx(0.9, abs=0.01)
    assert page.count("The recording is not in the folder.") == len(errors) - len(same)


def test_recordings_of_a_corpus_are_found(made_corpus, other_csv):
    recording = open_dataset(made_corpus).recordings()[0]
    table = pd.read_csv(other_csv, dtype={"patient": str})
    table["recording"], table["end"] = recording.recording_id, table["start"] + 0.5
    table.to_csv(other_csv, index=False)
    assert "data:audio/wav;base64," in as_html(make_report([other_csv]), made_corpus)


def test_a_folder_without_sound_is_refused(other_csv, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetNotFoundError, match="data-folder"):
        as_html(make_report([other_csv]), tmp_path / "empty")


def test_names_from_a_table_are_text_and_never_page(other_csv, tmp_path):
    table = pd.read_csv(other_csv, dtype={"patient": str})
    table["recording"] = "<script>alert(1)</script>"
    table["patient"] = table["patient"] + "<b>"
    path = tmp_path / "a<i>b.csv"
    table.to_csv(path, index=False)
    reader = Reader(as_html(make_report([path])))
    assert not {"script", "i"} & {tag for tag, _ in reader.tags}


@pytest.mark.parametrize("name", ["run.json", "recipe.json"])
@pytest.mark.parametrize("content", ["{", "[1]"])
def test_broken_files_of_a_run_are_named(name, content, run_folder):
    folder = run_folder()
    (folder / name).write_text(content)
    with pytest.raises(RunFolderError, match=name):
        make_report([folder])


def test_seeds_with_recipes_of_their_own_are_told_by_the_one_that_is_shown(write_run, tmp_path):
    """As trainings of single seeds leave them; of a teacher the end of its path is told."""
    for seed in (1, 2):
        folder = write_run(tmp_path / "run" / f"seed-{seed}", seed=seed)
        recipe = json.loads((folder / "recipe.json").read_text()) | {"options": {"teacher": "/deep/runs/group/name"}}
        (folder / "recipe.json").write_text(json.dumps(recipe))
    page = as_html(make_report([tmp_path / "run"]))
    assert "fine_tuning on small_cnn" in page
    assert "group/name" in page
    assert "/deep" not in page


def test_two_runs_of_one_name_can_be_told_apart(run_folder, tmp_path):
    names = [run.evidence.name for run in make_report([run_folder("a/x"), run_folder("b/x")]).runs]
    assert len(set(names)) == 2


def test_targets_follow_the_suffix_or_lie_in_the_folder(tmp_path):
    assert choose_targets(Path("a/b.md"), []) == {"md": Path("a/b.md")}
    assert choose_targets(tmp_path, ["html", "csv"]) == {name: tmp_path / f"report.{name}" for name in ("html", "csv")}
    assert choose_targets(Path("new"), []) == {"html": Path("new/report.html")}


@pytest.mark.parametrize(
    ("out", "formats", "words"),
    [
        ("new", ["pdf"], "no such format"),
        ("a.html", ["html", "csv"], "name a folder"),
        ("a.pdf", [], "suffix"),
    ],
)
def test_targets_that_cannot_be_are_refused(out, formats, words):
    with pytest.raises(WrongUsageError, match=words):
        choose_targets(Path(out), formats)


def run_without(packages: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process in which some packages cannot be imported."""
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in packages)
    code = f"import sys; {blocked}; from add4rsc.cli import main; sys.argv = ['add4rsc', *sys.argv[1:]]; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_command_needs_no_torch(run_folder, tmp_path):
    out = tmp_path / "out"
    done = run_without(
        ["torch"], "report", str(run_folder()), "-o", str(out), "--format", "html,json,csv,md,tex", "--model-card"
    )
    assert done.returncode == 0, done.stderr
    names = {path.name for path in out.iterdir()}
    assert names == {f"report.{name}" for name in FORMS} | {"model_card.md"}
    assert RESEARCH_USE_ONLY in done.stdout


def test_without_matplotlib_the_page_names_the_extra_and_tables_are_written(other_csv, tmp_path):
    refused = run_without(["matplotlib"], "report", str(other_csv), "-o", str(tmp_path / "report.html"))
    assert refused.returncode == 1
    assert "add4rsc[train]" in refused.stderr
    assert not (tmp_path / "report.html").exists()
    assert run_without(["matplotlib"], "report", str(other_csv), "-o", str(tmp_path / "report.tex")).returncode == 0


def test_missing_extra_is_an_error_of_ours(monkeypatch, fair):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match="train"):
        as_html(fair)
