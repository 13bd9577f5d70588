"""Sounds in, predictions out; long ones as jobs."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, Response

from add4rsc.inference.pipeline import Choices
from add4rsc.serve.admission import Admitted
from add4rsc.serve.jobs import Job, Status
from add4rsc.serve.problems import RefusedError
from add4rsc.serve.reports import MEDIA_TYPES, choose_format, media_type, write_results
from add4rsc.serve.routes._shared import ChoicesOf, Id, ServiceOf, check_done, job_facts, receive
from add4rsc.serve.schemas import SOUND_BODY, JobFacts, Predictions, content_of, problems
from add4rsc.serve.service import HeldJob, Service
from add4rsc.serve.shelf import Lease

router = APIRouter()
OTHERS = content_of(*(kind for name, kind in MEDIA_TYPES.items() if name != "json"), binary=False)
RESULT = {
    200: {"description": "Predictions, in the format that was asked for", "model": Predictions, "content": OTHERS}
}
Format = Annotated[
    str | None, Query(description="csv, json, audacity, raven, textgrid, html or fhir; else as Accept says.")
]


@router.post(
    "/v1/predict",
    responses={**RESULT, 202: {"description": "A job", "model": JobFacts}, **problems(413, 415, 422, 503)},
    openapi_extra=SOUND_BODY,
    response_class=Response,
)
async def predict(
    request: Request,
    service: ServiceOf,
    choices: ChoicesOf,
    format: Format = None,  # noqa: A002 - the name of the parameter
    job: Annotated[
        Literal["auto", "true", "false"], Query(description="auto: long sounds are answered 202, with a job.")
    ] = "auto",
) -> Response:
    """Classify one or many sounds; JSON is the same as that of `add4rsc predict --format json`."""
    name = choose_format(format, request.headers.get("accept", ""))
    with Lease(service.memory) as lease:
        admitted = await receive(request, service, lease)
        task = _job(admitted, choices)
        if job == "true" or (job == "auto" and task.duration > service.limits.long):
            return _as_job(task, name, service)
        service.line.enter(task)
        await _finish(task, request, service)
        check_done(task)
        return await _result(task, name, service)


@router.get("/v1/jobs/{job_id}", responses={200: {"model": JobFacts}, **problems()})
async def job_status(job_id: Id, service: ServiceOf) -> JSONResponse:
    """How far a job is."""
    return JSONResponse(_facts(job_id, service))


@router.get("/v1/jobs/{job_id}/result", responses={**RESULT, **problems(409, 422)}, response_class=Response)
async def job_result(job_id: Id, service: ServiceOf, format: Format = None) -> Response:  # noqa: A002
    """What came of a job. It is forgotten as soon as it is fetched."""
    held = service.jobs.get(job_id)
    check_done(held.job)
    response = await _result(held.job, choose_format(format, "", held.format), service)
    response.background = BackgroundTask(service.jobs.drop, job_id)
    return response


@router.delete("/v1/jobs/{job_id}", status_code=204, responses=problems())
async def cancel_job(job_id: Id, service: ServiceOf) -> Response:
    """Cancel a job, and forget it."""
    service.jobs.drop(job_id)
    return Response(status_code=204)


def _job(admitted: Admitted, choices: Choices) -> Job:
    """A job whose results will be in the order of the files' names, as `predict` has them."""
    return Job(sorted(admitted.sounds, key=lambda sound: sound.name), choices, admitted.problems)


def _as_job(job: Job, name: str, service: Service) -> Response:
    job_id = service.jobs.add(HeldJob(job, service.line, name))
    try:
        service.line.enter(job)
    except RefusedError:
        service.jobs.drop(job_id)
        raise
    return JSONResponse(_facts(job_id, service), 202, headers={"Location": f"/v1/jobs/{job_id}"})


def _facts(job_id: str, service: Service) -> dict[str, Any]:
    held = service.jobs.get(job_id)
    own = f"/v1/jobs/{job_id}"
    links = {"self": own, "events": f"{own}/events", "result": f"{own}/result"}
    facts = job_facts(held.job, service)
    return {"id": job_id, **facts, "expires_in": service.jobs.keep, "links": links}


async def _finish(job: Job, request: Request, service: Service) -> None:
    """Wait for a job as long as somebody waits for its answer.

    Raises:
        RefusedError: if the client has gone, or the server goes.
    """
    gone = asyncio.ensure_future(request.receive())
    done = asyncio.ensure_future(job.finished())
    try:
        await asyncio.wait({gone, done}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        done.cancel()
        if not job.status.is_final:
            service.line.leave(job)
    if job.status == Status.CANCELLED:
        raise RefusedError(503, "The server is going down", "Send it again", retry_after=5.0)


async def _result(job: Job, name: str, service: Service) -> Response:
    problems_in_order = sorted(job.problems, key=lambda problem: problem.file)
    content = await service.read(write_results, name, service.classifier, job.results, problems_in_order, job.sounds)
    return Response(content, media_type=media_type(name))
