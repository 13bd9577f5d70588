"""Figures, on matplotlib alone and without any window. Colour maps are even, and safe for colour-blind eyes.

Nothing here draws from the global state of pyplot, so that a figure looks the same wherever it is made.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from add4rsc.engine.explanation import Explanation
from add4rsc.errors import MissingExtraError
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
    raise MissingExtraError("Drawing figures", "train") from error

SPECTRUM_MAP, ATTENTION_MAP, SIGNED_MAP = "magma", "cividis", "PuOr"
BAR_COLOUR, CHOSEN_COLOUR = "#9aa5b1", "#0b5fa5"
HERTZ_TICKS = (100.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "add4rsc",
}
N_DRAWN = 256
"""Rows and columns that an attention map is averaged to before it is drawn."""


def save_figure(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as PNG and SVG, the same bytes for the same figure; returns both paths.

    Raises:
        StorageError: if a file cannot be written.
    """
    paths = []
    with rc_context(STYLE):
        for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
            path = stem.with_name(stem.name + suffix)
            form = suffix[1:]
            write_atomically(path, lambda file, form=form, data=metadata: _print(figure, file, form, data))
            paths.append(path)
    return paths


def _print(figure: Figure, file: object, form: str, metadata: Mapping[str, str | None]) -> None:
    figure.savefig(file, format=form, dpi=150, metadata=metadata)  # pyright: ignore[reportArgumentType]


def draw_explanation(explanation: Explanation) -> Figure:
    """One page: frames before and after the filter, its mask, the mean attention maps and the probabilities."""
    with rc_context(STYLE):
        figure = _new_figure((13.0, 7.4))
        upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.15, 1), hspace=0.04)[:, 0]
        _draw_spectrograms(explanation, list(upper.subplots(1, 3)))
        places = list(lower.subplots(1, 4, width_ratios=(1, 1, 1, 0.85)))
        if explanation.attention is None or explanation.difference is None:
            for place in places[:3]:
                _leave_out(place, "no attention in this layer")
        else:
            maps = (*explanation.attention.mean(axis=1), explanation.difference.mean(axis=0))
            _draw_maps(explanation, places[:3], maps)
        _draw_probabilities(explanation, places[3])
        _entitle(figure, explanation.title)
        return figure


def draw_heads(explanation: Explanation) -> Figure:
    """Signal map, noise map and difference of each head; one head a row, each in its own range of colours.

    Raises:
        ValueError: if the layer has no attention.
    """
    if explanation.attention is None or explanation.difference is None or explanation.noise_weight is None:
        raise ValueError("this layer has no attention to draw")
    n_heads = explanation.attention.shape[1]
    with rc_context(STYLE):
        figure = _new_figure((10.0, 0.8 + 2.5 * n_heads))
        axes = figure.subplots(n_heads, 3, squeeze=False)
        for head in range(n_heads):
            maps = (*explanation.attention[:, head], explanation.difference[head])
            _draw_maps(explanation, list(axes[head]), maps, float(explanation.noise_weight[head]))
            axes[head][0].set_ylabel(f"head {head + 1}\nquery time (s)")
            for column in (1, 2):
                axes[head][column].set_ylabel("")
            if head < n_heads - 1:
                for axis in axes[head]:
                    axis.set_xlabel("")
        _entitle(figure, f"{explanation.title}: attention heads")
        return figure


def _new_figure(size: tuple[float, float]) -> Figure:
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(rect=(0, 0.03, 1, 0.97)))
    FigureCanvasAgg(figure)
    return figure


def _entitle(figure: Figure, title: str) -> None:
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.text(0.99, 0.008, RESEARCH_USE_ONLY, ha="right", va="bottom", fontsize=8, color="#444444")


def _draw_spectrograms(explanation: Explanation, axes: Sequence[Axes]) -> None:
    """Frames as they come, the mask, and frames after the filter; both frames in one range of colours."""
    frames = [each for each in (explanation.log_mel, explanation.filtered) if each is not None]
    low, high = np.percentile(np.concatenate([each.ravel() for each in frames]), (1, 99.7))
    before, middle, after = axes
    for axis, content, title in (
        (before, explanation.log_mel, "log-mel frames"),
        (after, explanation.filtered, "after the filter"),
    ):
        if content is None:
            _leave_out(axis, "no filter in this layer")
            continue
        image = _image(axis, content.T, (0.0, explanation.duration), SPECTRUM_MAP, (low, high))
        _hertz_axis(axis, explanation)
        _mark_cycle(axis, explanation)
        axis.set(title=title, xlabel="time (s)")
        _colour_bar(axis, image, "standardised log energy")
    if explanation.mask is None:
        _leave_out(middle, "no filter in this layer")
    else:
        _draw_mask(explanation, middle, explanation.mask)


