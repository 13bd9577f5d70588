"""The plots of a report: curves, calibration, learning, patients, groups and log-mel pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from add4rsc.metrics.ranking import Curve, precision_recall_curve, roc_curve
from add4rsc.report.drawing import (
    DASHES,
    GRID,
    INK,
    MARKERS,
    MUTED,
    SERIES,
    Axes,
    Figure,
    Plot,
    count_along,
    direct_label,
    draw,
)
from add4rsc.report.evidence import Evidence, History
from add4rsc.report.tables import Table

SMALL = (3.7, 3.2)
HERTZ_TICKS = (100, 250, 500, 1000, 2000, 4000)
N_LABELLED_PATIENTS = 64
"""With more patients than these their names are left out below the axis; the table has them all."""
LEARNING_PLOTS = (("loss", "Loss"), ("score", "Score (%)"))


def curve_plots(evidence: Evidence, key: str) -> list[Plot]:
    """ROC and precision-recall curves of every class against all others."""
    table = evidence.predictions
    per_class = evidence.result["per_class"]
    kinds = (
        ("roc", "ROC curves", roc_curve, "auroc", ("share of other classes called so (%)", "recall (%)")),
        ("pr", "Precision-recall curves", precision_recall_curve, "auprc", ("recall (%)", "precision (%)")),
    )
    plots = []
    for kind, title, make, area, axis_names in kinds:
        areas = {name: per_class[name][area] for name in table.classes if per_class[name][area] is not None}
        curves = {
            f"{name} {areas[name]:.2f}": make(table.labels == table.classes.index(name), table.probabilities[:, index])
            for index, name in enumerate(table.classes)
            if name in areas
        }
        if not curves:
            continue
        alt = f"{title}, one line a class. Areas: " + ", ".join(f"{name} {value:.2f}" for name, value in areas.items())
        svg = draw(SMALL, f"{key}-{kind}", lambda figure, c=curves, n=axis_names: _paint_curves(figure, c, n))
        plots.append(Plot(f"{key}-{kind}", f"{title} and areas under them", f"{alt}.", svg))
    return plots


def _paint_curves(figure: Figure, curves: Mapping[str, Curve], axis_names: tuple[str, str]) -> None:
    axis = figure.subplots()
    for index, (name, curve) in enumerate(curves.items()):
        style = {"color": SERIES[index % len(SERIES)], "linestyle": DASHES[index % len(DASHES)]}
        axis.plot(100 * curve.x, 100 * curve.y, label=name, **style)
    if axis_names[1].startswith("recall"):
        axis.plot((0, 100), (0, 100), color=MUTED, linewidth=0.8)
    axis.set(xlim=(-2, 102), ylim=(-2, 102), xlabel=axis_names[0], ylabel=axis_names[1])
    figure.legend(loc="outside upper left", ncols=2)


def reliability_plot(evidence: Evidence, key: str) -> Plot:
    """How often decisions were right against how sure they were, with the counts of cycles below."""
    filled = [each for each in evidence.result["reliability"] if each["n_cycles"]]
    error = evidence.result["expected_calibration_error"]
    alt = (
        f"Accuracy against confidence in {len(filled)} bins; expected calibration error {error:.3f}. "
        + "; ".join(f"confidence {b['confidence']:.0%}: {b['accuracy']:.0%} of {b['n_cycles']} right" for b in filled)
        + "."
    )
    svg = draw(SMALL, f"{key}-reliability", lambda figure: _paint_reliability(figure, filled))
    return Plot(f"{key}-reliability", f"Reliability, calibration error {error:.3f}", alt, svg)


def _paint_reliability(figure: Figure, filled: Sequence[Mapping[str, Any]]) -> None:
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    confidence, accuracy = ([100 * each[part] for each in filled] for part in ("confidence", "accuracy"))
    upper.plot((0, 100), (0, 100), color=MUTED, linewidth=0.8)
    upper.plot(confidence, accuracy, color=SERIES[0], marker="o", markersize=5)
    direct_label(upper, "surer than right", (0.62, 0.06))
    upper.set(ylim=(-4, 104), ylabel="right (%)")
    widths = [100 * (each["high"] - each["low"]) * 0.9 for each in filled]
    lower.bar(
        [50 * (each["low"] + each["high"]) for each in filled], [b["n_cycles"] for b in filled], widths, color=MUTED
    )
    lower.set(xlim=(-2, 102), xlabel="confidence of the decision (%)", ylabel="cycles")


def learning_plots(evidence: Evidence, key: str) -> list[Plot]:
    """Loss and score over the epochs of every training, the chosen epoch marked; none without a history."""
    plots = []
    for index, history in enumerate(evidence.histories):
        for part, name in LEARNING_PLOTS:
            lines = _learning_lines(history, part)
            if not lines:
                continue
            told = f" of {history.label}" if history.label else ""
            chosen = f"; epoch {history.epoch} is marked: {evidence.selection}" if history.epoch is not None else ""
            alt = f"{name}{told} over {len(history.table)} epochs: {', '.join(lines)}{chosen}."
            own = f"{key}-{part}-{index}"
            marked = (history.epoch, evidence.stamp)
            svg = draw(SMALL, own, lambda figure, c=lines, n=name, m=marked: _paint_learning(figure, c, n, m))
            plots.append(Plot(own, f"{name}{told} by epoch", alt, svg))
    return plots


def _learning_lines(history: History, part: str) -> dict[str, Float[ndarray, "epoch 2"]]:
    """Name -> epochs and values of the subsets that were looked at."""
    columns = {"training": part, "validation": f"validation_{part}", "test": f"test_{part}"}
    table = history.table
    if "epoch" not in table:
        return {}
    factor = 100.0 if part == "score" else 1.0
    return {
        name: np.stack([table["epoch"].to_numpy(dtype=float), factor * table[column].to_numpy(dtype=float)], axis=1)
        for name, column in columns.items()
        if column in table and table[column].notna().any()
    }


def _paint_learning(
    figure: Figure,
    lines: Mapping[str, Float[ndarray, "epoch 2"]],
    name: str,
    marked: tuple[int | None, str],
) -> None:
    axis = figure.subplots()
    for index, (subset, points) in enumerate(lines.items()):
        axis.plot(
            *points.T, color=SERIES[index], linestyle=DASHES[index], marker=MARKERS[index], markersize=3.5, label=subset
        )
    epoch, stamp = marked
    if epoch is not None:
        label = f"chosen: epoch {epoch}" + (" (on the test set)" if stamp else "")
        axis.axvline(epoch, color=INK, linewidth=1, linestyle=":", label=label)
    axis.set(xlabel="epoch", ylabel=name)
    count_along(axis)
    figure.legend(loc="outside upper left", ncols=2)


def patients_plot(patients: Table, key: str) -> Plot:
    """Every patient's share of cycles right, from the least to the most, above the counts of cycles."""
    names, normal, normal_right, abnormal, abnormal_right, right = zip(*patients.rows, strict=True)
    alt = (
        f"Share of cycles right of {len(names)} patients, from {100 * min(right):.0f} % to {100 * max(right):.0f} %, "
        f"median {100 * float(np.median(right)):.0f} %; below it their normal and abnormal "
        "cycles. The table has the numbers."
    )
    columns = [np.array(each, dtype=float) for each in (normal, normal_right, abnormal, abnormal_right)]
    svg = draw((9.0, 3.8), f"{key}-patients", lambda figure: _paint_patients(figure, names, columns))
    return Plot(f"{key}-patients", "Patients, from the least to the most cycles right", alt, svg, is_wide=True)


