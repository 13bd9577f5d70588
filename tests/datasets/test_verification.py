"""Verification: every planted fault is found once, and real corpora raise no false alarm."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from add4rsc.datasets._base import AbstractDataset
from add4rsc.datasets.icbhi2017 import Icbhi2017
from add4rsc.datasets.sprsound import SprSound2022
from add4rsc.datasets.synthetic import synthesise
from add4rsc.datasets.verification import verify
from add4rsc.errors import DatasetNotFoundError

FIRST, SECOND, THIRD = "901_1b1_Al_sc_Meditron", "901_1b1_Pr_sc_Litt3200", "902_1b1_Tc_sc_AKGC417L"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return Icbhi2017.fake(tmp_path)


def found(dataset: AbstractDataset) -> list[tuple[str, str]]:
    return [(Path(each.file).name, each.problem) for each in verify(dataset).problems]


def only_problem(dataset: AbstractDataset) -> tuple[str, str]:
    (problem,) = verify(dataset).problems
    assert problem.remedy
    return problem.file, problem.problem


def sound(tiny: Path, stem: str = FIRST) -> Path:
    return tiny / "ICBHI_final_database" / f"{stem}.wav"


def annotation(tiny: Path, stem: str = FIRST) -> Path:
    return sound(tiny, stem).with_suffix(".txt")


def test_sound_corpora_have_no_problem(tiny: Path, tmp_path: Path) -> None:
    report = verify(Icbhi2017(tiny))
    assert (report.n_recordings, report.n_patients, report.n_cycles, report.problems) == (3, 2, 10, ())
    assert report.cycles_per_class == {"normal": 3, "crackle": 3, "wheeze": 2, "both": 2}
    assert not report.complete
    assert verify(SprSound2022(SprSound2022.fake(tmp_path / "s"))).problems == ()


def test_report_is_plain_json(tiny: Path) -> None:
    sound(tiny).unlink()
    report = json.loads(json.dumps(verify(Icbhi2017(tiny)).to_dict()))
    names = {"dataset", "n_recordings", "n_patients", "n_cycles", "cycles_per_class", "complete", "problems"}
    assert names <= report.keys()
    assert report["dataset"] == "icbhi2017"
    assert {"file", "problem", "remedy"} == report["problems"][0].keys()
    assert report["share"]["recordings"] == pytest.approx(2 / 920, abs=1e-4)


def test_sound_without_annotation_and_the_reverse(tiny: Path) -> None:
    sound(tiny, SECOND).unlink()
    annotation(tiny, THIRD).unlink()
    assert sorted(found(Icbhi2017(tiny))) == [(f"{SECOND}.txt", "has no sound"), (f"{THIRD}.wav", "has no annotation")]
    report = verify(Icbhi2017(tiny))
    assert (report.n_recordings, report.n_cycles) == (1, 4)


def test_files_are_named_from_the_corpus_folder(tiny: Path) -> None:
    annotation(tiny).unlink()
    assert only_problem(Icbhi2017(tiny)) == (f"ICBHI_final_database/{FIRST}.wav", "has no annotation")


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(b""), r"is empty \(0 bytes\)"),
        (lambda path: path.write_text("not sound"), "is not a sound file"),
        (cut_in_half, "is cut off"),
        (lambda path: soundfile.write(path, np.full(20_000, np.nan), 4000, subtype="FLOAT"), "not finite"),
        (lambda path: soundfile.write(path, np.zeros(0), 4000), "holds no samples"),
        (lambda path: soundfile.write(path, np.zeros(20_000), 4000), "silent throughout"),
    ],
    ids=["empty", "text", "cut off", "not a number", "no samples", "silent"],
)
def test_unreadable_sound(tiny: Path, damage, said: str) -> None:
    damage(sound(tiny))
    file, problem = only_problem(Icbhi2017(tiny))
    assert Path(file).name == f"{FIRST}.wav"
    assert re.search(said, problem)


def test_flac_that_is_cut_off(tiny: Path) -> None:
    samples, rate = soundfile.read(sound(tiny))
    flac = sound(tiny).with_suffix(".flac")
    soundfile.write(flac, samples, rate)
    sound(tiny).unlink()
    cut_in_half(flac)
    file, _ = only_problem(Icbhi2017(tiny))
    assert Path(file).name == f"{FIRST}.flac"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("0.1,1.3,0,0\n", "line 1 has 1 tab-separated values"),
        ("0.1\t1.3\t0\t0\n1.3\t1.2\t0\t0\n", "line 2: a cycle from 1.3 to 1.2 s"),
        ("0.1\t1.3\t0\t7\n", "line 1: crackle '0' and wheeze '7'"),
        ("1.3\t2.3\t0\t0\n0.1\t1.3\t0\t0\n", "the row at 0.1 s comes after the row at 1.3 s"),
        ("0.1\t1.3\t0\t0\n1.2\t2.3\t0\t0\n", "0.1 to 1.3 s overlaps 1.2 to 2.3 s"),
        ("0.1\t5.06\t0\t0\n", "normal from 0.1 to 5.06 s ends after the recording, at 5.000 s"),
        ("0.1\t0.19\t1\t0\n", "crackle from 0.1 to 0.19 s is shorter than 0.1 s"),
        ("\n", "is empty"),
    ],
)
def test_wrong_rows(tiny: Path, rows: str, said: str) -> None:
    annotation(tiny).write_text(rows)
    file, problem = only_problem(Icbhi2017(tiny))
    assert Path(file).name == f"{FIRST}.txt"
    assert said in problem


def test_rounding_of_the_last_time_is_no_problem(tiny: Path) -> None:
    annotation(tiny).write_text("0.1\t1.3\t0\t0\n1.3\t5.04\t0\t0\n")
    assert verify(Icbhi2017(tiny)).problems == ()


def test_good_rows_beside_a_bad_one_are_counted(tiny: Path) -> None:
    annotation(tiny).write_text("0.1\t1.3\t0\t0\n1.3 2.5 0 0\n2.5\t3.7\t1\t0\n")
    report = verify(Icbhi2017(tiny))
    assert (report.n_cycles, len(report.problems)) == (8, 1)


def test_name_that_is_not_of_the_form(tiny: Path) -> None:
    sound(tiny).rename(sound(tiny, "patient one"))
    annotation(tiny).unlink()
    assert found(Icbhi2017(tiny)) == [("patient one.wav", "is not named as a recording")]


def test_hidden_files_are_no_recordings(tiny: Path) -> None:
    (tiny / "ICBHI_final_database" / f"._{FIRST}.wav").write_bytes(b"resource fork")
    assert verify(Icbhi2017(tiny)).problems == ()


def test_one_stem_in_two_formats(tiny: Path) -> None:
    samples, rate = soundfile.read(sound(tiny))
    soundfile.write(sound(tiny).with_suffix(".flac"), samples, rate)
    assert found(Icbhi2017(tiny)) == [(f"{FIRST}.wav", f"is there twice, also as {FIRST}.flac")]


def test_one_sound_under_two_names(tiny: Path) -> None:
    shutil.copyfile(sound(tiny), sound(tiny, SECOND))
    assert found(Icbhi2017(tiny)) == [(f"{SECOND}.wav", f"has the same sound as {FIRST}.wav")]


def test_patient_that_no_table_names(tiny: Path) -> None:
    (tiny / "ICBHI_Challenge_demographic_information.txt").write_text("901 60 F 24.5 NA NA\n")
    assert only_problem(Icbhi2017(tiny)) == (
        "ICBHI_Challenge_demographic_information.txt",
        "does not name patient 902",
    )


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("ICBHI_Challenge_diagnosis.txt", None, "is missing"),
        ("ICBHI_challenge_train_test.txt", None, "is missing"),
        ("ICBHI_Challenge_diagnosis.txt", "901 COPD maybe\n", "line 1 has 3 values"),
        ("ICBHI_challenge_train_test.txt", f"{FIRST};train\n", "line 1: "),
    ],
)
def test_wrong_lists_and_tables(tiny: Path, file: str, content: str | None, said: str) -> None:
    (tiny / file).unlink()
    if content:
        (tiny / file).write_text(content)
    name, problem = only_problem(Icbhi2017(tiny))
    assert name == file
    assert problem.startswith(said)


def test_wrong_event_of_sprsound(tmp_path: Path) -> None:
    dataset = SprSound2022(SprSound2022.fake(tmp_path))
    path = next(tmp_path.rglob("90000001_5.0_0_p1_1.json"))
    content = json.loads(path.read_text())
    content["event_annotation"][0]["type"] = "Gurgle"
    content["event_annotation"][1]["end"] = content["event_annotation"][2]["end"]
    content["event_annotation"].reverse()
    path.write_text(json.dumps(content))
    problems = [problem for _, problem in found(dataset)]
    assert len(problems) == 2  # events may be in any order
    assert "'Gurgle'" in problems[0]
    assert "overlaps" in problems[1]


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    for kind in (Icbhi2017, SprSound2022):
        with pytest.raises(DatasetNotFoundError, match="Expected sound files named"):
            verify(kind(tmp_path))


def test_made_corpus_is_sound(tmp_path: Path) -> None:
    assert verify(Icbhi2017(synthesise(tmp_path, 8))).problems == ()


@pytest.mark.data
def test_real_subset_raises_no_false_alarm(shared_data: Path) -> None:
    report = verify(Icbhi2017(shared_data / "icbhi2017_subset"))
    assert report.problems == ()
    assert (report.n_recordings, report.n_cycles, report.complete) == (264, 2534, False)
    assert report.share["recordings"] == pytest.approx(264 / 920, abs=1e-4)


@pytest.mark.data
def test_real_sprsound_is_complete_but_for_one_sound_that_is_published_twice(shared_data: Path) -> None:
    report = verify(SprSound2022(shared_data / "sprsound2022"))
    assert report.complete
    assert report.share == {"recordings": 1.0, "patients": 1.0, "cycles": 1.0}
    (problem,) = report.problems
    assert Path(problem.file).stem == "41279835_14.1_0_p1_2945"
    assert "has the same sound as 41279835_14.1_0_p1_2050" in problem.problem
    first, second = (next((shared_data / "sprsound2022").rglob(f"41279835_14.1_0_p1_{n}.flac")) for n in (2050, 2945))
    assert np.array_equal(soundfile.read(first)[0], soundfile.read(second)[0])
