"""What a network with an ADD layer makes of a recording: an illustration, marked as one."""

import base64
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from numpy import ndarray
from starlette.responses import JSONResponse, Response

from add4rsc.inference.denoise import Denoised, denoise
from add4rsc.serve.playback import WAV, Playback
from add4rsc.serve.problems import RefusedError
from add4rsc.serve.routes._shared import End, Id, ServiceOf, Span, Start, asked_range, read_short_span
from add4rsc.serve.schemas import DenoisedView, content_of, problems
from add4rsc.serve.service import Service
from add4rsc.serve.sounds import Sound, as_file
from add4rsc.serve.spectrogram import RANGE_DB

LONGEST = 60.0
"""Seconds that are worked on for one answer."""
DB_PER_NEPER = 10 / np.log(10)
"""Of power, whose natural logarithm the frames are."""

router = APIRouter()


@router.get("/v1/recordings/{recording_id}/denoised", responses={200: {"model": DenoisedView}, **problems(422)})
async def denoised(recording_id: Id, service: ServiceOf, start: Start = 0.0, end: End = None) -> JSONResponse:
    """Mel frames before and after the first filter of the ADD layer, and what it turns down; 404 without one."""
    sound, span = _find(recording_id, service, start, end)
    return JSONResponse(await service.read(_facts, service, sound, span))


@router.get(
    "/v1/recordings/{recording_id}/denoised/audio",
    responses={200: {"description": "WAV", "content": content_of(WAV)}, **problems(416, 422)},
    response_class=Response,
)
async def denoised_audio(
    request: Request, recording_id: Id, service: ServiceOf, start: Start = 0.0, end: End = None
) -> Response:
    """The same as sound: illustrative, not a cleaned recording."""
    sound, span = _find(recording_id, service, start, end)
    content = await service.read(_wav, service, sound, span)
    part = asked_range(request, len(content))
    return Response(content[part.first : part.last], part.status, headers=part.headers, media_type=WAV)


def _find(recording_id: str, service: Service, start: float, end: float | None) -> tuple[Sound, Span]:
    """A recording and the part of it that is to be shown.

    Raises:
        RefusedError: if the model cannot show it, or the part is too long.
    """
    sound = service.recordings.get(recording_id).sound
    if service.classifier.mel_filter is None:
        remedy = "Start the server with --model and a run or an export of an add4rsc recipe"
        raise RefusedError(404, f"The model {service.classifier.name} has no ADD layer to look into", remedy)
    return sound, read_short_span(sound.info, start, end, LONGEST)


def _view(service: Service, sound: Sound, span: Span) -> Denoised:
    with as_file(sound) as path:
        return denoise(service.classifier, path, span.start, span.end)


def _facts(service: Service, sound: Sound, span: Span) -> dict[str, Any]:
    view = _view(service, sound, span)
    loudest = float(view.log_mel.max())
    levels = {"before": view.log_mel, "after": view.filtered}
    shown = {name: _bytes(1 + DB_PER_NEPER * (each - loudest) / RANGE_DB) for name, each in levels.items()}
    n_frames, n_mels = view.log_mel.shape
    return {
        "start": span.start,
        "end": span.end,
        "n_frames": n_frames,
        "n_mels": n_mels,
        "hertz": [round(float(each), 1) for each in view.frequencies],
        "first_time": view.first_time,
        "frame_shift": view.frame_shift,
        "range_db": RANGE_DB,
        **shown,
        "gain": _bytes(view.gain),
        "note": view.note,
    }


def _wav(service: Service, sound: Sound, span: Span) -> bytes:
    return Playback(sound.info, span.start, span.end).encode(_view(service, sound, span).waveform)


def _bytes(shares: ndarray) -> str:
    """Values from 0 to 1 as bytes, in base64."""
    return base64.b64encode(np.round(255 * np.clip(shares, 0, 1)).astype(np.uint8).tobytes()).decode()
