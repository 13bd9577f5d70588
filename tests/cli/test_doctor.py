import json
import platform


def test_doctor_says_what_is_here(cli):
    outcome = cli("doctor", "--json")
    assert outcome.code == 0
    report = json.loads(outcome.out)
    assert report["python"] == platform.python_version()
    assert report["packages"]["torch"].startswith("2.")
    assert "FLAC" in report["audio"]["formats"]
    text = cli("doctor")
    assert text.code == 0
    assert report["packages"]["numpy"] in text.out


def test_doctor_says_which_folder_cannot_be_written(cli, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("ADD4RSC_HOME", str(tmp_path / "file"))
    outcome = cli("doctor", "--json")
    assert outcome.code == 0
    writable = json.loads(outcome.out)["writable"]
    assert writable["features"].endswith("(no)")
    assert writable["here"].endswith("(yes)")
