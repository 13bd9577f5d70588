"""Files, folders, globs and lists -> the recordings of a batch, each once, in a fixed order."""

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from add4rsc.audio.io import AUDIO_SUFFIXES
from add4rsc.inference.result import FileProblem

STANDARD_INPUT = "-"
MORE_SUFFIXES = frozenset({".aifc", ".snd", ".rf64", ".wve", ".sph", ".nist", ".voc", ".mp2"})
"""Further names of sounds that libsndfile reads; in a folder, files of other names are passed over."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to classify: what the user calls it, and where its own outputs go (below `files/`, without suffix)."""

    place: str
    """Its path; as text, of which a hundred thousand fit into little memory."""
    name: str
    output: str

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(self.place)


def find_sources(arguments: Iterable[str], lines: Iterable[str] = ()) -> tuple[list[Source], list[FileProblem]]:
    """The recordings that arguments name, in order of their names, and what could not be looked into.

    Args:
        arguments: files, taken whatever their suffix; folders, searched for sounds; globs; `-` for `lines`.
        lines: one such argument (but for `-`) a line, as on standard input.
    """
    problems: list[FileProblem] = []
    found: dict[str, tuple[str, str]] = {}
    for name, below in _walk_all(arguments, lines, problems):
        found.setdefault(os.path.abspath(name), (name, below))  # noqa: PTH100 - keeps symbolic links as they are
    below = Counter(os.path.splitext(each)[0] for _, each in found.values())  # noqa: PTH122
    sources = [Source(name, printable(name), printable(_output(each, below))) for name, each in found.values()]
    return sorted(sources, key=lambda source: source.name), problems


def printable(name: str) -> str:
    r"""A file's name as text: bytes that are no UTF-8 become escapes, and folders are parted by `/`.

    >>> printable("caf\udce9.wav")
    'caf\\xe9.wav'
    """
    return os.fsencode(PurePath(name).as_posix()).decode("utf-8", errors="backslashreplace")


def shard_of(sources: list[Source], index: int, n_shards: int) -> list[Source]:
    """The part of a batch that one of several machines takes, counted from 1: every n-th recording."""
    return sources[index - 1 :: n_shards]


def _output(below: str, n_of_stem: Counter[str]) -> str:
    """Where a recording's outputs go: its path without suffix, or with it where two would meet."""
    stem = os.path.splitext(below)[0]  # noqa: PTH122
    return stem if n_of_stem[stem] == 1 else below


def _walk_all(arguments: Iterable[str], lines: Iterable[str], problems: list[FileProblem]) -> Iterator[tuple[str, str]]:
    """Paths of recordings, and the same below the folder that was given."""
    for argument in arguments:
        if argument == STANDARD_INPUT:
            yield from _walk_all((line.rstrip("\r\n") for line in lines if line.strip()), (), problems)
        else:
            for path in _expand(argument):
                yield from _walk(path, problems)


def _expand(argument: str) -> list[str]:
    """A path that exists as it is; else the matches of a glob; else the path itself, to be reported as missing."""
    if not Path(argument).exists() and glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - keeps the user's own spelling
        return [each for each in matches if Path(each).is_dir() or len(matches) == 1 or _is_sound(each)] or [argument]
    return [argument]


def _walk(path: str, problems: list[FileProblem]) -> Iterator[tuple[str, str]]:
    if not Path(path).is_dir():
        yield path, PurePath(path).name
        return
    for folder, inner, files in os.walk(path, onerror=_note(problems)):
        inner[:] = sorted(each for each in inner if not each.startswith("."))
        for name in sorted(files):
            if _is_sound(name):
                whole = os.path.join(folder, name)  # noqa: PTH118
                yield whole, os.path.relpath(whole, path)


def _is_sound(name: str) -> bool:
    """Whether a name is that of a sound; macOS puts a shadow `._NAME` beside files on foreign disks."""
    path = PurePath(name)
    return path.suffix.lower() in AUDIO_SUFFIXES | MORE_SUFFIXES and not path.name.startswith(".")


def _note(problems: list[FileProblem]) -> Callable[[OSError], None]:
    def note(error: OSError) -> None:
        remedy = "Change its permissions, or run as a user who may read it"
        problems.append(FileProblem(printable(str(error.filename)), f"cannot be listed ({error.strerror})", remedy))

    return note
