"""Where a corpus is to be had, and how it is fetched: resumed, checked, unpacked without escaping its folder."""

import hashlib
import http.client
import shutil
import stat
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from add4rsc.datasets._base import AbstractDataset, Download
from add4rsc.errors import DownloadError

Progress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes that are there, and the bytes in all where the server says so."""

TIMEOUT = 60.0
"""Seconds without a byte until a connection counts as dead."""
ATTEMPTS = 4
PAUSE = 2.0
"""Seconds before the next attempt."""
BY_HAND = "Or open the address in a browser and put the file into the folder: then it is not fetched again."
BLOCK = 1 << 20
"""Bytes read at once."""


def describe(dataset: type[AbstractDataset]) -> str:
    """Where the corpus is, how large, under which terms, and what to cite."""
    source, paper = dataset.source, dataset.paper
    n_recordings, n_patients, n_cycles = dataset.n_published
    lines = [
        f"{dataset.name}: {n_recordings} recordings, {n_patients} patients, {n_cycles} annotated cycles or events",
        f"Where:  {source.url}",
        f"Terms:  {source.terms}",
        f"Size:   {source.size}",
        f"Cite:   {paper.authors}: {paper.title}. {paper.venue}, {paper.year}. doi:{paper.doi}",
        f"Layout: {dataset.expected}",
        "Files:",
        *(f"  {download.url}" for download in source.downloads),
    ]
    return "\n".join(lines)


def download(dataset: type[AbstractDataset], folder: Path, progress: Progress | None = None) -> list[Path]:
    """Fetch all files of a corpus into a folder and unpack its archives; what is there already is kept.

    Raises:
        DownloadError: if a file cannot be fetched, or is not what was promised. Calling again resumes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [fetch(each, folder, progress) for each in dataset.source.downloads]
    for path in paths:
        if path.suffix == ".zip":
            unpack(path, folder)
    return paths


def fetch(download: Download, folder: Path, progress: Progress | None = None) -> Path:
    """Fetch one file; bytes gather in NAME.part, which is renamed when it is complete and checked.

    Raises:
        DownloadError: if the server refuses, the connection breaks again and again, or the checksum is wrong.
    """
    target = folder / download.name
    if target.exists():
        return target
    if urlsplit(download.url).scheme not in ("http", "https"):
        raise DownloadError(f"{download.url} is not a web address. Give one that begins with https://.")
    part = folder / f"{download.name}.part"
    problem = ""
    for attempt in range(ATTEMPTS):
        time.sleep(PAUSE if attempt else 0)
        try:
            problem = _continue(download, part, progress)
        except urllib.error.HTTPError as error:
            raise DownloadError(f"{download.url}: the server answers {error.code} {error.reason}. {BY_HAND}") from error
        except (OSError, http.client.HTTPException) as error:
            problem = str(error) or type(error).__name__
        if not problem:
            _check(part, download)
            return part.replace(target)
    raise DownloadError(f"{download.url}: {problem}. Run the command again to continue. {BY_HAND}")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a ZIP archive; files that are there already in their full size are kept.

    Raises:
        DownloadError: if the archive is damaged (it is deleted then), or an entry would be written outside the folder.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            entries = [entry for entry in content.infolist() if not entry.is_dir()]
            targets = [_target(entry, folder, archive) for entry in entries]
            for entry, target in zip(entries, targets, strict=True):
                if not (target.exists() and target.stat().st_size == entry.file_size):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with content.open(entry) as source, target.open("wb") as file:
                        shutil.copyfileobj(source, file)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        archive.unlink()
        raise DownloadError(f"{archive} is damaged ({error}) and was deleted. Run the command again.") from error


def _target(entry: zipfile.ZipInfo, folder: Path, archive: Path) -> Path:
    """Where an entry is written.

    Raises:
        DownloadError: if that is outside the folder, or the entry is a link.
    """
    target = (folder / entry.filename).resolve()
    if not target.is_relative_to(folder.resolve()) or stat.S_ISLNK(entry.external_attr >> 16):
        raise DownloadError(f"{archive} holds '{entry.filename}', which leads out of {folder}. Do not trust this file.")
    return target


def _continue(download: Download, part: Path, progress: Progress | None) -> str:
    """Add to the part what the server still has; return what is wrong, or nothing when the part is complete."""
    n_present = part.stat().st_size if part.exists() else 0
    try:
        response = _request(download.url, n_present)
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        if error.headers.get("Content-Range") == f"bytes */{n_present}":
            return ""
        part.unlink()
        return "the server has less than was fetched before"
    with response:
        begin = n_present if response.status == HTTPStatus.PARTIAL_CONTENT else 0
        length = response.headers.get("Content-Length")
        total = begin + int(length) if length else None
        with part.open("ab" if begin else "wb") as file:
            while block := response.read(BLOCK):
                file.write(block)
                if progress:
                    progress(download.name, file.tell(), total)
    n_fetched = part.stat().st_size
    return "" if total in (None, n_fetched) else f"the connection ended after {n_fetched} of {total} bytes"


def _request(url: str, n_present: int) -> http.client.HTTPResponse:
    headers = {"Range": f"bytes={n_present}-"} if n_present else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - `fetch` checks the scheme
    return urllib.request.urlopen(request, timeout=TIMEOUT)  # noqa: S310 - same


def _check(part: Path, download: Download) -> None:
    """Compare the checksum, where one is known.

    Raises:
        DownloadError: if it differs; the part is deleted.
    """
    if not download.sha256:
        return
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != download.sha256:
        part.unlink()
        problem = f"has the SHA-256 {found}, expected {download.sha256}"
        raise DownloadError(f"{download.url}: the file {problem}; it was deleted. Run the command again. {BY_HAND}")
