"""Measures the gateway, beside FastAPI with Celery's `send_task` and `AsyncResult`.

Both run as one process, use the same Redis, and get requests on 32 connections from this process. No worker runs.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median

import httpx
import psutil
from gateway_cases.load import request, requests_in, run
from measured import Measured, missed, parser_of, show
from servers.own_redis import own_redis

from threadmill import Client, Settings
from threadmill_cli.local.processes import Process
from threadmill_cli.local.services import free_port

_ROUNDS = 3
_ROUND_S = 5.0
_FOLLOWERS = 5_000
_JOB = b'{"prompt": "Summarise the minutes of the meeting in three sentences."}'


class Server:
    """A process that serves jobs over HTTP."""

    def __init__(self, name: str, command: list[str], redis_url: str, folder: Path) -> None:
        self.name, self.port = name, free_port()
        here = Path(__file__).parent
        environment = {"REDIS_URL": redis_url, "THREADMILL_DEFAULT_ENDPOINT": "emulator", "PYTHONPATH": _path(here)}
        self.process = Process(name, [*command, "--port", str(self.port)], folder / f"{name}.log", environment)
        self.process.wait_until(self._answers)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_s(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def memory_mb(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6

    def _answers(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/openapi.json").status_code == 200
        return False


def _path(here: Path) -> str:
    return ":".join([str(here), *(each for each in sys.path if each)])


@contextmanager
def serving(*names: str) -> Iterator[list[Server]]:
    """Starts the gateway, and FastAPI with Celery, on a Redis of their own."""
    plain = ["uvicorn", "gateway_cases.plain_app:app", "--no-access-log", "--log-level", "warning"]
    commands = {"gateway": ["threadmill_gateway", "--log-level", "error"], "plain": plain}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(own_redis(folder, durable=True))
        servers = []
        for name in names:
            command = [sys.executable, "-m", *commands[name]]
            servers.append(Server(name, command, f"redis://127.0.0.1:{port}/0", folder))
            stack.callback(servers[-1].process.stop)
        yield servers


def get() -> Iterator[Measured]:
    """Reads of one job."""
    yield from _compared("GET", 200, 2_000)


def post() -> Iterator[Measured]:
    """New jobs."""
    yield from _compared("POST", 202, 500)


def _compared(method: str, expected: int, must: int) -> Iterator[Measured]:
    rates: dict[str, list[float]] = {"gateway": [], "plain": []}
    costs: dict[str, list[float]] = {"gateway": [], "plain": []}
    with serving("gateway", "plain") as servers:
        for server in servers * _ROUNDS:
            job = httpx.post(f"{server.url}/v1/jobs", content=_JOB, headers={"Content-Type": "application/json"}).json()
            sent = request("GET", f"/v1/jobs/{job['id']}") if method == "GET" else request("POST", "/v1/jobs", _JOB)
            before = server.cpu_s()
            count = requests_in(server.port, sent, _ROUND_S, expected)
            rates[server.name].append(count / _ROUND_S)
            costs[server.name].append((server.cpu_s() - before) / count * 1000)
    ours, theirs = median(rates["gateway"]), median(rates["plain"])
    yield Measured(f"{method}: requests in a second", ours, "/s", at_least=must)
    yield Measured(f"{method}: those of FastAPI with Celery", theirs, "/s")
    yield Measured(f"{method}: times FastAPI with Celery", ours / theirs)
    yield Measured(f"{method}: CPU for a request", median(costs["gateway"]), "ms")
    yield Measured(f"{method}: that of FastAPI with Celery", median(costs["plain"]), "ms")


def followers() -> Iterator[Measured]:
    """Readers of the events of as many jobs, which do not start."""
    with serving("gateway") as [server]:
        redis_url = f"redis://127.0.0.1:{_redis_port(server)}/0"
        client = Client(Settings(redis_url=redis_url, default_endpoint="emulator"))
        jobs = client.enqueue_many({"prompt": "Well?", "delay_s": 86_400} for _ in range(_FOLLOWERS))
        idle = server.memory_mb()

        async def follow() -> int:
            connections = []
            for at in range(0, len(jobs), 100):
                opened = await asyncio.gather(*(_opened(server.port, job.id) for job in jobs[at : at + 100]))
                connections += opened
            before, began = server.cpu_s(), time.monotonic()
            await asyncio.sleep(20)
            figures["cpu"] = (server.cpu_s() - before) / (time.monotonic() - began) * 100
            figures["memory"] = server.memory_mb()
            for _, writer in connections:
                writer.close()
            return len(connections)

        figures: dict[str, float] = {}
        count = run(follow)
        yield Measured("followers", count, at_least=_FOLLOWERS)
        yield Measured("memory without them", idle, "MB")
        yield Measured("memory with them", figures["memory"], "MB")
        yield Measured("memory for each", (figures["memory"] - idle) / count * 1000, "kB")
        yield Measured("CPU while nothing happens", figures["cpu"], "% of a core")


async def _opened(port: int, job_id: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def _redis_port(server: Server) -> int:
    url: str = psutil.Process(server.process.pid).environ()["REDIS_URL"]
    return int(url.rpartition(":")[2].partition("/")[0])


CASES: Mapping[str, Callable[[], Iterator[Measured]]] = {"get": get, "post": post, "followers": followers}


def main() -> int:
    given = parser_of("scripts/bench gateway", __doc__, CASES).parse_args()
    values: list[Measured] = []
    for name in given.only or CASES:
        sys.stderr.write(f"measuring {name}: {CASES[name].__doc__}\n")
        values += CASES[name]()
    show("The gateway", values)
    return 1 if missed("gateway", values) else 0


if __name__ == "__main__":
    sys.exit(main())
