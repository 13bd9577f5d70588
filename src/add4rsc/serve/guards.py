"""Who is served: the right host and origin, the right token, and not too many at once."""

import hmac
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from add4rsc.serve.problems import RefusedError

COOKIE = "add4rsc_token"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN_PATHS = frozenset({"/v1/health", "/v1/session"})
"""That need no token: the one says whether it is needed, the other takes it."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Refuses what must not be served, before anything of it is read.

    A page of another site can make a browser send requests to this server, even to 127.0.0.1. So a request must name a
    host that is served here (which it cannot after rebinding a name of its own), and its origin must be this server.

    Args:
        app: that is guarded.
        token: that clients must show; empty for none.
        hosts: names that this server has; empty where it is reached under any name.
        max_requests: at once.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: frozenset[str], max_requests: int) -> None:
        self._app, self._token, self._hosts = app, token, hosts
        self._max_requests, self._n_requests = max_requests, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            RefusedError: if it must not be served.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            raise refusal
        self._n_requests += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._n_requests -= 1

    def _refusal(self, scope: Scope) -> RefusedError | None:
        headers = Headers(scope=scope)
        if self._hosts and host_name(headers.get("host", "")) not in self._hosts:
            return RefusedError(403, "This server has another name", "Open it under the address that it printed")
        if not same_origin(headers):
            return RefusedError(403, "The request comes from another site's page", "Open this server's own page")
        if self._n_requests >= self._max_requests:
            remedy = "Send it again after the time in Retry-After"
            return RefusedError(503, "Too many requests are being answered", remedy, retry_after=2.0)
        path: str = scope["path"]
        if self._token and path.startswith("/v1") and path not in OPEN_PATHS and not self._has_token(headers):
            return RefusedError(401, "This server wants a token", "Send it as Authorization: Bearer TOKEN")
        return None

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        return is_token(shown_token(headers), self._token)


def is_token(shown: str, token: str) -> bool:
    """Whether a token is the right one; it takes the same time whatever is wrong with it."""
    return hmac.compare_digest(shown.encode("utf-8", "surrogatepass"), token.encode("utf-8", "surrogatepass"))


def shown_token(headers: Mapping[str, str]) -> str:
    """The token of a request: of its Authorization, else of its cookie; empty if it has none."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def host_name(host: str) -> str:
    """The name in a Host header, without the port.

    >>> host_name("localhost:8000"), host_name("[::1]:8000"), host_name("EXAMPLE.org")
    ('localhost', '::1', 'example.org')
    """
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a request comes from this server's own page, or from no page at all."""
    if headers.get("sec-fetch-site", "none") in ("cross-site", "same-site"):
        return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    except ValueError:
        return False
