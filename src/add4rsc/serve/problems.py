"""What is answered when a request cannot be served: always a problem and its remedy (RFC 9457)."""

import http
import json
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from add4rsc.errors import Add4rscError
from add4rsc.inference.result import FileProblem

MEDIA_TYPE = "application/problem+json"


class RefusedError(Add4rscError):
    """A request that is not served, with the status that says why.

    Args:
        status: of HTTP.
        problem: what was found.
        remedy: what to do.
        errors: the files that it is about.
        retry_after: seconds after which the same request may succeed.
    """

    def __init__(
        self,
        status: int,
        problem: str,
        remedy: str,
        *,
        errors: Sequence[FileProblem] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{problem}. {remedy}.")
        self.status, self.problem, self.remedy = status, problem, remedy
        self.errors, self.retry_after = tuple(errors), retry_after


def respond(refusal: RefusedError) -> Response:
    """A refusal as a response."""
    headers = {} if refusal.retry_after is None else {"Retry-After": str(max(1, round(refusal.retry_after)))}
    if refusal.status == http.HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    content = json.dumps(_body(refusal))
    return Response(content, refusal.status, headers=headers, media_type=MEDIA_TYPE)


def _body(refusal: RefusedError) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": http.HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "detail": str(refusal),
        "problem": refusal.problem,
        "remedy": refusal.remedy,
    }
    return body | ({"errors": [each.row() for each in refusal.errors]} if refusal.errors else {})


def forgotten(what: str) -> RefusedError:
    """There is nothing of that id, or not any more."""
    return RefusedError(404, f"There is no such {what}", "It was deleted, or has expired; upload the sound again")
