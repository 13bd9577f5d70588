"""What operations ask for: the service, choices, parts of a recording."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request

from add4rsc.audio.io import AudioInfo
from add4rsc.inference.model import read_choice
from add4rsc.inference.pipeline import Choices
from add4rsc.serve.admission import Admitted, admit
from add4rsc.serve.jobs import Job, Status
from add4rsc.serve.playback import read_range
from add4rsc.serve.problems import RefusedError
from add4rsc.serve.service import Service
from add4rsc.serve.shelf import Lease
from add4rsc.serve.uploads import Upload, read_uploads


def _service(request: Request) -> Service:
    return request.app.state.service


def _choices(
    cycles: Annotated[str, Query(description="auto, annotation, envelope or windows.", examples=["auto"])] = "auto",
    threshold: Annotated[
        float | None,
        Query(ge=0, le=1, description="Probability that every class must reach, in place of the model's own."),
    ] = None,
) -> Choices:
    return Choices(read_choice(cycles), threshold)


ServiceOf = Annotated[Service, Depends(_service)]
ChoicesOf = Annotated[Choices, Depends(_choices)]
Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="As given when the sound was uploaded.")]
Start = Annotated[float, Query(ge=0, description="First second.")]
Columns = Annotated[int, Query(ge=16, le=2000, description="Columns.")]
Rows = Annotated[int, Query(ge=16, le=128, description="Rows.")]
UpperEdge = Annotated[float, Query(ge=500, le=8000, description="Upper edge of the highest row.")]
End = Annotated[float | None, Query(gt=0, description="Last second; without it, the recording's end.")]


@dataclass(frozen=True)
class Span:
    """A part of a recording in seconds."""

    start: float
    end: float


@dataclass(frozen=True)
class Part:
    """Bytes of an answer: the first, the one after the last, and what is said of them."""

    first: int
    last: int
    n_bytes: int
    is_whole: bool

    @property
    def status(self) -> int:
        """Of HTTP."""
        return 200 if self.is_whole else 206

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer."""
        headers = {"Accept-Ranges": "bytes", "Content-Length": str(self.last - self.first)}
        own = {} if self.is_whole else {"Content-Range": f"bytes {self.first}-{self.last - 1}/{self.n_bytes}"}
        return headers | own


def asked_range(request: Request, n_bytes: int) -> Part:
    """The bytes that a request asks for by its Range header.

    Raises:
        RefusedError: if they lie outside.
    """
    try:
        found = read_range(request.headers.get("range", ""), n_bytes)
    except ValueError as error:
        raise RefusedError(416, f"The sound has {n_bytes} bytes", "Ask for some of them") from error
    return Part(0, n_bytes, n_bytes, is_whole=True) if found is None else Part(*found, n_bytes, is_whole=False)


def read_span(info: AudioInfo, start: float, end: float | None) -> Span:
    """A part that lies in a recording, and is long enough to hold samples.

    Raises:
        RefusedError: if it does not.
    """
    last = info.duration if end is None else min(end, info.duration)
    if last - start < 2 / info.sample_rate:
        found = f"The recording has {info.duration:.3f} s, nothing between {start:g} and {last:g} s"
        raise RefusedError(422, found, "Ask for 0 <= start < end <= duration")
    return Span(start, last)


def read_short_span(info: AudioInfo, start: float, end: float | None, longest: float) -> Span:
    """A part that is not too much to work on for one answer; without an end, as much as that is.

    Raises:
        RefusedError: if it is longer, or no part of the recording.
    """
    span = read_span(info, start, min(info.duration, start + longest) if end is None else end)
    if span.end - span.start > longest:
        raise RefusedError(422, f"{span.end - span.start:.0f} s are too much at once", f"Ask for {longest:.0f} s")
    return span


async def receive(request: Request, service: Service, lease: Lease) -> Admitted:
    """The sounds of a request.

    Raises:
        RefusedError: if there is none.
    """
    uploads = await read_uploads(request, service.limits, lease.grow)
    return await take(uploads, service)


async def take(uploads: list[Upload], service: Service) -> Admitted:
    """Check uploads.

    Raises:
        RefusedError: if there is no sound among them.
    """
    admitted = await service.read(admit, uploads, service.limits)
    admitted.check()
    return admitted


def job_facts(job: Job, service: Service) -> dict[str, Any]:
    """What is told of any job."""
    problem = job.problems[0].row() if job.problems and job.status.is_final else None
    return {
        "status": str(job.status),
        "progress": {"share": round(job.progress.share, 3), "n_judged": job.progress.n_judged},
        "n_ahead": service.line.n_ahead(job),
        "problem": problem,
    }


def check_done(job: Job) -> None:
    """Go on only if there is a result.

    Raises:
        RefusedError: if there is none, or none yet.
    """
    if job.status == Status.DONE:
        return
    if not job.status.is_final:
        raise RefusedError(
            409, "The result is not there yet", "Wait for the event `end`, or ask again", retry_after=1.0
        )
    if job.status == Status.CANCELLED:
        raise RefusedError(409, "It was cancelled", "Send the sound again")
    first = job.problems[0]
    raise RefusedError(422, f"{first.file}: {first.problem}", first.remedy, errors=job.problems)
