"""Pictures of a class' prototypes, criticisms and mistakes: log-mel frames side by side, each kind in a row."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from add4rsc.audio.frontend import FrontEnd, band_centres
from add4rsc.engine.examples import Example, Kind
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
    raise MissingExtraError("Drawing examples", "train") from error

HERTZ_TICKS = (100.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
WIDTH, HEIGHT = 3.6, 2.5
"""Of one spectrogram, in inches."""
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "text.parse_math": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "figure.facecolor": "white",
}
MEANING = {
    Kind.PROTOTYPE: "prototypes\nhardest to change",
    Kind.CRITICISM: "criticisms\neasiest to change",
    Kind.MISTAKE: "mistakes\nwrong without any change",
}


def draw_examples(examples: Sequence[Example], front_end: FrontEnd, duration: float, path: Path) -> None:
    """Write the examples of one class as a PNG; the same bytes for the same examples.

    Args:
        examples: of one class, at least one.
        front_end: that made the frames.
        duration: seconds of frames.
        path: of the file to write.

    Raises:
        StorageError: if the file cannot be written.
    """
    rows = [(kind, [each for each in examples if each.kind is kind]) for kind in Kind]
    rows = [(kind, members) for kind, members in rows if members]
    n_columns = max(len(members) for _, members in rows)
    with rc_context(STYLE):
        size = (WIDTH * n_columns + 0.9, HEIGHT * len(rows) + 0.7)
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(rect=(0, 0.03, 1, 0.97)))
        FigureCanvasAgg(figure)
        _paint(figure, rows, n_columns, (front_end, duration))
        figure.suptitle(f"class {examples[0].label}", x=0.01, ha="left", fontsize=12, fontweight="bold")
        figure.text(0.99, 0.006, RESEARCH_USE_ONLY, ha="right", va="bottom", fontsize=8, color="#444444")
        write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=110, metadata={"Software": None}))


def _paint(
    figure: Figure,
    rows: Sequence[tuple[Kind, Sequence[Example]]],
    n_columns: int,
    made_by: tuple[FrontEnd, float],
) -> None:
    """One row a kind, one range of colours for all."""
    axes = figure.subplots(len(rows), n_columns, squeeze=False)
    values = np.concatenate([each.log_mel.ravel() for _, members in rows for each in members])
    low, high = (float(value) for value in np.percentile(values, (2, 99.7)))
    image = None
    for line, (kind, members) in zip(axes, rows, strict=True):
        for column, axis in enumerate(line):
            if column >= len(members):
                axis.set_axis_off()
                continue
            example, (front_end, duration) = members[column], made_by
            image = axis.imshow(
                example.log_mel.T, origin="lower", aspect="auto", extent=(0.0, duration, 0.0, 1.0), cmap="magma",
                vmin=low, vmax=high, interpolation="nearest",
            )  # fmt: skip
            _label(axis, example, duration)
            _hertz_axis(axis, front_end, names=column == 0)
        line[0].set_ylabel(f"{MEANING[kind]}\n\n{line[0].get_ylabel()}")
    if image is not None:
        bar = figure.colorbar(image, ax=axes, fraction=0.02, pad=0.01, aspect=40)
        bar.set_label("standardised log energy")


def _label(axis: Axes, example: Example, duration: float) -> None:
    """Which cycle it is, what was decided, and how much it takes to change that."""
    told = f"decided {example.decision}"
    if example.kind is not Kind.MISTAKE:
        told = f"changes at {example.epsilon_db:.2g} dB" if np.isfinite(example.epsilon_db) else "never changed"
    axis.set_title(f"{example.cycle.cycle_id}\n{told}")
    axis.set_xlabel("time (s)")
    if example.cycle.duration < duration:
        axis.axvline(example.cycle.duration, color="white", linewidth=1.1, linestyle=(0, (4, 3)))
        axis.annotate(
            "filled", (example.cycle.duration, 0.97), xytext=(4, 0), textcoords="offset points", color="white",
            va="top", fontsize=8,
        )  # fmt: skip


def _hertz_axis(axis: Axes, front_end: FrontEnd, *, names: bool) -> None:
    """Ticks in hertz where there is one kind of bands; the kinds from below where there are more."""
    if len(front_end.channels) > 1:
        n_channels = len(front_end.channels)
        places = (np.arange(n_channels) + 0.5) / n_channels
        axis.set_yticks(places, list(front_end.channels) if names else [""] * n_channels)
        axis.set_ylabel("bands" if names else "")
        return
    centres = band_centres(front_end).numpy()
    shown = [tick for tick in HERTZ_TICKS if centres[0] <= tick <= centres[-1]]
    places = np.interp(shown, centres, (np.arange(len(centres)) + 0.5) / len(centres))
    axis.set_yticks(places, [f"{tick:,.0f}" if names else "" for tick in shown])
    axis.set_ylabel("frequency (Hz)" if names else "")
