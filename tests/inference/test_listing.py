import os

import pytest

from add4rsc.inference import listing
from add4rsc.inference.listing import find_sources, shard_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("b.wav", "A.FLAC", "notes.txt", "ward 1/é ß.Wav", "ward 1/deep/c.ogg", "._b.wav", ".hidden/d.wav"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "in"


def names(*arguments, lines=()):
    return [source.name for source in find_sources(arguments, lines)[0]]


EVERYTHING = ["in/A.FLAC", "in/b.wav", "in/ward 1/deep/c.ogg", "in/ward 1/é ß.Wav"]


def test_folders_are_searched_for_sounds_of_any_spelling(folder):
    assert names("in") == EVERYTHING
    assert names("in/") == EVERYTHING


def test_globs_lists_and_files(folder):
    assert names("in/*.wav") == ["in/b.wav"]
    assert names("in/**/*.ogg") == ["in/ward 1/deep/c.ogg"]
    assert names("-", lines=["in/b.wav\r\n", "\n", "in/ward 1\n"]) == [EVERYTHING[1], *EVERYTHING[2:]]
    assert names("in/notes.txt") == ["in/notes.txt"]


def test_a_name_that_looks_like_a_glob(folder):
    (folder / "x[1].wav").write_bytes(b"x")
    assert names("in/x[1].wav") == ["in/x[1].wav"]


def test_each_file_once_and_in_the_same_order_whatever_was_said(folder):
    assert names("in", "in/b.wav", "./in/b.wav", str(folder)) == EVERYTHING
    assert names("in/b.wav", "in/A.FLAC") == EVERYTHING[:2]


def test_what_is_missing_is_listed_so_that_it_is_reported(folder):
    assert names("in/nothing.wav", "in/*.mp3") == ["in/*.mp3", "in/nothing.wav"]


def test_outputs_never_meet(folder):
    (folder / "b.flac").write_bytes(b"x")
    sources, _ = find_sources(["in", "in/ward 1"])
    assert {source.name: source.output for source in sources} == {
        "in/A.FLAC": "A",
        "in/b.wav": "b.wav",
        "in/b.flac": "b.flac",
        "in/ward 1/deep/c.ogg": "ward 1/deep/c",
        "in/ward 1/é ß.Wav": "ward 1/é ß",
    }


def test_a_name_that_is_no_utf_8(folder):
    raw = os.fsencode(folder) + b"/caf\xe9.wav"
    try:
        with open(raw, "wb") as file:  # noqa: PTH123
            file.write(b"x")
    except OSError:
        pytest.skip("this disk takes UTF-8 names only")
    source = find_sources([os.fsdecode(raw)])[0][0]
    assert source.name.endswith("caf\\xe9.wav")
    assert source.path.is_file()


def test_a_folder_that_may_not_be_read_is_a_problem(folder, monkeypatch):
    real = os.scandir

    def refuse(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(listing.os, "scandir", refuse)
    sources, problems = find_sources(["in"])
    assert len(sources) == 3
    assert [(each.file, each.problem) for each in problems] == [
        ("in/ward 1/deep", "cannot be listed (Permission denied)")
    ]


@pytest.mark.parametrize("n_shards", [1, 2, 3, 7])
def test_shards_are_a_partition(folder, n_shards):
    sources, _ = find_sources(["in"])
    parts = [shard_of(sources, index, n_shards) for index in range(1, n_shards + 1)]
    assert sorted(source.name for part in parts for source in part) == EVERYTHING
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
