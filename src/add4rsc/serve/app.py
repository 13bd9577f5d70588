"""The web application: routes, layers around them, and the document that describes them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from add4rsc import __version__
from add4rsc.errors import Add4rscError, AnnotationError, AudioError, WrongUsageError
from add4rsc.inference._base import AbstractClassifier
from add4rsc.serve.guards import Guard
from add4rsc.serve.limits import Limits
from add4rsc.serve.problems import RefusedError, respond
from add4rsc.serve.routes import (
    denoised,
    downloads,
    events,
    explanation,
    pages,
    pictures,
    predict,
    recordings,
    system,
)
from add4rsc.serve.schemas import Problem
from add4rsc.serve.service import Service
from add4rsc.serve.watchdog import Watchdog
from add4rsc.terms import RESEARCH_USE_ONLY

ROUTERS = (system, predict, recordings, pictures, denoised, explanation, downloads, events, pages)
TITLE = "Respiratory sounds"
DESCRIPTION = (
    f"{RESEARCH_USE_ONLY} Says what every breath of a recording sounds like; never a diagnosis. Everything is held in "
    "memory, and forgotten."
)


def create_app(
    classifier: AbstractClassifier,
    limits: Limits | None = None,
    *,
    token: str = "",
    hosts: frozenset[str] = frozenset(),
) -> FastAPI:
    """The application around a model, to be run by any ASGI server.

    Args:
        classifier: the model.
        limits: how much is taken.
        token: that clients must show; empty for none.
        hosts: names that the server has; empty where it is reached under any name.
    """
    limits = limits or Limits()
    service = Service(classifier, limits, token)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    # the interactive pages would load scripts from elsewhere
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json", lifespan=lifespan)
    app.state.service = service
    for module in ROUTERS:
        app.include_router(module.router)
    app.add_exception_handler(Add4rscError, _on_own_error)
    app.add_exception_handler(RequestValidationError, _on_wrong_parameter)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_middleware(Guard, token=token, hosts=hosts, max_requests=limits.max_requests)
    app.add_middleware(Watchdog, limits=limits)
    app.openapi = lambda: _document(app)  # pyright: ignore[reportAttributeAccessIssue]
    return app


async def _on_own_error(_request: Request, error: Exception) -> Response:
    if isinstance(error, RefusedError):
        return respond(error)
    if isinstance(error, AudioError | AnnotationError):
        return respond(RefusedError(422, f"The sound {error.problem}", error.remedy.rstrip(".")))
    problem, _, remedy = str(error).partition(". ")
    status = 422 if isinstance(error, WrongUsageError) else 500
    return respond(RefusedError(status, problem, remedy.rstrip(".") or "See /v1/openapi.json"))


async def _on_wrong_parameter(_request: Request, error: Exception) -> Response:
    details = error.errors() if isinstance(error, RequestValidationError) else []
    found = [f"{'.'.join(map(str, each['loc'][1:])) or 'body'}: {each['msg']}" for each in details]
    return respond(RefusedError(422, "; ".join(found)[:500] or "A parameter is wrong", "See /v1/openapi.json"))


async def _on_http_error(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    problem = {404: "There is no such path", 405: "This path has no such method"}.get(status, "The request is not one")
    response = respond(RefusedError(status, problem, "See /v1/openapi.json for the paths and their methods"))
    headers = (error.headers if isinstance(error, HTTPException) else None) or {}
    response.headers.update(headers)
    return response


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=TITLE, version=__version__, description=DESCRIPTION, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas["Problem"].pop("$defs", None)
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{}, {"token": []}]
        app.openapi_schema = document
    return app.openapi_schema
