"""What the server is: its health, its models, its token."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from add4rsc import __version__
from add4rsc.inference.calibration import choose_thresholds
from add4rsc.inference.cycles import CYCLE_CHOICES
from add4rsc.inference.quality import FLAGS
from add4rsc.inference.result import ABSTAIN, in_words
from add4rsc.serve.guards import COOKIE, is_token
from add4rsc.serve.problems import RefusedError
from add4rsc.serve.reports import find_format, format_names
from add4rsc.serve.routes._shared import ServiceOf
from add4rsc.serve.schemas import Credentials, Health, Models, problems
from add4rsc.terms import RESEARCH_USE_ONLY

router = APIRouter()


@router.get("/v1/health", responses={200: {"model": Health}, **problems()})
async def health(service: ServiceOf) -> JSONResponse:
    """Whether the server is up, how much it has to do, and its limits."""
    return JSONResponse(
        {
            "status": "ok",
            "version": __version__,
            "notice": RESEARCH_USE_ONLY,
            "token_required": bool(service.token),
            "model": service.classifier.name,
            "n_waiting": service.line.n_waiting,
            "n_running": service.line.n_running,
            "limits": service.limits.told(),
        }
    )


@router.get("/v1/models", responses={200: {"model": Models}, **problems()})
async def models(service: ServiceOf) -> JSONResponse:
    """The models, their classes and thresholds, and all words that answers are made of."""
    classifier = service.classifier
    words = {name: in_words(name) for name in (*classifier.classes, ABSTAIN)}
    facts = {
        "name": classifier.name,
        "default": True,
        "classes": list(classifier.classes),
        "words": words,
        "sample_rate": classifier.sample_rate,
        "duration": classifier.duration,
        "temperature": classifier.temperature,
        "thresholds": choose_thresholds(classifier.classes, classifier.thresholds),
        "notes": {key: text for key, text in classifier.notes.items() if not key.endswith("_json")},
    }
    return JSONResponse(
        {
            "notice": RESEARCH_USE_ONLY,
            "models": [facts],
            "quality_flags": FLAGS,
            "formats": {name: find_format(name).suffix for name in format_names()},
            "cycles": list(CYCLE_CHOICES),
            "views": {"denoised": classifier.mel_filter is not None, "explanation": True},
        }
    )


@router.post("/v1/session", status_code=204, responses=problems(401, 422))
async def open_session(credentials: Credentials, request: Request, service: ServiceOf) -> Response:
    """Take the token once, so that a page need not send it with every request."""
    if service.token and not is_token(credentials.token, service.token):
        raise RefusedError(401, "The token is wrong", "Copy it from where the server was started")
    response = Response(status_code=204)
    is_secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, service.token, httponly=True, samesite="strict", path="/v1", secure=is_secure)
    return response


@router.delete("/v1/session", status_code=204, responses=problems())
async def close_session() -> Response:
    """Forget the token."""
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/v1")
    return response
