"""Downloads against a server of our own: resumed, checked, unpacked without escaping the folder."""

import hashlib
import io
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from add4rsc.datasets import obtaining
from add4rsc.datasets._base import Download
from add4rsc.datasets.icbhi2017 import Icbhi2017
from add4rsc.datasets.obtaining import describe, download, fetch, unpack
from add4rsc.datasets.sprsound import SprSound2022
from add4rsc.errors import DownloadError

CONTENT = np.random.default_rng(0).bytes(100_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files`; may ignore ranges, or cut each answer after some bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/data.bin": CONTENT}
        self.knows_ranges = True
        self.cut_after: int | None = None
        self.ranges: list[str | None] = []

    def url(self, name: str = "data.bin") -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if self.path not in self.server.files:
            self.send_error(404)
            return
        content = self.server.files[self.path]
        begin = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.server.knows_ranges else 0
        if begin and begin >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        end = len(content) if self.server.cut_after is None else begin + self.server.cut_after
        self.wfile.write(content[begin:end])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(obtaining, "PAUSE", 0)
    monkeypatch.setattr(obtaining, "BLOCK", 1 << 14)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_whole_file_arrives_and_progress_is_told(server: Server, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    path = fetch(Download(server.url(), "x.bin", SHA256), tmp_path, lambda *values: told.append(values))
    assert path == tmp_path / "x.bin"
    assert path.read_bytes() == CONTENT
    assert told[-1] == ("x.bin", 100_000, 100_000)
    assert [n for _, n, _ in told] == sorted({n for _, n, _ in told})
    assert list(tmp_path.iterdir()) == [path]


def test_present_file_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"mine")
    assert fetch(Download(server.url(), "x.bin", SHA256), tmp_path).read_bytes() == b"mine"
    assert server.ranges == []


def test_cut_connection_is_resumed_where_it_ended(server: Server, tmp_path: Path) -> None:
    server.cut_after = 40_000
    path = fetch(Download(server.url(), "x.bin", SHA256), tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=40000-", "bytes=80000-"]


def test_part_of_an_earlier_run_is_continued(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.bin.part").write_bytes(CONTENT[:70_000])
    assert fetch(Download(server.url(), "x.bin", SHA256), tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=70000-"]


def test_complete_part_needs_no_more_bytes(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.bin.part").write_bytes(CONTENT)
    assert fetch(Download(server.url(), "x.bin", SHA256), tmp_path).read_bytes() == CONTENT


def test_part_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.bin.part").write_bytes(CONTENT + b"more")
    assert fetch(Download(server.url(), "x.bin", SHA256), tmp_path).read_bytes() == CONTENT


def test_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.knows_ranges = False
    (tmp_path / "x.bin.part").write_bytes(b"?" * 70_000)
    assert fetch(Download(server.url(), "x.bin", SHA256), tmp_path).read_bytes() == CONTENT


def test_connection_that_is_always_cut_leaves_a_part_to_resume(server: Server, tmp_path: Path) -> None:
    server.knows_ranges, server.cut_after = False, 40_000
    with pytest.raises(DownloadError, match=r"ended after 40000 of 100000 bytes.*again"):
        fetch(Download(server.url(), "x.bin"), tmp_path)
    assert len(server.ranges) == obtaining.ATTEMPTS
    assert [path.name for path in tmp_path.iterdir()] == ["x.bin.part"]


def test_wrong_checksum_is_refused_and_nothing_is_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"SHA-256 {SHA256}, expected 0000"):
        fetch(Download(server.url(), "x.bin", "0" * 64), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_missing_file_and_dead_server_are_told(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="404"):
        fetch(Download(server.url("nothing"), "x.bin"), tmp_path)
    port = server.server_port
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match="refused"):
        fetch(Download(f"http://127.0.0.1:{port}/data.bin", "x.bin"), tmp_path)


def test_only_web_addresses_are_opened(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="not a web address"):
        fetch(Download(Path(__file__).as_uri(), "x.bin"), tmp_path)


def archive_of(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as content:
        for name, data in entries.items():
            content.writestr(name, data)
    return buffer.getvalue()


def test_corpus_is_fetched_unpacked_and_opened(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Icbhi2017.fake(tmp_path / "made")
    sounds = {path.relative_to(made).as_posix(): path.read_bytes() for path in made.glob("*/*")}
    server.files = {f"/{path.name}": path.read_bytes() for path in made.glob("*.txt")}
    server.files["/db.zip"] = archive_of(sounds)
    files = tuple(Download(server.url(name[1:]), name[1:]) for name in server.files)
    monkeypatch.setattr(Icbhi2017, "source", replace(Icbhi2017.source, downloads=files))
    paths = download(Icbhi2017, tmp_path / "got")
    assert [path.name for path in paths] == [each.name for each in files]
    assert len(Icbhi2017(tmp_path / "got").cycles()) == 10
    n_requests = len(server.ranges)
    download(Icbhi2017, tmp_path / "got")
    assert len(server.ranges) == n_requests


@pytest.mark.parametrize("name", ["../escaped.txt", "a/../../escaped.txt", "/escaped.txt"])
def test_archive_that_leads_out_of_the_folder_is_refused_whole(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "bad.zip").write_bytes(archive_of({"good.txt": b"good", name: b"bad"}))
    with pytest.raises(DownloadError, match="leads out of"):
        unpack(folder / "bad.zip", folder)
    assert [path.name for path in tmp_path.rglob("*.*")] == ["bad.zip"]


def test_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.txt")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as content:
        content.writestr(link, "/etc/hostname")
    with pytest.raises(DownloadError, match="leads out of"):
        unpack(tmp_path / "bad.zip", tmp_path)


@pytest.mark.parametrize("damage", [lambda data: data[:-400], lambda data: data[:200] + b"XXXX" + data[204:]])
def test_damaged_archive_is_deleted_so_that_it_is_fetched_again(tmp_path: Path, damage) -> None:
    archive = tmp_path / "x.zip"
    archive.write_bytes(damage(archive_of({"a.bin": CONTENT})))
    with pytest.raises(DownloadError, match="damaged"):
        unpack(archive, tmp_path)
    assert not archive.exists()


@pytest.mark.parametrize("kind", [Icbhi2017, SprSound2022])
def test_description_has_where_terms_size_and_citation(kind: type[Icbhi2017] | type[SprSound2022]) -> None:
    text = describe(kind)
    for part in (kind.source.url, kind.source.terms, kind.source.size, kind.paper.title, kind.paper.doi):
        assert part in text
    assert all(each.url in text for each in kind.source.downloads)
