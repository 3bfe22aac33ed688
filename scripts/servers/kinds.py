"""The servers that are checked: what is installed, how each is started, and which settings suit it."""

import json
import secrets
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from servers import backends
from servers.backends import Backend
from servers.installed import installed
from servers.model import EMBEDDINGS
from servers.own_redis import own_redis
from threadmill_cli.local.processes import Process
from threadmill_cli.local.services import free_port

#: What is installed from PyPI.
VERSIONS = {
    "litellm": "1.108.7",
    "ogx": "1.5.0",
    # What OGX's provider of vector stores imports, and its own requirements do not name.
    "faiss-cpu": "1.15.1",
    "numpy": "2.5.5",
    "chardet": "7.7.0",
    "pypdf": "7.1.1",
    "aiohttp": "3.14.5",
}

_START_S = 180


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    url: str  #: its base URL, with /v1
    key: str
    model: str
    backend: Backend
    alive: Callable[[], int] | None = None  #: how many objects the server holds, where it holds any


@dataclass(frozen=True)
class Kind:
    name: str
    version: str
    backend: Callable[[], AbstractContextManager[Backend]]
    start: Callable[[Path, Backend], AbstractContextManager[Running]]
    settings: Mapping[str, Any]  #: of its endpoint, besides kind, base_url, api_key_env and model
    plain_calls: int  #: that a job without tools, files and thread takes


