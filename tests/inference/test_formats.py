"""Every format, read back by something that did not write it."""

import base64
import csv
import io
import itertools
import json
import re
import tempfile
import zlib

import numpy as np
import pandas as pd
import pytest

from add4rsc.inference.annotations import annotation_formats
from add4rsc.inference.formats import formats
from add4rsc.inference.formats._base import Report
from add4rsc.inference.formats._pictures import encode_png, spectrogram_png
from add4rsc.inference.result import CycleResult, FileProblem, RecordingResult
from add4rsc.terms import RESEARCH_USE_ONLY

CLASSES = ("normal", "crackle", "wheeze", "both")
NAME = 'ward 1/"ä,<b>\t1.wav'


def recording(file: str, cycles: list[CycleResult], duration: float = 6.0) -> RecordingResult:
    return RecordingResult(file, duration, 8000, "7", "windows", "m", CLASSES, ("clipping",), tuple(cycles))


FIRST = recording(
    NAME,
    [
        CycleResult(0.5, 2.0, "crackle", (0.1, 0.8, 0.05, 0.05), ("clipping",)),
        CycleResult(2.0, 4.0, "abstain", (0.4, 0.3, 0.2, 0.1)),
        CycleResult(4.5, 6.0, "abstain", (), ("silence",)),
    ],
)
SECOND = recording(
    "b.wav",
    [CycleResult(0.0, 2.0, "normal", (0.9, 0.1, 0.0, 0.0)), CycleResult(1.0, 3.0, "both", (0.0, 0.1, 0.0, 0.9))],
)
REPORT = Report(
    lambda: (FIRST, SECOND), CLASSES, "m", {"split": "x<y"}, (FileProblem("bad.wav", "is empty", "Copy it"),)
)


def written(name: str, report: Report = REPORT) -> bytes:
    with tempfile.TemporaryFile() as file:
        formats.get(name).write(report, file)
        file.seek(0)
        return file.read()


@pytest.mark.parametrize("name", ["csv", "json", "audacity", "raven", "textgrid", "html"])
def test_every_format_carries_the_notice_and_no_diagnosis(name):
    text = written(name).decode()
    assert RESEARCH_USE_ONLY in text
    assert "diagnos" not in text.lower()
    assert "crackle-like sound" in text


def test_the_formats_are_those_of_the_contract():
    assert formats.names() == ["audacity", "csv", "html", "json", "raven", "textgrid"]


def test_csv_has_the_columns_of_the_contract():
    table = pd.read_csv(io.BytesIO(written("csv")))
    contract = ["file", "start", "end", "decision", *(f"p_{name}" for name in CLASSES), "abstain", "quality"]
    assert list(table.columns[: len(contract)]) == contract
    assert table["file"].tolist() == [NAME] * 3 + ["b.wav"] * 2
    assert table["abstain"].tolist() == [False, True, True, False, False]
    assert table["p_crackle"].isna().tolist() == [False, False, True, False, False]
    assert table.loc[0, ["start", "end", "p_crackle"]].tolist() == [0.5, 2.0, 0.8]


def test_json_is_one_object_with_everything():
    content = json.loads(written("json"))
    assert content["notice"] == RESEARCH_USE_ONLY
    assert content["errors"] == [{"file": "bad.wav", "problem": "is empty", "remedy": "Copy it"}]
    first = content["recordings"][0]
    assert first["cycles"][0]["probabilities"] == dict(zip(CLASSES, (0.1, 0.8, 0.05, 0.05), strict=True))
    assert first["cycles"][2]["probabilities"] is None
    assert (first["n_cycles"], first["n_judged"], first["n_abstained"], first["n_crackle"]) == (3, 2, 2, 1)
    assert json.loads(written("json", Report(lambda: (), CLASSES, "m", {})))["recordings"] == []


def test_audacity_and_raven_lay_recordings_end_to_end(tmp_path):
    rows = [line.split("\t") for line in written("audacity").decode().splitlines()]
    assert all(len(row) == 3 and re.fullmatch(r"\d+\.\d{6}", row[0]) for row in rows)
    (tmp_path / "a.txt").write_bytes(written("audacity"))
    (tmp_path / "b.txt").write_bytes(written("raven"))
    times = [(0.5, 2.0), (2.0, 4.0), (4.5, 6.0), (6.0, 8.0), (7.0, 9.0)]
    for form, name in (("audacity", "a.txt"), ("raven", "b.txt")):
        assert annotation_formats.get(form).recognises((tmp_path / name).read_text())
        assert [each[:2] for each in annotation_formats.get(form).read(tmp_path / name)] == times


