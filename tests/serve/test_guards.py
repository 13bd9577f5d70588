"""Hosts, origins, tokens, too many requests."""

import threading

import pytest

TOKEN = "correct-horse-battery"  # noqa: S105


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8000", "", "[::1", "localhost@evil.example"])
def test_other_names_are_refused(client, host):
    """A page that rebinds its own name to 127.0.0.1 still sends that name."""
    answer = client.get("/v1/health", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.json()["remedy"]


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://[", "https://127.0.0.1"]
)
def test_pages_of_others_are_refused(client, sound, origin):
    assert client.post("/v1/recordings", content=sound(), headers={"Origin": origin}).status_code == 403
    assert len(client.app.state.service.recordings) == 0


def test_own_page_is_served(client, sound):
    answer = client.post("/v1/predict", content=sound(), headers={"Origin": "http://127.0.0.1:8000"})
    assert answer.status_code == 200


@pytest.mark.parametrize(("mode", "dest", "status"), [("navigate", "document", 404), ("no-cors", "image", 403)])
def test_links_from_elsewhere_open_but_nothing_is_embedded(client, mode, dest, status):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
    assert client.get("/nothing", headers=headers).status_code == status


def test_a_token_is_demanded(serve, sound):
    client = serve(token=TOKEN)
    assert client.get("/v1/health").json()["token_required"] is True
    refused = client.post("/v1/predict", content=sound())
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    for shown in (TOKEN[:-1], TOKEN + "x", "", "é"):
        assert client.get("/v1/models", headers={"Authorization": f"Bearer {shown}".encode()}).status_code == 401
    assert client.get("/v1/models", headers={"Authorization": f"Basic {TOKEN}"}).status_code == 401
    assert client.get("/v1/models", headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


def test_without_a_token_nothing_is_told_of_ids(serve):
    client = serve(token=TOKEN)
    for path in ("/v1/recordings/x", "/v1/nothing", "/v1/openapi.json", "/v1/HEALTH", "/v1/health/"):
        assert client.get(path).status_code == 401


def test_a_page_takes_the_token_once(serve):
    client = serve(token=TOKEN)
    assert client.post("/v1/session", json={"token": "wrong"}).status_code == 401
    answer = client.post("/v1/session", json={"token": TOKEN})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/v1/models").status_code == 200
    client.delete("/v1/session")
    assert client.get("/v1/models").status_code == 401


def test_too_many_requests_at_once(serve, classifier, sound):
    client = serve(max_requests=1)
    classifier.may_go_on.clear()
    waiting = threading.Thread(target=lambda: client.post("/v1/predict", content=sound()))
    waiting.start()
    assert classifier.has_begun.wait(10)
    answer = client.get("/v1/health")
    classifier.may_go_on.set()
    waiting.join(20)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert client.get("/v1/health").status_code == 200


def test_headers_are_strict_on_every_answer(client, uploaded):
    links = uploaded()["links"]
    for path in ("/v1/health", "/nothing", links["audio"], links["report"], links["predictions"], "/v1/openapi.json"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script-src" not in policy
        assert "access-control-allow-origin" not in headers
