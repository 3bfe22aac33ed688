"""`threadmill gateway` as a process: with everything it needs, and its end."""

import shlex
import signal

import httpx
import pytest
from tests.acceptance.site import THREADMILL, Child, until

from threadmill_cli.local.services import free_port

pytestmark = pytest.mark.acceptance

#: For an answer that the server holds back.
TIMEOUT_S = 120


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def local(tmp_path):
    """`threadmill gateway --local` in an empty folder, and its URL."""
    port = free_port()
    command = [THREADMILL, "gateway", "--local", "--endpoint", "emulator", "--port", str(port)]
    in_folder = ["sh", "-c", f"cd {tmp_path} && exec {shlex.join(command)}"]
    gateway, url = Child("gateway", in_folder, tmp_path / "gateway.log", {}), f"http://127.0.0.1:{port}"
    until(lambda: is_ready(url) or gateway.check(), "the gateway is ready")
    yield gateway, url
    gateway.kill()


def test_local_brings_all_that_a_job_needs_and_sigterm_ends_all_of_it(local):
    gateway, url = local
    job = httpx.post(f"{url}/v1/jobs", json={"prompt": "Why is the sky blue?"}).json()
    ended = httpx.get(f"{url}/v1/jobs/{job['id']}", params={"wait": 60}, timeout=TIMEOUT_S).json()
    assert (ended["state"], ended["endpoint"]) == ("succeeded", "emulator")
    gateway.signal(signal.SIGTERM)
    assert gateway.exit_code() == 128 + signal.SIGTERM
    assert not is_ready(url)