def _draw_mask(explanation: Explanation, axis: Axes, mask: Float[ndarray, "bin mel"]) -> None:
    """Gain over modulation frequency, or over time, and mel band; 1 passes, so colours are centred there."""
    is_paper, is_gain = (explanation.mask_form == form for form in ("paper", "gain"))
    frame_rate = len(explanation.log_mel) / explanation.duration
    reach = max(0.05, float(np.percentile(np.abs(mask - 1), 99.5)))
    limits = (1 - reach, 1 + reach)
    if is_paper:
        mask = np.fft.fftshift(mask, axes=1)
    image = _image(axis, mask.T, (0.0, explanation.duration if is_gain else frame_rate / 2), SIGNED_MAP, limits)
    if is_paper:
        axis.set_yticks((0, 0.25, 0.5, 0.75, 1), ("-0.5", "-0.25", "0", "0.25", "0.5"))
        axis.set_ylabel("cycles per mel band")
    else:
        _hertz_axis(axis, explanation)
    axis.set(title="mask of the filter", xlabel="time (s)" if is_gain else "modulation frequency (Hz)")
    _colour_bar(axis, image, "gain (1 = passes)")


def _draw_maps(
    explanation: Explanation,
    axes: Sequence[Axes],
    maps: Sequence[Float[ndarray, "time time"]],
    noise_weight: float | None = None,
) -> None:
    """Signal, noise and difference; weights as multiples of an even attention, drawn over seconds."""
    scaled = [_average(each * each.shape[-1]) for each in maps]
    highest = max(2.0, *(float(np.percentile(each, 99.5)) for each in scaled[:2]))  # even attention in the middle
    reach = max(1e-6, float(np.percentile(np.abs(scaled[2]), 99.5)))
    subtracted = "difference A1 - λ A2" + ("" if noise_weight is None else f", λ = {noise_weight:.2f}")
    panels = (
        ("signal map A1", ATTENTION_MAP, (0.0, highest)),
        ("noise map A2", ATTENTION_MAP, (0.0, highest)),
        (subtracted, SIGNED_MAP, (-reach, reach)),
    )
    for axis, content, (title, colours, limits) in zip(axes, scaled, panels, strict=True):
        image = _image(axis, content[::-1], (0.0, explanation.duration), colours, limits)
        ticks = np.linspace(0, 1, 5)
        axis.set_yticks(ticks, [f"{(1 - tick) * explanation.duration:.3g}" for tick in ticks])
        axis.set(title=title, xlabel="key time (s)", ylabel="query time (s)")
        axis.set_box_aspect(1)
        _colour_bar(axis, image, "times even attention")


def _draw_probabilities(explanation: Explanation, axis: Axes) -> None:
    """A bar a class, the highest one marked, each with its value."""
    chosen = int(explanation.probabilities.argmax())
    positions = list(range(len(explanation.classes)))
    colours = [CHOSEN_COLOUR if each == chosen else BAR_COLOUR for each in positions]
    axis.barh(positions, explanation.probabilities, color=colours, height=0.62)
    for position, share in zip(positions, explanation.probabilities, strict=True):
        axis.text(share + 0.02, position, f"{share:.2f}", va="center")
    axis.set_yticks(positions, list(explanation.classes))
    axis.invert_yaxis()
    axis.set(title="class probabilities", xlim=(0, 1.18), xticks=(0, 0.5, 1))
    axis.set_box_aspect(1)


def _image(
    axis: Axes, rows: Float[ndarray, "row column"], span: tuple[float, float], colours: str, limits: tuple[float, float]
) -> AxesImage:
    """Draw rows from the bottom up over [0, 1]."""
    return axis.imshow(
        rows, origin="lower", aspect="auto", extent=(*span, 0.0, 1.0), cmap=colours, vmin=limits[0], vmax=limits[1],
        interpolation="nearest", rasterized=True,
    )  # fmt: skip


def _hertz_axis(axis: Axes, explanation: Explanation) -> None:
    mel_axis = explanation.mel_axis
    shown = [tick for tick in HERTZ_TICKS if mel_axis.f_min <= tick <= mel_axis.f_max]
    axis.set_yticks([mel_axis.position(tick) for tick in shown], [f"{tick:,.0f}" for tick in shown])
    axis.set_ylabel("frequency (Hz)")


def _mark_cycle(axis: Axes, explanation: Explanation) -> None:
    """A line where the cycle ends and its repetition or silence begins."""
    if explanation.cycle_duration < explanation.duration:
        axis.axvline(explanation.cycle_duration, color="white", linewidth=1.2, linestyle=(0, (4, 3)))
        axis.annotate(
            "filled", (explanation.cycle_duration, 0.97), xytext=(4, 0), textcoords="offset points", color="white",
            va="top", fontsize=8,
        )  # fmt: skip


def _leave_out(axis: Axes, reason: str) -> None:
    axis.set_axis_off()
    axis.text(0.5, 0.5, reason, ha="center", va="center", color="#666666", transform=axis.transAxes)


def _colour_bar(axis: Axes, image: AxesImage, label: str) -> None:
    bar = axis.figure.colorbar(image, ax=axis, fraction=0.046, pad=0.02, aspect=24)
    bar.set_label(label)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]


def _average(content: Float[ndarray, "row column"]) -> Float[ndarray, "drawn drawn"]:
    """The map with neighbours averaged, so that what is drawn is not an accident of which pixels are kept."""
    if len(content) <= N_DRAWN:
        return content
    edges = np.linspace(0, len(content), N_DRAWN + 1).astype(int)[:-1]
    counts = np.diff([*edges, len(content)])
    sums = np.add.reduceat(np.add.reduceat(content, edges, axis=0), edges, axis=1)
    return sums / (counts[:, None] * counts[None])
