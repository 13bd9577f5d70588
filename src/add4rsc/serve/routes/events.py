"""Progress as server-sent events (WHATWG HTML, 9.2)."""

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import APIRouter
from starlette.responses import StreamingResponse

from add4rsc.serve.jobs import Job
from add4rsc.serve.routes._shared import Id, ServiceOf, job_facts
from add4rsc.serve.schemas import content_of, problems
from add4rsc.serve.service import Service

MEDIA_TYPE = "text/event-stream"
SHORTEST, LONGEST = 0.2, 15.0
"""Seconds between two events, and until a comment says that the line is alive."""
ANSWERS = {200: {"description": "Events", "content": content_of(MEDIA_TYPE, binary=False)}, **problems()}

router = APIRouter()


@router.get("/v1/recordings/{recording_id}/events", responses=ANSWERS, response_class=StreamingResponse)
async def watch_recording(recording_id: Id, service: ServiceOf) -> StreamingResponse:
    """Progress of a recording's classification, until its end."""
    return _respond(service.recordings.get(recording_id).job, service)


@router.get("/v1/jobs/{job_id}/events", responses=ANSWERS, response_class=StreamingResponse)
async def watch_job(job_id: Id, service: ServiceOf) -> StreamingResponse:
    """Progress of a job, until its end."""
    return _respond(service.jobs.get(job_id).job, service)


def _respond(job: Job, service: Service) -> StreamingResponse:
    return StreamingResponse(_events(job, service), media_type=MEDIA_TYPE)


async def _events(job: Job, service: Service) -> AsyncIterator[str]:
    told = None
    while not job.status.is_final:
        facts = {key: value for key, value in job_facts(job, service).items() if key != "problem"}
        yield ": still here\n\n" if facts == told else f"event: progress\ndata: {json.dumps(facts)}\n\n"
        told = facts
        await asyncio.sleep(SHORTEST)
        try:
            await asyncio.wait_for(job.changed(), LONGEST)
        except TimeoutError:
            continue
    yield f"event: end\ndata: {json.dumps({'status': str(job.status)})}\n\n"
