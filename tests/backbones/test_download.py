import functools
import hashlib
import http.server
import threading
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from add4rsc.backbones import backbones
from add4rsc.backbones.download import download_weights
from add4rsc.backbones.weights import WEIGHTS, load_weights
from add4rsc.errors import DownloadError, WrongUsageError


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A server on this machine that has mn04 of random weights, under the published name."""
    monkeypatch.setenv("ADD4RSC_HOME", str(tmp_path / "home"))
    torch.manual_seed(5)
    network = backbones.get("mn04")()
    (tmp_path / "site").mkdir()
    path = tmp_path / "site" / "mn04.safetensors"
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path / "site"))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    source = replace(
        WEIGHTS["mn04/audioset"],
        url=f"http://127.0.0.1:{server.server_port}/mn04.safetensors",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    monkeypatch.setitem(WEIGHTS, "mn04/audioset", source)
    yield network
    server.shutdown()
    thread.join()
    server.server_close()


def test_fetches_checks_and_imports(published) -> None:
    seen = []
    report = download_weights("mn04/audioset", lambda name, done, total: seen.append((done, total)))
    assert report.is_verified
    assert seen[-1][0] == seen[-1][1] > 1_000_000
    other = backbones.get("mn04")()
    load_weights(other, "mn04/audioset")
    for name, value in published.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_another_file_is_refused(published, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(WEIGHTS, "mn04/audioset", replace(WEIGHTS["mn04/audioset"], sha256="0" * 64))
    with pytest.raises(DownloadError, match="SHA-256"):
        download_weights("mn04/audioset")
    assert not list((tmp_path / "home").rglob("*.safetensors"))


def test_unknown_name(published) -> None:
    with pytest.raises(WrongUsageError, match="Did you mean 'mn04/audioset'"):
        download_weights("mn04/audiset")
