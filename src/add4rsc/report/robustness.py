"""Score against level of noise, one panel a corruption and noise class, one line and band a run.

Takes plain rows, so that it needs neither the runs nor what measured them.
"""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from add4rsc.errors import MissingExtraError
from add4rsc.storage import write_atomically
from add4rsc.terms import RESEARCH_USE_ONLY

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
except ImportError as error:
    raise MissingExtraError("Drawing figures", "train") from error

COLOURS = ("#0b5fa5", "#c2570c", "#2e7d32", "#7b3fa0", "#00838f", "#b0305c", "#6b6b6b")
MARKERS = ("o", "^", "s", "D", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)), "--", ":")
"""Lines are told apart by marker and dashes too, for paper without colours."""
N_COLUMNS = 4
PANEL = (2.6, 2.2)
"""Inches."""
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "figure.facecolor": "white",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "add4rsc",
    "text.parse_math": False,
}
Row = Mapping[str, Any]
"""Keys: `run, corruption, noise_class, level, unit, quantity, measure, value, low, high`; shares are fractions."""


def draw_robustness(rows: Sequence[Row], measure: str = "score", axis_name: str = "Score (%)") -> Figure:
    """Draw one measure of one run or several.

    Clean sound is the first point of every panel. Bands are 95 % intervals over patients; the dotted line is what
    always answering the normal class scores.

    Args:
        rows: of every run; other measures and means over levels are left out.
        measure: which one to draw.
        axis_name: of the vertical axis.

    Raises:
        ValueError: if no row is of that measure.
    """
    kept = [row for row in rows if row["measure"] == measure and row["quantity"] == "level"]
    if not kept:
        raise ValueError(f"no row of measure '{measure}'")
    runs = list(dict.fromkeys(row["run"] for row in kept))
    panels = list(
        dict.fromkeys((row["corruption"], row["noise_class"]) for row in kept if row["corruption"] != "clean")
    )
    n_columns = max(1, min(N_COLUMNS, len(panels)))
    n_rows = max(1, math.ceil(len(panels) / n_columns))
    with rc_context(STYLE):
        height = PANEL[1] * n_rows + 0.45 + 0.2 * len(runs)
        figure = Figure(figsize=(PANEL[0] * n_columns + 0.5, height), layout=ConstrainedLayoutEngine())
        FigureCanvasAgg(figure)
        axes = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
        for index, axis in enumerate(axes.flat):
            if index >= max(1, len(panels)):
                axis.set_axis_off()
                continue
            panel = panels[index] if panels else ("clean", "")
            _paint_panel(axis, panel, kept, runs)
            if index % n_columns == 0:
                axis.set_ylabel(axis_name)
        lowest = min(100 * _known(row["low"], row["value"]) for row in kept)
        axes.flat[0].set_ylim(min(40.0, 10 * math.floor(lowest / 10)), 101)
        figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside upper left", ncols=1 + (len(runs) > 3))
        figure.supxlabel(RESEARCH_USE_ONLY, x=0.99, ha="right", fontsize=7, color="#444444")
    return figure


def save_robustness(figure: Figure, stem: Path) -> list[Path]:
    """Write the figure as PNG and SVG, the same bytes for the same figure; returns both paths.

    Raises:
        StorageError: if a file cannot be written.
    """
    paths = []
    for form, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        buffer = io.BytesIO()
        with rc_context(STYLE):
            figure.savefig(buffer, format=form, dpi=150, metadata=metadata)
        path = stem.with_name(f"{stem.name}.{form}")
        write_atomically(path, lambda file, content=buffer: file.write(content.getvalue()))
        paths.append(path)
    return paths


def _known(*values: float | None) -> float:
    """The first value that is a number; 0 if none is."""
    return next((value for value in values if value is not None and not math.isnan(value)), 0.0)


def _paint_panel(axis: Axes, panel: tuple[str, str], rows: Sequence[Row], runs: Sequence[str]) -> None:
    corruption, noise_class = panel
    own = [row for row in rows if (row["corruption"], row["noise_class"]) == panel]
    unit = own[0]["unit"]
    levels = list(dict.fromkeys(row["level"] for row in own if row["level"] is not None))
    places = _places(levels, unit)
    for index, run in enumerate(runs):
        clean = [row for row in rows if row["run"] == run and row["corruption"] == "clean"]
        points = [*clean, *(row for row in own if row["run"] == run and row["level"] is not None)]
        _paint_line(axis, [(places[row["level"]], row) for row in points], run, index)
    axis.axhline(50, color="#888888", linewidth=0.9, linestyle=":")
    names = ["clean", *(f"{level:g}" for level in levels)]
    axis.set_xticks([places[None], *(places[level] for level in levels)], names)
    axis.set_title(f"{corruption}: {noise_class.replace('_', ' ')}" if noise_class else corruption)
    axis.set_xlabel(unit)


def _places(levels: Sequence[float], unit: str) -> dict[float | None, float]:
    """Where clean sound and each level lie: to scale for decibels of SNR, evenly otherwise; clean is the leftmost."""
    if unit != "dB SNR" or len(levels) < 2:
        return {None: 0.0} | {level: float(index) for index, level in enumerate(levels, start=1)}
    ordered = sorted(levels, reverse=True)
    gap = max(5.0, (ordered[0] - ordered[-1]) / 4)
    return {None: -ordered[0] - gap} | {level: -level for level in levels}


def _paint_line(axis: Axes, points: Sequence[tuple[float, Row]], run: str, index: int) -> None:
    """One run: a line with markers, and its band where the interval is known."""
    ordered = sorted(points, key=lambda point: point[0])
    place = np.array([each for each, _ in ordered])
    value, low, high = (
        100 * np.array([np.nan if row[key] is None else row[key] for _, row in ordered], dtype=float)
        for key in ("value", "low", "high")
    )
    colour = COLOURS[index % len(COLOURS)]
    axis.fill_between(place, low, high, color=colour, alpha=0.15, linewidth=0)
    axis.plot(
        place, value, color=colour, linestyle=DASHES[index % len(DASHES)], linewidth=1.5, label=run,
        marker=MARKERS[index % len(MARKERS)], markersize=4,
    )  # fmt: skip
