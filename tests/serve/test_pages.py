"""Files of the page, and nothing else."""

import re

import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "page" / "js").mkdir(parents=True)
    (tmp_path / "page" / "index.html").write_text('<meta name="csp-nonce" content="__CSP_NONCE__">')
    (tmp_path / "page" / "js" / "app.js").write_text("export {}")
    (tmp_path / "page" / "LICENSE").write_text("free")
    (tmp_path / "page" / "secret.py").write_text("no")
    (tmp_path / "secret.js").write_text("no")
    (tmp_path / "page" / "out.js").symlink_to(tmp_path / "secret.js")
    monkeypatch.setattr("add4rsc.serve.routes.pages.FOLDER", tmp_path / "page")
    return tmp_path


def test_the_page_has_a_fresh_nonce_each_time(client, folder):
    nonces = set()
    for _ in range(3):
        answer = client.get("/")
        policy = answer.headers["content-security-policy"]
        (nonce,) = re.findall(r"'nonce-([\w-]+)'", policy)
        assert f'content="{nonce}"' in answer.text
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        nonces.add(nonce)
    assert len(nonces) == 3


def test_assets_have_types_and_tags(client, folder):
    answer = client.get("/assets/js/app.js")
    assert answer.text == "export {}"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    again = client.get("/assets/js/app.js", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/assets/LICENSE").headers["content-type"].startswith("text/plain")


TRICKS = ["../secret.js", "..%2fsecret.js", "%2e%2e/secret.js", "js/../../secret.js", "..%5csecret.js", "/etc/passwd"]
TRICKS += ["%00", "", "secret.py", "js", "out.js", "nothing.js", "js/app.js%00.png", "....//secret.js", "//etc/passwd"]


@pytest.mark.parametrize("path", TRICKS)
def test_nothing_else_is_shown(client, folder, path):
    answer = client.get(f"/assets/{path}")
    assert answer.status_code == 404
    assert answer.json()["remedy"]
