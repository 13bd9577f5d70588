"""A server that listens: slow clients, the command, its end, its log."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import httpx
import numpy as np
import pytest

from add4rsc.errors import WrongUsageError
from add4rsc.serve.limits import Limits
from add4rsc.serve.server import Place, open_shared

REQUEST = b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"


def connect(server) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    client.settimeout(20)
    return client


def read_all(client: socket.socket) -> bytes:
    content = b""
    try:
        while piece := client.recv(65536):
            content += piece
    except ConnectionResetError:
        pass
    return content


def wait_until(is_so) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_header_that_never_ends_is_hung_up_on(listen):
    server = listen(header_timeout=0.4)
    begin = time.monotonic()
    with connect(server) as client:
        client.sendall(REQUEST)
        assert read_all(client) == b""
    assert 0.3 < time.monotonic() - begin < 10


def test_so_is_a_second_one_on_the_same_connection(listen):
    server = listen(header_timeout=0.4)
    with connect(server) as client:
        client.sendall(b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /v1/he")
        content = read_all(client)
    assert content.count(b"HTTP/1.1 200") == 1


def test_a_body_that_stops_is_answered_408(listen):
    server = listen(idle_timeout=0.4)
    with connect(server) as client:
        client.sendall(REQUEST + b"Content-Length: 1000\r\n\r\nRIFF")
        content = read_all(client)
    assert b"HTTP/1.1 408" in content
    assert b"too slowly" in content


def test_a_body_that_trickles_is_answered_408(listen):
    server = listen(body_timeout=0.8, idle_timeout=5.0)
    with connect(server) as client:
        client.sendall(REQUEST + b"Content-Length: 1000\r\n\r\n")
        begin = time.monotonic()
        while time.monotonic() - begin < 1.5:
            try:
                client.sendall(b"R")
            except OSError:
                break
            time.sleep(0.1)
        assert b"HTTP/1.1 408" in read_all(client)


def test_a_client_that_does_not_read_its_answer_is_left(listen, sound):
    server = listen(idle_timeout=0.5, header_timeout=1.0)
    long = sound(np.zeros(120 * 48_000, np.float32), 48_000, kind="FLAC")  # 11.5 MB as WAV
    own = httpx.post(f"{server.url}/v1/recordings", content=long).json()["recordings"][0]["links"]["audio"]
    with connect(server) as client:
        client.sendall(f"GET {own} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert client.recv(12) == b"HTTP/1.1 200"
        assert server.server.server_state.connections
        wait_until(lambda: not server.server.server_state.connections)
    assert httpx.get(f"{server.url}/v1/health").status_code == 200


def test_a_refused_client_can_read_why(listen):
    server = listen(max_upload_bytes=100_000)
    answer = httpx.post(f"{server.url}/v1/predict", content=bytes(3_000_000))
    assert answer.status_code == 413


def test_a_client_that_goes_takes_its_job_with_it(listen, classifier, sound):
    server = listen(n_workers=1)
    classifier.may_go_on.clear()
    body = sound()
    clients = [connect(server) for _ in "abc"]
    for client in clients:
        client.sendall(REQUEST + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert classifier.has_begun.wait(20)
    for client in clients:
        client.close()
    wait_until(lambda: httpx.get(f"{server.url}/v1/health").json()["n_waiting"] == 0)


@pytest.mark.parametrize(
    "request_",
    [b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n", b"A" * 200_000, b"POST /v1/predict HTTP/1.1\r\n\r\n"],
)
def test_what_is_no_http(listen, request_):
    server = listen(header_timeout=0.5)
    with connect(server) as client:
        client.sendall(request_)
        content = read_all(client)
    assert content == b"" or content.startswith((b"HTTP/1.1 400", b"HTTP/1.1 403"))
    assert httpx.get(f"{server.url}/v1/health").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])  # noqa: S104
def test_other_addresses_demand_a_token(host):
    with pytest.raises(WrongUsageError, match="no token is set"):
        Place(host).check()
    Place(host, token="0123456789abcdef").check()  # noqa: S106
    with pytest.raises(WrongUsageError, match="can be guessed"):
        Place(host, token="short").check()  # noqa: S106


def test_loopback_demands_none():
    for host in ("127.0.0.1", "::1", "localhost"):
        Place(host).check()
        assert Place(host).hosts
    assert Place("::1").address == "http://[::1]:8000/"


def test_a_model_for_several_threads_says_the_same(written_logits):
    alone, shared = written_logits
    assert np.allclose(alone, shared, atol=1e-5)


@pytest.fixture
def written_logits(breath):
    from add4rsc.inference.opening import open_classifier

    shared = open_shared(None, Limits())
    waveforms = breath(3.0, shared.sample_rate)[None].repeat(5, axis=0)
    return open_classifier().logits(waveforms), shared.logits(waveforms)


def test_the_command(tmp_path, sound):
    """One real process: it serves, logs no names, writes nothing, and ends at once."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "empty").mkdir()
    command = [sys.executable, "-m", "add4rsc", "serve", "--port", str(port), "--verbose"]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(tmp_path / "empty"),
        "HOME": str(tmp_path / "empty"),
    }
    process = subprocess.Popen(
        command, cwd=tmp_path / "empty", env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline() + process.stdout.readline()
        assert f"http://127.0.0.1:{port}/" in line
        assert "not a medical device" in line
        end = time.monotonic() + 60
        while True:
            try:
                health = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/health", timeout=5))
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.1)
        assert health["status"] == "ok"
        files = {"f": ("Secretname_1b1_Al_sc_Meditron.wav", sound())}
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/recordings", files=files, timeout=60)
        own = answer.json()["recordings"][0]["links"]["self"]
        httpx.get(f"http://127.0.0.1:{port}{own}/events", timeout=60)
        httpx.get(f"http://127.0.0.1:{port}/Secretpath")
        assert httpx.get(f"http://127.0.0.1:{port}{own}", timeout=60).json()["status"] == "done"
    finally:
        process.send_signal(signal.SIGINT)
        out, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "forgotten" in out
    assert "POST /v1/recordings 201" in log
    assert not re.search(rf"Secret|{own.rpartition('/')[2]}|127\.0\.0\.1|Traceback", log)
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "add4rsc", "serve", "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Choose another --port" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_refuses_to_be_open(tmp_path):
    command = [sys.executable, "-m", "add4rsc", "serve", "--host", "0.0.0.0"]  # noqa: S104
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "ADD4RSC_TOKEN" in done.stderr
