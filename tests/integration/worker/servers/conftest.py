"""A worker on each server that the emulator has a profile of."""

import pytest
from tests.integration.worker.servers.endpoints import ENDPOINTS, KEY

from threadmill_emulator.scripting.limits import Limits


@pytest.fixture(scope="module", params=ENDPOINTS)
def server(request):
    """The name of the profile; a module may choose some."""
    return request.param


@pytest.fixture(scope="module")
def shared_emulator(server, emulate):
    with emulate(like=server, index_s=0.05, limits=Limits(slots=64)) as emulated:
        yield emulated


@pytest.fixture
def emulator(shared_emulator):
    shared_emulator.emulator.reset()
    shared_emulator.requests.clear()
    return shared_emulator


@pytest.fixture
def settings(server, emulator, make_settings, tmp_path, monkeypatch):
    monkeypatch.setenv(*next(iter(KEY.items())))
    endpoint = {"max_reruns": 1, "run_limit_s": 30, **ENDPOINTS[server]}
    tools = {"beat": "tests.integration.worker.servers.endpoints:beat"}
    more = {"file_roots": (tmp_path,), "lease_s": 1, "sweep_interval_s": 0.5}
    return make_settings(emulator.base_url, endpoint, tools=tools, **more)
