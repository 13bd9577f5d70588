"""What decisions rest on, as a picture that lies over the spectrogram."""

import base64
from typing import Any

import numpy as np
from fastapi import APIRouter
from starlette.responses import JSONResponse

from add4rsc.inference._base import Stretch
from add4rsc.inference.occlusion import Occlusion, occlude
from add4rsc.serve.routes._shared import (
    Columns,
    End,
    Id,
    Rows,
    ServiceOf,
    Start,
    UpperEdge,
    check_done,
    read_short_span,
)
from add4rsc.serve.schemas import Explanation, problems
from add4rsc.serve.service import HeldRecording, Service
from add4rsc.serve.sounds import as_file
from add4rsc.serve.spectrogram import F_MAX, Picture, centres, highest_frequency, legend
from add4rsc.terms import RESEARCH_USE_ONLY

LONGEST = 60.0
"""Seconds that are worked on for one answer."""
CAPTION = (
    "Bright: without this part of the sound, the class that the network finds most likely would be less likely. Every "
    f"cycle is cut into 8 times and 6 bands. A property of the network, not of the lung. {RESEARCH_USE_ONLY}"
)

router = APIRouter()


@router.get("/v1/recordings/{recording_id}/explanation", responses={200: {"model": Explanation}, **problems(409, 422)})
async def explanation(
    recording_id: Id,
    service: ServiceOf,
    start: Start = 0.0,
    end: End = None,
    frames: Columns = 800,
    mels: Rows = 96,
    max_hertz: UpperEdge = F_MAX,
) -> JSONResponse:
    """How much less likely each decision gets without a part of its cycle; 255 is the most in the picture."""
    held = service.recordings.get(recording_id)
    check_done(held.job)
    info = held.sound.info
    span = read_short_span(info, start, end, LONGEST)
    picture = Picture(span.start, span.end, frames, mels, highest_frequency(info, max_hertz))
    return JSONResponse(await service.read(_facts, service, held, picture))


def _facts(service: Service, held: HeldRecording, picture: Picture) -> dict[str, Any]:
    times = picture.start + (np.arange(picture.n_frames) + 0.5) * (picture.end - picture.start) / picture.n_frames
    hertz = centres(picture.f_max, picture.n_mels)
    weights = np.zeros((picture.n_frames, picture.n_mels))
    for each in _occlusions(service, held, picture):
        weights = np.maximum(weights, each.at(times, hertz))
    shares = weights / max(float(weights.max()), 1e-9)
    return {
        **legend(picture),
        "data": base64.b64encode(np.round(255 * shares).astype(np.uint8).tobytes()).decode(),
        "largest": round(float(weights.max()), 6),
        "method": "occlusion",
        "caption": CAPTION,
    }


def _occlusions(service: Service, held: HeldRecording, picture: Picture) -> list[Occlusion]:
    """One for every judged cycle that can be seen."""
    cycles = [cycle for result in held.job.results for cycle in result.cycles if cycle.probabilities]
    seen = [cycle for cycle in cycles if cycle.end > picture.start and cycle.start < picture.end]
    with as_file(held.sound) as path:
        return [occlude(service.classifier, path, Stretch(cycle.start, cycle.end)) for cycle in seen]