def _paint_patients(figure: Figure, names: Sequence[str], columns: Sequence[Float[ndarray, " patient"]]) -> None:
    normal, normal_right, abnormal, abnormal_right = columns
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1.5, 1))
    positions = np.arange(len(names))
    for index, (name, hits, total) in enumerate(
        (("normal cycles", normal_right, normal), ("abnormal cycles, exact class", abnormal_right, abnormal))
    ):
        has = total > 0
        style = {"color": SERIES[index], "marker": MARKERS[index], "linestyle": "none", "markersize": 4.5}
        upper.plot(positions[has], 100 * hits[has] / total[has], label=name, alpha=0.85, **style)
    all_right = 100 * (normal_right + abnormal_right) / (normal + abnormal)
    upper.step(positions, all_right, where="mid", color=INK, linewidth=1, label="all cycles")
    upper.set(ylabel="right (%)", ylim=(-5, 105))
    lower.bar(positions, normal, color=SERIES[0], width=0.8)
    lower.bar(positions, abnormal, bottom=normal, color=SERIES[1], width=0.8, hatch="////", edgecolor=GRID, linewidth=0)
    lower.set(ylabel="cycles", xlim=(-0.8, len(names) - 0.2), xlabel="patient")
    if len(names) <= N_LABELLED_PATIENTS:
        lower.set_xticks(positions, names, rotation=90, fontsize=7 if len(names) > 20 else 8)
    else:
        lower.set_xticks([])
    for axis in (upper, lower):
        axis.grid(visible=False, axis="x")
    figure.legend(loc="outside upper left", ncols=3)


def log_mel_plot(
    picture: Float[ndarray, "mel frame"], mel_edges: tuple[float, float], duration: float, own: Plot
) -> Plot:
    """A log-mel picture in decibels below its loudest place, with axes in seconds and hertz.

    Args:
        picture: decibels, the lowest band first.
        mel_edges: lowest and highest edge of the bands, in mel.
        duration: of the picture, in seconds.
        own: key, title and words of the plot; its picture is replaced.
    """
    svg = draw((3.7, 2.1), own.key, lambda figure: _paint_log_mel(figure, picture, mel_edges, duration))
    return Plot(own.key, own.title, own.alt, svg)


def _paint_log_mel(
    figure: Figure, picture: Float[ndarray, "mel frame"], mel_edges: tuple[float, float], duration: float
) -> None:
    axis: Axes = figure.subplots()
    axis.imshow(
        picture, origin="lower", aspect="auto", extent=(0.0, duration, *mel_edges), cmap="magma", vmin=-70, vmax=0,
        interpolation="nearest",
    )  # fmt: skip
    ticks = {tick: 1127.0 * float(np.log1p(tick / 700.0)) for tick in HERTZ_TICKS}
    shown = {tick: mel for tick, mel in ticks.items() if mel_edges[0] <= mel <= mel_edges[1]}
    axis.set_yticks(list(shown.values()), [f"{tick:,}" for tick in shown])
    axis.set(xlabel="time (s)", ylabel="frequency (Hz)")
    axis.grid(visible=False)
