"""The steps of `docker/Dockerfile` without its engine: a clean environment, another user, no network."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
TOKEN = "0123456789abcdef0123"  # noqa: S105
ASK = """
import json, time, urllib.request
for _ in range(300):
    try:
        print(urllib.request.urlopen("http://127.0.0.1:8000/v1/health", timeout=2).read().decode())
        break
    except OSError:
        time.sleep(0.1)
request = urllib.request.Request("http://127.0.0.1:8000/v1/examples/901_1b1_Al_sc_Made.wav", method="POST")
request.add_header("Authorization", "Bearer " + TOKEN)
print(json.load(urllib.request.urlopen(request, timeout=60))["recordings"][0]["status"])
"""


def test_it_runs_as_nobody_in_particular():
    last = DOCKERFILE.rpartition("FROM ")[2]
    assert re.search(r"^USER \d{4,}$", last, re.MULTILINE)
    assert "ORT_DISABLE_TELEMETRY=1" in last
    assert "TOKEN=" not in last
    assert not re.search(r"^RUN .*(curl|wget|apt-get)", DOCKERFILE, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_the_steps_in_a_clean_environment(tmp_path):
    (extra,) = re.findall(r'pip install --no-cache-dir "\.(\[\w+\])"', DOCKERFILE)
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents[:2]:  # pytest's own, which it keeps from other users
        folder.chmod(0o755)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "add4rsc"], check=True)
    python = tmp_path / "add4rsc" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"{ROOT}{extra}"], check=True)
    isolated = [] if shutil.which("unshare") is None else ["unshare", "--net", "sh", "-c"]
    if not isolated:
        pytest.skip("no unshare here to take the network away")
    ask = ASK.replace("TOKEN", f'"{TOKEN}"')
    command = f"""ip link set lo up 2>/dev/null || {python} -c '{LOOPBACK_UP}'
    exec setpriv --reuid 10001 --regid 10001 --clear-groups {python} -m add4rsc serve --host 0.0.0.0 & server=$!
    setpriv --reuid 10001 --regid 10001 --clear-groups {python} -c '{ask}'
    kill -INT $server; wait $server"""
    environment = {
        "ADD4RSC_TOKEN": TOKEN,
        "HOME": "/nonexistent",
        "PATH": os.environ["PATH"],
        "ORT_DISABLE_TELEMETRY": "1",
    }
    done = subprocess.run(
        [*isolated, command], check=False, capture_output=True, text=True, env=environment, cwd="/", timeout=300
    )
    assert '"status":"ok"' in done.stdout, done.stderr
    assert "waiting" in done.stdout or "running" in done.stdout
    assert "Traceback" not in done.stderr


LOOPBACK_UP = (
    'import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14s", b"lo", 0x41, bytes(14)))'
)
"""SIOCSIFFLAGS with IFF_UP and IFF_RUNNING: what `ip link set lo up` does."""
