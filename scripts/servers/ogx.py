"""OGX, formerly Llama Stack: its responses and its chat completions."""

import json
import shutil
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers import backends, litellm
from servers.backends import Backend
from servers.installed import installed
from servers.kind import START_S, Kind, Running, answers, in_front_of, process
from servers.model import EMBEDDINGS
from threadmill_cli.local.services import free_port

#: OGX, and what its provider of vector stores imports and its own requirements do not name.
VERSIONS = {
    "ogx": "1.5.0",
    "faiss-cpu": "1.15.1",
    "numpy": "2.5.5",
    "chardet": "7.7.0",
    "pypdf": "7.1.1",
    "aiohttp": "3.14.5",
}

_OBJECTS, _LASTING = ("responses", "files", "vector_stores"), ("chat/completions?limit=1000",)


@contextmanager
def _ogx(folder: Path, backend: Backend) -> Iterator[Running]:
    # LiteLLM brings the vocabulary that OGX would fetch from a server of tiktoken's when it starts.
    vocabulary = f"litellm=={litellm.VERSION}"
    packages = [f"{name}=={version}" for name, version in VERSIONS.items()]
    bin = installed(folder / "ogx", ">=3.12", packages, [vocabulary])
    [tokenizers] = bin.parent.glob("lib/*/site-packages/litellm/litellm_core_utils/tokenizers")
    port, data = free_port(), folder / "ogx-data"
    shutil.rmtree(data, ignore_errors=True)  # what an earlier check left
    data.mkdir()
    config = folder / "ogx.json"
    config.write_text(json.dumps(_config(data, backend, port)))
    command = [str(bin / "ogx"), "run", str(config), "--port", str(port), "--insecure"]
    environment = {"HOME": str(data), "TIKTOKEN_CACHE_DIR": str(tokenizers)}
    with process("ogx", command, folder, environment) as started:
        url = f"http://127.0.0.1:{port}/v1"
        started.wait_until(lambda: answers(f"{url}/models"), START_S)
        model = f"mirror/{backend.model}"
        # Each call of a model is kept as a chat completion, also one for a response; DELETE is 405.
        yield Running(url, "none", model, backend, lambda: _count(url, _OBJECTS), lambda: _count(url, _LASTING))


def _config(data: Path, backend: Backend, port: int) -> dict[str, Any]:
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


def _count(url: str, listed: Sequence[str]) -> int:
    """How many of these objects a server lists."""
    total = 0
    for name in listed:
        with urllib.request.urlopen(f"{url}/{name}", timeout=10) as reply:
            total += len(json.load(reply)["data"])
    return total


_NAME = f"OGX {VERSIONS['ogx']}"
_START = in_front_of(backends.model, _ogx)
KINDS = (
    Kind("ogx-chat", _NAME, _START, {"kind": "chat"}, 1),
    Kind("ogx", _NAME, _START, {"kind": "responses", "supports": {"list_responses": True}}, 3),
)
