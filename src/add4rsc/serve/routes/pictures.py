"""What a recording looks and sounds like."""

import base64
import json
from typing import Annotated

from fastapi import APIRouter, Query, Request
from numpy import ndarray
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from add4rsc.audio.io import AudioInfo
from add4rsc.serve.peaks import EXACT, Peaks, pick_peaks, read_peaks
from add4rsc.serve.playback import WAV, Playback
from add4rsc.serve.problems import RefusedError
from add4rsc.serve.routes._shared import (
    Columns,
    End,
    Id,
    Part,
    Rows,
    ServiceOf,
    Span,
    Start,
    UpperEdge,
    asked_range,
    read_span,
)
from add4rsc.serve.schemas import Outline, Spectrogram, content_of, problems
from add4rsc.serve.service import HeldRecording, Service
from add4rsc.serve.shelf import Lease
from add4rsc.serve.sounds import Sound, as_file
from add4rsc.serve.spectrogram import (
    F_MAX,
    LONGEST,
    Picture,
    highest_frequency,
    legend,
    read_spectrogram,
)

BYTES = "application/octet-stream"
N_DIGITS = 4

router = APIRouter()


@router.get("/v1/recordings/{recording_id}/peaks", responses={200: {"model": Outline}, **problems(422)})
async def peaks(
    recording_id: Id,
    service: ServiceOf,
    start: Start = 0.0,
    end: End = None,
    buckets: Annotated[int, Query(ge=1, le=8000, description="Equal parts.")] = 1000,
) -> JSONResponse:
    """The outline of the waveform, of all of it or of what is zoomed into."""
    held = service.recordings.get(recording_id)
    span = read_span(held.sound.info, start, end)
    found = await service.read(_peaks, held, span, buckets)
    sides = {"min": _rounded(found.lowest), "max": _rounded(found.highest)}
    head = {"start": span.start, "end": span.end, "duration": held.sound.info.duration, "buckets": buckets}
    return JSONResponse(head | sides)


@router.get(
    "/v1/recordings/{recording_id}/spectrogram",
    responses={200: {"model": Spectrogram, "content": content_of(BYTES)}, **problems(422)},
)
async def spectrogram(
    request: Request,
    recording_id: Id,
    service: ServiceOf,
    start: Start = 0.0,
    end: End = None,
    frames: Columns = 800,
    mels: Rows = 96,
    max_hertz: UpperEdge = F_MAX,
) -> Response:
    """A mel spectrogram, as JSON or as bare bytes (`Accept: application/octet-stream`)."""
    sound = service.recordings.get(recording_id).sound
    wanted = min(sound.info.duration, start + LONGEST) if end is None else end
    span = read_span(sound.info, start, wanted)
    if span.end - span.start > LONGEST:
        raise RefusedError(
            422, f"{span.end - span.start:.0f} s are too much for one picture", f"Ask for {LONGEST:.0f} s"
        )
    picture = Picture(span.start, span.end, frames, mels, highest_frequency(sound.info, max_hertz))
    levels = await service.read(_levels, sound, picture)
    head = legend(picture)
    if BYTES in request.headers.get("accept", ""):
        return Response(levels, media_type=BYTES, headers={"X-Spectrogram": json.dumps(head)})
    return JSONResponse({**head, "data": base64.b64encode(levels).decode()})


@router.head("/v1/recordings/{recording_id}/audio", include_in_schema=False)
@router.get(
    "/v1/recordings/{recording_id}/audio",
    responses={
        200: {"description": "WAV", "content": content_of(WAV)},
        206: {"description": "A part of it, as Range says", "content": content_of(WAV)},
        **problems(416, 422),
    },
    response_class=Response,
)
async def audio(
    request: Request, recording_id: Id, service: ServiceOf, start: Start = 0.0, end: End = None
) -> Response:
    """The sound as 16-bit mono WAV, all of it or a part."""
    sound = service.recordings.get(recording_id).sound
    span = read_span(sound.info, start, end)
    playback = Playback(sound.info, span.start, span.end)
    part = asked_range(request, playback.n_bytes)
    if request.method == "HEAD":
        return Response(status_code=part.status, headers=part.headers, media_type=WAV)
    return Playing(service, sound, playback, part)


class Playing(Response):
    """A sound that is decoded while it is sent, and no longer than somebody takes it."""

    def __init__(self, service: Service, sound: Sound, playback: Playback, part: Part) -> None:
        super().__init__(status_code=part.status, headers=part.headers, media_type=WAV)
        self._service, self._sound, self._playback, self._part = service, sound, playback, part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it.

        Raises:
            RefusedError: if there is no memory for it.
        """
        with Lease(self._service.memory) as lease:
            lease.grow(self._sound.n_bytes)
            with as_file(self._sound) as path:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                pieces = self._playback.stream(path, self._part.first, self._part.last)
                request = Request(scope, receive)
                while (piece := await self._service.read(next, pieces, b"")) and not await request.is_disconnected():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b""})


def _peaks(held: HeldRecording, span: Span, n_buckets: int) -> Peaks:
    info: AudioInfo = held.sound.info
    if span.end - span.start > EXACT:
        return pick_peaks(held.coarse_peaks(), info.duration, span.start, span.end, n_buckets)
    with as_file(held.sound) as path:
        return read_peaks(path, info, span.start, span.end, n_buckets)


def _levels(sound: Sound, picture: Picture) -> bytes:
    with as_file(sound) as path:
        return read_spectrogram(path, sound.info, picture).tobytes()


def _rounded(values: ndarray) -> list[float]:
    return [round(float(value), N_DIGITS) for value in values]
