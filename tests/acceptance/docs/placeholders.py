"""What stands on a page for something of the reader's: addresses, ids, names."""

import re
from collections.abc import Callable
from pathlib import Path

import httpx
from tests.acceptance.docs.services import Services

from threadmill import Client, JobResult, Settings
from threadmill_cli.local.services import free_port

JOB_S = 120


class Placeholders:
    """Replaces them by what there is. Jobs, threads and batches are made when a page speaks of one."""

    def __init__(self, folder: Path, services: Services) -> None:
        self._services = services
        self._batches: set[str] = set()
        fields = {"redis_url": services.redis_url, "default_endpoint": "emulator"}
        self._client = Client(Settings.model_validate(fields))
        self._known = {
            r"http://127\.0\.0\.1:8089": services.emulator_url,
            r"(?<!health gateway )--port (8089|8080)": "--port 0",
            r"^threadmill (gateway|dashboard)(?!.*--port)": r"threadmill \1 --port 0",
            r"redis://[\w.]+:6379/0": services.redis_url,
            r"\.venv/bin/": "",
            r"/srv/": f"{folder}/srv/",
            r"asst_(abc|\.\.\.)": "asst_emulator",
            r"(?<=API_KEY=)\.\.\.": "key",
        }
        self._made: dict[str, Callable[[], str]] = {
            r"^redis-server": lambda: f"redis-server --port {free_port()}",
            r"\bvs_\.\.\.": self._vector_store,
            r"http://(127\.0\.0\.1|localhost):8080": lambda: services.gateway_url,
            r"(?<=health gateway --port )8080": lambda: services.gateway_url.rpartition(":")[2],
            r"(?<=http://127\.0\.0\.1:)9464": lambda: services.monitored_port,
            r"(?<=cancel )JOB(\.\.\.|\b)": lambda: self._job("[[scenario=stuck]]"),
            r"(?<=redrive )JOB(\.\.\.|\b)": lambda: self._result("[[scenario=failed]]").job_id,
            r"\bJOB(\.\.\.|\b)": lambda: self._result("Hello").job_id,
            r"\bTHREAD(\.\.\.|\b)": lambda: str(self._result("Hello", keep_thread=True).thread_id),
            r"(?<=(?:batch|pause) )NAME|(?<=show )NAME|(?<=(?:cancel|attach) )NAME|(?<=redrive )NAME": (
                lambda: self._batch("notes")
            ),
        }

    def replaced(self, text: str) -> str:
        for shown, real in self._known.items():
            text = re.sub(shown, real, text)
        for shown, make in self._made.items():
            if re.search(shown, text):
                text = re.sub(shown, make(), text)
        return text

    def _job(self, prompt: str, **fields: object) -> str:
        return self._client.enqueue({"prompt": prompt, "endpoint": "emulator", **fields}).id

    def _result(self, prompt: str, **fields: object) -> JobResult:
        return self._client.wait(self._job(prompt, **fields), JOB_S)

    def _vector_store(self) -> str:
        headers = {"Authorization": "Bearer key-of-the-reader", "OpenAI-Beta": "assistants=v2"}
        url = f"{self._services.emulator_url}/v1/vector_stores"
        made = httpx.post(url, headers=headers, json={"name": "documents"})
        return str(made.raise_for_status().json()["id"])

    def _batch(self, name: str) -> str:
        if name not in self._batches:  # a page may have paused it
            self._batches.add(name)
            self._result("Hello", batch=name)
        return name
