"""A producer, a worker process and Celery's result backend on a Redis behind a Unix socket, and behind TLS."""

import asyncio
import ssl
import threading

import pytest
from tests.certificates import self_signed
from tests.own_redis import own_redis

from threadmill import Client, StoreUnavailable
from threadmill.queue import TASK, make_app
from threadmill_cli.local.services import free_port

pytestmark = pytest.mark.integration

PASSWORD = "s3cret/x@"


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def socket(tmp_path, port):
    """The socket of a Redis with a password, which listens on the port too."""
    path = tmp_path / "redis.sock"
    with own_redis(tmp_path, f"unixsocket {path}\nrequirepass {PASSWORD}", port, PASSWORD):
        yield path


def runs_jobs(settings, start_worker):
    """Whether a job of our client and one of any Celery client come to an end, and no monitor sees a password."""
    process = start_worker(settings)
    assert Client(settings).enqueue("[[scenario=echo]]Ours").wait(timeout_s=30).text == "Ours"
    with make_app(settings) as app:
        sent = app.send_task(TASK, args=[{"prompt": "[[scenario=echo]]Any client's"}])
        assert sent.get(timeout=30)["text"] == "Any client's"
        monitor = app.control.inspect(limit=1, timeout=30)
        seen = [monitor.stats(), monitor.conf(with_defaults=True)]
    assert all(seen)
    return "s3cret" not in str(seen) + process.log()


def test_a_unix_socket(make_settings, base_url, start_worker, socket):
    settings = make_settings(base_url, redis_url=f"unix://:s3cret%2Fx%40@{socket}?db=3")
    assert runs_jobs(settings, start_worker)


def test_tls(make_settings, base_url, start_worker, socket, port, tmp_path):
    certificate = tmp_path / "redis.pem"
    certificate.write_bytes(self_signed())
    with TlsProxy(port, certificate) as secure_port:
        url = f"rediss://:s3cret%2Fx%40@127.0.0.1:{secure_port}/3"
        with pytest.raises(StoreUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            Client(make_settings(base_url, redis_url=url)).store.ping()
        assert runs_jobs(make_settings(base_url, redis_url=f"{url}?ssl_ca_certs={certificate}"), start_worker)


class TlsProxy:
    """A context manager: a port that takes TLS connections, and forwards what they carry to another port."""

    def __init__(self, port, certificate):
        self._port = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self):
        self._thread.start()
        listening = asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._context)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        return self._server.sockets[0].getsockname()[1]

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self):
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for _ in range(3):  # until the transports are closed
            await asyncio.sleep(0)

    async def _connected(self, reader, writer):
        plain_reader, plain_writer = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(_copy(reader, plain_writer), _copy(plain_reader, writer))


async def _copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except (OSError, ssl.SSLError):
        pass
    finally:
        writer.transport.abort()
