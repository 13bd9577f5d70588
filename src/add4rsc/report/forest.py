"""Scores with their intervals, one below the other: of runs, or of subgroups."""

from collections.abc import Mapping, Sequence
from typing import Any

from add4rsc.report.drawing import INK, MUTED, SERIES, Figure, Plot, draw
from add4rsc.report.tables import Estimate


def forest_plot(
    rows: Sequence[tuple[str, str, Estimate, bool]], key: str, title: str, axis_name: str = "Score (%)"
) -> Plot:
    """Values with intervals, one row each: label, counts, value, and whether it is too small to mean anything."""
    known = [(label, counts, value, small) for label, counts, value, small in rows if value.value is not None]
    alt = f"{title}, with 95 % intervals over patients: " + "; ".join(_in_words(*row) for row in known) + "."
    height = 0.8 + 0.25 * len(known)
    svg = draw((5.3, height), key, lambda figure: _paint_forest(figure, known, axis_name))
    return Plot(key, title, alt, svg, is_wide=True)


def _in_words(label: str, _counts: str, value: Estimate, small: bool) -> str:
    return f"{label} {100 * (value.value or 0.0):.0f} %" + (" (too small)" if small else "")


def _paint_forest(figure: Figure, rows: Sequence[tuple[str, str, Estimate, bool]], axis_name: str) -> None:
    axis = figure.subplots()
    for position, (_, counts, value, small) in enumerate(rows):
        if value.low is not None and value.high is not None:
            dashes = ":" if small else "-"
            ends = (100 * value.low, 100 * value.high)
            axis.plot(ends, (position, position), color=MUTED if small else SERIES[0], linewidth=1.6, linestyle=dashes)
        face = "none" if small else SERIES[0]
        centre = 100 * (value.value or 0.0)
        axis.plot(
            centre, position, marker="o", markersize=5.5, color=MUTED if small else SERIES[0], markerfacecolor=face
        )
        words = counts + (", too small" if small else "")
        axis.annotate(
            words, (1.01, position), xycoords=("axes fraction", "data"), va="center", fontsize=7.5, color=MUTED,
            annotation_clip=False,
        )  # fmt: skip
    axis.axvline(50, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    axis.set_yticks(range(len(rows)), [row[0] for row in rows])
    axis.set(xlim=(-2, 102), ylim=(len(rows) - 0.4, -0.6), xlabel=f"{axis_name}; dashed line: 50")
    axis.grid(visible=False, axis="y")


def group_plots(groups: Mapping[str, Mapping[str, Any]], key: str) -> list[Plot]:
    """The score of every subgroup with its interval and counts; a plot a kind of group."""
    plots = []
    for kind, members in groups.items():
        rows = [
            (
                name,
                f"{group['n_cycles']:,} cycles, {group['n_patients']} pat.",
                Estimate(group["score"], *group["intervals"]["score"]),
                group["too_small"],
            )
            for name, group in members.items()
        ]
        if len(members) > 1 and any(row[2].value is not None for row in rows):
            plots.append(forest_plot(rows, f"{key}-{kind}", f"Score by {kind.replace('_', ' ')}"))
    return plots
