"""From a matplotlib figure to SVG inside a page: colours that follow light, dark and paper, and ids of its own.

Figures are drawn in stand-in colours; on the way out each becomes a CSS variable of the page.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from add4rsc.errors import MissingExtraError

try:
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import MaxNLocator
except ImportError as error:
    raise MissingExtraError("Drawing the plots of a report", "train") from error

INK, MUTED, GRID = "#101112", "#606162", "#d0d1d2"
SERIES = ("#a00001", "#a00002", "#a00003", "#a00004", "#a00005", "#a00006", "#a00007")
VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid"} | {
    colour: f"--series-{index}" for index, colour in enumerate(SERIES, start=1)
}
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)), "--", ":")
"""Lines are told apart by their dashes too, for paper without colours."""
PIXELS_A_POINT = 1.6
"""So that a plot's 9 points are 14 pixels at most, a bit less than the text around it."""
MARKERS = ("o", "^", "s", "D", "v", "P", "X")
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "add4rsc",
}


@dataclass(frozen=True)
class Plot:
    """A picture with what it says in words, for those who cannot see it."""

    key: str
    title: str
    alt: str
    svg: str
    is_wide: bool = False


def draw(size: tuple[float, float], key: str, paint: Callable[[Figure], None]) -> str:
    """Let `paint` fill a figure of a size in inches, and return it as SVG for a page.

    `key` must be of its own in the page: ids are made from it.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine())
        FigureCanvasSVG(figure)
        paint(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _for_page(buffer.getvalue(), key)


def count_along(axis: Axes) -> None:
    """Let the horizontal axis have whole numbers alone."""
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def direct_label(axis: Axes, text: str, place: tuple[float, float], colour: str = MUTED) -> None:
    """Small words inside the axes, at a place in fractions of them."""
    axis.text(*place, text, transform=axis.transAxes, color=colour, fontsize=8)


def _for_page(svg: str, key: str) -> str:
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<style.*?</style>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", body, count=1)
    body = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", body, count=1)
    body = re.sub(r' id="([^"]+)"', rf' id="{key}-\1"', body)
    body = re.sub(r'href="#', f'href="#{key}-', body)
    body = body.replace("url(#", f"url(#{key}-")
    body = body.replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans'")
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    points = float(body.partition('viewBox="0 0 ')[2].split()[0])
    shape = f"max-width: {points * PIXELS_A_POINT:.0f}px; --least: {points:.0f}px"
    return body.replace("<svg ", f'<svg aria-hidden="true" focusable="false" style="{shape}" ', 1).strip()
