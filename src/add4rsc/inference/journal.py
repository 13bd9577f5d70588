"""What a batch has done: one line a file, appended when the file is done, so that a killed batch can go on."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from add4rsc.errors import StorageError
from add4rsc.inference.result import FileProblem, RecordingResult
from add4rsc.terms import RESEARCH_USE_ONLY

Stamp = tuple[int, int]
"""Size in bytes and time of change in nanoseconds: another file of the same name has another one."""
NO_STAMP = (-1, -1)
"""Of a file that is not there."""


@dataclass(frozen=True)
class Entry:
    """What came of one file: a result, a problem, or both where nothing of it could be judged."""

    name: str
    output: str
    stamp: Stamp
    result: RecordingResult | None = None
    problem: FileProblem | None = None

    def to_line(self) -> bytes:
        """One line of the journal."""
        content: dict[str, Any] = {"notice": RESEARCH_USE_ONLY}
        content |= {"name": self.name, "output": self.output, "stamp": self.stamp}
        if self.result is not None:
            content["result"] = self.result.to_dict()
        if self.problem is not None:
            content["problem"] = self.problem.row()
        return json.dumps(content, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Entry":
        """The entry that a line holds."""
        content = json.loads(line)
        result = RecordingResult.from_dict(content["result"]) if "result" in content else None
        problem = FileProblem(**content["problem"]) if "problem" in content else None
        first, second = content["stamp"]
        return cls(content["name"], content["output"], (first, second), result, problem)


class Journal:
    """The journal of one batch folder. In memory is where each file's line lies, never what it says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, tuple[int, Stamp]] = {}
        self._end = 0
        if path.is_file():
            self._scan()

    def __len__(self) -> int:
        """Number of files that are done."""
        return len(self._places)

    def has(self, name: str, stamp: Stamp) -> bool:
        """Whether a file of that name, size and time is done."""
        return name in self._places and self._places[name][1] == stamp

    def append(self, entry: Entry) -> None:
        """Add a line, which is on the disk when this returns.

        Raises:
            StorageError: if the disk is full; what was there before is still good.
        """
        line = entry.to_line()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.trim()
            with self.path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(
                f"{self.path} could not be written ({error.strerror or error}). All files before are kept. "
                "Make room, then go on with the same command and --resume."
            ) from error
        self._places[entry.name] = (self._end, entry.stamp)
        self._end += len(line)

    def trim(self) -> None:
        """Cut off what a kill or a full disk left of a line."""
        if self.path.is_file() and self.path.stat().st_size > self._end:
            with self.path.open("r+b") as file:
                file.truncate(self._end)

    def entries(self) -> Iterator[Entry]:
        """All files in order of their names; of a file that was done twice, the last time."""
        if not self._places:
            return
        with self.path.open("rb") as file:
            for name in sorted(self._places):
                file.seek(self._places[name][0])
                yield Entry.from_line(file.readline())

    def results(self) -> Iterator[RecordingResult]:
        """The results of all files that have one."""
        return (entry.result for entry in self.entries() if entry.result is not None)

    def _scan(self) -> None:
        """Find the whole lines; one that a kill or a full disk cut off is written over by the next."""
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    entry = json.loads(line)
                except ValueError:
                    break
                first, second = entry["stamp"]
                self._places[entry["name"]] = (self._end, (first, second))
                self._end += len(line)


def stamp_of(path: Path) -> Stamp:
    """Size and time of change of a file."""
    try:
        status = path.stat()
    except OSError:
        return NO_STAMP
    return status.st_size, status.st_mtime_ns
