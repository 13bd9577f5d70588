import errno
import json
import os
import resource
import stat
from pathlib import Path

import pytest

from add4rsc.errors import StorageError
from add4rsc.storage import write_atomically, write_json, write_text


def test_writes_whole_files_into_new_folders(tmp_path):
    path = tmp_path / "a" / "b" / "file.json"
    write_json(path, {"x": [1.5, None, "é"]})
    assert json.loads(path.read_text()) == {"x": [1.5, None, "é"]}
    write_text(path, "short")
    assert path.read_text() == "short"
    assert list(path.parent.iterdir()) == [path]


def test_files_may_be_read_by_whom_the_umask_lets(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [RuntimeError("bug"), KeyboardInterrupt()])
def test_what_stood_there_survives_a_writer_that_fails(tmp_path, error):
    path = tmp_path / "file"
    write_text(path, "old")

    def fail(file):
        file.write(b"half of the new")
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_nobody_sees_half_a_file(tmp_path):
    path = tmp_path / "file"
    write_text(path, "old")
    seen = []

    def look(file):
        file.write(b"new")
        file.flush()
        seen.append(path.read_text())

    write_atomically(path, look)
    assert seen == ["old"]
    assert path.read_text() == "new"


def test_full_disk_is_an_error_of_ours(tmp_path):
    path = tmp_path / "file"
    write_text(path, "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageError, match=r"file could not be written \(File too large\).*unharmed.*--resume"):
            write_atomically(path, lambda file: file.write(bytes(5000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_error_without_a_number_is_told_in_words(tmp_path):
    def fail(_):
        raise OSError("5 requested and 2 written")

    with pytest.raises(StorageError, match=r"\(5 requested and 2 written\)"):
        write_atomically(tmp_path / "file", fail)


def test_file_is_flushed_before_it_takes_its_place(tmp_path, monkeypatch):
    order, replace = [], Path.replace
    monkeypatch.setattr("add4rsc.storage.os.fsync", lambda _: order.append("flushed"))
    monkeypatch.setattr(Path, "replace", lambda path, target: order.append("placed") or replace(path, target))
    write_text(tmp_path / "file", "x")
    assert order == ["flushed", "placed"]


def test_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="choose another folder"):
        write_text(tmp_path / "file" / "inner" / "x.txt", "x")

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match="Permission denied"):
        write_text(tmp_path / "x.txt", "x")
