"""The processes of someone who reads a page: Redis, an emulator, a worker and a gateway, with their settings."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from tests.acceptance.docs.bare import Bare
from tests.acceptance.site import LISTENING, Child, until

from threadmill_cli.local.services import free_port, redis_server

#: Settings of each endpoint that shorten what a reader would wait for.
HASTY = {"first_poll_s": "0.05", "batch_lane_wait_s": "0.1"}


class Services:
    """A process starts when a page needs it. `environment`: of the reader's commands."""

    def __init__(self, folder: Path, bare: Bare) -> None:
        self._folder = folder
        self._children: list[Child] = []
        self._worker: Child | None = None
        port = free_port()
        self.redis_url = f"redis://127.0.0.1:{port}/0"
        self._start("redis", [redis_server(), "--port", str(port), "--dir", str(folder)], {}, "Ready to accept")
        command = [str(bare.forked / "python"), "-m", "threadmill_emulator", "--port", "0"]
        emulator = self._start("emulator", command, {}, "listening on")
        self.emulator_url = until(lambda: LISTENING.search(emulator.log()), "the emulator listens")[1]
        (folder / "bin").mkdir()
        (folder / "bin" / "redis-server").symlink_to(redis_server())
        self._path = f"{bare.programs}:{os.environ['PATH']}"
        self.environment = self._environment() | {"PATH": f"{folder / 'bin'}:{bare.forked}:{self._path}"}

    @property
    def unforked(self) -> dict[str, str]:
        """The environment of a command that starts Python for each process."""
        return self.environment | {"PATH": f"{self._folder / 'bin'}:{self._path}"}

    @cached_property
    def gateway_url(self) -> str:
        gateway = self.run_on("gateway", "threadmill gateway --port 0", "Uvicorn running on")
        found = re.search(r"Uvicorn running on (http://[\d.:]+)", gateway.log())
        assert found is not None
        return found[1]

    @cached_property
    def monitored_port(self) -> str:
        """The port of a worker that has metrics and answers probes."""
        port = free_port()
        self.run_on("monitored", f"threadmill worker --metrics-port {port} --health-port {port}", "worker started")
        return str(port)

    def begin_worker(self) -> None:
        """The reader's worker starts before the first command, and anew after a change of the settings."""
        if self._worker is None:
            self._worker = self.run_on("worker", "threadmill worker", "worker started")

    def end_worker(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def run_on(self, name: str, command: str, ready: str) -> Child:
        """Starts a command that runs until it is stopped. `ready`: what it prints when it is ready."""
        return self._start(name, ["bash", "-c", f"cd {self._folder} && exec {command}"], self.environment, ready)

    def _start(self, name: str, command: list[str], environment: Mapping[str, str], ready: str) -> Child:
        child = Child(name, command, self._folder / f"{name}-{len(self._children)}.log", environment)
        self._children.append(child)
        until(lambda: child.check() or ready in child.log(), f"{name} prints {ready!r}")
        return child

    def close(self) -> None:
        for child in reversed(self._children):
            with suppress(ProcessLookupError):
                child.kill()

    def _environment(self) -> dict[str, str]:
        assistants, responses = f"{self.emulator_url}/api/assts/v1", f"{self.emulator_url}/v1"
        endpoints = {
            name: {"kind": kind, "base_url": url, "api_key_env": "DAVINCI_API_KEY", **HASTY, **more}
            for name, kind, url, more in (
                ("davinci", "davinci", assistants, {"assistant": "asst_emulator"}),
                ("gateway", "assistants", assistants, {"assistant": "asst_emulator"}),
                ("old", "assistants", assistants, {"assistant": "asst_emulator"}),
                ("new", "assistants", assistants, {"assistant": "asst_emulator"}),
                ("openai", "responses", responses, {"model": "emulator"}),
                ("emulator", "emulator", assistants, {}),
            )
        }
        fields = {
            f"THREADMILL_ENDPOINTS__{name.upper()}__{field.upper()}": value
            for name, endpoint in endpoints.items()
            for field, value in endpoint.items()
            if not (name == "emulator" and field == "api_key_env")
        }
        return fields | {
            "HOME": str(self._folder),
            "PYTHONPATH": str(self._folder),
            "REDIS_URL": self.redis_url,
            "DAVINCI_API_KEY": "key-of-the-reader",
            "THREADMILL_DEFAULT_ENDPOINT": "gateway",
            "THREADMILL_TOOLS__WEATHER": "readers_tools:weather",
            "THREADMILL_FILE_ROOTS": f'["{self._folder}"]',
            "THREADMILL_SWEEP_INTERVAL_S": "1",
            "THREADMILL_PRICES": '{"emulator": {"prompt": 1, "completion": 2}}',
            "WEATHER_AUTH": "Bearer weather",
            "CRM_AUTH": "Bearer crm",
            "FILES_TOKEN": "files",
            "OPERATIONS_HOOK": f"{self.emulator_url}/_reset",
            "OPERATIONS_TOKEN": "token",
            "MAIL_PASSWORD": "password",
        }
