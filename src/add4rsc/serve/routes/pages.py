"""The page and its parts, from the package's own files."""

import hashlib
import secrets
from pathlib import Path, PurePosixPath

from fastapi import APIRouter, Request
from starlette.responses import Response

from add4rsc.serve.problems import RefusedError

FOLDER = Path(__file__).parents[1] / "page"
NONCE = "__CSP_NONCE__"
"""Stands in the page where the nonce belongs that one answer's style elements have."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; font-src 'self'; connect-src 'self' blob:; worker-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
TEXT = "; charset=utf-8"
KINDS = {
    ".html": "text/html" + TEXT,
    ".js": "text/javascript" + TEXT,
    ".mjs": "text/javascript" + TEXT,
    ".css": "text/css" + TEXT,
    ".txt": "text/plain" + TEXT,
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/vnd.microsoft.icon",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".woff2": "font/woff2",
}
PLAIN = ("LICENSE", "LICENCE", "NOTICE")

router = APIRouter(include_in_schema=False)


@router.get("/")
async def index() -> Response:
    """The page, with a policy that lets nothing in from elsewhere."""
    path = FOLDER / "index.html"
    if not path.is_file():
        raise RefusedError(404, "This installation has no page", "Use the API: /v1/openapi.json describes it")
    nonce = secrets.token_urlsafe(16)
    content = path.read_text(encoding="utf-8").replace(NONCE, nonce)
    headers = {"Content-Security-Policy": POLICY.format(nonce=nonce), "Cache-Control": "no-store"}
    return Response(content, media_type="text/html", headers=headers)


@router.get("/assets/{path:path}")
async def asset(path: str, request: Request) -> Response:
    """A file of the page."""
    return _respond(path, request)


@router.get("/favicon.ico")
async def icon(request: Request) -> Response:
    """The page's icon."""
    return _respond("favicon.ico", request)


def _respond(name: str, request: Request) -> Response:
    path = _find(name)
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    kind = "text/plain" + TEXT if path.name in PLAIN else KINDS[path.suffix]
    return Response(content, headers={**headers, "Content-Type": kind})


def _find(name: str) -> Path:
    """A file below the page's folder.

    Raises:
        RefusedError: if there is none of that name, or it is not for the browser.
    """
    parts = PurePosixPath(name).parts
    if parts and not any(part in ("..", "/") or "\\" in part or "\0" in part for part in parts):
        path = FOLDER.joinpath(*parts)
        is_shown = path.suffix in KINDS or path.name in PLAIN
        if is_shown and path.resolve().is_relative_to(FOLDER.resolve()) and path.is_file():
            return path
    raise RefusedError(404, "There is no such file", "Open the page at /")
