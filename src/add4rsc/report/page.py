"""The page of a report: its plots drawn, its template filled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from add4rsc.report.document import Report, RunReport
from add4rsc.report.drawing import Plot
from add4rsc.report.errors_gallery import Clip, ConfidentError
from add4rsc.report.forest import forest_plot, group_plots
from add4rsc.report.plots import (
    curve_plots,
    learning_plots,
    log_mel_plot,
    patients_plot,
    reliability_plot,
)
from add4rsc.report.tables import Table
from add4rsc.report.templating import fill_template
from add4rsc.terms import RESEARCH_USE_ONLY


@dataclass(frozen=True)
class HeatCell:
    """One cell of the confusion matrix: its count, its share of the row, and whether it is a hit."""

    count: int
    share: float
    is_hit: bool


@dataclass(frozen=True)
class ErrorCard:
    """One confident error on the page; `problem` says why it has neither picture nor sound."""

    error: ConfidentError
    plot: Plot | None
    audio: str
    duration: float
    problem: str


@dataclass(frozen=True)
class RunPage:
    """One run on the page."""

    key: str
    report: RunReport
    tables: Mapping[str, Table]
    published: Sequence[Table]
    heat: Sequence[tuple[str, Sequence[HeatCell]]]
    plots: Mapping[str, Sequence[Plot]]
    cards: Sequence[ErrorCard]
    has_clips: bool


def render_page(report: Report, clips: Sequence[Sequence[Clip | str] | None]) -> str:
    """Draw all plots and fill the template.

    Args:
        report: what the page says.
        clips: for every run, sound and picture of each of its errors, or why there is none; None without a data folder.
    """
    pages = [
        _page(run, f"run-{index}", of_run)
        for index, (run, of_run) in enumerate(zip(report.runs, clips, strict=True), 1)
    ]
    scores = [(run.evidence.name, _counts(run), run.evidence.score("score"), False) for run in report.runs]
    known = [row for row in scores if row[2].value is not None]
    forest = forest_plot(known, "side-scores", "Score of every run") if len(scores) > 1 and known else None
    stamps = [f"{run.evidence.name}: {run.evidence.stamp}" for run in report.runs if run.evidence.stamp]
    values = {
        "report": report,
        "side_stamp": "; ".join(stamps),
        "pages": pages,
        "forest": forest,
        "notice": RESEARCH_USE_ONLY,
    }
    return fill_template("report.html", values)


def _counts(run: RunReport) -> str:
    result = run.evidence.result
    return f"{result['n_cycles']:,} cycles, {result['n_patients']} pat."


def _page(run: RunReport, key: str, clips: Sequence[Clip | str] | None) -> RunPage:
    evidence = run.evidence
    plots = {
        "curves": curve_plots(evidence, key),
        "reliability": [reliability_plot(evidence, key)],
        "learning": learning_plots(evidence, key),
        "patients": [patients_plot(run.tables["patients"], key)],
        "groups": group_plots(evidence.result["subgroups"], key),
    }
    stamped = {table.key: table for table in run.all_tables()}
    published = [stamped[table.key] for table in run.published]
    cards = _cards(run.errors, key, clips)
    return RunPage(key, run, stamped, published, _heat(evidence.result), plots, cards, clips is not None)


def _heat(result: Mapping[str, Any]) -> list[tuple[str, list[HeatCell]]]:
    rows = []
    for index, (name, counts) in enumerate(zip(result["classes"], result["confusion_matrix"], strict=True)):
        total = sum(counts)
        cells = [HeatCell(count, count / total if total else 0.0, place == index) for place, count in enumerate(counts)]
        rows.append((name, cells))
    return rows


def _cards(errors: Sequence[ConfidentError], key: str, clips: Sequence[Clip | str] | None) -> list[ErrorCard]:
    found = clips if clips is not None else [""] * len(errors)
    return [
        _card(error, f"{key}-error-{number}", clip)
        for number, (error, clip) in enumerate(zip(errors, found, strict=True), 1)
    ]


def _card(error: ConfidentError, key: str, clip: Clip | str) -> ErrorCard:
    if isinstance(clip, str):
        return ErrorCard(error, None, "", 0.0, clip)
    alt = (
        f"Log-mel picture of {clip.duration:.1f} s of {error.recording} from {error.start:.2f} s; "
        f"labelled {error.label}, called {error.decision}."
    )
    plot = log_mel_plot(clip.picture, clip.mel_edges, clip.duration, Plot(key, error.cycle_id, alt, ""))
    return ErrorCard(error, plot, clip.audio, clip.duration, "")
