"""Tables keep their numbers on the way to people, Markdown, LaTeX and CSV."""

import json

import pytest

from add4rsc.report.tables import Column, Estimate, Table, as_latex, as_markdown, as_rows, show

TABLE = Table(
    "made",
    "Made of a & b",
    (
        Column("group", "Group"),
        Column("n", "Cycles", "count"),
        Column("score", "Score (%)", "share", 2),
        Column("difference", "Difference (points)", "points"),
        Column("p", "p", "p"),
    ),
    (
        ("a_b | c", 1234, Estimate(0.47302, 0.3777, 0.581), Estimate(-0.021, -0.04, 0.003), 0.0004),
        ("none", 0, Estimate(None, None, None), None, float("nan")),
    ),
    ("a note of 50 %",),
)


def test_people_see_per_cent_and_a_dash_where_nothing_is_known():
    assert TABLE.shown() == [
        ["a_b | c", "1,234", "47.30 (37.77 to 58.10)", "-2.1 (-4.0 to +0.3)", "< 0.001"],
        ["none", "0", "-", "-", "-"],
    ]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (Estimate(None, 0.1, 0.25), "10.0 to 25.0"),
        (Estimate(0.5, None, 0.7), "50.0"),
        (0, "0.0"),
        ("as it is", "as it is"),
    ],
)
def test_parts_of_an_estimate_may_be_missing(cell, words):
    assert show(cell, Column("score", "Score (%)", "share")) == words


def test_markdown_has_a_cell_for_every_column_in_spite_of_bars_in_the_text():
    lines = [line for line in as_markdown(TABLE).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(TABLE.rows)
    assert {line.replace("\\|", "").count("|") for line in lines} == {len(TABLE.columns) + 1}
    assert lines[1] == "| --- | ---: | ---: | ---: | ---: |"
    assert "a note of 50 %" in as_markdown(TABLE)


def test_latex_is_escaped_and_every_row_has_all_columns():
    text = as_latex(TABLE)
    assert r"\caption{Made of a \& b}" in text
    assert r"a\_b | c & 1,234 & 47.30 (37.77 to 58.10)" in text
    assert r"50 \%" in text
    assert "& $<$ 0.001" in text
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    assert [line.count(" & ") for line in body.splitlines() if line.endswith(r"\\")] == [4, 4]
    assert text.count(r"\begin{") == text.count(r"\end{") == 2


def test_rows_hold_full_precision():
    rows = as_rows(TABLE)
    assert [row["measure"] for row in rows[:4]] == ["n", "score", "difference", "p"]
    assert rows[1] == {
        "table": "made",
        "row": "a_b | c",
        "measure": "score",
        "value": 0.47302,
        "low": 0.3777,
        "high": 0.581,
    }


def test_records_are_plain_values():
    assert json.loads(json.dumps(TABLE.records()[:1]))[0]["score"] == {"value": 0.47302, "low": 0.3777, "high": 0.581}


def test_notes_are_added_and_empty_ones_left_out():
    assert TABLE.with_notes("", "more").notes == ("a note of 50 %", "more")
