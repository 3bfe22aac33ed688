"""The HTTP server of probes and scrapes."""

import urllib.error
import urllib.request
from http import HTTPStatus

import pytest

from threadmill.errors import SettingsError
from threadmill.settings.settings import Settings
from threadmill_worker.monitoring.monitoring import open_ports
from threadmill_worker.monitoring.server import MonitoringServer, Reply, listen


@pytest.fixture
def url():
    listener = listen("127.0.0.1", 0)
    pages = {
        "/livez": lambda: Reply(b'{"status": "ok"}'),
        "/readyz": lambda: Reply(b"{}", status=HTTPStatus.SERVICE_UNAVAILABLE),
    }
    server = MonitoringServer(listener, pages)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.close()


def test_pages(url):
    with urllib.request.urlopen(f"{url}/livez?verbose") as reply:
        assert reply.headers["Content-Type"] == "application/json"
        assert reply.read() == b'{"status": "ok"}'
    with urllib.request.urlopen(urllib.request.Request(f"{url}/livez", method="HEAD")) as reply:
        assert reply.headers["Content-Length"] == "16"
        assert reply.read() == b""


@pytest.mark.parametrize(("path", "status"), [("/readyz", 503), ("/", 404)])
def test_refusals(url, path, status):
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(url + path)
    with error.value as reply:
        assert reply.code == status


def test_a_port_that_is_taken():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        settings = Settings(worker_health_port=port, worker_monitoring_host="127.0.0.1")
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port}.*worker_health_port"):
            open_ports(settings)


def test_without_a_port_nothing_listens():
    assert open_ports(Settings()) == {}
