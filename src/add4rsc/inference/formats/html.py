"""One self-contained page: a bar and a spectrogram for each recording, and the table of its cycles."""

import base64
from collections.abc import Mapping
from html import escape
from pathlib import PurePosixPath
from typing import BinaryIO

from add4rsc.errors import AudioError
from add4rsc.inference.aggregation import recording_row
from add4rsc.inference.formats import formats
from add4rsc.inference.formats._base import AbstractFormat, Report, write_text
from add4rsc.inference.formats._pictures import LONGEST, spectrogram_png
from add4rsc.inference.quality import FLAGS
from add4rsc.inference.result import ILLUSTRATIVE, CycleResult, RecordingResult, in_words
from add4rsc.terms import RESEARCH_USE_ONLY

MAX_RECORDINGS = 500
"""A page with more of them opens slowly; the table in CSV has all."""
MAX_PICTURES = 100
MAX_CYCLES = 400
"""Rows of one recording."""

COLOURS = ("#4d9221", "#d6604d", "#2166ac", "#762a83", "#b35806", "#01665e", "#8c510a", "#c51b7d")
"""Of the classes in their order."""
GREY = "#bbbbbb"

STYLE = """
body{font:14px/1.5 system-ui,sans-serif;margin:2em auto;max-width:960px;padding:0 1em;color:#222;background:#fff}
.notice{background:#fff3cd;border:1px solid #d9a400;padding:.5em 1em;font-weight:600;position:sticky;top:0}
section{border-top:1px solid #ccc;padding-top:.6em;margin-top:1.4em}h2{font-size:1.05em;overflow-wrap:anywhere}
svg,img{width:100%;display:block}img{height:100px}.axis{display:flex;justify-content:space-between;color:#555;
font-size:12px}table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:2px 8px;border-bottom:1px solid
#eee}td.n{text-align:right;font-variant-numeric:tabular-nums}.key span{display:inline-block;margin-right:1em}
.key i{display:inline-block;width:1em;height:1em;vertical-align:-2px;margin-right:.3em}summary{cursor:pointer}
"""


@formats.register("html")
class HtmlFormat(AbstractFormat):
    """A page without scripts, and without anything from elsewhere: it can be kept and sent."""

    suffix = ".html"

    @classmethod
    def write(cls, report: Report, file: BinaryIO) -> None:
        """Write one section a recording."""
        colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(report.classes)}
        write_text(file, _head(report, colours))
        n_recordings = 0
        for n_recordings, recording in enumerate(report.recordings(), start=1):
            if n_recordings <= MAX_RECORDINGS:
                picture = _picture(report, recording) if n_recordings <= MAX_PICTURES else ""
                write_text(file, _section(recording, colours, picture))
        if n_recordings > MAX_RECORDINGS:
            write_text(file, f"<p>... and {n_recordings - MAX_RECORDINGS} more recordings: see the CSV table.</p>\n")
        write_text(file, _problems(report) + f'<p class="notice">{RESEARCH_USE_ONLY}</p>\n</html>\n')


def _head(report: Report, colours: Mapping[str, str]) -> str:
    key = "".join(
        f'<span><i style="background:{colour}"></i>{in_words(name)}</span>' for name, colour in colours.items()
    )
    key += f'<span><i style="background:{GREY}"></i>not sure, or not judged</span>'
    shown = {name: text for name, text in report.notes.items() if not name.endswith("_json")}
    notes = "".join(f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in shown.items())
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Respiratory sounds</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>\n'
        f'<p class="notice">{RESEARCH_USE_ONLY}</p>\n<h1>Respiratory sounds</h1>\n'
        "<p>What a network finds in each stretch of sound. It names what the sound is like; it says nothing of an "
        f'illness.</p>\n<p class="key">{key}</p>\n'
        f"<details><summary>Model {escape(report.model)}</summary><table>{notes}</table></details>\n"
    )


def _section(recording: RecordingResult, colours: Mapping[str, str], picture: str) -> str:
    row = recording_row(recording)
    found = ", ".join(f"{row[f'n_{name}']} x {in_words(name)}" for name in recording.classes if row[f"n_{name}"])
    unsure = f"; {row['n_abstained']} not sure or not judged" if row["n_abstained"] else ""
    flags = "; ".join(FLAGS[flag] for flag in recording.quality)
    cycles = "".join(_row(cycle, colours) for cycle in recording.cycles[:MAX_CYCLES])
    n_more = len(recording.cycles) - MAX_CYCLES
    names = ", ".join(escape(PurePosixPath(name).name) for name in recording.illustrations)
    view = f"<p>{escape(ILLUSTRATIVE)} In the files {names}.</p>\n" if names else ""
    return (
        f"<section><h2>{escape(recording.file)}</h2>\n"
        f"<p>{recording.duration:.1f} s, {row['n_cycles']} cycles ({recording.cycles_from}): "
        f"{found or 'none sure'}{unsure}."
        f"{' Quality: ' + flags + '.' if flags else ''}</p>\n{picture}{_bar(recording, colours)}{view}"
        f"<details><summary>Cycles</summary><table><tr><th>start<th>end<th>heard<th>probability<th>quality</tr>{cycles}"
        f"</table>{f'<p>... and {n_more} more in the CSV table.</p>' if n_more > 0 else ''}</details></section>\n"
    )


def _picture(report: Report, recording: RecordingResult) -> str:
    """The spectrogram above the bar, if the sound is at hand."""
    path = report.locate(recording.file)
    if path is None:
        return ""
    try:
        image = base64.b64encode(spectrogram_png(path)).decode()
    except AudioError:
        return ""
    return f'<div class="axis"><span>2 kHz</span></div><img alt="spectrogram" src="data:image/png;base64,{image}">\n'


def _bar(recording: RecordingResult, colours: Mapping[str, str]) -> str:
    """The cycles of the first minute along time, as high as they are probable."""
    shown = min(recording.duration, LONGEST)
    bars = "".join(
        f'<rect x="{1000 * each.start / shown:.1f}" width="{1000 * (min(each.end, shown) - each.start) / shown:.1f}" '
        f'y="{30 - 30 * (each.probability or 0.1):.1f}" height="{30 * (each.probability or 0.1):.1f}" '
        f'fill="{colours.get(each.decision, GREY)}" fill-opacity="0.7" stroke="#fff"/>'
        for each in recording.cycles
        if each.start < shown
    )
    axis = f'<div class="axis"><span>0 s</span><span>{shown:.1f} s</span></div>'
    return f'<svg viewBox="0 0 1000 30" height="30" preserveAspectRatio="none">{bars}</svg>{axis}\n'


def _row(cycle: CycleResult, colours: Mapping[str, str]) -> str:
    heard = in_words(cycle.decision) if cycle.is_judged else "not judged"
    probability = "-" if cycle.probability is None else f"{cycle.probability:.2f}"
    colour = colours.get(cycle.decision, GREY)
    return (
        f'<tr><td class="n">{cycle.start:.2f}<td class="n">{cycle.end:.2f}<td style="border-left:6px solid {colour}">'
        f'{heard}<td class="n">{probability}<td>{"; ".join(FLAGS[flag] for flag in cycle.quality)}</tr>'
    )


def _problems(report: Report) -> str:
    if not report.problems:
        return ""
    shown = "".join(
        f"<tr><td>{escape(each.file)}<td>{escape(each.problem)}<td>{escape(each.remedy)}</tr>"
        for each in report.problems[:MAX_RECORDINGS]
    )
    return f"<section><h2>Could not be judged</h2><table>{shown}</table></section>\n"
