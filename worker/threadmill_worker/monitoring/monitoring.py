"""The ports of a worker process: which pages each has, and what they show."""

import socket
from collections.abc import Callable
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING

from threadmill.errors import SettingsError
from threadmill.installation import install_command
from threadmill.settings.settings import Settings
from threadmill_worker.monitoring.health import Facts, body, why_not_alive, why_not_ready
from threadmill_worker.monitoring.metrics import UNCOUNTED, Metrics
from threadmill_worker.monitoring.server import MonitoringServer, Pages, Reply, listen

if TYPE_CHECKING:
    from threadmill_worker.monitoring.prometheus import PrometheusMetrics


class Monitoring:
    """What one worker process serves, until it ends. `metrics`: what it counts with.

    `inherited`: a listening socket for all pages, if a supervisor has the ports. Raises SettingsError if a port cannot
    be opened, or prometheus_client is missing.
    """

    def __init__(self, settings: Settings, inherited: socket.socket | None = None) -> None:
        self._settings = settings
        self._counting = _counting(settings)
        self.metrics: Metrics = self._counting or UNCOUNTED
        self._listeners = {"all": inherited} if inherited else open_ports(settings)

    def serve(
        self, facts: Callable[[], Facts], slots: Callable[[], tuple[int, int]], lag_s: Callable[[], float]
    ) -> None:
        """Begins to serve. `slots`: how many are busy, and how many there are. `lag_s`: of the event loop."""
        if self._counting is not None:
            _observe(self._counting, facts, slots, lag_s)
        for served, listener in self._listeners.items():
            MonitoringServer(listener, self._pages(served, facts))

    def _pages(self, served: str, facts: Callable[[], Facts]) -> Pages:
        limit_s = self._settings.deaf_limit_s
        pages: dict[str, Callable[[], Reply]] = {}
        if served != "metrics":
            pages["/livez"] = lambda: _probed(facts(), why_not_alive, limit_s)
            pages["/readyz"] = lambda: _probed(facts(), why_not_ready, limit_s)
        if served != "health" and (counting := self._counting) is not None:
            from threadmill_worker.monitoring.prometheus import CONTENT_TYPE

            pages["/metrics"] = lambda: Reply(counting.page(), CONTENT_TYPE)
        return pages


def open_ports(settings: Settings) -> dict[str, socket.socket]:
    """Returns a listening socket for each port: `all`, or `health` and `metrics`. Raises SettingsError."""
    health, metrics = settings.worker_health_port, settings.worker_metrics_port
    ports = {"all": health} if health == metrics else {"health": health, "metrics": metrics}
    opened = {}
    for served, port in ports.items():
        if port is None:
            continue
        try:
            opened[served] = listen(settings.worker_monitoring_host, port)
        except OSError as error:
            where = f"{settings.worker_monitoring_host}:{port}"
            raise SettingsError(
                f"cannot listen on {where}, for probes and metrics: {error.strerror or error}; choose another "
                "worker_health_port, worker_metrics_port or worker_monitoring_host"
            ) from None
    return opened


def _counting(settings: Settings) -> "PrometheusMetrics | None":
    if settings.worker_metrics_port is None:
        return None
    try:
        from threadmill_worker.monitoring.prometheus import PrometheusMetrics
    except ImportError:
        raise SettingsError(f"metrics need prometheus-client: {install_command('metrics')}") from None
    return PrometheusMetrics(settings.prices)


def _observe(
    counting: "PrometheusMetrics",
    facts: Callable[[], Facts],
    slots: Callable[[], tuple[int, int]],
    lag_s: Callable[[], float],
) -> None:
    counting.observe("worker_info", lambda: 1, version("threadmill"), facts().worker)
    counting.observe("slots", lambda: slots()[0], "busy")
    counting.observe("slots", lambda: max(0, slots()[1] - slots()[0]), "free")
    counting.observe("event_loop_lag_seconds", lag_s)
    counting.observe("consumer_up", lambda: _number(facts().is_consuming))


def _number(is_consuming: bool | None) -> float:
    return float("nan") if is_consuming is None else float(is_consuming)


def _probed(facts: Facts, why_not: Callable[[Facts, float], list[str]], limit_s: float) -> Reply:
    reasons = why_not(facts, limit_s)
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    return Reply(body(facts.worker, reasons), status=status)
