"""A picture of the denoised view: log-mel frames before and after the filter, and what the sound was multiplied by."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from add4rsc.errors import MissingExtraError
from add4rsc.inference.denoise import Denoised
from add4rsc.storage import write_atomically
from add4rsc.terms import RESEARCH_USE_ONLY

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.layout_engine import ConstrainedLayoutEngine
except ImportError as error:
    raise MissingExtraError("Drawing the denoised view", "train") from error

SPECTRUM_MAP, GAIN_MAP = "magma", "cividis"
HERTZ_TICKS = (100.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)
N_COLUMNS = 1500
"""Frames that are drawn; of more, neighbours are averaged."""
DB_PER_NAT = 10 / np.log(10)
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "text.parse_math": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.facecolor": "white",
}


def draw_denoised(view: Denoised, path: Path) -> None:
    """Draw a view into a PNG file, its name as the title; the same bytes for the same view.

    Raises:
        StorageError: if it cannot be written.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(10.0, 8.2), layout=ConstrainedLayoutEngine(rect=(0, 0.04, 1, 0.96)))
        FigureCanvasAgg(figure)
        _fill(figure, view)
        figure.suptitle(f"{path.stem}: an illustration", x=0.01, ha="left", fontsize=12, fontweight="bold")
        figure.text(0.99, 0.01, f"{view.note}", ha="right", va="bottom", fontsize=7.5, color="#444444")
        notes = {"Software": None, "Description": view.note, "Disclaimer": RESEARCH_USE_ONLY}
        write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=110, metadata=notes))


def _fill(figure: Figure, view: Denoised) -> None:
    """Three panels above each other, on one axis of time and of frequency."""
    before, after = (DB_PER_NAT * each for each in (view.log_mel, view.filtered))
    audible = view.frequencies <= view.sample_rate / 2
    low, high = np.percentile(before[:, audible], (1, 99.8))
    limits = (float(low), float(max(high, low + 1)))
    upper, middle, lower = figure.subplots(3, 1, sharex=True)
    gain = 20 * np.log10(view.gain)
    deepest = min(-1.0, float(np.percentile(gain[:, audible], 0.5)))
    panels = (
        (upper, before, "log-mel frames of the recording", SPECTRUM_MAP, limits, "dB"),
        (middle, after, "after the first filter of the ADD layer", SPECTRUM_MAP, limits, "dB"),
        (lower, gain, "gain of the resynthesised sound, at most 0 dB", GAIN_MAP, (deepest, 0.0), "dB"),
    )
    for axis, content, title, colours, span, unit in panels:
        image = _image(axis, view, content, colours, span)
        _hertz_axis(axis, view)
        axis.set_title(title)
        bar = figure.colorbar(image, ax=axis, fraction=0.046, pad=0.01, aspect=18)
        bar.set_label(unit)
    lower.set_xlabel("time (s)")


def _image(
    axis: Axes, view: Denoised, content: Float[ndarray, "time mel"], colours: str, limits: tuple[float, float]
) -> AxesImage:
    """Frames over time, bands evenly spaced from the bottom up."""
    half = view.frame_shift / 2
    extent = (float(view.times[0]) - half, float(view.times[-1]) + half, -0.5, len(view.frequencies) - 0.5)
    return axis.imshow(
        _fewer(content).T, origin="lower", aspect="auto", extent=extent, cmap=colours, vmin=limits[0], vmax=limits[1],
        interpolation="nearest",
    )  # fmt: skip


def _hertz_axis(axis: Axes, view: Denoised) -> None:
    """Ticks in hertz; nothing above half the recording's rate, where there is nothing."""
    bands = np.arange(len(view.frequencies))
    top = min(view.sample_rate / 2, float(view.frequencies[-1]))
    shown = [tick for tick in HERTZ_TICKS if view.frequencies[0] <= tick <= top]
    places = np.interp(shown, view.frequencies, bands)
    axis.set_yticks(list(places), [f"{tick:,.0f}" for tick in shown])
    axis.set_ylim(-0.5, float(np.interp(top, view.frequencies, bands)) + 0.5)
    axis.set_ylabel("frequency (Hz)")


def _fewer(content: Float[ndarray, "time mel"]) -> Float[ndarray, "column mel"]:
    """Neighbouring frames averaged, where there are more than can be seen."""
    if len(content) <= N_COLUMNS:
        return content
    edges = np.linspace(0, len(content), N_COLUMNS + 1).astype(int)
    return np.add.reduceat(content, edges[:-1]) / np.diff(edges)[:, None]
