"""Tables as values, and the ways to write them down: text for people, Markdown, LaTeX, and rows of a CSV file.

Conventions: cells hold fractions; people see per cent where a column is a share. A cell that is not known is None.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

MISSING = "-"
Kind = Literal["text", "count", "share", "points", "number", "p"]
LATEX_WORDS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "→": r"$\rightarrow$",
    "±": r"$\pm$",
    "<": "$<$",
    ">": "$>$",
}


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; without value, the interval alone."""

    value: float | None
    low: float | None
    high: float | None


Cell = str | int | float | Estimate | None


@dataclass(frozen=True)
class Column:
    """A heading for people, a key for programs, and how numbers are shown.

    `share` shows a fraction in per cent, `points` the difference of two in percentage points.
    """

    key: str
    heading: str
    kind: Kind = "text"
    decimals: int = 1


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first `n_labels` columns name the row. Notes stand below."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    n_labels: int = 1

    def with_notes(self, *notes: str) -> "Table":
        """The same with further notes, empty ones left out."""
        return replace(self, notes=(*self.notes, *(note for note in notes if note)))

    def shown(self) -> list[list[str]]:
        """All cells as people read them."""
        return [[show(cell, column) for cell, column in zip(row, self.columns, strict=True)] for row in self.rows]

    def records(self) -> list[dict[str, Any]]:
        """Rows as plain values, for JSON."""
        keys = [column.key for column in self.columns]
        return [dict(zip(keys, map(_plain, row), strict=True)) for row in self.rows]


def show(cell: Cell, column: Column) -> str:
    """A cell as people read it.

    >>> show(Estimate(0.473, 0.3777, 0.581), Column("score", "Score (%)", "share"))
    '47.3 (37.8 to 58.1)'
    """
    if isinstance(cell, Estimate):
        value = show(cell.value, column)
        ends = [show(end, column) for end in (cell.low, cell.high)]
        interval = f"{ends[0]} to {ends[1]}"
        if MISSING in ends or value == MISSING:
            return value if MISSING in ends else interval
        return f"{value} ({interval})"
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return MISSING
    if isinstance(cell, str):
        return cell
    return _show_number(cell, column)


def _show_number(value: int | float, column: Column) -> str:
    match column.kind:
        case "share":
            return f"{100 * value:.{column.decimals}f}"
        case "points":
            return f"{100 * value:+.{column.decimals}f}"
        case "number":
            return f"{value:.3f}"
        case "p":
            return "< 0.001" if value < 0.001 else f"{value:.3f}"
        case _:
            return f"{value:,}"


def _plain(cell: Cell) -> Any:
    return asdict(cell) if isinstance(cell, Estimate) else cell


def as_markdown(table: Table) -> str:
    """A table in GitHub's Markdown, its title as a bold line."""
    head = [column.heading for column in table.columns]
    marks = ["---" if column.kind == "text" else "---:" for column in table.columns]
    lines = [_markdown_row(row) for row in (head, marks, *table.shown())]
    notes = "".join(f"\n{note}\n" for note in table.notes)
    return f"**{table.title}**\n\n" + "\n".join(lines) + "\n" + notes


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def as_latex(table: Table) -> str:
    """A `table` environment with the rules of the package booktabs."""
    sides = "".join("l" if column.kind == "text" else "r" for column in table.columns)
    head = " & ".join(latex(column.heading) for column in table.columns)
    body = [" & ".join(map(latex, row)) + r" \\" for row in table.shown()]
    notes = [r"\par\smallskip\footnotesize " + latex(note) for note in table.notes]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex(table.title)}}}",
        rf"\label{{tab:{re.sub(r'[^a-z0-9]+', '-', table.key.lower())}}}",
        rf"\begin{{tabular}}{{{sides}}}",
        r"\toprule",
        head + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        *notes,
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def latex(text: str) -> str:
    r"""Text with everything escaped that LaTeX would take for a command.

    >>> print(latex("95 % of a_b"))
    95 \% of a\_b
    """
    return "".join(LATEX_WORDS.get(letter, letter) for letter in text)


def as_rows(table: Table) -> list[dict[str, Any]]:
    """One record a cell that is no label, with full precision: table, row, measure, value, low, high."""
    found = []
    for row, shown in zip(table.rows, table.shown(), strict=True):
        label = {"table": table.key, "row": " / ".join(shown[: table.n_labels])}
        for cell, column in list(zip(row, table.columns, strict=True))[table.n_labels :]:
            numbers = asdict(cell) if isinstance(cell, Estimate) else {"value": cell, "low": None, "high": None}
            found.append(label | {"measure": column.key} | numbers)
    return found