def test_raven_has_its_columns():
    rows = list(csv.DictReader(io.StringIO(written("raven").decode()), delimiter="\t"))
    assert [row["Selection"] for row in rows] == list("12345")
    assert rows[3]["Begin Path"] == "b.wav"
    assert (rows[4]["Begin Time (s)"], rows[4]["File Offset (s)"]) == ("7.000000", "1.000000")
    assert rows[0]["High Freq (Hz)"] == "4000.0"


def tiers(text: str) -> dict[str, list[tuple[float, float, str]]]:
    found = {}
    for part in text.split("    item [")[1:]:
        name = re.search(r'name = "(\w+)"', part)[1]
        times = re.findall(r'intervals \[\d+\]:\s+xmin = (\S+)\s+xmax = (\S+)\s+text = "(.*)"', part)
        assert int(re.search(r"intervals: size = (\d+)", part)[1]) == len(times)
        found[name] = [(float(start), float(end), text) for start, end, text in times]
    return found


@pytest.mark.parametrize("recordings", [(FIRST, SECOND), (SECOND,), (recording("nothing.wav", []),)])
def test_textgrid_tiers_cover_all_of_the_time_without_overlap(recordings):
    text = written("textgrid", Report(lambda: recordings, CLASSES, "m", {})).decode()
    total = sum(each.duration for each in recordings)
    assert f"xmax = {total:.6f}\ntiers? <exists>" in text
    for intervals in tiers(text).values():
        assert intervals[0][0] == 0
        assert intervals[-1][1] == total
        assert all(a[1] == b[0] for a, b in itertools.pairwise(intervals))
        assert all(start < end for start, end, _ in intervals)


def test_textgrid_is_read_back(tmp_path):
    (tmp_path / "a.TextGrid").write_bytes(written("textgrid"))
    found = annotation_formats.get("textgrid").read(tmp_path / "a.TextGrid")
    assert [each.text for each in found] == ["crackle", "abstain", "abstain", "normal", "both"]
    assert [each[:2] for each in found[3:]] == [(6.0, 7.5), (7.5, 9.0)]


def test_html_is_one_page_that_needs_nothing_else(write):
    path = write("b.wav")
    report = Report(lambda: (FIRST, SECOND), CLASSES, "m", {"split": "x<y"}, locate=lambda name: path)
    page = written("html", report).decode()
    assert "<b>" not in page
    assert "x&lt;y" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "http" not in page
    image = base64.b64decode(re.search(r"base64,([\w+/=]+)", page)[1])
    assert image.startswith(b"\x89PNG")
    assert page.count("<img") == 2
    assert "<img" not in written("html").decode()


def test_a_png_holds_its_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    image = encode_png(pixels)
    body = image[image.index(b"IDAT") + 4 : image.index(b"IEND") - 8]
    rows = np.frombuffer(zlib.decompress(body), np.uint8).reshape(3, 16)
    assert (rows[:, 0] == 0).all()
    assert (rows[:, 1:].reshape(3, 5, 3) == pixels).all()


def test_another_library_reads_the_picture(write, tmp_path):
    image = pytest.importorskip("matplotlib.image")
    (tmp_path / "a.png").write_bytes(spectrogram_png(write("a.wav")))
    assert image.imread(tmp_path / "a.png").shape[:2] == (100, 600)


def test_a_tone_is_drawn_at_its_frequency(write):
    image = pytest.importorskip("matplotlib.image")
    tone = 0.5 * np.sin(2 * np.pi * 500 * np.arange(16_000) / 4000)
    (picture := write("t.wav", tone).with_suffix(".png")).write_bytes(spectrogram_png(write("t.wav", tone)))
    brightness = image.imread(picture)[..., :3].sum(axis=(1, 2))
    assert int(brightness.argmax()) == pytest.approx(100 * (1 - 500 / 2000), abs=1.5)
