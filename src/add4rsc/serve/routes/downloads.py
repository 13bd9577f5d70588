"""Results of held recordings as files."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.responses import Response

from add4rsc.serve.problems import RefusedError
from add4rsc.serve.reports import MEDIA_TYPES, find_format, media_type, write_results
from add4rsc.serve.routes._shared import Id, ServiceOf, check_done
from add4rsc.serve.schemas import content_of, problems
from add4rsc.serve.service import HeldRecording, Service

COMBINED = "predictions"
MAX_IDS = 64
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""A report has its style in it, and no script."""
FILES = {200: {"description": "The file", "content": content_of(*MEDIA_TYPES.values(), binary=False)}}
PAGE = {200: {"description": "A page to print", "content": content_of("text/html", binary=False)}}
Format = Annotated[str, Query(description="csv, json, audacity, raven, textgrid, html or fhir.", examples=["csv"])]
Ids = Annotated[
    str, Query(description="Ids of recordings, separated by commas.", pattern="^[0-9a-f]{32}(,[0-9a-f]{32})*$")
]

router = APIRouter()


@router.get(
    "/v1/recordings/{recording_id}/predictions", responses={**FILES, **problems(409, 422)}, response_class=Response
)
async def predictions(recording_id: Id, service: ServiceOf, format: Format = "csv") -> Response:  # noqa: A002
    """The result of a recording as a file, as `add4rsc predict` writes it."""
    held = service.recordings.get(recording_id)
    return await _download([held], PurePath(held.sound.name).stem, format, service)


@router.get("/v1/predictions", responses={**FILES, **problems(409, 422)}, response_class=Response)
async def combined(ids: Ids, service: ServiceOf, format: Format = "csv") -> Response:  # noqa: A002
    """The results of several recordings as one file."""
    return await _download(_held(ids, service), COMBINED, format, service)


@router.get("/v1/recordings/{recording_id}/report", responses={**PAGE, **problems(409, 422)}, response_class=Response)
async def report(recording_id: Id, service: ServiceOf) -> Response:
    """The result of a recording as a page to print."""
    return await _show([service.recordings.get(recording_id)], service)


@router.get("/v1/report", responses={**PAGE, **problems(409, 422)}, response_class=Response)
async def combined_report(ids: Ids, service: ServiceOf) -> Response:
    """The results of several recordings as one page to print."""
    return await _show(_held(ids, service), service)


def _held(ids: str, service: Service) -> list[HeldRecording]:
    """The recordings of some ids, each once.

    Raises:
        RefusedError: if one is not held, or there are too many.
    """
    names = list(dict.fromkeys(ids.split(",")))
    if len(names) > MAX_IDS:
        raise RefusedError(422, f"{len(names)} recordings are asked for", f"Ask for {MAX_IDS} at most")
    return [service.recordings.get(name) for name in names]


async def _download(held: Sequence[HeldRecording], stem: str, name: str, service: Service) -> Response:
    file = f"{stem}{find_format(name).suffix}"
    plain = "".join(each if each.isascii() and (each.isalnum() or each in "._-() ") else "_" for each in file)
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file)}"
    content = await _write(held, name, service)
    return Response(content, media_type=media_type(name), headers={"Content-Disposition": disposition})


async def _show(held: Sequence[HeldRecording], service: Service) -> Response:
    content = await _write(held, "html", service)
    return Response(content, media_type=media_type("html"), headers={"Content-Security-Policy": REPORT_POLICY})


async def _write(held: Sequence[HeldRecording], name: str, service: Service) -> bytes:
    for each in held:
        check_done(each.job)
    results = [result for each in held for result in each.job.results]
    errors = [problem for each in held for problem in each.job.problems]
    return await service.read(write_results, name, service.classifier, results, errors, [each.sound for each in held])
