"""One uploaded sound: its bytes in memory, its name made harmless, and a path for as long as it is decoded."""

import os
import re
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from add4rsc.audio.io import AudioInfo

UNNAMED = "recording"
MAX_NAME = 120
"""Characters of a file's name that are kept."""
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - holds links only, in a folder that nobody else can open
STEM = "sound"
"""What the file is called while it has a path; its own name stays where it is."""


@dataclass(frozen=True)
class Sound:
    """A recording that passed the checks of `admission`, and the annotations that came with it."""

    name: str
    content: bytes = field(repr=False)
    info: AudioInfo
    suffix: str
    """Of the path under which it is decoded."""
    annotations: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Ending of an annotation's name -> its content."""

    @property
    def n_bytes(self) -> int:
        """What it takes in memory."""
        return len(self.content) + sum(map(len, self.annotations.values()))


def safe_name(name: str) -> str:
    r"""A client's file name without folders, control characters and what reverses text; never empty.

    >>> safe_name("../../etc/passwd"), safe_name("C:\\ward\\breath 1.wav"), safe_name(".."), safe_name("a\r\nb.wav")
    ('passwd', 'breath 1.wav', 'recording', 'ab.wav')
    """
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(
        each for each in last if unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    )
    shown = shown.strip()
    if not shown.strip("."):
        return UNNAMED
    suffix = PurePath(shown).suffix[:20]
    return shown if len(shown) <= MAX_NAME else shown[: MAX_NAME - len(suffix)] + suffix


def told_by_name(text: str, path: Path, sound: Sound) -> str:
    """A message about the files of `as_file`, in terms of the sound's own name."""
    for ending in sound.annotations:
        text = text.replace(str(path.with_name(STEM + ending)), PurePath(sound.name).stem + ending)
    return text.replace(str(path), sound.name)


@contextmanager
def as_file(sound: Sound) -> Iterator[Path]:
    """A path under which a sound and its annotations can be opened, several times and by several threads.

    On Linux the bytes lie in memory, in files without a name that vanish with the process; the path is a link to them.
    Elsewhere they lie in a temporary folder that only this user can open, until the block ends.
    """
    contents = {sound.suffix: sound.content, **sound.annotations}
    in_memory = hasattr(os, "memfd_create") and os.access(MEMORY_FOLDER, os.W_OK)
    with tempfile.TemporaryDirectory(prefix="add4rsc-", dir=MEMORY_FOLDER if in_memory else None) as name:
        folder = Path(name)
        descriptors: list[int] = []
        try:
            for suffix, content in contents.items():
                path = folder / f"{STEM}{suffix}"
                if in_memory:
                    descriptors.append(_fill(content))
                    path.symlink_to(f"/proc/self/fd/{descriptors[-1]}")
                else:
                    path.write_bytes(content)
            yield folder / f"{STEM}{sound.suffix}"
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _fill(content: bytes) -> int:
    """The descriptor of a nameless file in memory that holds some bytes."""
    descriptor = os.memfd_create("add4rsc")
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    return descriptor
