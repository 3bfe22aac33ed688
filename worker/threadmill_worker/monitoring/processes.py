"""The pages of a supervisor: those of its processes, together, on the same ports.

Each process serves its pages on a socket of this machine that it inherits. The supervisor asks all of them: a process
that was started again has the same socket.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

from threadmill.settings.settings import Settings
from threadmill_worker.monitoring.monitoring import open_ports
from threadmill_worker.monitoring.server import MonitoringServer, Pages, Reply, listen

#: How long a process has to answer, in seconds: less than Prometheus and kubelets wait.
_ANSWER_S = 3.0

_LOOPBACK = "127.0.0.1"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class ProcessesMonitoring:
    """Serves the pages of `count` processes, if the settings have a port. Raises SettingsError.

    `sockets`: one for each process to inherit; empty without a port.
    """

    def __init__(self, settings: Settings, count: int) -> None:
        ports = open_ports(settings)
        self.sockets = [listen(_LOOPBACK, 0) for _ in range(count)] if ports else []
        self._urls = [f"http://{_LOOPBACK}:{each.getsockname()[1]}" for each in self.sockets]
        has_metrics = settings.worker_metrics_port is not None
        for served, port in ports.items():
            MonitoringServer(port, self._pages(served, has_metrics))

    def _pages(self, served: str, has_metrics: bool) -> Pages:
        pages: dict[str, Callable[[], Reply]] = {}
        if served != "metrics":
            pages["/livez"] = lambda: probed(self._ask("/livez"))
            pages["/readyz"] = lambda: probed(self._ask("/readyz"))
        if served != "health" and has_metrics:
            pages["/metrics"] = lambda: Reply(merged(self._ask("/metrics")), _METRICS)
        return pages

    def _ask(self, path: str) -> list[Reply | None]:
        """Returns the reply of each process; None: it does not answer."""
        with ThreadPoolExecutor(len(self._urls)) as threads:
            return list(threads.map(lambda url: _asked(url + path), self._urls))


def _asked(url: str) -> Reply | None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_ANSWER_S) as reply:
            return Reply(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.read(), status=HTTPStatus(error.code))
    except (OSError, ValueError):
        return None


def probed(replies: Sequence[Reply | None]) -> Reply:
    """Returns what a probe learns: it fails only if it fails for all processes.

    One of them is the supervisor's to restart, and a deaf one ends by itself; only their replies tell.
    """
    processes = {str(number): _process(reply) for number, reply in enumerate(replies, 1)}
    is_ok = any(each["status"] == "ok" for each in processes.values())
    status = HTTPStatus.OK if is_ok else HTTPStatus.SERVICE_UNAVAILABLE
    body = {"status": "ok" if is_ok else "failing", "processes": processes}
    return Reply(json.dumps(body).encode(), status=status)


def _process(reply: Reply | None) -> Mapping[str, Any]:
    if reply is None:
        return {"status": "failing", "reasons": ["it does not answer: it starts, or is blocked"]}
    said: Mapping[str, Any] = json.loads(reply.body)
    return said


def merged(replies: Sequence[Reply | None]) -> bytes:
    """Returns the metrics of all processes, with the label `process`: their numbers from 1. PURE."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for number, reply in enumerate(replies, 1):
        if reply is None or reply.status != HTTPStatus.OK:
            continue
        family = ""
        for line in reply.body.decode().splitlines():
            if line.startswith("# "):
                family = line.split(" ", 3)[2]
                known = heads.setdefault(family, [])
                if line not in known:
                    known.append(line)
            elif line:
                samples.setdefault(family, []).append(_labelled(line, number))
    lines = [line for family, head in heads.items() for line in (*head, *samples.get(family, ()))]
    return "".join(f"{line}\n" for line in lines).encode()


def _labelled(sample: str, process: int) -> str:
    """Adds the label to a sample, such as `name{state="busy"} 1.0` or `name 1.0`."""
    name, brace, rest = sample.partition("{")
    if brace:
        return f'{name}{{process="{process}",{rest}'
    name, _, value = sample.partition(" ")
    return f'{name}{{process="{process}"}} {value}'
