"""Annotation files of every format, right and wrong ones."""

from pathlib import Path

import pytest

from add4rsc.errors import AnnotationError
from add4rsc.inference._base import Stretch
from add4rsc.inference.annotations import annotation_formats
from add4rsc.inference.annotations.beside import annotation_beside, stretches_beside

HEADER = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tAnnotation\n"
RAVEN = (
    HEADER
    + "1\tWaveform 1\t1\t0.5\t1.5\t0\t2000\tin\n1\tSpectrogram 1\t1\t0.5\t1.5\t0\t2000\tin\n"
    + "2\tSpectrogram 1\t1\t2.0\t3.25\t0\t2000\tout\n"
)
LONG_GRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 4
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "TextTier"
        name = "knocks 2"
        xmin = 0
        xmax = 4
        points: size = 1
        points [1]:
            number = 1.7
            mark = "knock"
    item [2]:
        class = "IntervalTier"
        name = "breaths"
        xmin = 0
        xmax = 4
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 1.5
            text = "in ""1"" of 2"
        intervals [3]:
            xmin = 1.5
            xmax = 2.0
            text = ""
        intervals [4]:
            xmin = 2.0
            xmax = 3.25
            text = "out"
"""
SHORT_GRID = (
    '"ooTextFile"\n"TextGrid"\n0\n4\n<exists>\n1\n"IntervalTier"\n"x"\n0\n4\n4\n0\n0.5\n""\n0.5\n1.5\n"in"\n'
    '1.5\n2\n""\n2\n3.25\n"out"\n'
)
EVENT = '{"record_annotation": "DAS", "event_annotation": [%s]}'
GOOD = {
    "a.txt": ("icbhi", "0.5\t1.5\t1\t0\n2.0\t3.25\t0\t1\n"),
    "a.TXT": ("icbhi", "0.5\t1.5\t1\t0\n2.0\t3.25\t0\t1\n"),
    "a.json": (
        "sprsound",
        EVENT % '{"start": "2000", "end": "3250", "type": "Normal"}, {"start": 500, "end": 1500, "type": "Wheeze"}',
    ),
    "a.labels.txt": ("audacity", "0.500000\t1.500000\tin\n\\\t100\t2000\n2,000000\t3,250000\tout\n1.0\t1.0\tpoint\n"),
    "a.Table.1.selections.txt": ("raven", RAVEN),
    "a.TextGrid": ("textgrid", LONG_GRID),
    "a.textgrid": ("textgrid", SHORT_GRID.replace('"ooTextFile"', 'File type = "ooTextFile"', 1)),
}


@pytest.mark.parametrize("name", GOOD)
def test_every_format_gives_the_same_two_stretches(tmp_path, name):
    form, text = GOOD[name]
    (tmp_path / name).write_text(text)
    found = annotation_beside(tmp_path / "a.wav")
    assert found == (tmp_path / name, annotation_formats.get(form))
    assert stretches_beside(tmp_path / "a.wav", 4.0) == [Stretch(0.5, 1.5), Stretch(2.0, 3.25)]


def test_praat_writes_utf_16(tmp_path):
    (tmp_path / "a.TextGrid").write_bytes(LONG_GRID.replace("out", "é").encode("utf-16"))
    assert [each.text for each in annotation_formats.get("textgrid").read(tmp_path / "a.TextGrid")] == [
        'in "1" of 2',
        "é",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.txt", "Patient was coughing.\n"), ("a.json", '{"TaskName": "auscultation"}'), ("a.txt", "")],
)
def test_something_else_beside_the_recording_is_no_annotation(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert annotation_beside(tmp_path / "a.wav") is None


def test_of_another_recording(tmp_path):
    (tmp_path / "ab.txt").write_text("0\t1\t0\t0\n")
    assert stretches_beside(tmp_path / "a.wav", 4.0) == []


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.txt", "0.5\t1.5\t1\t0\n2.0\t1.0\t0\t1\n", "line 2"),
        ("a.txt", "0.5\t1.5\tx\nfoo\tbar\ty\n", "line 2"),
        ("a.selections.txt", RAVEN.replace("3.25", "end"), "line 4"),
        ("a.selections.txt", RAVEN.replace("End Time (s)", "End"), "no column"),
        ("a.json", EVENT % '{"start": 5, "end": 3, "type": "Normal"}', "event 1"),
        ("a.TextGrid", LONG_GRID[: LONG_GRID.index("intervals [3]")], "middle of a tier"),
        ("a.TextGrid", LONG_GRID.replace("xmax = 3.25", "xmax = 1.0"), "interval 4"),
    ],
)
def test_a_wrong_annotation_is_an_error_with_its_place(tmp_path, name, text, problem):
    (tmp_path / name).write_text(text)
    with pytest.raises(AnnotationError, match=problem):
        stretches_beside(tmp_path / "a.wav", 4.0)


@pytest.mark.data
def test_every_real_icbhi_annotation_is_recognised(shared_data: Path):
    paths = sorted((shared_data / "icbhi2017_subset" / "ICBHI_final_database").glob("*.flac"))[::10]
    for path in paths:
        rows = path.with_suffix(".txt").read_text().splitlines()
        assert len(stretches_beside(path, 1e4)) == len(rows)
