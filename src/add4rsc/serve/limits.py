"""How much the server takes, how long it waits and what it keeps."""

import os
from dataclasses import asdict, dataclass, field
from typing import Any

MEBIBYTE = 2**20


def _n_workers() -> int:
    return max(2, os.cpu_count() or 1)


@dataclass(frozen=True)
class Limits:
    """Bounds of everything that a client can make large. Times in seconds."""

    max_upload_bytes: int = 64 * MEBIBYTE
    """Of one request's body."""
    max_duration: float = 7200.0
    """Of one recording, as its header says, before anything of it is decoded."""
    max_files: int = 64
    """Recordings of one request."""
    max_sample_rate: int = 192_000
    max_channels: int = 16
    max_rate: int = 400_000
    """Samples a second of all channels together: two at 192 kHz, eight at 48 kHz."""
    max_annotation_bytes: int = 256 * 1024
    """An annotation of two hours of breaths has half of that; each of its rows costs a pass of the network."""
    max_memory_bytes: int = 512 * MEBIBYTE
    """Of all sounds and results that are held at once."""
    max_held: int = 400
    """Recordings and jobs that are held at once."""
    max_waiting: int = 128
    """Jobs in the queue; the next one is told to come again."""
    max_requests: int = 256
    """Requests that are answered at once."""
    max_reading: int = 4
    """Uploads, pictures and sounds that are decoded at once, besides the network."""
    n_workers: int = field(default_factory=_n_workers)
    """Threads that classify."""
    keep: float = 1800.0
    """A recording is forgotten so long after the last request about it."""
    keep_results: float = 600.0
    """So is the result of a job that nobody fetches."""
    long: float = 300.0
    """Sounds of more than that together become a job of their own, with progress."""
    header_timeout: float = 15.0
    """Until a request's header is there."""
    idle_timeout: float = 20.0
    """Between two pieces of a body, or until a client takes the next piece of an answer."""
    body_timeout: float = 300.0
    """Until a whole body is there."""

    def told(self) -> dict[str, Any]:
        """What clients are told of them."""
        hidden = ("max_rate", "max_held", "max_requests", "max_reading", "n_workers")
        return {key: value for key, value in asdict(self).items() if key not in hidden and "timeout" not in key}
