"""Recordings that are held for a while: uploaded, classified, asked for, deleted."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from add4rsc.inference.formats.json import recording_object
from add4rsc.inference.patients import patient_of
from add4rsc.inference.pipeline import Choices
from add4rsc.inference.result import FileProblem
from add4rsc.serve.admission import Admitted
from add4rsc.serve.examples import EXAMPLES
from add4rsc.serve.fhir import LOCATIONS, chest_location
from add4rsc.serve.jobs import Job
from add4rsc.serve.problems import RefusedError
from add4rsc.serve.routes._shared import ChoicesOf, Id, ServiceOf, job_facts, receive, take
from add4rsc.serve.schemas import SOUND_BODY, Examples, RecordingFacts, Uploaded, problems
from add4rsc.serve.service import HeldRecording, Service
from add4rsc.serve.shelf import Lease
from add4rsc.serve.sounds import Sound
from add4rsc.serve.uploads import Upload
from add4rsc.terms import RESEARCH_USE_ONLY

PARTS = ("events", "peaks", "spectrogram", "audio", "predictions", "report")

router = APIRouter()


@router.post(
    "/v1/recordings",
    status_code=201,
    responses={201: {"model": Uploaded}, **problems(413, 415, 422, 503)},
    openapi_extra=SOUND_BODY,
)
async def upload(request: Request, service: ServiceOf, choices: ChoicesOf) -> JSONResponse:
    """Keep one or many sounds for a while, and classify them."""
    with Lease(service.memory) as lease:
        admitted = await receive(request, service, lease)
        return _keep(admitted, choices, service)


@router.get("/v1/examples", responses={200: {"model": Examples}, **problems()})
async def examples(service: ServiceOf) -> JSONResponse:
    """Made recordings to try."""
    shown = await service.read(lambda: [(each.name, each.file, each.duration) for each in EXAMPLES])
    return JSONResponse({"examples": [dict(zip(("name", "file", "duration"), each, strict=True)) for each in shown]})


@router.post("/v1/examples/{file}", status_code=201, responses={201: {"model": Uploaded}, **problems(503)})
async def try_example(file: str, service: ServiceOf, choices: ChoicesOf) -> JSONResponse:
    """Keep and classify a made recording."""
    example = next((each for each in EXAMPLES if each.file == file), None)
    if example is None:
        raise RefusedError(404, "There is no such example", "GET /v1/examples lists them")
    content = await service.read(lambda: example.content)
    with Lease(service.memory) as lease:
        lease.grow(len(content))
        return _keep(await take([Upload(example.file, content)], service), choices, service)


@router.get("/v1/recordings/{recording_id}", responses={200: {"model": RecordingFacts}, **problems()})
async def recording(recording_id: Id, service: ServiceOf) -> JSONResponse:
    """A recording, and what was found in it as soon as that is there."""
    return JSONResponse(await service.read(_facts, recording_id, service))


@router.post(
    "/v1/recordings/{recording_id}/judge",
    status_code=202,
    responses={202: {"model": RecordingFacts}, **problems(409, 503)},
)
async def judge(recording_id: Id, service: ServiceOf, choices: ChoicesOf) -> JSONResponse:
    """Classify a recording anew, with other choices."""
    held = service.recordings.get(recording_id)
    if held.is_busy:
        raise RefusedError(409, "It is being classified", "Wait for the event `end`", retry_after=1.0)
    held.judge(choices)
    return JSONResponse(_facts(recording_id, service), 202)


@router.delete("/v1/recordings/{recording_id}", status_code=204, responses=problems())
async def forget(recording_id: Id, service: ServiceOf) -> Response:
    """Cancel a recording's classification, and forget its sound and its result."""
    service.recordings.drop(recording_id)
    return Response(status_code=204)


def _keep(admitted: Admitted, choices: Choices, service: Service) -> JSONResponse:
    """Keep what was admitted; what finds no room in the queue is told as an error.

    Raises:
        RefusedError: if nothing found room.
    """
    kept: list[str] = []
    errors: list[FileProblem] = list(admitted.problems)
    refused: RefusedError | None = None
    for sound in admitted.sounds:
        try:
            kept.append(_keep_one(sound, choices, service))
        except RefusedError as refusal:
            refused = refusal
            errors.append(FileProblem(sound.name, refusal.problem, refusal.remedy))
    if refused is not None and not kept:
        raise refused
    return JSONResponse(_uploaded(kept, errors, service), 201)


def _keep_one(sound: Sound, choices: Choices, service: Service) -> str:
    """The id of a sound that is kept, and waits in the queue.

    Raises:
        RefusedError: if there are too many.
    """
    held = HeldRecording(sound, Job([sound], choices), service.line)
    name = service.recordings.add(held)
    try:
        service.line.enter(held.job)
    except RefusedError:
        service.recordings.drop(name)
        raise
    return name


def _uploaded(kept: Sequence[str], errors: Sequence[FileProblem], service: Service) -> dict[str, Any]:
    recordings = [_facts(name, service) for name in kept]
    return {"notice": RESEARCH_USE_ONLY, "recordings": recordings, "errors": [each.row() for each in errors]}


def _facts(recording_id: str, service: Service) -> dict[str, Any]:
    held = service.recordings.get(recording_id)
    info, job, own = asdict(held.sound.info), held.job, f"/v1/recordings/{recording_id}"
    location = chest_location(held.sound.name)
    return {
        "id": recording_id,
        "file": held.sound.name,
        "patient": patient_of(held.sound.name.rpartition(".")[0] or held.sound.name),
        "chest_location": location,
        "chest_location_words": LOCATIONS.get(location, ""),
        "duration": held.sound.info.duration,
        **{key: info[key] for key in ("sample_rate", "n_channels", "encoding")},
        "size": len(held.sound.content),
        "expires_in": service.recordings.keep,
        **job_facts(job, service),
        "result": recording_object(job.results[0]) if job.results and job.status.is_final else None,
        "links": {"self": own, **{part: f"{own}/{part}" for part in PARTS}},
    }