@contextmanager
def _litellm(folder: Path, backend: Backend, settings: Mapping[str, Any]) -> Iterator[Running]:
    bin = installed(folder / "litellm", ">=3.11,<3.14", [f"litellm[proxy]=={VERSIONS['litellm']}"])
    port, key = free_port(), f"sk-{secrets.token_urlsafe(24)}"
    config = folder / "litellm.json"  # JSON is YAML too
    common = {"general_settings": {"master_key": key}, "router_settings": {"num_retries": 0}}
    config.write_text(json.dumps({**common, **settings}))
    command = [str(bin / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # else it fetches one, three times where it cannot
    with _process("litellm", command, folder, environment) as process:
        process.wait_until(lambda: _answers(f"http://127.0.0.1:{port}/health/liveliness"), _START_S)
        yield Running(f"http://127.0.0.1:{port}/v1", key, backend.model, backend, backend.alive)


def _model(provider: str, backend: Backend) -> dict[str, Any]:
    parameters = {"model": f"{provider}/{backend.model}", "api_base": backend.url, "api_key": "none"}
    return {"model_list": [{"model_name": backend.model, "litellm_params": parameters}]}


def _bridge(folder: Path, backend: Backend) -> AbstractContextManager[Running]:
    """DeepSeek's API has chat completions alone: LiteLLM translates responses."""
    return _litellm(folder, backend, _model("deepseek", backend))


def _native(folder: Path, backend: Backend) -> AbstractContextManager[Running]:
    """OpenAI's API has responses: LiteLLM passes them on."""
    return _litellm(folder, backend, _model("openai", backend))


@contextmanager
def _polling(folder: Path, backend: Backend) -> Iterator[Running]:
    """The bridge again, with its answers kept in Redis until they are fetched."""
    with own_redis(folder) as port, redis.Redis(port=port) as cache:
        background = {"background_mode": {"polling_via_cache": "all", "ttl": 3600}}
        store = {"type": "redis", "host": "127.0.0.1", "port": port}
        settings = {"cache": True, "cache_params": store | {"supported_call_types": []}, "responses": background}
        with _litellm(folder, backend, _model("deepseek", backend) | {"litellm_settings": settings}) as running:
            yield Running(running.url, running.key, running.model, backend, lambda: len(cache.keys("*polling*")))


@contextmanager
def _ogx(folder: Path, backend: Backend) -> Iterator[Running]:
    names = ("ogx", "faiss-cpu", "numpy", "chardet", "pypdf", "aiohttp")
    # LiteLLM brings the vocabulary that OGX would fetch from a server of tiktoken's when it starts.
    vocabulary = f"litellm=={VERSIONS['litellm']}"
    bin = installed(folder / "ogx", ">=3.12", [f"{name}=={VERSIONS[name]}" for name in names], [vocabulary])
    [tokenizers] = bin.parent.glob("lib/*/site-packages/litellm/litellm_core_utils/tokenizers")
    port, data = free_port(), folder / "ogx-data"
    data.mkdir(exist_ok=True)
    config = folder / "ogx.json"
    config.write_text(json.dumps(_ogx_config(data, backend, port)))
    command = [str(bin / "ogx"), "run", str(config), "--port", str(port), "--insecure"]
    environment = {"HOME": str(data), "TIKTOKEN_CACHE_DIR": str(tokenizers)}
    with _process("ogx", command, folder, environment) as process:
        url = f"http://127.0.0.1:{port}/v1"
        process.wait_until(lambda: _answers(f"{url}/models"), _START_S)
        yield Running(url, "none", f"mirror/{backend.model}", backend, lambda: _listed(url))


def _ogx_config(data: Path, backend: Backend, port: int) -> dict[str, Any]:
    def provider(name: str, **config: Any) -> list[dict[str, Any]]:
        return [{"provider_id": name.partition("::")[2], "provider_type": name, "config": config}]

    def table(name: str) -> dict[str, Any]:
        return {"table_name": name, "backend": "sql"}

    providers = {
        "inference": provider("remote::openai", base_url=backend.url, api_key="none"),
        "vector_io": provider("inline::faiss", persistence={"namespace": "vectors", "backend": "kv"}),
        "files": provider("inline::localfs", storage_dir=str(data / "files"), metadata_store=table("files")),
        "file_processors": provider("inline::pypdf"),
        "responses": provider("inline::builtin", persistence={"responses": table("responses")}),
        "tool_runtime": provider("inline::file-search"),
    }
    providers["inference"][0]["provider_id"] = "mirror"
    tables = ("inference", "conversations", "prompts", "connectors")
    return {
        "version": 2,
        "distro_name": "check",
        "apis": list(providers),
        "providers": providers,
        "storage": {
            "backends": {
                "kv": {"type": "kv_sqlite", "db_path": str(data / "kv.db")},
                "sql": {"type": "sql_sqlite", "db_path": str(data / "sql.db")},
            },
            "stores": {"metadata": {"namespace": "registry", "backend": "kv"}} | {name: table(name) for name in tables},
        },
        "server": {"port": port, "host": "127.0.0.1"},
        "vector_stores": {
            "default_provider_id": "faiss",
            "default_embedding_model": {"provider_id": "mirror", "model_id": EMBEDDINGS},
        },
    }


@contextmanager
def _process(name: str, command: list[str], folder: Path, environment: Mapping[str, str]) -> Iterator[Process]:
    """A server's process, with its log in the folder and none of our own modules on its path."""
    process = Process(name, command, folder / f"{name}.log", {"PYTHONPATH": "", **environment})
    try:
        yield process
    finally:
        process.stop()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def _listed(url: str) -> int:
    """How many responses, files and vector stores a server lists."""
    total = 0
    for name in ("responses", "files", "vector_stores"):
        with urllib.request.urlopen(f"{url}/{name}", timeout=10) as reply:
            total += len(json.load(reply)["data"])
    return total


_LITELLM = f"LiteLLM {VERSIONS['litellm']}"
KINDS = {
    kind.name: kind
    for kind in (
        Kind("litellm-bridge", _LITELLM, backends.model, _bridge, {"supports": {"files": False}}, 2),
        Kind("litellm-polling", _LITELLM, backends.model, _polling, {"supports": {"files": False}}, 3),
        Kind("litellm-native", _LITELLM, backends.emulator, _native, {"supports": {"files": False}}, 3),
        Kind("ogx", f"OGX {VERSIONS['ogx']}", backends.model, _ogx, {"supports": {"list_responses": True}}, 3),
    )
}
