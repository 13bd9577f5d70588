"""Files that are either whole or not there: written under another name first, then renamed."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from add4rsc.errors import StorageError


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to the disk, then put it in its place.

    Raises:
        StorageError: if the disk is full or not writable; `path` is then as it was.
    """
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"{path} could not be written ({error.strerror or error}). What was there before is unharmed. "
            "Make room or choose another folder, then go on with --resume."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file in one piece."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file in one piece."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def last_parts(path: str | None) -> str | None:
    """The last two names of a path, as files that are passed on tell it; the rest is of one machine alone.

    >>> last_parts("/home/someone/runs/teacher")
    'runs/teacher'
    """
    return None if path is None else "/".join(part for part in Path(path).parts[-2:] if part != Path(path).anchor)
